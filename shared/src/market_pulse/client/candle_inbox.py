"""Candles that wait for one reader: each interval once in order, its states never going back, and gaps told. No I/O."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from market_pulse.messages import Bar, Candle, CodecError, Interval, Symbol, bar_of, decode_candle

from .line import OnGap

MAX_WAITING = 2_000
"""Intervals that may wait for the reader. Redis keeps fewer, so only a reader that is a day behind loses one."""
CORRECTED = 100
"""Of so many of the last intervals, a correction that comes late is still handed out."""


def candle_of(bar: Bar, symbol: Symbol, interval: Interval, exchange: str | None = None) -> Candle:
    """Return a past candle. A bar does not keep which tickers and exchanges were in it, nor when it was received.

    `received_time_ms` is the end of the interval, because a candle that is closed was received by about then.
    """
    origin = "exchange" if exchange else "exchanges" if bar.missed is None else "live"
    return Candle(
        exchange=exchange,
        symbol=symbol,
        interval=interval,
        start_ms=bar.start_ms,
        end_ms=bar.start_ms + interval.step_ms,
        open=bar.open,
        high=bar.high,
        low=bar.low,
        close=bar.close,
        volume=bar.volume,
        quote_volume=bar.quote_volume,
        vwap=bar.quote_volume / bar.volume if bar.volume and bar.quote_volume else None,
        trades=bar.trades,
        closed=True,
        revision=bar.revision,
        origin=origin,
        exchanges=(exchange,) if exchange else (),
        missed=bar.missed,
        received_time_ms=bar.start_ms + interval.step_ms,
    )


class Gap(NamedTuple):
    """Intervals without a candle: how many lie before the start of the next one."""

    before_ms: int
    intervals: int


@dataclass(slots=True)
class _Known:
    """An interval's newest state, and the state of it that was handed out last."""

    newest: Candle
    told: Candle | None = None


class CandleInbox:
    """The candles of one symbol that wait for a reader.

    - An interval is handed out for the first time only after all intervals before it. When a newer state of it comes, it is
      handed out again: while it is open, when it closes, and if it is corrected later.
    - The states of one interval never go back. A slow reader gets the newest state of each.
    - An interval that lies before one already handed out, and was not known by then, is left out: it was told as missing.
    """

    def __init__(self, symbol: Symbol, interval: Interval, exchange: str | None = None, on_gap: OnGap | None = None) -> None:
        self._symbol, self._interval, self._exchange = symbol, interval, exchange
        self._on_gap = on_gap
        self._known: dict[int, _Known] = {}
        self._waiting: set[int] = set()
        self._last: int | None = None  # the newest start that was handed out
        self._certain_until = -1  # up to this start, what is not known is not in Redis either

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def newest(self) -> Candle | None:
        """The newest state of the newest interval."""
        return self._known[max(self._known)].newest if self._known else None

    @property
    def past(self) -> int:
        """How many closed candles wait."""
        return sum(self._known[start].newest.closed for start in self._waiting)

    def take(self, data: bytes, *, live: bool = True) -> None:
        """Add a message of the channel. If `live` is False, it is the channel's last value.

        Raises:
            CodecError: the message is no candle of this symbol, interval and exchange.
        """
        candle = decode_candle(data)
        if (candle.symbol, candle.interval, candle.exchange) != (self._symbol, self._interval, self._exchange):
            raise CodecError(f"not a candle of {self._symbol}")
        if candle.start_ms != self._interval.start_of(candle.start_ms):
            raise CodecError(f"{candle.start_ms} is not the start of a candle of {self._interval}")
        self._add(candle, live=live)

    def take_past(self, bars: Iterable[Bar]) -> None:
        """Add past candles as Redis keeps them."""
        for bar in bars:
            if bar.start_ms == self._interval.start_of(bar.start_ms):
                self._certain_until = max(self._certain_until, bar.start_ms)
                self._add(candle_of(bar, self._symbol, self._interval, self._exchange), live=False)

    def gap(self) -> Gap | None:
        """Return the gap before the next candle to hand out, if Redis may have candles in it that were not read yet."""
        if not self._waiting or self._last is None:
            return None
        start, step_ms = min(self._waiting), self._interval.step_ms
        if start <= max(self._last + step_ms, self._certain_until):
            return None
        return Gap(start, (start - self._last) // step_ms - 1)

    def believe(self, gap: Gap) -> None:
        """Note that no more candles are to be expected in a gap: the next candle is handed out, and the gap is told."""
        self._certain_until = max(self._certain_until, gap.before_ms)

    def keep_newest(self, limit: int) -> None:
        """Leave out the oldest closed candles that wait, beyond so many."""
        closed = sorted(start for start in self._waiting if self._known[start].newest.closed)
        for start in closed[: max(0, len(closed) - limit)]:
            self._waiting.remove(start)
            del self._known[start]

    def next(self) -> Candle | None:
        """Return the next candle to hand out, or None if nothing waits."""
        if not self._waiting:
            return None
        start = min(self._waiting)
        self._waiting.remove(start)
        if self._last is not None and self._on_gap is not None and start > self._last + self._interval.step_ms:
            self._on_gap(self._symbol, (start - self._last) // self._interval.step_ms - 1)
        self._last = start if self._last is None else max(self._last, start)
        known = self._known[start]
        known.told = known.newest
        self._forget()
        return known.newest

    def _add(self, candle: Candle, *, live: bool) -> None:
        start = candle.start_ms
        known = self._known.get(start)
        if known is None:
            if self._last is not None and start < self._last:
                return
            self._known[start] = _Known(candle)
        elif not _is_newer(candle, known.newest, live=live):
            return
        elif known.told is not None and _is_same(candle, known.told):
            known.newest = candle
            return
        else:
            known.newest = candle
        self._waiting.add(start)
        while len(self._waiting) > MAX_WAITING:
            oldest = min(self._waiting)
            self._waiting.remove(oldest)
            if self._known[oldest].told is None:
                del self._known[oldest]

    def _forget(self) -> None:
        told = sorted(start for start, known in self._known.items() if known.told is not None and start not in self._waiting)
        for start in told[:-CORRECTED]:
            del self._known[start]


def _is_newer(candle: Candle, known: Candle, *, live: bool) -> bool:
    """Return whether a state of an interval replaces the known one. Of equal ones, what was published later does."""
    one, other = _rank(candle), _rank(known)
    return one > other or (live and one == other)


def _rank(candle: Candle) -> tuple[bool, int, int]:
    return candle.closed, candle.revision, -1 if candle.last_seq is None else candle.last_seq


def _is_same(candle: Candle, told: Candle) -> bool:
    """Return whether a state says nothing that the reader does not have: the last value again, or the bar of a candle told."""
    if candle.closed:
        return told.closed and bar_of(candle) == bar_of(told)
    return (candle.last_seq, candle.published_time_ms) == (told.last_seq, told.published_time_ms) and bar_of(candle) == bar_of(
        told
    )
