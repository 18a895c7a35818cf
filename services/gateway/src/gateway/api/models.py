"""The API's objects as OpenAPI shows them. Answers with prices are bytes from the bus and never pass through these models."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

from gateway.stream.fields import ALWAYS
from market_pulse import messages
from market_pulse.messages import Resolution


class Candle(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class Ticker(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class TickerFields(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class FeedStatus(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class ExchangeStatus(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class OtherCopy(Struct):
    """The state of another copy of an exchange's ingest, since when, and why."""

    instance: str
    state: messages.State
    reason: str | None
    since: messages.TimeMs


class _Copies(Struct):
    """Fields that the gateway adds to a feed's status."""

    instances: Annotated[int, Meta(description="How many copies of its ingest run. Each has its own socket.")]
    others: Annotated[list[OtherCopy], Meta(description="The other running copies, best first.")]


def message_schemas() -> dict[str, Any]:
    """Return the schemas of the bus's messages in the form that a client gets.

    A client gets a ticker unchanged. The gateway adds the copies of the ingest to a feed's status. Only /api/status has the
    fields about symbols for which there is no room.
    """
    found = messages.schemas("#/components/schemas/{name}", _Copies)
    del found["Tick"]
    found["Ticker"]["description"] += (
        "\n\nIf a ticker has not been renewed for 5 s, it is sent again as `stale`, with the numbers and times of its last "
        "renewal. After another 60 s it is sent as `down`, and its price is null. Both have the seq of the last renewal."
    )
    members = found["Ticker"]["properties"]
    found["TickerFields"] = {
        "type": "object",
        "description": "A ticker for a client that asked for some of its fields: these, and the fields that always come.",
        "properties": members,
        "required": [name for name in members if name in ALWAYS],
    }
    whole = found["FeedStatus"]["properties"] | found.pop("_Copies")["properties"]
    status = {name: schema for name, schema in whole.items() if name not in messages.OF_ROOM}
    for name, properties, text in (
        ("FeedStatus", status, "The state of one exchange's feed. If several copies of its ingest run, it is the best copy's."),
        (
            "ExchangeStatus",
            whole,
            "A FeedStatus that also names the symbols for which no copy has room (MAX_SYMBOLS).",
        ),
    ):
        found[name] = {"type": "object", "description": text, "properties": properties, "required": list(properties)}
    return found


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Tickers(_Model):
    """The known tickers of the requested symbols, in the order of the request, and the symbols without a known ticker."""

    tickers: list[Ticker | TickerFields]
    missing: list[str]
    no_room: dict[str, Literal["full", "share"]] = Field(description="The missing symbols for which there is no room, and why")


class History(_Model):
    """A symbol's past prices in columns, oldest first: the n-th entry of each list belongs to the n-th time.

    A point is the first known price of its second or minute. If two neighbours are more than `stepMs` apart, no price was known
    between them.
    """

    symbol: str
    resolution: Resolution
    step_ms: int = Field(
        description="The time from one point to the next. It is longer if the history was thinned to max_points"
    )
    times: list[int] = Field(description="Unix milliseconds, ascending: whole multiples of stepMs, and the newest point's time")
    prices: list[float]
    sources: dict[str, list[float | None]] = Field(
        description="Each exchange's own prices; null if its price was not known then"
    )


class ListedSymbol(_Model):
    """A symbol and the exchanges that list it."""

    symbol: str
    exchanges: list[str]


class SymbolListing(_Model):
    """The symbols that a client can ask for. The gateway always subscribes to featured ones, to others when a client asks."""

    featured: list[str]
    quote: str = Field(description="The currency of a symbol without one: if it is USDT, BTC is BTC-USDT", examples=["USDT"])
    symbols: list[ListedSymbol]


class GatewayStatus(_Model):
    """The state of the gateway process that answers."""

    instance: str
    time: int = Field(description="The time of this answer, in Unix milliseconds by this gateway's clock")
    uptime_s: float
    streams: int
    symbols: list[str] = Field(description="The symbols that the gateway is subscribed to on the bus right now")
    room_is_short: bool = Field(description="Whether an exchange has turned symbols away within the last minute")
    beyond_share: int = Field(
        description="How many wanted channels are not subscribed to: the addresses that want them have used up their share"
    )
    channels: dict[str, int] = Field(description="How many channels of each kind the gateway is subscribed to right now")
    bus_connected: bool
    resyncs: int
    draining: bool


class Status(_Model):
    """Each exchange's feed, and this gateway. `simulated` is true if any exchange's prices come from the simulator."""

    simulated: bool
    exchanges: dict[str, ExchangeStatus]
    gateway: GatewayStatus


class Problem(BaseModel):
    """A problem as in RFC 9457.

    If a symbol is unknown or malformed, there are `suggestions`. If parameters are invalid, there are `errors`. A problem with
    the code `no_room` has a `reason`.
    """

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    code: str
    suggestions: dict[str, list[str]] | None = None
    errors: list[dict[str, str]] | None = None
    symbol: str | None = None
    reason: Literal["full", "share"] | None = None


class Refused(Problem):
    """The data of the event `refused`: the problem that other clients get as the answer, and when to try again."""

    retry_ms: int = Field(
        alias="retryMs", description="The same as the stream's `retry:`, after which an EventSource reconnects by itself"
    )


class Connected(_Model):
    """The content of the stream. `resumed` is true if the client sent a valid Last-Event-ID. It gets a new snapshot anyway.

    `fields` are the members that each ticker has, or null for all of them. They may be more than the client asked for.
    """

    symbols: list[str]
    kinds: list[str] = Field(
        description="What is sent of them: a kind of all symbols, for example `candle:1m`, or of one, `candle:1m:BTC-USDT`"
    )
    instance: str
    simulated: bool
    resumed: bool
    heartbeat_ms: int
    max_hz: float | None
    fields: list[str] | None


class Resync(_Model):
    """Messages may have been missed. A new snapshot follows."""

    reason: str


class Room(_Model):
    """Whether there is room for a symbol, and if not, why: for its ticker, or for its candles if the stream does not have its
    ticker. With `full`, `exchanges` names the exchanges that can carry no more
    symbols. With `share`, each address that wants the symbol already has as many symbols as one address gets while room is
    short. Once there is room, the symbol's tickers arrive without a new request.
    """

    symbol: str
    room: bool
    reason: Literal["full", "share"] | None
    exchanges: list[str]
    detail: str | None


class Bye(_Model):
    """The server ends this stream. Reconnect after `retryMs`. If that fails, try again.

    If a gateway stops and no proxy holds requests meanwhile, the stream's `retry:` is longer than `retryMs`, because an
    EventSource may give up for good if no server answers it.
    """

    reason: Literal["shutdown", "max_age"]
    retry_ms: int


class ConnectedEvent(BaseModel):
    """The first event of a stream."""

    type: Literal["connected"]
    data: Connected


class TickerEvent(BaseModel):
    """A symbol's newest state: first a snapshot, then each change. Its `id:` is `<symbol>:<seq>`."""

    type: Literal["ticker"]
    data: Ticker | TickerFields


class CandleEvent(BaseModel):
    """A candle across exchanges as it was published: first the newest one, then each change. It has no `id:`.

    A later event of the same `interval` and `start` replaces it. A closed candle is sent before the events of the next one that
    come later. Like a ticker, an open candle is renewed each second. If its `receivedTime` is older than 5 s, it is not live:
    it is not sent again, because it says nothing new.
    """

    type: Literal["candle"]
    data: Candle


class StatusEvent(BaseModel):
    """An exchange's state. It is sent at the start of a stream, and whenever it changes."""

    type: Literal["status"]
    data: FeedStatus


class RoomEvent(BaseModel):
    """Whether there is room for a symbol. It is part of the snapshot if there is no room, and is sent whenever that changes."""

    type: Literal["room"]
    data: Room


class ResyncEvent(BaseModel):
    """Messages may have been missed. A new snapshot follows."""

    type: Literal["resync"]
    data: Resync


class ByeEvent(BaseModel):
    """The last event of a stream that the server ends."""

    type: Literal["bye"]
    data: Bye


class StreamEvent(RootModel[ConnectedEvent | TickerEvent | CandleEvent | StatusEvent | RoomEvent | ResyncEvent | ByeEvent]):
    """The data of a stream's default (`message`) events."""


PROBLEM: dict[str, Any] = {"content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}


def _event(name: str, data: dict[str, Any]) -> dict[str, Any]:
    text = {"type": "string", "contentMediaType": "application/json", "contentSchema": data}
    return {"type": "object", "required": ["data"], "properties": {"event": {"const": name}, "data": text}}


_HEARTBEAT = {"type": "object", "required": ["time"], "properties": {"time": {"type": "integer"}}}
_EVENTS = [
    _event("message", {"$ref": "#/components/schemas/StreamEvent"}),
    _event("hb", _HEARTBEAT),
    _event("refused", {"$ref": "#/components/schemas/Refused"}),
]
EVENTS: dict[str, Any] = {"content": {"text/event-stream": {"itemSchema": {"anyOf": _EVENTS}}}}
