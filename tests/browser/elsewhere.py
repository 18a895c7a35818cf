"""Another site, which embeds our page and our element."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class Elsewhere:
    """A server of one page, whose text the test sets, and of that page's scripts."""

    def __init__(self) -> None:
        self.url = ""
        self._files: dict[str, tuple[str, str]] = {}
        self._page = ""
        self._headers: dict[str, str] = {}

    def show(self, body: str, **headers: str) -> str:
        """Serve this body from now on, with these headers (`Content_Security_Policy=…`); return the page's URL."""
        self._page = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Elsewhere</title><body>{body}'
        self._headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return f"{self.url}/"

    def serve(self, path: str, text: str, content_type: str) -> None:
        """Serve a text of this type at another path."""
        self._files[path] = (text, content_type)

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request: with the page or the served text at its path, with an empty body at any other."""
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            request = await reader.readuntil(b"\r\n\r\n")
            path = request.split(b" ", 2)[1].decode()
            text, content_type = (self._page, "text/html") if path == "/" else self._files.get(path, ("", "text/html"))
            body = text.encode()
            headers = {"Content-Type": content_type, "Content-Length": str(len(body)), "Connection": "close", **self._headers}
            lines = ["HTTP/1.1 200 OK", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
            writer.write("\r\n".join(lines).encode() + body)
            await writer.drain()
        writer.close()


@contextlib.asynccontextmanager
async def elsewhere_server() -> AsyncIterator[Elsewhere]:
    """Serve on a port of its own, as localhost: to a browser that is another site than 127.0.0.1."""
    elsewhere = Elsewhere()
    async with await asyncio.start_server(elsewhere.answer, "127.0.0.1", 0) as server:
        elsewhere.url = f"http://localhost:{server.sockets[0].getsockname()[1]}"
        yield elsewhere
