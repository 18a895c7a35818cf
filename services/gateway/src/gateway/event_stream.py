"""The response that is a stream: ASGI sends its head, the hub writes its body."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from market_pulse.model import Symbol

from .hub import Hub
from .limits import Limits
from .protocol import StreamProtocol

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class EventStream(Response):
    """Server-sent events of some symbols, until either side has enough.

    Args:
        hub: writes the events.
        protocol: lends the connection.
        limits: where `owner` is given back at the end.
        owner: whose stream this is, as `limits` named it.
        symbols: what is streamed, each once.
        max_hz: how often at most, or None.
        resumed: whether the client has had a stream before.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        protocol: StreamProtocol,
        limits: Limits,
        owner: str,
        symbols: tuple[Symbol, ...],
        max_hz: float | None,
        *,
        resumed: bool,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._hub, self._protocol, self._limits, self._owner = hub, protocol, limits, owner
        self._symbols, self._max_hz, self._resumed = symbols, max_hz, resumed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the head, hand the connection to the hub and wait for its end."""
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            if not self._protocol.transport.is_closing():  # as it is when the client left before its stream began
                transport = self._protocol.lend(lambda: self._hub.writable(stream), lambda: self._hub.leave(stream))
                stream = self._hub.open(transport, self._symbols, self._max_hz, resumed=self._resumed)
            while (await receive())["type"] != "http.disconnect":  # to return earlier would be an error to uvicorn
                pass
        finally:
            self._limits.give_back(self._owner)
