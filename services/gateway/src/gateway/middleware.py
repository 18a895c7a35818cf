"""Three small ASGI layers. Neither buffers nor wraps a body, so streams pass through them untouched."""

from collections.abc import Callable

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from .protocol import cutter

SIMULATED_HEADER = "X-Market-Pulse-Simulated"
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})


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


class Closing:
    """Cuts whoever comes while streams are told goodbye, but for probes.

    An EventSource that is cut tries again, and a proxy tries another copy; who is answered with an error does neither. Probes
    go on to be answered: a proxy that takes this process for dead cuts the streams that have not been told goodbye yet.
    """

    def __init__(self, app: ASGIApp, is_closing: Callable[[], bool]) -> None:
        self._app = app
        self._is_closing = is_closing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and self._is_closing() and scope["path"] not in PROBES and (cut := cutter(scope)):
            cut()
            return
        await self._app(scope, receive, send)
