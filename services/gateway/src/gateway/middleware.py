"""Two small ASGI layers. Neither buffers nor wraps a body, so streams pass through them untouched."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

SIMULATED_HEADER = "X-Market-Pulse-Simulated"


class SimulatedHeader:
    """Says on every response when the prices are simulated."""

    def __init__(self, app: ASGIApp, simulated: Callable[[], bool]) -> None:
        self._app = app
        self._simulated = simulated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not self._simulated():
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[SIMULATED_HEADER] = "true"
            await send(message)

        await self._app(scope, receive, send_marked)


class HeadAsGet:
    """Lets HEAD work wherever GET does, streams excepted. The server leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].startswith("/api/realtime"):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)
