"""The functions with which the hub reads each kind of state: one row per kind. Events are passed on unchanged."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol, Self

import orjson

from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE, TICKER, Kind
from market_pulse.messages import LIVE, CodecError, Interval, Symbol
from market_pulse.tickers import Clocks, LatestTicker, as_of, read_ticker

from .candles import LatestCandle, read_candle
from .fields import Fields, cut_down

STREAMED = {kind.name: kind for kind in (TICKER, *CANDLES.values())}
"""The kinds that a stream can be asked for, by the names that clients use."""


class State(Protocol):
    """A state as the hub keeps it."""

    @property
    def data(self) -> bytes:
        """Its JSON, in one line."""

    @property
    def published_ms(self) -> int | None:
        """When it was published, to measure the latency of streams. None if this kind does not measure it."""

    def staleness(self, now_ms: int) -> int:
        """Return 0 while the state is young enough to be live, then 1, and 2 once it is too old to be shown."""

    def supersedes(self, other: Self | None) -> bool:
        """Return whether this state is newer than another one of the same channel."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the hub handles the messages of one kind of state.

    `type` is the type of its events. `read` turns a message into the object that the hub keeps: its arguments are the names in
    the channel, the message, our time, the publishers' clocks, whether it is live, and its age. `as_of` returns that object's
    JSON, or only these fields of it, for a client that reads it later. `is_live` returns whether a message's content is
    current.
    `whole` is whether each client gets a message's own bytes, at any age and with all fields. A state that is not whole is sent
    again once it has grown old. `event_id` returns the number in its event's id.

    `part` names the part of the channel's state that a message replaces: each candle of a channel is one. `is_final` returns
    whether a message is sent although a later part has been sent before it.
    """

    type: str
    read: Callable[..., Any]
    as_of: Callable[[Any, int, Fields], bytes]
    is_live: Callable[[bytes], bool]
    whole: bool = False
    event_id: Callable[[Any], int | None] = lambda _: None
    part: Callable[[Any], int] = lambda _: 0
    is_final: Callable[[Any], bool] = lambda _: False


def _read_ticker(
    names: tuple[str, ...], data: bytes, now_ms: int, clocks: Clocks, *, live: bool, age_ms: int | None
) -> LatestTicker:
    return read_ticker(names[-1], data, now_ms, clocks, live=live, age_ms=age_ms)


def _is_live_ticker(data: bytes) -> bool:
    return orjson.loads(data)["quality"] in LIVE


def _ticker_as_of(latest: LatestTicker, now_ms: int, fields: Fields) -> bytes:
    return cut_down(as_of(latest, now_ms), fields)


def _read_candle(
    interval: Interval, names: tuple[str, ...], data: bytes, now_ms: int, _: Clocks, *, live: bool, age_ms: int | None
) -> LatestCandle:
    *exchange, symbol = names
    return read_candle(interval, exchange[0] if exchange else None, symbol, data, now_ms, live=live, age_ms=age_ms)


def _candle(interval: Interval) -> Reading:
    return Reading(
        type="candle",
        read=partial(_read_candle, interval),
        as_of=lambda latest, _now_ms, _fields: latest.data,
        is_live=lambda _: True,
        whole=True,
        part=lambda latest: latest.start_ms,
        is_final=lambda latest: latest.closed,
    )


READINGS: dict[Kind, Reading] = {
    TICKER: Reading(
        type="ticker",
        read=_read_ticker,
        as_of=_ticker_as_of,
        is_live=_is_live_ticker,
        event_id=lambda latest: latest.seq,
    ),
    EXCHANGE_CANDLE: _candle(Interval.MINUTE),
    **{kind: _candle(interval) for interval, kind in CANDLES.items()},
}


class Asked(NamedTuple):
    """A kind of messages that a stream asks for: of all its symbols, or of one of them."""

    kind: Kind
    symbol: Symbol | None = None

    def __str__(self) -> str:
        return self.kind.name if self.symbol is None else f"{self.kind.name}:{self.symbol}"

    def channels(self, symbols: Collection[Symbol], listed_at: Callable[[Symbol], Iterable[str]]) -> tuple[str, ...]:
        """Return the channels that it needs, for a stream of these symbols."""
        of = symbols if self.symbol is None else (self.symbol,)
        return tuple(channel for symbol in of for channel in self.kind.channels(symbol, listed_at))


def one_line(message: bytes) -> bytes:
    """Return a message's JSON on a single line, as an event needs it.

    Raises:
        CodecError: the message is not JSON.
    """
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError as wrong:
        raise CodecError(f"not JSON: {wrong}") from wrong
    return orjson.dumps(value) if b"\n" in message or b"\r" in message else message
