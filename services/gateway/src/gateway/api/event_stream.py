"""The response that is a stream: ASGI sends its head, the hub writes its body."""

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.gateway import Gateway
from gateway.server.protocol import Lend, plain_descriptor, unchunk
from gateway.stream.hub import Hub
from gateway.stream.sse import is_event_id
from gateway.stream.streams import Stream
from market_pulse.messages import Symbol

from .limits import Limits, client_of

HEADERS = {"Cache-Control": "no-cache, no-transform", "X-Accel-Buffering": "no"}


class Client:
    """Who reads a stream, for as long as its connection lasts. There is one of these per stream, so it holds little."""

    __slots__ = ("_hub", "_limits", "_owner", "stream")

    def __init__(self, hub: Hub, limits: Limits, owner: str) -> None:
        self._hub, self._limits, self._owner = hub, limits, owner
        self.stream: Stream | None = None

    def on_writable(self) -> None:
        """Go on with what was held back while the client did not read."""
        if self.stream is not None:
            self._hub.writable(self.stream)

    def on_lost(self, *, timed_out: bool = False) -> None:
        """Forget the stream and make room for another."""
        if self.stream is not None:
            self._hub.leave(self.stream, "slow" if timed_out else "client")
        self._limits.give_back(self._owner)


class EventStream(Response):
    """Server-sent events of some symbols, until either side has enough.

    Args:
        hub: writes the events.
        lend: gives the connection.
        limits: where `owner` is given back at the end.
        owner: whose stream this is, as `limits` named it.
        symbols: what is streamed, each once.
        max_hz: how often at most, or None.
        resumed: whether the client has had a stream before.
        held: whether a proxy holds the client's next request where no gateway is there to take it.
    """

    media_type = "text/event-stream"

    def __init__(
        self,
        hub: Hub,
        lend: Lend,
        limits: Limits,
        owner: str,
        symbols: tuple[Symbol, ...],
        max_hz: float | None,
        *,
        resumed: bool,
        held: bool,
    ) -> None:
        self.status_code = 200
        self.background = None
        self.init_headers(HEADERS)
        self._hub, self._lend, self._limits, self._owner = hub, lend, limits, owner
        self._symbols, self._max_hz, self._resumed, self._held = symbols, max_hz, resumed, held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Send the head and hand the connection to the hub. The stream goes on when this has returned."""
        client = Client(self._hub, self._limits, self._owner)
        transport = None
        chunked = scope["http_version"] != "1.0"
        try:
            if not chunked:
                unchunk(scope)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            transport = self._lend(client)
        finally:
            if transport is None:  # the client left before its stream began
                client.on_lost()
        if transport is not None:
            client.stream = self._hub.open(
                transport,
                self._symbols,
                self._max_hz,
                plain_descriptor(transport),
                owner=self._owner,
                resumed=self._resumed,
                chunked=chunked,
                held=self._held,
            )


def stream_for(
    gateway: Gateway, scope: Scope, lend: Lend, symbols: tuple[Symbol, ...], max_hz: float | None, last_event_id: str | None
) -> EventStream:
    """Return the stream that answers a request, counted among those of its client.

    Raises:
        TooManyStreamsError: there is no room.
    """
    owner = gateway.limits.take(client_of(scope))
    resumed, held = last_event_id is not None and is_event_id(last_event_id), gateway.edge.holds(scope)
    return EventStream(gateway.hub, lend, gateway.limits, owner, symbols, max_hz, resumed=resumed, held=held)
