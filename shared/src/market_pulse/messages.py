"""The project's words: what a symbol, a tick, a ticker and a feed's status are, as values and as the bytes on the bus.

Each message is one class. The JSON (one object, camelCase, version 1), the checks of a reader, and the schemas in
docs/asyncapi.yaml, in the gateway's OpenAPI description and of the browser's types all come from it. Those show the
docstrings and descriptions of this file.

Times are Unix milliseconds and say whose clock they were read from. Prices are quote units per base unit, volumes are in
base units, quote volumes (turnover) in quote units. None means: not known.

A message is written with all of its fields, in their order here. A reader passes over unknown fields, and a field with a
default may be missing or null. `promised` bounds hold for our own messages; no reader checks them.
The code that makes or reads a value may still complete it. Once it is handed on, nobody changes it.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from sys import float_info
from typing import Annotated, Any, Final, Generic, Literal, NewType, TypeVar, get_args

import msgspec
import orjson
from msgspec import Meta, Struct, field
from msgspec.structs import replace

Symbol = NewType("Symbol", str)
"""Our spelling of a market, BASE-QUOTE in upper case: BTC-USDT. An exchange's own spelling is a native symbol."""

DEFAULT_QUOTE = "USDT"
_SYMBOL = re.compile(r"[^\W_]{1,32}-[^\W_]{1,32}")


def parse_symbol(text: str) -> Symbol:
    """Read a symbol as a user writes it: `btc` and `BTC` are BTC-USDT, `eth-btc` is ETH-BTC.

    Raises:
        ValueError: the text is no symbol.
    """
    candidate = text.strip().upper()
    if "-" not in candidate:
        candidate = f"{candidate}-{DEFAULT_QUOTE}"
    if not _SYMBOL.fullmatch(candidate):
        raise ValueError(f"{text[:40]!r} is not a symbol: write BASE-QUOTE, for example BTC-USDT, or just BTC")
    return Symbol(candidate)


def is_symbol(text: str) -> bool:
    """Return whether a text is a symbol in our own spelling."""
    return _SYMBOL.fullmatch(text) is not None and text == text.upper()


def parse_symbols(text: str) -> tuple[Symbol, ...]:
    """Read a comma-separated list of symbols, in order, each once; empty entries do not count.

    Raises:
        ValueError: an entry is no symbol.
    """
    return unique(parse_symbol(part) for part in text.split(",") if part.strip())


def unique(symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
    """Return the symbols in order, each once."""
    return tuple(dict.fromkeys(symbols))


VERSION: Final = 1
LARGEST_INTEGER: Final = 2**53
"""Up to here a JSON number carries every integer exactly."""
MOST_TURNED_AWAY: Final = 100
"""How many of the symbols that found no room a feed's status names."""
LONGEST_STATUS: Final = 2_000
"""How many bytes of a status are read, beside the symbols that it names: it is shown to everybody."""

Quality = Literal["ok", "single", "disputed", "stale", "down"]
LIVE: Final = frozenset[Quality]({"ok", "single", "disputed"})
"""The qualities of a price of now. `stale` is an earlier one, `down` is none."""
SourceState = Literal["used", "fading", "excluded", "lagging", "stale"]
FeedState = Literal["connecting", "connected", "degraded", "reconnecting", "blocked", "down"]


def promised(**schema: Any) -> Meta:
    """Add to the JSON Schema of a field what our own messages hold to. No reader checks it."""
    return Meta(extra_json_schema={"promised": schema})


def described(text: str) -> Meta:
    """Add a text to the JSON Schema of a field."""
    return Meta(description=text)


Whole = Annotated[int, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[Whole, promised(minimum=0)]
TimeMs = Annotated[Whole, promised(minimum=0), described("Unix milliseconds.")]
Figure = Annotated[float, promised(exclusiveMinimum=0)]
Amount = Annotated[float, promised(minimum=0)]
Exchange = Annotated[Text, promised(examples=["okx"])]
SymbolText = Annotated[Symbol, Meta(min_length=1), promised(pattern=r"^[^\s-]{1,32}-[^\s-]{1,32}$", examples=["BTC-USDT"])]


def _on_the_bus(name: str) -> str:
    """Return a field's name in JSON: camelCase, and a time without its unit."""
    first, *others = name.removesuffix("_ms").split("_")
    return first + "".join(other[0].upper() + other[1:] for other in others)


class Message(Struct, gc=False, rename=_on_the_bus, tag_field="v", tag=VERSION):
    """A message on the bus. One of another version is refused; one that names none counts as of this one."""


class Tick(Message, kw_only=True):
    """One exchange's state of one symbol at one moment, complete: never a change, always the whole.

    Prices are quote units per base unit, times Unix milliseconds.
    """

    # publish_ticks.lua searches for these two, so they stand at the front.
    ended: Annotated[
        Annotated[Text, promised(enum=["delisted"])] | None,
        described(
            "Why this is the last tick of the symbol at that exchange; null while it goes on. Its figures and times are the "
            "last that were known. A later tick without it begins anew."
        ),
    ] = None
    order: Annotated[
        tuple[float, ...],
        promised(maxItems=6),
        described(
            "The exchange's own numbers of the tick's parts: its newest trade, its quote (number and time) and its 24 h "
            "figures (number and time); -1 for a part that is not known, 0 where the exchange gives no number or time. A sixth "
            "number, our clock's time, follows once the exchange's numbers began anew. Within a channel no number falls, "
            "except where the sixth rises, a time is more than five seconds later, or nothing was published for five seconds."
        ),
    ] = ()
    exchange: Exchange
    symbol: SymbolText
    price: Annotated[float, Meta(gt=0), described("The newest trade known.")]
    bid: Figure | None = None
    ask: Figure | None = None
    open24h: Figure | None = None
    high24h: Figure | None = None
    low24h: Figure | None = None
    volume24h: Annotated[Amount | None, described("In base units.")] = None
    quote_volume24h: Annotated[Amount | None, described("In quote units.")] = None
    dp: Annotated[Count | None, described("Decimals of the exchange's tick size.")] = None
    lag_unknown: Annotated[
        bool,
        described(
            "The tick was made from an answer to a subscription or to a REST request, which may carry an old trade: the "
            "distance of exchangeTime from receivedTime says nothing about a lag."
        ),
    ] = False
    exchange_time_ms: Annotated[TimeMs | None, described("By the exchange's clock.")] = None
    received_time_ms: Annotated[TimeMs, described("When the frame came in, by our clock.")]
    published_time_ms: Annotated[TimeMs | None, described("When the tick was handed to the bus.")] = None


class Source(Struct, kw_only=True, gc=False, rename=_on_the_bus):
    """One exchange's part in a ticker. The price is the sum of weight * usedPrice; the weights of the used ones add up to 1."""

    exchange: Exchange
    price: Annotated[float, promised(exclusiveMinimum=0), described("What the exchange itself says.")]
    used_price: Figure | None = None
    weight: Annotated[float, promised(minimum=0, maximum=1)]
    age_ms: Annotated[Whole, described("Since its newest tick was received.")] = field(name="ageMs")
    state: Annotated[Text, promised(enum=get_args(SourceState))]
    reason: Annotated[str | None, described("Why it does not count, or not in full. Never null where the weight is 0.")] = None


class Ticker(Message, kw_only=True):
    """One symbol's price across exchanges, and how far to trust it.

    Prices are quote units per base unit, times Unix milliseconds.
    """

    symbol: SymbolText
    seq: Annotated[
        Whole,
        promised(minimum=1),
        described("One more with each message of this symbol: a gap means that messages were missed."),
    ]
    price: Annotated[Figure | None, described("Null only when quality is down.")] = None
    dp: Annotated[Count, described("Decimals worth showing.")]
    bid: Figure | None = None
    ask: Figure | None = None
    change24h: float | None = None
    change_percent24h: float | None = None
    open24h: Figure | None = None
    high24h: Figure | None = None
    low24h: Figure | None = None
    volume24h: Annotated[Amount | None, described("In base units.")] = None
    quote_volume24h: Annotated[Amount | None, described("In quote units.")] = None
    quality: Annotated[Text, promised(enum=get_args(Quality))]
    confidence: Annotated[Amount | None, described("The largest distance of a used source from the price, in quote units.")] = (
        None
    )
    spread_bps: Annotated[Amount | None, described("The distance of the outermost sources in basis points.")] = None
    sources_used: Count
    sources_total: Count
    sources: tuple[Source, ...]
    exchange_time_ms: Annotated[TimeMs | None, described("Of the newest tick that the price was made of.")] = None
    received_time_ms: Annotated[TimeMs | None, described("Of the same tick.")] = None
    aggregated_time_ms: Annotated[TimeMs, described("By the clock of the publisher.")]
    publisher: Annotated[
        Text | None,
        described("The process that made this ticker. Each has a clock of its own: never compare the aggregatedTime of two."),
    ] = None
    agreed_price: Annotated[
        Figure | None,
        described(
            "The last price that was made while more than half of the fresh sources lay close to their median; null until "
            "there was one."
        ),
    ] = None
    agreed_time_ms: Annotated[TimeMs | None, described("aggregatedTime of the ticker with that price.")] = None
    priced_time_ms: Annotated[
        TimeMs | None, described("aggregatedTime of the last ticker that had a used source; null until there was one.")
    ] = None


State = Annotated[Text, promised(enum=get_args(FeedState))]
OF_ROOM: Final = frozenset({"turnedAway", "turnedAwayCount"})
"""What a status says of symbols that found no room. It changes each second."""


class FeedStatus(Message, kw_only=True):
    """How one feed of an exchange is doing, since when and why. Times are Unix milliseconds."""

    exchange: Exchange
    state: State
    reason: Annotated[str | None, described("Why, in words.")] = None
    since_ms: Annotated[TimeMs, described("Since when it is in this state.")]
    symbols: Annotated[Count, described("How many symbols deliver.")]
    last_tick_time_ms: TimeMs | None = None
    reconnects: Annotated[Count, described("Sockets lost since the start.")]
    instance: Annotated[Text, described("The process that says so.")]
    simulated: Annotated[bool, described("Whether the other end is the simulator.")] = False
    turned_away: Annotated[
        tuple[SymbolText, ...],
        Meta(max_length=MOST_TURNED_AWAY),
        described("Symbols that are wanted and found no room below MAX_SYMBOLS, the longest waiting first."),
    ] = ()
    turned_away_count: Annotated[Count, described(f"How many they are; turnedAway names {MOST_TURNED_AWAY} at most.")] = 0

    def __post_init__(self) -> None:
        """Refuse names that are no symbols. A status of an older ingest has none and counts none."""
        if not all(map(is_symbol, self.turned_away)):
            raise ValueError("turnedAway must name symbols, as BASE-QUOTE")
        self.turned_away_count = max(self.turned_away_count, len(self.turned_away))


class Resolution(StrEnum):
    """How finely a history is kept: a point each second for ten minutes, and a point each minute for a day."""

    SECOND = "1s"
    MINUTE = "1m"

    @property
    def step_ms(self) -> int:
        """The time from one point to the next."""
        return 1_000 if self is Resolution.SECOND else 60_000

    @property
    def points(self) -> int:
        """How many points are kept at most."""
        return 600 if self is Resolution.SECOND else 1440

    @property
    def span_ms(self) -> int:
        """How far back the history reaches."""
        return self.step_ms * self.points

    def step_of(self, time_ms: int) -> int:
        """Return when the step (the second, the minute) began that a moment lies in."""
        return time_ms - time_ms % self.step_ms


class Point(Struct, frozen=True, kw_only=True, gc=False):
    """One point of a symbol's history: the first price known in a step, and what each exchange heard of then said itself.

    `time_ms` is when the step began. Steps in which no price was known have no point. It is an entry of a stream: its id, then
    fields and values, the first of which is `price`; every other one is named after an exchange.
    """

    time_ms: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
    price: Annotated[float, Meta(gt=0, le=float_info.max)]
    sources: Mapping[str, Annotated[float, Meta(gt=0, le=float_info.max)]]


class CodecError(ValueError):
    """A message is not what its channel carries. The message is skipped and counted; nothing else is affected."""


T = TypeVar("T")


class Decoder(Generic[T]):
    """Reads JSON as one type of message."""

    def __init__(self, type_: type[T]) -> None:
        self._type = type_
        self._decode = msgspec.json.Decoder(type_).decode

    def decode(self, data: bytes) -> T:
        """Read a message.

        Raises:
            CodecError: not JSON, or not what the type says, and where.
        """
        try:
            return self._decode(data.decode())  # as text: bytes that are no UTF-8 are refused wherever they stand
        except msgspec.ValidationError:
            return self._decode_anew(data)
        except (ValueError, RecursionError) as wrong:
            raise CodecError(f"not JSON: {wrong}") from wrong

    def _decode_anew(self, data: bytes) -> T:
        """Read a message as others may write it: 1.0 for an integer, null for a missing member, a name twice."""
        try:
            return msgspec.convert(_plain(orjson.loads(data)), self._type)
        except (ValueError, RecursionError) as wrong:
            raise CodecError(str(wrong)) from wrong


def _plain(value: Any) -> Any:
    """Return JSON's values with integers for floats that are whole, and without members that are null."""
    if type(value) is float and value.is_integer() and abs(value) <= LARGEST_INTEGER:
        return int(value)
    if type(value) is dict:
        return {name: _plain(member) for name, member in value.items() if member is not None}
    if type(value) is list:
        return [_plain(member) for member in value]
    return value


_encode = msgspec.json.Encoder().encode
decode_tick = Decoder(Tick).decode
decode_ticker = Decoder(Ticker).decode
_decode_status = Decoder(FeedStatus).decode


def encode_tick(tick: Tick, published_time_ms: int) -> bytes:
    """Write a tick as it goes over the bus, stamped with the moment at which it does."""
    return _encode(replace(tick, published_time_ms=published_time_ms))


def encode_ticker_around_seq(ticker: Ticker) -> tuple[bytes, bytes]:
    """Write a ticker in two parts, between which its sequence number belongs: Redis counts it when it publishes."""
    data = _encode(ticker)
    start = data.index(b',"seq":') + 7
    return data[:start], data[data.index(b",", start) :]


def encode(message: Message) -> bytes:
    """Write a message of any kind as it goes over the bus."""
    return _encode(message)


def state_of(status: FeedStatus) -> dict[str, Any]:
    """Return a status's fields as they are written, without those OF_ROOM."""
    return {name: value for name, value in msgspec.to_builtins(status).items() if name not in OF_ROOM}


def decode_status(data: bytes) -> FeedStatus:
    """Read a feed's status from the bus.

    Raises:
        CodecError: not a status, or longer than LONGEST_STATUS.
    """
    status = _decode_status(data)
    if len(data) - sum(len(f'"{symbol}",'.encode()) for symbol in status.turned_away) > LONGEST_STATUS:
        raise CodecError(f"a status of {len(data)} bytes")
    return status


def encode_points(points: Iterable[Point]) -> bytes:
    """Write points as the entries of their streams, in a JSON array: of each its id, then its fields, each with its value."""
    return _encode([_entry(point) for point in points])


def _entry(point: Point) -> list[str]:
    entry = [f"{point.time_ms}-0", "price", repr(point.price)]
    for exchange, price in point.sources.items():
        entry += exchange, repr(price)
    return entry


def decode_point(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Point:
    """Read a point from a stream's entry.

    Raises:
        CodecError: the id is no whole millisecond, `price` is missing, or a value is not finite or not above zero.
    """
    time, _, nth = entry_id.partition(b"-")
    if nth != b"0":
        raise CodecError("a point needs a time of its own")
    try:
        prices = {name.decode(): float(value) for name, value in fields.items()}
        return msgspec.convert({"time_ms": int(time), "price": prices.pop("price", None), "sources": prices}, Point)
    except ValueError as wrong:
        raise CodecError(f"not a point: {wrong}") from wrong


_PRICED_UNLESS_DOWN = {
    "if": {"properties": {"quality": {"const": "down"}}},
    "then": {"properties": {"price": {"type": "null"}}},
    "else": {"properties": {"price": {"type": "number"}}},
}


def schemas(ref_template: str, *others: type[Struct]) -> dict[str, dict[str, Any]]:
    """Return the JSON Schemas of the messages on the bus and of their parts, by name.

    All fields are required: within a version they are only added, so a reader may rely on all of them.

    Args:
        ref_template: how one schema refers to another, for example `#/components/schemas/{name}`.
        others: what else to describe with them.
    """
    _, found = msgspec.json.schema_components((Tick, Ticker, FeedStatus, *others), ref_template=ref_template)
    shown = {name: _shown(schema) | {"required": list(schema["properties"])} for name, schema in found.items()}
    shown["Ticker"] |= _PRICED_UNLESS_DOWN
    return shown


def _shown(schema: Any) -> Any:
    """Return a schema with the promises in their place, and without defaults: those are for readers of older messages."""
    if isinstance(schema, list):
        return [_shown(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    parts = schema | schema.get("promised", {})
    shown = {name: _shown(part) for name, part in parts.items() if name not in {"promised", "default", "title"}}
    match shown.pop("anyOf", None):
        case [dict(known), {"type": "null"}]:
            shown = known | shown | {"type": [known["type"], "null"]}
            if "enum" in known:
                shown["enum"] = [*known["enum"], None]
    return shown
