"""The API's objects as OpenAPI shows them. Hot answers are bytes from the bus and never pass through these."""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct
from pydantic import BaseModel, ConfigDict, Field, RootModel
from pydantic.alias_generators import to_camel

from market_pulse import messages
from market_pulse.messages import Resolution


class Ticker(RootModel[dict[str, Any]]):
    """A message of the bus; `message_schemas` describes it."""


class FeedStatus(RootModel[dict[str, Any]]):
    """Made of a message of the bus; `message_schemas` describes it."""


class ExchangeStatus(RootModel[dict[str, Any]]):
    """Made of a message of the bus; `message_schemas` describes it."""


class OtherCopy(Struct):
    """How another copy of an exchange's ingest is doing, since when and why."""

    instance: str
    state: messages.State
    reason: str | None
    since: messages.TimeMs


class _Copies(Struct):
    """Fields that the gateway adds to a feed's status."""

    instances: Annotated[int, Meta(description="How many copies of its ingest live; each has a socket of its own.")]
    others: Annotated[list[OtherCopy], Meta(description="The other living copies, best first.")]


def message_schemas() -> dict[str, Any]:
    """Return the schemas of the bus's messages as a client gets them.

    A ticker is the same message. A feed's status says more of the copies of its ingest, and only /api/status names the symbols
    that found no room.
    """
    found = messages.schemas("#/components/schemas/{name}", _Copies)
    del found["Tick"]
    found["Ticker"]["description"] += (
        "\n\nA ticker that has not been renewed for 5 s is `stale`: numbers and times are those of its last renewal. After "
        "another 60 s it is `down`, and the price is null. Either comes with the seq of the last renewal."
    )
    whole = found["FeedStatus"]["properties"] | found.pop("_Copies")["properties"]
    status = {name: schema for name, schema in whole.items() if name not in messages.OF_ROOM}
    for name, properties, text in (
        ("FeedStatus", status, "How one exchange's feed is doing: of several copies of its ingest, the best one's."),
        ("ExchangeStatus", whole, "The same, with the symbols for which no copy has room below MAX_SYMBOLS."),
    ):
        found[name] = {"type": "object", "description": text, "properties": properties, "required": list(properties)}
    return found


class _Model(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True)


class Tickers(_Model):
    """The tickers known of the symbols asked for, in that order, and the symbols of which none is known yet."""

    tickers: list[Ticker]
    missing: list[str]
    no_room: dict[str, Literal["full", "share"]] = Field(description="The missing symbols that have no room, and why")


class History(_Model):
    """A symbol's past prices in columns, oldest first: the n-th entry of each list belongs to the n-th time.

    A point is the first price known in its second or minute. Neighbours more than `stepMs` apart have a gap between them, in
    which no price was known.
    """

    symbol: str
    resolution: Resolution
    step_ms: int = Field(description="From one point to the next, thinned where there are more than asked for")
    times: list[int] = Field(description="Unix milliseconds, ascending: whole multiples of stepMs, and the newest point's")
    prices: list[float]
    sources: dict[str, list[float | None]] = Field(description="Each exchange's own price; null where it was not heard")


class ListedSymbol(_Model):
    """A symbol and the exchanges that list it."""

    symbol: str
    exchanges: list[str]


class SymbolListing(_Model):
    """What can be asked for. The featured symbols stream always, others as soon as somebody asks."""

    featured: list[str]
    symbols: list[ListedSymbol]


class GatewayStatus(_Model):
    """How this gateway process is doing."""

    instance: str
    time: int = Field(description="When this was answered, in Unix milliseconds by this gateway's clock")
    uptime_s: float
    streams: int
    symbols: list[str] = Field(description="Subscribed on the bus right now")
    room_is_short: bool = Field(description="An exchange turned symbols away within the last minute")
    beyond_share: int = Field(description="Symbols that are not subscribed: the addresses that want them have their share")
    bus_connected: bool
    resyncs: int
    draining: bool


class Status(_Model):
    """Each exchange's feed and this gateway. `simulated` is true when any exchange's prices are made up by the simulator."""

    simulated: bool
    exchanges: dict[str, ExchangeStatus]
    gateway: GatewayStatus


class Problem(BaseModel):
    """RFC 9457.

    An unknown or malformed symbol comes with `suggestions`, invalid parameters with `errors`, `no_room` with a `reason`.
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
    """The data of the event `refused`: the problem that is the answer to any other request, and when to come back."""

    retry_ms: int = Field(alias="retryMs", description="As the stream's `retry:`, by which an EventSource comes back by itself")


class Connected(_Model):
    """What the stream will carry. `resumed` says that a valid Last-Event-ID came; the answer is a fresh snapshot anyway."""

    symbols: list[str]
    instance: str
    simulated: bool
    resumed: bool
    heartbeat_ms: int


class Resync(_Model):
    """Messages may have been missed. Fresh snapshots follow."""

    reason: str


class Room(_Model):
    """Whether a symbol has room, and if not, why: `full` names the exchanges that can carry no more; `share` says that each
    address that wants it has as many symbols as one address gets while room is short. Once there is room it streams by itself.
    """

    symbol: str
    room: bool
    reason: Literal["full", "share"] | None
    exchanges: list[str]
    detail: str | None


class Bye(_Model):
    """The server ends this stream. Reconnect after `retryMs`, and again after a failure.

    The stream's `retry:` is longer where a gateway stops and nothing holds a request meanwhile: an EventSource may give up
    for good when nobody answers it.
    """

    reason: Literal["shutdown", "max_age"]
    retry_ms: int


class ConnectedEvent(BaseModel):
    """The first event."""

    type: Literal["connected"]
    data: Connected


class TickerEvent(BaseModel):
    """A symbol's newest state: a snapshot first, then each change. Its `id:` is `<symbol>:<seq>`."""

    type: Literal["ticker"]
    data: Ticker


class StatusEvent(BaseModel):
    """An exchange's state, at the start and whenever it changes."""

    type: Literal["status"]
    data: FeedStatus


class RoomEvent(BaseModel):
    """Part of the snapshot of a symbol that has no room, and sent whenever that changes."""

    type: Literal["room"]
    data: Room


class ResyncEvent(BaseModel):
    """Messages may have been missed."""

    type: Literal["resync"]
    data: Resync


class ByeEvent(BaseModel):
    """The last event."""

    type: Literal["bye"]
    data: Bye


class StreamEvent(RootModel[ConnectedEvent | TickerEvent | StatusEvent | RoomEvent | ResyncEvent | ByeEvent]):
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
