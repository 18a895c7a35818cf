"""The project's words: what a symbol, a tick, a ticker and a feed's status are, as values and as the bytes on the bus.

Each message is one class. Its JSON (one object, camelCase, version 1) and the checks of a reader come from that class. So do
the schemas in docs/asyncapi.yaml, in the gateway's OpenAPI description and in the browser's types. These show the docstrings
and descriptions of this file.

Times are Unix milliseconds, and each field says whose clock its time comes from. Prices are quote units per base unit, volumes
are base units, and quote volumes (turnover) are quote units. None means that a value is not known.

A message is written with all of its fields, in their order here; a field that is UNSET is left out. A reader ignores unknown
fields. A field with a default may be missing or null. Our own messages keep the `promised` bounds, but no reader checks them.
The code that creates or decodes a value may still set its fields. Once the value is passed on, it is never changed.
"""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from sys import float_info
from typing import Annotated, Any, Final, Generic, Literal, NewType, TypeVar, get_args

import msgspec
import orjson
from msgspec import UNSET, Meta, Struct, UnsetType, field
from msgspec.structs import replace

Symbol = NewType("Symbol", str)
"""Our spelling of a market, BASE-QUOTE in upper case: BTC-USDT. An exchange's own spelling is a native symbol."""

DEFAULT_QUOTE = "USDT"
_CURRENCY = re.compile(r"[^\W_]{1,32}")
_SYMBOL = re.compile(rf"{_CURRENCY.pattern}-{_CURRENCY.pattern}")


def parse_currency(text: str) -> str:
    """Read the name of a currency as a user writes it: `usd` is USD.

    Raises:
        ValueError: the text is no name of a currency.
    """
    candidate = text.strip().upper()
    if not _CURRENCY.fullmatch(candidate):
        raise ValueError(f"{text[:40]!r} is not a currency: write letters and digits, for example USDT")
    return candidate


def parse_symbol(text: str, quote: str = DEFAULT_QUOTE) -> Symbol:
    """Read a symbol as a user writes it: `btc` and `BTC` are BTC-USDT, `eth-btc` is ETH-BTC.

    Args:
        text: the symbol. If it has no dash, it is a base, and its quote is `quote`.
        quote: a currency, as `parse_currency` returns it.

    Raises:
        ValueError: the text is no symbol.
    """
    candidate = text.strip().upper()
    if "-" not in candidate:
        candidate = f"{candidate}-{quote}"
    if not _SYMBOL.fullmatch(candidate):
        raise ValueError(f"{text[:40]!r} is not a symbol: write BASE-QUOTE, for example BTC-USDT, or just BTC")
    return Symbol(candidate)


def is_symbol(text: str) -> bool:
    """Return whether a text is a symbol in our own spelling."""
    return _SYMBOL.fullmatch(text) is not None and text == text.upper()


def parse_symbols(text: str, quote: str = DEFAULT_QUOTE) -> tuple[Symbol, ...]:
    """Read a comma-separated list of symbols, in order and without repetitions. Empty entries are ignored.

    Raises:
        ValueError: an entry is no symbol.
    """
    return unique(parse_symbol(part, quote) for part in text.split(",") if part.strip())


def unique(symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
    """Return the symbols in order, without repetitions."""
    return tuple(dict.fromkeys(symbols))


VERSION: Final = 1
LARGEST_INTEGER: Final = 2**53
"""A JSON number carries every integer up to this one exactly."""
MOST_TURNED_AWAY: Final = 100
"""A feed's status names at most this many of the symbols for which there is no room."""
LONGEST_STATUS: Final = 2_000
"""The longest accepted status, in bytes, not counting the symbols that it names. It is bounded because every client gets it."""

Quality = Literal["ok", "single", "disputed", "stale", "down"]
LIVE: Final = frozenset[Quality]({"ok", "single", "disputed"})
"""The qualities of a current price. With `stale` the price is an earlier one, and with `down` there is no price."""
SourceState = Literal["used", "fading", "excluded", "lagging", "stale"]
FeedState = Literal["connecting", "connected", "degraded", "reconnecting", "blocked", "down"]


def promised(**schema: Any) -> Meta:
    """Add bounds to the JSON Schema of a field. Our own messages keep them, and no reader checks them."""
    return Meta(extra_json_schema={"promised": schema})


def described(text: str) -> Meta:
    """Add a description to the JSON Schema of a field."""
    return Meta(description=text)


Whole = Annotated[int, Meta(ge=-LARGEST_INTEGER, le=LARGEST_INTEGER)]
Text = Annotated[str, Meta(min_length=1)]
Count = Annotated[Whole, promised(minimum=0)]
TimeMs = Annotated[Whole, promised(minimum=0), described("Unix milliseconds.")]
Figure = Annotated[float, promised(exclusiveMinimum=0)]
Amount = Annotated[float, promised(minimum=0)]
Exchange = Annotated[Text, promised(examples=["okx"])]
Estimated = Annotated[
    bool | UnsetType,
    described(
        "True if the exchange gives no quote volume, so that its quoteVolume24h is estimated from the base volume and a price. "
        "Left out otherwise."
    ),
]
SymbolText = Annotated[Symbol, Meta(min_length=1), promised(pattern=r"^[^\s-]{1,32}-[^\s-]{1,32}$", examples=["BTC-USDT"])]


def _on_the_bus(name: str) -> str:
    """Return a field's name in JSON: camelCase, and a time without its unit."""
    first, *others = name.removesuffix("_ms").split("_")
    return first + "".join(other[0].upper() + other[1:] for other in others)


class Message(Struct, gc=False, rename=_on_the_bus, tag_field="v", tag=VERSION):
    """A message on the bus. A reader rejects a message of another version. A message without a version counts as this one."""


class Tick(Message, kw_only=True):
    """One exchange's state of one symbol at one moment. It is always complete, never a change to an earlier tick.

    Prices are quote units per base unit, times Unix milliseconds.
    """

    # publish_ticks.lua searches each tick for these two fields, so they come first.
    ended: Annotated[
        Annotated[Text, promised(enum=["delisted"])] | None,
        described(
            "Why this is the exchange's last tick of the symbol; null while the exchange trades the symbol. A last tick "
            "repeats the last known figures and times. If a later tick has null here, the exchange trades the symbol again."
        ),
    ] = None
    order: Annotated[
        tuple[float, ...],
        promised(maxItems=6),
        described(
            "The exchange's own numbers of the tick's parts: its newest trade, its quote (number and time) and its 24 h "
            "figures (number and time). -1 stands for an unknown part, and 0 for a number or time that the exchange does not "
            "give. If the exchange's numbers have started again, a sixth number says when, by our clock. Within a channel no "
            "number falls, except when the sixth rises, when a time is more than five seconds later, or when nothing was "
            "published for five seconds."
        ),
    ] = ()
    exchange: Exchange
    symbol: SymbolText
    price: Annotated[float, Meta(gt=0), described("The price of the newest known trade.")]
    bid: Figure | None = None
    ask: Figure | None = None
    open24h: Figure | None = None
    high24h: Figure | None = None
    low24h: Figure | None = None
    volume24h: Annotated[Amount | None, described("In base units.")] = None
    quote_volume24h: Annotated[Amount | None, described("In quote units.")] = None
    quote_volume_estimated: Estimated = UNSET
    dp: Annotated[Count | None, described("How many decimals the exchange's tick size has.")] = None
    lag_unknown: Annotated[
        bool,
        described(
            "True if exchangeTime may be that of an old trade: the tick was made from the answer to a subscription or to a "
            "REST request, the exchange sends only the times of trades, or it confirmed that no trade has followed. Then the "
            "difference between exchangeTime and receivedTime does not measure a lag."
        ),
    ] = False
    exchange_time_ms: Annotated[TimeMs | None, described("The newest time of its parts, by the exchange's clock.")] = None
    received_time_ms: Annotated[TimeMs, described("When the frame arrived, by our clock.")]
    published_time_ms: Annotated[TimeMs | None, described("When the tick was published to the bus.")] = None


class Via(Struct, kw_only=True, gc=False, rename=_on_the_bus):
    """The rate of a converted source: the newest ticker of the rate's symbol that the publisher had received."""

    symbol: Annotated[Symbol, Meta(min_length=1), promised(examples=["USDT-USD"])]
    seq: Annotated[Count, described("The number of that ticker; 0 if no ticker was received.")]
    price: Figure | None = None
    bid: Figure | None = None
    ask: Figure | None = None
    open24h: Figure | None = None
    confidence: Amount | None = None
    quality: Annotated[Text, promised(enum=get_args(Quality))]
    age_ms: Annotated[
        Whole | None,
        described(
            "The second smallest age of the rate's used sources, now, in milliseconds; null if it has fewer than two. The "
            "converted source fades with this age, too."
        ),
    ] = field(name="ageMs", default=None)


class Source(Struct, kw_only=True, gc=False, rename=_on_the_bus):
    """One exchange's part in a ticker. The price is the sum of weight * usedPrice. The weights of used sources add up to 1.

    A converted source is an exchange's market in another quote, times a rate. It has two fields more: `ownPrice` and `via`.
    """

    exchange: Exchange
    price: Annotated[
        Figure | None,
        described("The exchange's own price, in a converted source times the rate's. Null only where the rate has no price."),
    ]
    used_price: Figure | None = None
    weight: Annotated[float, promised(minimum=0, maximum=1)]
    age_ms: Annotated[Whole, described("Milliseconds since its newest tick was received.")] = field(name="ageMs")
    state: Annotated[Text, promised(enum=get_args(SourceState))]
    quote_volume_estimated: Estimated = UNSET
    reason: Annotated[
        str | None,
        described(
            "Why the source counts less or not at all, and whether its rate's currency has left its peg. Never null if the "
            "weight is 0."
        ),
    ] = None
    own_price: Annotated[Figure, described("The exchange's own price, before conversion.")] | UnsetType = UNSET
    via: Annotated[Via, described("The rate, of which all converted sources of that rate share one.")] | UnsetType = UNSET


class Ticker(Message, kw_only=True):
    """One symbol's price across exchanges, and how far to trust it.

    Prices are quote units per base unit, times Unix milliseconds.
    """

    symbol: SymbolText
    seq: Annotated[
        Whole,
        promised(minimum=1),
        described("Rises by one with each message of this symbol. A gap means that messages were missed."),
    ]
    price: Annotated[Figure | None, described("Null only when quality is down.")] = None
    dp: Annotated[Count, described("How many decimals of the prices are worth showing.")]
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
    spread_bps: Annotated[
        Amount | None, described("The distance between the lowest and the highest source, in basis points.")
    ] = None
    sources_used: Count
    sources_total: Count
    sources: tuple[Source, ...]
    exchange_time_ms: Annotated[TimeMs | None, described("That of the newest tick that the price was made from.")] = None
    received_time_ms: Annotated[TimeMs | None, described("That of the same tick.")] = None
    aggregated_time_ms: Annotated[TimeMs, described("When this ticker was made, by the publisher's clock.")]
    publisher: Annotated[
        Text | None,
        described(
            "The process that made this ticker. Each process has its own clock, so never compare the aggregatedTime of tickers "
            "from two processes."
        ),
    ] = None
    agreed_price: Annotated[
        Figure | None,
        described(
            "The last price that was made while more than half of the fresh sources lay close to their median. Null before "
            "the first one."
        ),
    ] = None
    agreed_time_ms: Annotated[TimeMs | None, described("The aggregatedTime of the ticker with agreedPrice.")] = None
    priced_time_ms: Annotated[
        TimeMs | None, described("The aggregatedTime of the last ticker with a used source. Null before the first one.")
    ] = None


State = Annotated[Text, promised(enum=get_args(FeedState))]
OF_ROOM: Final = frozenset({"turnedAway", "turnedAwayCount"})
"""The fields of a status about symbols for which there is no room. They change each second."""


class FeedStatus(Message, kw_only=True):
    """The state of one feed of an exchange, since when, and why. Times are Unix milliseconds."""

    exchange: Exchange
    state: State
    reason: Annotated[str | None, described("Why the feed is in this state, in words.")] = None
    since_ms: Annotated[TimeMs, described("Since when the feed is in this state.")]
    symbols: Annotated[Count, described("How many symbols the feed has delivered data for.")]
    last_tick_time_ms: TimeMs | None = None
    reconnects: Annotated[Count, described("How many sockets were lost since the process started.")]
    instance: Annotated[Text, described("The process that reports this status.")]
    simulated: Annotated[bool, described("Whether the feed's data comes from the simulator.")] = False
    turned_away: Annotated[
        tuple[SymbolText, ...],
        Meta(max_length=MOST_TURNED_AWAY),
        described("Wanted symbols that are not carried because MAX_SYMBOLS is reached, the longest waiting first."),
    ] = ()
    turned_away_count: Annotated[
        Count, described(f"The number of all these symbols. turnedAway names at most {MOST_TURNED_AWAY} of them.")
    ] = 0

    def __post_init__(self) -> None:
        """Reject names that are not symbols. A status from an older ingest has no names, and its count is 0."""
        if not all(map(is_symbol, self.turned_away)):
            raise ValueError("turnedAway must name symbols, as BASE-QUOTE")
        self.turned_away_count = max(self.turned_away_count, len(self.turned_away))


class Resolution(StrEnum):
    """The resolution of a history: a point each second for ten minutes, or a point each minute for a day."""

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
        """Return the time at which the step (a second or a minute) that contains a moment began."""
        return time_ms - time_ms % self.step_ms


class Interval(StrEnum):
    """How long a candle lasts: a minute, an hour, or a day. Hours and days begin in UTC."""

    MINUTE = "1m"
    HOUR = "1h"
    DAY = "1d"

    @property
    def step_ms(self) -> int:
        """How long a candle lasts, in milliseconds."""
        return {"1m": 60_000, "1h": 3_600_000, "1d": 86_400_000}[self.value]

    @property
    def kept(self) -> int:
        """How many past candles are kept at most."""
        return {"1m": 1440, "1h": 720, "1d": 365}[self.value]

    def start_of(self, time_ms: int) -> int:
        """Return when the candle that contains a moment begins."""
        return time_ms - time_ms % self.step_ms


Origin = Literal["live", "exchange", "exchanges"]
Price = Annotated[float, Meta(gt=0)]


class Candle(Message, kw_only=True):
    """The prices of a symbol in one interval: at one exchange, or across exchanges if `exchange` is null.

    A later message of the same `start` replaces it. Prices are quote units per base unit, times Unix milliseconds. An interval
    without a trade or a price has no candle.
    """

    exchange: Annotated[Exchange | None, described("Null for a candle across exchanges.")] = None
    symbol: SymbolText
    interval: Interval
    start_ms: Annotated[TimeMs, described("When the interval begins. Hours and days begin in UTC.")]
    end_ms: Annotated[TimeMs, described("When the interval ends: the start of the next one.")]
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Annotated[Amount | None, described("In base units. Across exchanges: the sum of the named exchanges.")] = None
    quote_volume: Annotated[
        Amount | None,
        described(
            "In quote units. Across exchanges: the sum of the named exchanges; an exchange that does not say it counts at "
            "the mean price of the others."
        ),
    ] = None
    vwap: Annotated[Figure | None, described("The mean price of its trades, weighted by volume.")] = None
    trades: Annotated[Count | None, described("How many trades there were; null where an exchange does not say it.")] = None
    buy_volume: Annotated[
        Amount | None, described("The part of the volume whose taker bought; null where an exchange does not say it.")
    ] = None
    closed: Annotated[bool, described("Whether the interval is over. A correction of a closed candle has a higher revision.")]
    revision: Annotated[Count, described("How many times the candle was corrected after it was closed.")] = 0
    origin: Annotated[
        Text,
        promised(enum=get_args(Origin)),
        described(
            "`live`: from our own published prices. `exchange`: from one exchange. `exchanges`: from the exchanges' past "
            "candles, each price weighted by their volumes; of an hour or a day, at least a part."
        ),
    ]
    exchanges: Annotated[
        tuple[Exchange, ...], described("The exchanges whose volumes are in it, and with origin `exchanges` their prices too.")
    ] = ()
    first_seq: Annotated[Count | None, described("The `seq` of the first ticker in it; null if no ticker is in it.")] = None
    last_seq: Annotated[
        Count | None,
        described(
            "The `seq` of the last ticker in it; null if no ticker is in it. If a reader goes on with the ticker after "
            "it, the reader misses no ticker and gets no ticker twice."
        ),
    ] = None
    seen: Annotated[Count | None, described("The most tickers from firstSeq to lastSeq that one process has seen.")] = None
    missed: Annotated[
        Count | None,
        described(
            "How many tickers are missing from it, at most: lastSeq - firstSeq + 1 - seen, plus those that it may lack before "
            "firstSeq or after lastSeq. If a minute lacks its beginning and their number is not known, they count as 1."
        ),
    ] = None
    exchange_time_ms: Annotated[TimeMs | None, described("When the exchange sent it, by its clock, if it says that.")] = None
    received_time_ms: Annotated[
        TimeMs, described("When the frame or answer arrived, or across exchanges the newest ticker, by our clock.")
    ]
    published_time_ms: Annotated[TimeMs | None, described("When it was published to the bus.")] = None


class Bar(Struct, frozen=True, array_like=True, forbid_unknown_fields=False, gc=False):
    """One past candle as Redis keeps it: a JSON array in this order. Units as in a Candle; None means unknown.

    `missed` is None unless the candle is made of our own published prices. So it also tells the candle's origin.

    It is a member of the sorted set `bars:<interval>:<exchange>:<symbol>`, or `bar:<interval>:<symbol>` across exchanges. Its
    start is the score. Of two bars with one start, the one with the higher revision counts, and of equal ones the later.
    """

    start_ms: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Annotated[float, Meta(ge=0)] | None = None
    quote_volume: Annotated[float, Meta(ge=0)] | None = None
    trades: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)] | None = None
    revision: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)] = 0
    missed: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)] | None = None


class Point(Struct, frozen=True, kw_only=True, gc=False):
    """One point of a symbol's history: the first known price of a step, and each known exchange's own price at that moment.

    `time_ms` is when the step began. A step in which no price was known has no point. In Redis a point is an entry of a stream,
    and the time is its id. The entry's first field is `price`, and each other field is named after an exchange.
    """

    time_ms: Annotated[int, Meta(ge=0, le=LARGEST_INTEGER)]
    price: Annotated[float, Meta(gt=0, le=float_info.max)]
    sources: Mapping[str, Annotated[float, Meta(gt=0, le=float_info.max)]]


class CodecError(ValueError):
    """A message does not have the type that its channel carries. Readers skip and count the message, and go on."""


T = TypeVar("T")


class Decoder(Generic[T]):
    """Reads JSON as one type of message."""

    def __init__(self, type_: type[T]) -> None:
        self._type = type_
        self._decode = msgspec.json.Decoder(type_).decode

    def decode(self, data: bytes) -> T:
        """Read a message.

        Raises:
            CodecError: the data is not JSON, or does not fit the type. The text says where.
        """
        try:
            return self._decode(data.decode())  # as text, so that invalid UTF-8 is rejected in unknown fields too
        except msgspec.ValidationError:
            return self._decode_anew(data)
        except (ValueError, RecursionError) as wrong:
            raise CodecError(f"not JSON: {wrong}") from wrong

    def _decode_anew(self, data: bytes) -> T:
        """Read a message in the forms that other programs may write: 1.0 for 1, null for a missing member, a repeated name."""
        try:
            return msgspec.convert(_plain(orjson.loads(data)), self._type)
        except (ValueError, RecursionError) as wrong:
            raise CodecError(str(wrong)) from wrong


def _plain(value: Any) -> Any:
    """Return a JSON value with integers in place of whole floats, and without the members that are null."""
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
decode_candle = Decoder(Candle).decode
_decode_status = Decoder(FeedStatus).decode
_decode_bar = Decoder(Bar).decode


def encode_tick(tick: Tick, published_time_ms: int) -> bytes:
    """Write a tick as JSON for the bus, with the time at which it is published."""
    return _encode(replace(tick, published_time_ms=published_time_ms))


def encode_ticker_around_seq(ticker: Ticker) -> tuple[bytes, bytes]:
    """Return the JSON before and after a ticker's sequence number. Redis counts that number when it publishes the ticker."""
    data = _encode(ticker)
    start = data.index(b',"seq":') + 7
    return data[:start], data[data.index(b",", start) :]


def encode(message: Message) -> bytes:
    """Write a message of any kind as it goes over the bus."""
    return _encode(message)


def encode_bar(bar: Bar) -> bytes:
    """Write a bar as the JSON array that Redis keeps."""
    return _encode(bar)


def decode_bar(data: bytes) -> Bar:
    """Read a bar from Redis.

    Raises:
        CodecError: the data is not a bar.
    """
    return _decode_bar(data)


def bar_of(candle: Candle) -> Bar:
    """Return what is kept of a closed candle."""
    return Bar(
        candle.start_ms,
        candle.open,
        candle.high,
        candle.low,
        candle.close,
        candle.volume,
        candle.quote_volume,
        candle.trades,
        candle.revision,
        candle.missed if candle.origin == "live" else None,
    )


def state_of(status: FeedStatus) -> dict[str, Any]:
    """Return a status's fields by their names in JSON, without those in OF_ROOM."""
    return {name: value for name, value in msgspec.to_builtins(status).items() if name not in OF_ROOM}


def decode_status(data: bytes) -> FeedStatus:
    """Read a feed's status from the bus.

    Raises:
        CodecError: the data is not a status, or is longer than LONGEST_STATUS.
    """
    status = _decode_status(data)
    if len(data) - sum(len(f'"{symbol}",'.encode()) for symbol in status.turned_away) > LONGEST_STATUS:
        raise CodecError(f"a status of {len(data)} bytes is too long")
    return status


def encode_points(points: Iterable[Point]) -> bytes:
    """Write points as a JSON array of stream entries. An entry is an array: its id, then each field followed by its value."""
    return _encode([_entry(point) for point in points])


def _entry(point: Point) -> list[str]:
    entry = [f"{point.time_ms}-0", "price", repr(point.price)]
    for exchange, price in point.sources.items():
        entry += exchange, repr(price)
    return entry


def decode_point(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Point:
    """Read a point from a stream's entry.

    Raises:
        CodecError: the id is not a whole millisecond, `price` is missing, or a value is not finite or not above zero.
    """
    time, _, nth = entry_id.partition(b"-")
    if nth != b"0":
        raise CodecError("a point's id must end with -0")
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

    All fields that are always written are marked as required: within a version fields are only added, so a reader may rely on
    each of them.

    Args:
        ref_template: how one schema refers to another, for example `#/components/schemas/{name}`.
        others: further types to describe.
    """
    _, found = msgspec.json.schema_components((Tick, Ticker, FeedStatus, Candle, *others), ref_template=ref_template)
    shown = {
        name: _shown(schema) | ({"required": _always_written(schema)} if "properties" in schema else {})
        for name, schema in found.items()
    }
    shown["Ticker"] |= _PRICED_UNLESS_DOWN
    return shown


def _always_written(schema: dict[str, Any]) -> list[str]:
    """Return the fields that are never left out: a field that may be UNSET is not required, and has no default."""
    required = schema.get("required", ())
    return [name for name, field in schema["properties"].items() if name in required or "default" in field]


def _shown(schema: Any) -> Any:
    """Return a schema with its promised bounds merged in, and without defaults, which serve only readers of older messages."""
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
