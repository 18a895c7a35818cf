"""A Chromium without a window, driven over its own protocol, with the bytes that its pages receive and its processor time.

Playwright is not used here, because it keeps each of its pages visible, and a hidden page is to be measured.
"""

import asyncio
import json
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from websockets.asyncio.client import ClientConnection, connect

from fanout import cores
from fanout.traffic import HERE, ToolError
from support.waiting import PATIENCE_S, until

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")
UNWATCHED = HERE.parent / "tests/browser/unwatched_network.py"
OPTIONS = (
    "--headless=new",
    "--no-sandbox",  # root cannot use the sandbox
    "--no-first-run",
    "--disable-background-networking",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",  # no request leaves this machine
    "--window-size=1280,900",
    "--remote-debugging-port=0",
)
STREAMS = "/api/realtime"


class Used(NamedTuple):
    """Totals so far: bytes received, and processor time in seconds.

    Of the bytes, `streamed` came in streams. Of the time, `renderer_s` is that of the pages' processes.
    """

    received: int
    streamed: int
    cpu_s: float
    renderer_s: float


class Page:
    """One tab."""

    def __init__(self, browser: "Chromium", target: str, session: str) -> None:
        self._browser = browser
        self._target, self._session = target, session

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression in the page."""
        answer = await self._browser.call("Runtime.evaluate", self._session, expression=expression, returnByValue=True)
        return answer["result"].get("value")

    async def bring_to_front(self) -> None:
        await self._browser.call("Target.activateTarget", targetId=self._target)


class Chromium:
    """A running browser with an empty profile."""

    def __init__(self, socket: ClientConnection, pid: int) -> None:
        self._socket, self._pid = socket, pid
        self._numbers = count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._received = self._streamed = 0
        self._streams: dict[str, str] = {}  # the URLs of the streams that were opened, by their requests' ids
        self._on: dict[str, Callable[[dict[str, Any]], None]] = {
            "Network.dataReceived": self._on_data,
            "Network.requestWillBeSent": self._on_request,
        }

    async def call(self, method: str, session: str | None = None, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol, and return its result.

        Raises:
            ToolError: the browser reports an error.
        """
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        of_session = {} if session is None else {"sessionId": session}
        await self._socket.send(json.dumps({"id": number, "method": method, "params": parameters} | of_session))
        async with asyncio.timeout(PATIENCE_S):
            message = await answer
        if "error" in message:
            raise ToolError(f"{method}: {message['error']['message']}")
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str) -> Page:
        """Open a tab in front, and count what it receives."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        await self.call("Network.enable", session)
        await self.call("Page.enable", session)
        await self.call("Page.navigate", session, url=url)
        return Page(self, target, session)

    @property
    def streams(self) -> tuple[str, ...]:
        """The URLs of the streams that were opened."""
        return tuple(self._streams.values())

    def used(self) -> Used:
        pids = cores.family(self._pid)
        renderers = [pid for pid in pids if b"--type=renderer" in _command_of(pid)]
        return Used(self._received, self._streamed, cores.cpu_s(pids), cores.cpu_s(renderers))

    async def listen(self) -> None:
        """Take the browser's messages until it ends."""
        async for text in self._socket:
            message = json.loads(text)
            if "id" in message:
                self._answers.pop(message["id"]).set_result(message)
            elif on := self._on.get(message["method"]):
                on(message["params"])

    def _on_data(self, event: dict[str, Any]) -> None:
        self._received += event["encodedDataLength"]
        if event["requestId"] in self._streams:
            self._streamed += event["encodedDataLength"]

    def _on_request(self, event: dict[str, Any]) -> None:
        url = event["request"]["url"]
        if STREAMS in url:
            self._streams[event["requestId"]] = url


def _command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:  # it has just ended
        return b""


@asynccontextmanager
async def chromium() -> AsyncIterator[Chromium]:
    """Run a browser for the time of the context."""
    assert PROGRAM is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(UNWATCHED), PROGRAM, *OPTIONS, f"--user-data-dir={profile}", "about:blank"),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = Path(profile) / "DevToolsActivePort"

            async def is_ready() -> bool:
                return port.exists() and len(port.read_text().split()) == 2

            await until(is_ready)
            number, path = port.read_text().split()
            async with connect(f"ws://127.0.0.1:{number}{path}", max_size=None) as socket:
                browser = Chromium(socket, process.pid)
                listening = asyncio.create_task(browser.listen())
                yield browser
                listening.cancel()
        finally:
            process.kill()
            await process.wait()
