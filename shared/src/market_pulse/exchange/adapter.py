"""An exchange as a value: its addresses, limits and intervals, and the pure functions that read its frames into events.

An adapter has no socket, no clock, no logger and no state, so the same frame always gives the same events. `feed.py` and
`socket.py` do the rest. A figure that a frame does not have is None in the event. An event is never changed.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
import orjson
from msgspec.json import Decoder

from market_pulse.kinds import TICKER, Kind
from market_pulse.messages import Candle, Interval, Symbol, parse_symbol

from .errors import FrameError
from .fields import FOREIGN_FAULTS, MISFITS, Shape, by_member, decimals, positive, text

Answer = TypeVar("Answer")
Source = TypeVar("Source", bytes, Sequence[bytes])
Content = TypeVar("Content")
Element = TypeVar("Element")
Row = TypeVar("Row", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Listed:
    """One market that an exchange trades: our symbol, the exchange's spelling of it, and the decimals of the tick size."""

    symbol: Symbol
    native: str
    dp: int | None


class Trade(msgspec.Struct, gc=False):
    """The newest trade of a native symbol. `trade_id` rises with time, and can be compared with `Day.trade_id`.

    `sent_time_ms` is when the exchange sent the message, if the message says that beside the time of the trade.
    """

    native: str
    price: float
    trade_id: int
    exchange_time_ms: int
    sent_time_ms: int | None = None


class Quote(msgspec.Struct, gc=False):
    """The best bid and ask of a native symbol. None means that there are no orders on that side.

    `order` is the exchange's number of the message, and its time in Unix milliseconds. Both rise, and each is 0 if the exchange
    does not give it. `restarted` is true if the exchange says that its numbers start again with this message. `bid_kept` or
    `ask_kept` is true if the message does not mention that side, so that the side's last price still holds.
    """

    native: str
    bid: float | None
    ask: float | None
    order: tuple[int, int]
    exchange_time_ms: int | None = None
    restarted: bool = False
    bid_kept: bool = False
    ask_kept: bool = False
    sent_time_ms: int | None = None


class Day(msgspec.Struct, gc=False):
    """The 24 h figures of a native symbol and its last price. None means that the message does not give the figure.

    `order` is the exchange's number of the message and its time, as in a quote. It is None if the exchange gives neither.
    Messages without an order are ordered by when they were received. `exchange_time_ms` is None if the message has no time.
    `bid` and `ask` are used only while no recent quote is known. `quote_volume_estimated` is true if the exchange gives no
    quote volume, so that the adapter estimates it from the base volume and a price.
    """

    native: str
    price: float
    open24h: float | None
    high24h: float | None
    low24h: float | None
    volume24h: float | None
    quote_volume24h: float | None
    order: tuple[int, int] | None
    exchange_time_ms: int | None
    trade_id: int | None = None
    bid: float | None = None
    ask: float | None = None
    quote_volume_estimated: bool = False
    sent_time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """One element of a frame or answer that cannot be used, and why. `native` is its native symbol, if that is readable."""

    kind: str
    detail: str
    native: str | None = None


class Batch(list[Element]):
    """The elements of a frame or answer that can be used. `skipped` has the other elements."""

    def __init__(self, elements: Iterable[Element] = (), skipped: Sequence[Skipped] = ()) -> None:
        super().__init__(elements)
        self.skipped = skipped


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The exchange accepted one topic of a request, or the whole request if `topic` is None.

    `request_id` is None if the answer does not repeat the request's number. The answer then belongs to the oldest request that
    waits for an answer about its topic. If it names no topic either, it belongs to the only request that waits.
    """

    request_id: str | None
    topic: str | None = None


RefusalKind = Literal["unknown", "already", "later"]


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange refused one topic of a request, or the whole request if `topic` is None.

    The kind is `unknown` if the exchange does not have the topic, `already` if the topic is subscribed to already, and `later`
    if there were too many topics or too many requests in a short time, so that a later request may succeed. A refusal without
    a number belongs to a request as in `Acknowledged`.
    """

    request_id: str | None
    topic: str | None
    kind: RefusalKind
    reason: str


@dataclass(frozen=True, slots=True)
class Subscribed:
    """An answer that names all topics that are live on the socket. It answers each request that it shows to be fulfilled."""

    topics: frozenset[str]


@dataclass(frozen=True, slots=True)
class Alive:
    """A proof of life without data, which the exchange sends at least once in `silence_s`. It feeds the silence watchdog.

    It may name the newest trade of a native symbol. If that is the trade that we know, the last price is still the last one, so
    it counts as received now. The quote does not. If the named trade is newer, a message was missed.
    """

    native: str | None = None
    trade_id: int | None = None


@dataclass(frozen=True, slots=True)
class Halted:
    """The exchange says that it is closed, or that a native symbol is halted. This holds until data comes again."""

    reason: str
    native: str | None = None


@dataclass(frozen=True, slots=True)
class Reply:
    """A text to send at once, for example the answer to a ping that the exchange writes as text."""

    text: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to our ping."""


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The exchange is about to close this socket, so another one must take over."""

    reason: str


class Told(msgspec.Struct):
    """A message of another kind than the ticker. The connection fills in its exchange, its symbol and when it was received."""

    kind: Kind
    native: str
    message: Any


MarketEvent = Trade | Quote | Day
MARKET_EVENTS = (Trade, Quote, Day)
Notice = Acknowledged | Refused | Subscribed | Alive | Halted | Reply | Pong | GoingAway
Event = MarketEvent | Told | Notice


def key_of(kind: Kind, native: str) -> str:
    """Name what an ingest carries: a native symbol stands for its ticker, `kind native` for another kind of it."""
    return native if kind is TICKER else f"{kind.name} {native}"


def kind_of_key(key: str) -> str:
    """Return the name of the kind that a key stands for."""
    return key.rpartition(" ")[0] or TICKER.name


@dataclass(frozen=True, slots=True)
class Rate:
    """A limit: at most `messages` in any window of `window_s` seconds. `pings_count` says whether pings count as messages."""

    messages: int
    window_s: float
    pings_count: bool = True


@dataclass(frozen=True, slots=True)
class Frames:
    """The two functions that read the frames of one of an exchange's channels.

    `declared` decodes a frame as the declared Struct. If the frame does not fit, it raises one of MISFITS. `lenient` then reads
    the JSON value of the frame, member by member. For a frame that both can read, they return the same events.
    """

    declared: Callable[[bytes], Sequence[Event]]
    lenient: Callable[[Any], Sequence[Event]]


class Data(msgspec.Struct, Generic[Content]):
    """The envelope of a frame with market data."""

    data: Content


def frames_of_one(shape: type[Shape], event: Callable[[Shape], Event]) -> Frames:
    """Return the functions for frames whose `data` is one object of a shape. `event` turns the object into an event."""
    decode = Decoder(Data[shape], strict=False).decode  # type: ignore[valid-type]
    return Frames(
        declared=lambda frame: [event(decode(frame).data)],
        lenient=lambda message: [event(by_member(shape, message["data"]))],
    )


def frames_of_whole(shape: type[Shape], event: Callable[[Shape], Event]) -> Frames:
    """Return the functions for frames that are an object of a shape themselves, without an envelope."""
    decode = Decoder(shape, strict=False).decode
    return Frames(
        declared=lambda frame: [event(decode(frame))],
        lenient=lambda message: [event(by_member(shape, message))],
    )


def frames_of_rows(shape: type[Shape], event: Callable[[Shape], Event], name: str) -> Frames:
    """Return the functions for frames whose `data` is an array of objects of a shape, with the native symbol in member `name`.

    Nearly all frames have one object, so `declared` reads an array of one. `lenient` reads the frames with more.
    """
    decode = Decoder(Data[tuple[shape]], strict=False).decode  # type: ignore[valid-type]
    return Frames(
        declared=lambda frame: [event(decode(frame).data[0])],
        lenient=lambda message: each(lambda row: [event(by_member(shape, row))], message["data"], name),
    )


def frames_of_several(
    shape: type[Shape], rows: Callable[[Shape], object], row: type[Row], event: Callable[[Shape, Row], Event]
) -> Frames:
    """Return the functions for frames that have several rows, and beside them what all rows share, for example the symbol.

    Args:
        shape: the shape of a frame. Its member with the rows is declared as `list[row]`.
        rows: returns the rows of a frame.
        row: the shape of one row.
        event: turns a frame and one of its rows into an event.
    """
    decode = Decoder(shape, strict=False).decode

    def declared(frame: bytes) -> Sequence[Event]:
        content = decode(frame)
        events = [event(content, one) for one in _array(rows(content))]
        if not events:
            raise FrameError("malformed", "no rows")  # so what they would share was not read
        return events

    def lenient(message: Any) -> Sequence[Event]:
        content = by_member(shape, message)  # with its rows still as JSON values
        return each(lambda one: [event(content, by_member(row, one))], _array(rows(content)))

    return Frames(declared=declared, lenient=lenient)


def _array(rows: object) -> list[Any]:
    if type(rows) is not list:
        raise FrameError("malformed", f"not an array: {rows!r:.100}")
    return rows


@dataclass(frozen=True, slots=True)
class Channel:
    """How an exchange publishes one kind of data.

    `topics` returns the topics to subscribe to for a native symbol. `frames` has the functions that read the frames of these
    topics, by the exchange's own name of each channel.
    """

    topics: Callable[[str], tuple[str, ...]]
    frames: Mapping[str, Frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One WebSocket endpoint of an exchange: its data, its requests, its frames, and the limits of a connection to it.

    `ws_urls` are tried in turn. `ws_path` is added to a configured URL that has no path.
    `channels` has the data that the endpoint gives, by kind. `subscribe` and `unsubscribe` write one request for up to
    `topics_per_request` topics, with a number that the answer repeats. A connection carries at most `topics_per_connection`
    topics, and sends no faster than `rates` allow.
    `declared` and `lenient` read any frame with the `Frames` of its channel. `lenient` also reads answers and notices.
    If one of several elements of a frame is malformed, `each` skips it and the others are used.
    `answers_with_state` is true if the exchange answers a subscription with the channel's last message, which may be old.
    `echoes_request_id` is false if the answers do not repeat the number of a request. The request then need not contain it.
    `times_of` says which times the messages have: when the exchange sent them, or when the event happened. An old trade may be
    sent now, so the time of an event does not measure a lag.
    `first_request_s` is how soon after its opening a socket must subscribe, or the exchange cuts it. No rate delays the first
    request then. None means that there is no such limit.
    `ping` is the text that is sent each `ping_interval_s`. If it is None, WebSocket pings are sent. A connection counts as dead
    if a ping is not answered within `pong_timeout_s`, or if neither market data nor a proof of life (`Alive`) comes for
    `silence_s`. The exchange closes connections older than `max_age_s`, so they are replaced before that.
    `refusal_voids_request` is true if the exchange ignores all topics of a request when it refuses one of them.
    """

    exchange: str
    ws_urls: tuple[str, ...]
    ws_path: str
    channels: Mapping[str, Channel]
    subscribe: Callable[[Sequence[str], int], str]
    unsubscribe: Callable[[Sequence[str], int], str]
    declared: Callable[[bytes], Sequence[Event]]
    lenient: Callable[[bytes], Sequence[Event]]
    topics_per_request: int
    topics_per_connection: int
    rates: tuple[Rate, ...]
    ping: str | None = None
    ping_interval_s: float = 20.0
    pong_timeout_s: float = 10.0
    silence_s: float
    max_age_s: float | None = None
    refusal_voids_request: bool = False
    answers_with_state: bool = False
    echoes_request_id: bool = True
    times_of: Literal["sent", "event"] = "sent"
    first_request_s: float | None = None

    def has(self, key: str) -> bool:
        """Return whether this endpoint gives what a key (`key_of`) stands for."""
        return kind_of_key(key) in self.channels

    def topics(self, key: str) -> tuple[str, ...]:
        """Name the topics of one kind of a native symbol, by its key (`key_of`)."""
        return self.channels[kind_of_key(key)].topics(key.rpartition(" ")[2])

    def parse(self, frame: bytes) -> Sequence[Event]:
        """Read one frame as declared, or member by member if it does not fit."""
        try:
            return self.declared(frame)
        except MISFITS:
            return self.lenient(frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class CandleHistory:
    """How an exchange's REST API gives candles. All times are Unix milliseconds.

    `path` returns the path that asks for the candles of a native symbol that began at or after one moment and before another.
    These are at most `rows` intervals. `parse` reads the answer into candles, the oldest first. It may return others as well,
    and the newest may not be closed yet. `reach` is how many intervals back the exchange gives; None means as many as we keep.
    `rate` is the limit of the whole REST API, of which candles take at most a fifth. The exchange gives the final candle of a
    minute `settled_s` after the minute's end, or later.
    """

    path: Callable[[str, Interval, int, int], str]
    parse: Callable[[Interval, bytes], Batch[Candle]]
    rows: int
    rate: Rate
    reach: int | None = None
    settled_s: float = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter(Endpoint):
    """Everything that is particular to one exchange: the endpoint that gives the ticker, and the REST API.

    `native` returns the exchange's spelling of a symbol. `parse_listing` reads the answer to `listing_path`. `ticker_paths`
    returns the paths whose answers make up the ticker of a native symbol. `parse_ticker` reads these answers, in their order.
    Its first argument is the native symbol, because not all exchanges name it in their answers. `clock_path` is the REST path
    that returns the exchange's time, the cheapest request there is.
    `further` has the exchange's other endpoints. `candles` says how to ask for past candles. If no endpoint has a channel of
    the kind `candles:1m`, the candles of the last minutes are asked for in the same way.
    """

    rest_urls: tuple[str, ...]
    listing_path: str
    parse_listing: Callable[[bytes], Batch[Listed]]
    ticker_paths: Callable[[str], tuple[str, ...]]
    parse_ticker: Callable[[str, Sequence[bytes]], Sequence[Event]]
    clock_path: str
    native: Callable[[Symbol], str]
    further: tuple[Endpoint, ...] = ()
    candles: CandleHistory | None = None

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """All endpoints, the one with the ticker first."""
        return self, *self.further


def candle(
    interval: Interval,
    start_ms: int,
    open_: float,
    high: float,
    low: float,
    close: float,
    volume: float | None,
    quote_volume: float | None = None,
    *,
    trades: int | None = None,
    buy_volume: float | None = None,
    vwap: float | None = None,
    closed: bool = False,
    exchange_time_ms: int | None = None,
) -> Candle:
    """Return an exchange's candle as an adapter reads it. The ingest fills in exchange, symbol and when it was received.

    `closed` is whether the exchange itself says that the candle is closed. If it does not say that, the ingest decides.

    Raises:
        FrameError: the start is not the start of an interval, or the prices contradict each other.
    """
    if start_ms != interval.start_of(start_ms):
        raise FrameError("malformed", f"{start_ms} is not the start of a candle of {interval}")
    if not low <= min(open_, close) <= max(open_, close) <= high:
        raise FrameError("malformed", f"open {open_} and close {close} are not between low {low} and high {high}")
    if vwap is None and volume and quote_volume:
        vwap = positive(quote_volume / volume)
    return Candle(
        exchange="",
        symbol=Symbol(""),
        interval=interval,
        start_ms=start_ms,
        end_ms=start_ms + interval.step_ms,
        open=open_,
        high=high,
        low=low,
        close=close,
        volume=volume,
        quote_volume=quote_volume,
        vwap=vwap,
        trades=trades,
        buy_volume=buy_volume,
        closed=closed,
        origin="exchange",
        exchange_time_ms=exchange_time_ms,
        received_time_ms=0,
    )


def candles_of(rows: object, shape: type[Row], read_row: Callable[[Row], Candle]) -> Batch[Candle]:
    """Read the rows of a history, in any order, into candles, the oldest first. A malformed row is skipped.

    Raises:
        FrameError: the value is not an array.
    """
    found = each(lambda row: [read_row(by_member(shape, row))], _array(rows))
    found.sort(key=lambda one: one.start_ms)
    return found


def frames_of(channels: Mapping[str, Channel]) -> dict[str, Frames]:
    """Return the functions that read an endpoint's frames, by the exchange's own name of each channel."""
    return {name: frames for channel in channels.values() for name, frames in channel.frames.items()}


def by_beginning(frames: Mapping[str, Frames], *beginnings: str) -> Callable[[bytes], Sequence[Event]]:
    """Return an endpoint's `declared` for an exchange that names the channel at the beginning of each frame.

    Args:
        frames: the functions that read the frames of each channel.
        beginnings: the texts with which a frame may begin, the most frequent first, with %s in place of the channel's name.
    """
    declared_by = [((begins % name).encode(), read_as.declared) for begins in beginnings for name, read_as in frames.items()]

    def declared(frame: bytes) -> Sequence[Event]:
        for begins, read_frame in declared_by:
            if frame.startswith(begins):
                return read_frame(frame)
        raise FrameError("unknown")

    return declared


def read(parse: Callable[[Source], Answer], frame: Source) -> Answer:
    """Read a frame or answers with an adapter's function, and turn the errors that malformed bytes cause into a FrameError.

    Raises:
        FrameError: the bytes cannot be used. Its kind says under which label the error is counted.
    """
    try:
        return parse(frame)
    except FrameError:
        raise
    except orjson.JSONDecodeError as wrong:
        raise FrameError("not_json", str(wrong)) from wrong
    except FOREIGN_FAULTS as wrong:
        raise FrameError("malformed", repr(wrong)) from wrong


def each(parse: Callable[[Any], Iterable[Element]], elements: Iterable[object], name: str | None = None) -> Batch[Element]:
    """Read the elements of a batch one by one. An element that cannot be read is added to `skipped`.

    Args:
        parse: reads one element.
        elements: the batch.
        name: the member of an element that has its native symbol.
    """
    found: list[Element] = []
    skipped: list[Skipped] = []
    for element in elements:
        try:
            found.extend(parse(element))
        except FrameError as bad:
            skipped.append(Skipped(kind=bad.kind, detail=str(bad)[:200], native=_name(element, name)))
        except FOREIGN_FAULTS as wrong:
            skipped.append(Skipped(kind="malformed", detail=repr(wrong)[:200], native=_name(element, name)))
    return Batch(found, skipped)


def _name(element: object, member: str | None) -> str | None:
    value = element.get(member) if isinstance(element, dict) else None
    return value if isinstance(value, str) else None


def listed(base: object, quote: object, native: object, tick_size: object) -> list[Listed]:
    """Return a market of a listing, or an empty list if base and quote do not form a symbol in our spelling.

    Raises:
        FrameError: a name is not a text.
    """
    name, spelled = text(native), f"{text(base)}-{text(quote)}"
    try:
        return [Listed(symbol=parse_symbol(spelled), native=name, dp=decimals(tick_size))]
    except ValueError:
        return []
