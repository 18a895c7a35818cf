"""Compresses answers with gzip, for clients that accept it. Streams have a compression of their own (`stream/body`)."""

import asyncio
import gzip
import re
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .negotiation import takes_gzip

SHORTEST = 1_000  # bytes: a shorter answer fits into one packet anyway
LEVEL = 1  # 500 candles, 114 KB, become 26 KB in half a millisecond. Level 6 needs 4 ms for 22 KB
OWN_THREAD_FROM = 16_384  # bytes: shorter ones take less than a millisecond
BEST = 9  # for the bodies that are compressed once and sent often
SHARED = "market_pulse.shared"  # under this name an answer's start has its SharedBody, whose bytes do not count as its own

_TEXTS = re.compile(r"application/(\w+\+)?json|application/manifest\+json|text/|image/svg\+xml")


class SharedBody:
    """An answer's bytes that are kept for all clients. They are compressed once, when the first client asks for that."""

    def __init__(self, plain: bytes) -> None:
        self.plain = plain
        self._compressing: asyncio.Future[bytes] | None = None

    async def compressed(self) -> bytes:
        """Return the bytes compressed."""
        if self._compressing is None:
            self._compressing = asyncio.ensure_future(asyncio.to_thread(_compress, self.plain, BEST))
        return await asyncio.shield(self._compressing)


class Compression:
    """An ASGI layer that compresses the answers that are texts, unless they are short or the client does not accept gzip.

    It says so in `Vary`, and also if an answer is not compressed, because another client may get it compressed. All ETags here
    are weak, so they hold for both forms.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start: Message | None = None  # the answer's start, while its body is to be compressed
        accepted = takes_gzip(Headers(scope=scope).getlist("Accept-Encoding"))

        async def send_compressed(message: Message) -> None:
            nonlocal start
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                if _varies(headers):
                    _vary(headers)
                    if accepted and int(headers.get("Content-Length", 0)) >= SHORTEST:
                        start = message
                        return
                await send(message)
                return
            if start is None:
                await send(message)
                return
            begun, start = start, None
            body: bytes = message.get("body", b"")
            if not message.get("more_body"):
                shorter = await _compressed(body, begun.get(SHARED))
                if len(shorter) < len(body):
                    headers = MutableHeaders(scope=begun)
                    headers["Content-Encoding"], headers["Content-Length"] = "gzip", str(len(shorter))
                    message = {**message, "body": shorter}
            await send(begun)
            await send(message)

        await self._app(scope, receive, send_compressed)


def _varies(headers: Headers) -> bool:
    """Return whether an answer with these headers has a compressed form, or stands for one that has (304)."""
    if "Content-Encoding" in headers:
        return False
    return _TEXTS.match(headers.get("Content-Type", "")) is not None or ("ETag" in headers and "Content-Type" not in headers)


def _vary(headers: MutableHeaders) -> None:
    if "accept-encoding" not in headers.get("Vary", "").lower():
        headers.add_vary_header("Accept-Encoding")


async def _compressed(body: bytes, shared: Any) -> bytes:
    if isinstance(shared, SharedBody):
        return await shared.compressed()
    if len(body) < OWN_THREAD_FROM:
        return _compress(body, LEVEL)
    return await asyncio.to_thread(_compress, body, LEVEL)


def _compress(body: bytes, level: int) -> bytes:
    return gzip.compress(body, level, mtime=0)
