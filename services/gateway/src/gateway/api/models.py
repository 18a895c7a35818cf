"""The API's objects as OpenAPI shows them. Answers with prices are bytes from the bus and never pass through these models."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

from gateway.stream.fields import ALWAYS
from market_pulse import messages
from market_pulse.messages import Resolution

from .changes import SPANS


class Candle(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class Ticker(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class TickerFields(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class TickerAnswer(RootModel[dict[str, Any]]):
    """A placeholder: `message_schemas` has the schema, made from a message of the bus."""


class TickerAnswerFields(RootModel[dict[str, Any]]):
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


_CHANGES = {
    name: {
        "type": ["number", "null"],
        "description": f"The price against that of {ago}, in percent; null if that is not known. By our candles of {interval}.",
    }
    for name, ago, interval in zip(
        SPANS, ("an hour ago", "seven days ago", "thirty days ago"), ("a minute", "an hour", "an hour"), strict=True
    )
}


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
    ticker = found["Ticker"]
    found["TickerAnswer"] = ticker | {
        "description": "A ticker as an answer has it: with the price's changes over longer times, which streams do not have.",
        "properties": ticker["properties"] | _CHANGES,
        "required": [*ticker["required"], *_CHANGES],
    }
    for whole in ("Ticker", "TickerAnswer"):
        members = found[whole]["properties"]
        found[f"{whole}Fields"] = {
            "type": "object",
            "description": "A ticker for a client that asked for some of its fields: these, and the fields that always come.",
            "properties": members,
            "required": [name for name in members if name in ALWAYS],
        }
    feed = found["FeedStatus"]["properties"] | found.pop("_Copies")["properties"]
    status = {name: schema for name, schema in feed.items() if name not in messages.OF_ROOM}
    for name, properties, text in (
        ("FeedStatus", status, "The state of one exchange's feed. If several copies of its ingest run, it is the best copy's."),
        (
            "ExchangeStatus",
            feed,
            "A FeedStatus that also names the symbols for which no copy has room (MAX_SYMBOLS).",
        ),
    ):
        found[name] = {"type": "object", "description": text, "properties": properties, "required": list(properties)}
    return found


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class PastCandle(_Model):
    """A closed candle. An interval without a trade or a price has none."""

    start: int = Field(description="When the interval begins, in Unix milliseconds. Hours and days begin in UTC")
    end: int = Field(description="When the interval ends: the start of the next one")
    open: float
    high: float
    low: float
    close: float
    volume: float | None = Field(description="In base units; null if not known")
    quote_volume: float | None = Field(description="In quote units; null if not known")
    trades: int | None = Field(description="How many trades there were; null if not known")
    revision: int = Field(description="How many times the candle was corrected after it was closed")
    missed: int | None = Field(
        description="How many of our tickers are missing from it, at most; null unless the origin is `live`"
    )
    origin: messages.Origin = Field(
        description="`live`: from our own published prices. `exchange`: from one exchange. `exchanges`: from the exchanges' "
        "past candles, each price weighted by their volumes"
    )
    closed: Literal[True]


class Candles(_Model):
    """A symbol's candles, oldest first: the closed ones, then the open one as it was last published.

    The open one and a stream's events are the same state: of two with one `start`, the one with the larger `lastSeq` is newer.
    A candle that was published after the past ones were read is here as it was published, even if it is closed by now. If the
    open candle's `receivedTime` is more than 5 s old, it is not live.
    """

    symbol: str
    interval: messages.Interval
    exchange: str | None = Field(description="The exchange whose candles they are, or null if they are ours, across exchanges")
    candles: list[PastCandle | Candle]


class Tickers(_Model):
    """The known tickers of the requested symbols, in the order of the request, and the symbols without a known ticker."""

    tickers: list[TickerAnswer | TickerAnswerFields]
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
    """A symbol and the exchanges that list it.

    `via` is left out for most symbols. If no exchange lists the symbol, it is the rate by which listed prices are converted:
    USDT-USD for a coin that is only traded in USDT. `exchanges` are then the exchanges that list the converted market.
    """

    symbol: str
    exchanges: list[str]
    via: str | None = None


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
        description="How many wanted symbols are not fully subscribed to: the addresses that want them have used up their share"
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
