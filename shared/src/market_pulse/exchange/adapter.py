"""An exchange as a value: its addresses, limits and rhythms, and pure functions from its frames to events.

An adapter has no socket, no clock, no logger and no state: the same frame always gives the same events. It leaves out
a figure that a frame does not have; the runner does the rest. Nobody changes an event.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import msgspec
import orjson
from msgspec.json import Decoder

from market_pulse.kinds import TICKER, Kind
from market_pulse.messages import Symbol, parse_symbol

from .errors import FrameError
from .fields import FOREIGN_FAULTS, MISFITS, Shape, by_member, decimals, text

Answer = TypeVar("Answer")
Content = TypeVar("Content")
Element = TypeVar("Element")


@dataclass(frozen=True, slots=True)
class Listed:
    """One market that an exchange lists and trades: our symbol, its own spelling, decimals of its tick size."""

    symbol: Symbol
    native: str
    dp: int | None


class Trade(msgspec.Struct, gc=False):
    """The newest trade of a native symbol. `trade_id` rises with time and is comparable with `Day.trade_id`."""

    native: str
    price: float
    trade_id: int
    exchange_time_ms: int


class Quote(msgspec.Struct, gc=False):
    """The best bid and ask of a native symbol; None: that side is empty.

    `order` is the exchange's number of the message and its time in Unix milliseconds, each of which rises; 0 where it gives
    none. `restarted`: the exchange says that its numbers begin anew with this one. `bid_kept`, `ask_kept`: this message says
    nothing about that side, so it stays as it was.
    """

    native: str
    bid: float | None
    ask: float | None
    order: tuple[int, int]
    exchange_time_ms: int | None = None
    restarted: bool = False
    bid_kept: bool = False
    ask_kept: bool = False


class Day(msgspec.Struct, gc=False):
    """The 24 h figures of a native symbol with its last price; None: not given.

    `order` is the exchange's number of the message and its time, as with a quote. `bid` and `ask` count only where no quote
    came lately.
    """

    native: str
    price: float
    open24h: float | None
    high24h: float | None
    low24h: float | None
    volume24h: float | None
    quote_volume24h: float | None
    order: tuple[int, int]
    exchange_time_ms: int
    trade_id: int | None = None
    bid: float | None = None
    ask: float | None = None


@dataclass(frozen=True, slots=True)
class Skipped:
    """One element of a frame or answer that cannot be used, and why. `native`: whose it is, where that can be read."""

    kind: str
    detail: str
    native: str | None = None


class Batch(list[Element]):
    """The elements of a frame or answer that can be used. `skipped` are the others."""

    def __init__(self, elements: Iterable[Element] = (), skipped: Sequence[Skipped] = ()) -> None:
        super().__init__(elements)
        self.skipped = skipped


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The exchange accepted a request: this topic of it, or all of it (None)."""

    request_id: str | None
    topic: str | None = None


RefusalKind = Literal["unknown", "already", "later"]


@dataclass(frozen=True, slots=True)
class Refused:
    """The exchange refused a request: this topic of it, or all of it (None).

    `unknown`: it does not have that topic. `already`: the topic is live already. `later`: too many or too fast; try again.
    """

    request_id: str | None
    topic: str | None
    kind: RefusalKind
    reason: str


@dataclass(frozen=True, slots=True)
class Pong:
    """The answer to our ping."""


@dataclass(frozen=True, slots=True)
class GoingAway:
    """The exchange is about to close this socket: another one must take over."""

    reason: str


class Told(msgspec.Struct):
    """A message of another kind than the ticker. The connection fills in its exchange, its symbol and when it was received."""

    kind: Kind
    native: str
    message: Any


MarketEvent = Trade | Quote | Day
MARKET_EVENTS = (Trade, Quote, Day)
Event = MarketEvent | Told | Acknowledged | Refused | Pong | GoingAway


def key_of(kind: Kind, native: str) -> str:
    """Name what an ingest carries: a native symbol stands for its ticker, `kind native` for another kind of it."""
    return native if kind is TICKER else f"{kind.name} {native}"


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `messages` in any window of `window_s` seconds; pings count, or they do not."""

    messages: int
    window_s: float
    pings_count: bool = True


@dataclass(frozen=True, slots=True)
class Frames:
    """How the frames of one of an exchange's channels are read.

    `declared` reads a frame by the shape that is declared for it, and raises one of MISFITS where that does not hold.
    `lenient` then reads what orjson made of the frame, member by member. Where both read a frame, they give the same events.
    """

    declared: Callable[[bytes], Sequence[Event]]
    lenient: Callable[[Any], Sequence[Event]]


class Data(msgspec.Struct, Generic[Content]):
    """The envelope of a frame that tells something of the market."""

    data: Content


def frames_of_one(shape: type[Shape], event: Callable[[Shape], Event]) -> Frames:
    """Read frames whose `data` is one object of a shape. `event` makes an event of it."""
    decode = Decoder(Data[shape], strict=False).decode  # type: ignore[valid-type]
    return Frames(
        declared=lambda frame: [event(decode(frame).data)],
        lenient=lambda message: [event(by_member(shape, message["data"]))],
    )


def frames_of_rows(shape: type[Shape], event: Callable[[Shape], Event], name: str) -> Frames:
    """Read frames whose `data` is an array of objects of a shape, whose member `name` has the native symbol.

    One is declared, as nearly all frames have. More than one are read member by member.
    """
    decode = Decoder(Data[tuple[shape]], strict=False).decode  # type: ignore[valid-type]
    return Frames(
        declared=lambda frame: [event(decode(frame).data[0])],
        lenient=lambda message: each(lambda row: [event(by_member(shape, row))], message["data"], name),
    )


@dataclass(frozen=True, slots=True)
class Channel:
    """One kind of data as an exchange gives it.

    `topics` names what must be subscribed to for a native symbol. `frames` says how what comes then is read, by the exchange's
    own name of each channel.
    """

    topics: Callable[[str], tuple[str, ...]]
    frames: Mapping[str, Frames]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One WebSocket address of an exchange: what it gives, how that is asked for and read, and how a socket to it lives.

    `channels` has what it gives, by kind. `subscribe` and `unsubscribe` write one request for up to `topics_per_request`
    topics; a connection carries at most `topics_per_connection`.
    `declared` and `lenient` read any frame, each by the `Frames` of its channel; `lenient` reads answers and notices, too.
    Where a frame holds several elements, an odd one is skipped (`each`) and the others count.
    `answers_with_state`: a subscription is answered with the channel's last message, which may be old.
    `ping`: the text sent each `ping_interval_s`; None: WebSocket pings. `silence_s`: a connection without market data for that
    long is dead. `max_age_s`: the exchange cuts older connections, so they are replaced before.
    `refusal_voids_request`: one bad topic and the whole request counts for nothing.
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

    def topics(self, key: str) -> tuple[str, ...]:
        """Name the topics of one kind of a native symbol, by its key (`key_of`)."""
        kind, _, native = key.rpartition(" ")
        return self.channels[kind or TICKER.name].topics(native)

    def parse(self, frame: bytes) -> Sequence[Event]:
        """Read one frame: as its shape is declared, else member by member."""
        try:
            return self.declared(frame)
        except MISFITS:
            return self.lenient(frame)


@dataclass(frozen=True, slots=True, kw_only=True)
class Adapter(Endpoint):
    """Everything particular to one exchange. It is the endpoint that gives the ticker; `further` are the exchange's others.

    `native` spells a symbol as the exchange does. `parse_listing` reads the answer to `listing_path`, `parse_ticker` the answer
    to `ticker_path`. `clock_path` is where REST tells the exchange's time, the cheapest thing to ask it.
    """

    rest_urls: tuple[str, ...]
    listing_path: str
    parse_listing: Callable[[bytes], Batch[Listed]]
    ticker_path: Callable[[str], str]
    parse_ticker: Callable[[bytes], Sequence[Event]]
    clock_path: str
    native: Callable[[Symbol], str]
    further: tuple[Endpoint, ...] = ()


def frames_of(channels: Mapping[str, Channel]) -> dict[str, Frames]:
    """Return how all frames of an endpoint are read, by the exchange's own name of their channel."""
    return {name: frames for channel in channels.values() for name, frames in channel.frames.items()}


def by_beginning(frames: Mapping[str, Frames], beginning: str) -> Callable[[bytes], Sequence[Event]]:
    """Return an endpoint's `declared`, where the exchange begins each frame with the name of its channel.

    Args:
        frames: how the frames of each channel are read.
        beginning: how each frame begins, with %s where the name stands.
    """
    beginnings = [((beginning % name).encode(), read_as.declared) for name, read_as in frames.items()]

    def declared(frame: bytes) -> Sequence[Event]:
        for begins, read_frame in beginnings:
            if frame.startswith(begins):
                return read_frame(frame)
        raise FrameError("unknown")

    return declared


def read(parse: Callable[[bytes], Answer], frame: bytes) -> Answer:
    """Read a frame or answer with an adapter's function; whatever foreign bytes do to it becomes a FrameError.

    Raises:
        FrameError: the bytes cannot be used, with the kind to count it under.
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
    """Read the elements of a batch one by one. One that cannot be read is left out, and the others count.

    Args:
        parse: reads one element.
        elements: the batch.
        name: the member that has an element's native symbol.
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
    """Return a market of a listing, or nothing where its name is not one that we can spell.

    Raises:
        FrameError: a name is no text.
    """
    name, spelled = text(native), f"{text(base)}-{text(quote)}"
    try:
        return [Listed(symbol=parse_symbol(spelled), native=name, dp=decimals(tick_size))]
    except ValueError:
        return []
