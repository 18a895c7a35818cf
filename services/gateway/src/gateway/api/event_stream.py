"""The entrance to a stream: reads the request, refuses it or passes its connection to the hub, and limits open streams."""

import re
from collections import Counter
from collections.abc import Callable, Collection
from typing import Any
from urllib.parse import parse_qs

from pydantic import BaseModel, Field, ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.server.protocol import lender, plain_descriptor, unchunk
from gateway.stream.fields import Fields, wish_for
from gateway.stream.group import Stream
from gateway.stream.hub import Hub
from gateway.stream.kinds import STREAMED, Asked
from gateway.stream.sse import is_event_id
from market_pulse.kinds import TICKER
from market_pulse.messages import Symbol
from market_pulse.process.bounded_http import owner_of

from .edge import Edge
from .listings import MOST_SYMBOLS, Listings
from .negotiation import takes_gzip
from .problems import RETRY_AFTER_S, STREAMS, ProblemError, invalid_request, problem_response

_PATH = re.compile(f"{STREAMS}(?:/(?P<symbol>.*))?$")

HEADERS = (
    (b"cache-control", b"no-cache, no-transform"),
    (b"x-accel-buffering", b"no"),
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"vary", b"accept-encoding"),
)
COMPRESSED = (b"content-encoding", b"gzip")


FIELDS = (
    "The members of each ticker to send, for example price,changePercent24h. By default all are sent. Separate them by commas "
    "or repeat the parameter. `v`, `symbol`, `seq`, `quality`, `receivedTime`, `aggregatedTime` and `publisher` always come"
)


KINDS = (
    "The kinds of messages to send: ticker, candle:1m, candle:1h, candle:1d. Each stands for all symbols of the stream, or for "
    "one of them: candle:1m:BTC. By default ticker is sent. Separate them by commas or repeat the parameter"
)


class StreamQuery(BaseModel):
    """The parameters of a stream's query. If the path names the symbol, `symbols` has only that one."""

    symbols: list[str] = Field(
        description=f"Up to {MOST_SYMBOLS} symbols, for example BTC, ETH-USDT. Separate them by commas or repeat the parameter",
        examples=[["BTC,ETH"], ["BTC", "ETH"]],
    )
    kinds: list[str] | None = Field(default=None, description=KINDS, examples=[["ticker,candle:1m:BTC"]])
    fields: list[str] | None = Field(default=None, description=FIELDS, examples=[["price,changePercent24h"]])
    max_hz: float | None = Field(default=None, ge=0.1, le=1000, description="The largest number of updates per second")
    last_event_id: str | None = Field(
        default=None, description="The same as the header Last-Event-ID. The stream starts with a new snapshot anyway"
    )


def read_query(query_string: bytes, in_path: str | None = None) -> StreamQuery:
    """Read the parameters of a request for a stream.

    Args:
        query_string: the query as it was sent, without the question mark.
        in_path: the symbol in the path, or None if it has none.

    Raises:
        ProblemError: a parameter is missing, out of range, or given twice.
    """
    given = parse_qs(query_string.decode("latin-1"), keep_blank_values=True) if query_string else {}
    wanted: dict[str, Any] = {}
    wanted |= {name: given[name] for name in ("kinds", "fields") if name in given}
    for name in ("max_hz", "last_event_id"):
        if name in given:
            wanted[name], *others = given[name]
            if others:
                raise ProblemError(400, "repeated_parameter", f"{name} is given more than once: give it once")
    if in_path is not None and "symbols" in given:
        raise ProblemError(400, "repeated_parameter", "name symbols in the path or in `symbols`, not in both")
    if in_path is not None:
        wanted["symbols"] = [in_path]
    elif "symbols" in given:
        wanted["symbols"] = given["symbols"]
    try:
        return StreamQuery.model_validate(wanted)
    except ValidationError as invalid:
        raise invalid_request([{**one, "loc": ("query", *one["loc"])} for one in invalid.errors()]) from invalid


def read_fields(texts: list[str] | None, more: Collection[str] = ()) -> Fields:
    """Return the members of a ticker that a client asks for, from comma-separated texts, or None for all of them.

    `more` are the members that a ticker has only in this place.

    Raises:
        ProblemError: a ticker has no such member.
    """
    if texts is None:
        return None
    try:
        return wish_for((name.strip() for text in texts for name in text.split(",") if name.strip()), more)
    except ValueError as unknown:
        raise ProblemError(400, "unknown_field", str(unknown)) from unknown


def read_kinds(texts: list[str] | None, symbols: Collection[Symbol], name: Callable[[str], Symbol]) -> tuple[Asked, ...]:
    """Return the kinds that a client asks for, from comma-separated texts, without those that another one includes.

    Args:
        texts: the texts, or None for the default.
        symbols: the symbols of the stream.
        name: returns the symbol that a client's text names, or raises a ProblemError.

    Raises:
        ProblemError: there is no such kind, or no kind at all, or a kind's symbol is not one of the stream's.
    """
    if texts is None:
        return (Asked(TICKER),)
    asked = dict.fromkeys(_asked(part.strip(), name) for text in texts for part in text.split(",") if part.strip())
    if not asked:
        raise _unknown_kind("no kind is named")
    for one in asked:
        if one.symbol is not None and one.symbol not in symbols:
            raise ProblemError(400, "foreign_symbol", f"{one} is of a symbol that is not in `symbols`: {', '.join(symbols)}")
    return tuple(one for one in asked if one.symbol is None or Asked(one.kind) not in asked)


def _asked(text: str, name: Callable[[str], Symbol]) -> Asked:
    for known, kind in STREAMED.items():
        if text == known:
            return Asked(kind)
        if text.startswith(f"{known}:"):
            return Asked(kind, name(text.removeprefix(f"{known}:")))
    raise _unknown_kind(f"there is no kind {text[:40]!r}")


def _unknown_kind(cause: str) -> ProblemError:
    kinds = ", ".join(STREAMED)
    return ProblemError(400, "unknown_kind", f"{cause}: the kinds are {kinds}, each alone or with a symbol: candle:1m:BTC")


class Limits:
    """Counts open streams. At a limit a new stream is refused. An open stream is never cut for a new one."""

    def __init__(self, most: int, most_per_address: int) -> None:
        self.refused: Counter[str] = Counter()  # by the limit that was reached: address, total
        self._most = most
        self._most_per_address = most_per_address
        self._open: Counter[str] = Counter()
        self._total = 0  # the sum of `_open`, kept because there may be ten thousand addresses to add up

    def take(self, address: str) -> str:
        """Count one more stream. Return its owner, which is passed to `give_back` when the stream is gone.

        Raises:
            ProblemError: a limit is reached.
        """
        owner = owner_of(address)
        if self._open[owner] >= self._most_per_address:
            self.refused["address"] += 1
            raise _too_many(429, "too many streams from this address")
        if self._total >= self._most:
            self.refused["total"] += 1
            raise _too_many(503, "too many streams")
        self._open[owner] += 1
        self._total += 1
        return owner

    def give_back(self, owner: str) -> None:
        """Count one stream less for its owner."""
        self._open[owner] -= 1
        self._total -= 1
        if not self._open[owner]:
            del self._open[owner]


def _too_many(status: int, detail: str) -> ProblemError:
    return ProblemError(status, "too_many_streams", detail, retry_after_s=RETRY_AFTER_S)


class Client:
    """The client of a stream, for as long as its connection lasts. There is one object per stream, so it is kept small."""

    __slots__ = ("_hub", "_limits", "_owner", "stream")

    def __init__(self, hub: Hub, limits: Limits, owner: str) -> None:
        self._hub, self._limits, self._owner = hub, limits, owner
        self.stream: Stream | None = None

    def on_writable(self) -> None:
        """Send the client what it missed while it did not read."""
        if self.stream is not None:
            self._hub.writable(self.stream)

    def on_lost(self, *, timed_out: bool = False) -> None:
        """Forget the stream, and make room for another one."""
        if self.stream is not None:
            self._hub.leave(self.stream, "slow" if timed_out else "client")
        self._limits.give_back(self._owner)


class EventStreams:
    """Answers `/api/realtime` and `/api/realtime/{symbol}`. ASGI sends a stream's head, and the hub writes its body.

    It is an ASGI layer in front of FastAPI, to save the work that FastAPI does for each request: thousands of streams are
    opened at once after a gateway has stopped or a network has failed.

    Args:
        app: answers all other requests.
        hub: writes the events.
        listings: knows which symbols exist.
        limits: limits the number of open streams.
        edge: knows whether a proxy holds the client's next request while no gateway can take it.
    """

    def __init__(self, app: ASGIApp, hub: Hub, listings: Listings, limits: Limits, edge: Edge) -> None:
        self._app = app
        self._hub, self._listings, self._limits, self._edge = hub, listings, limits, edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request with a stream, or with a problem that says why there is no stream."""
        path = _PATH.match(scope["path"]) if scope["type"] == "http" else None
        if path is None:
            await self._app(scope, receive, send)
            return
        try:
            await self._open(path["symbol"], scope, send)
        except ProblemError as refusal:
            await problem_response(Request(scope), refusal)(scope, receive, send)

    async def _open(self, in_path: str | None, scope: Scope, send: Send) -> None:
        """Open a stream. It goes on after this method has returned, until the client leaves or the hub ends it."""
        if scope["method"] != "GET":
            refusal = ProblemError(405, "method_not_allowed", "Method Not Allowed")
            refusal.headers["Allow"] = "GET"
            raise refusal
        # Read the request, and check that its symbols exist.
        query = read_query(scope["query_string"], in_path)
        symbols = self._listings.named(query.symbols) if in_path is None else (self._listings.one_named(in_path),)
        lend = lender(scope)
        if lend is None:
            raise ProblemError(501, "wrong_server", "streams need the gateway's own server: run `python -m gateway`")
        kinds = read_kinds(query.kinds, symbols, self._listings.one_named)
        fields = read_fields(query.fields)
        await self._listings.check(symbols)
        last_event_id = _header(scope, b"last-event-id") or query.last_event_id
        resumed, held = last_event_id is not None and is_event_id(last_event_id), self._edge.holds(scope)
        owner = self._limits.take(client_of(scope))
        # Send the head, then borrow the connection.
        client = Client(self._hub, self._limits, owner)
        transport = None
        chunked = scope["http_version"] != "1.0"
        compressed = takes_gzip(value.decode("latin-1") for name, value in scope["headers"] if name == b"accept-encoding")
        try:
            if not chunked:
                unchunk(scope)
            headers = (*HEADERS, COMPRESSED) if compressed else HEADERS
            await send({"type": "http.response.start", "status": 200, "headers": headers})
            transport = lend(client)
        finally:
            if transport is None:  # the client left before its stream began
                client.on_lost()
        if transport is None:
            return
        # Let the hub write the body.
        client.stream = self._hub.open(
            transport,
            symbols,
            query.max_hz,
            plain_descriptor(transport),
            kinds=kinds,
            fields=fields if any(asked.kind is TICKER for asked in kinds) else None,
            owner=owner,
            resumed=resumed,
            chunked=chunked,
            compressed=compressed,
            held=held,
        )


def client_of(scope: Scope) -> str:
    """Return the address that a request comes from."""
    client = scope.get("client")
    return client[0] if client else "local"


def _header(scope: Scope, name: bytes) -> str | None:
    return next((value.decode("latin-1") for known, value in scope["headers"] if known == name), None)
