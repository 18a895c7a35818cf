"""Candles: what one market traded in an interval, the tape that keeps those of its own trades, and how candles are combined.

Pure: times are passed in, in Unix milliseconds. All intervals begin in UTC.
"""

from array import array
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Final, NamedTuple

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 60 * MINUTE_MS
DAY_MS: Final = 24 * HOUR_MS

FEW_HOURS, MANY_HOURS = 2, 25  # whose minutes a tape keeps, before and after somebody has asked for them
MOST_HOURS = 800  # the hours that a tape keeps


class Candle(NamedTuple):
    """The trades of one interval. Prices are in quote units, `volume` and `bought` in base units, `turnover` in quote units.

    `bought` is the part of the volume whose taker bought.
    """

    start_ms: int
    open: float
    high: float
    low: float
    close: float
    volume: float
    turnover: float
    trades: int
    bought: float


WIDTH: Final = len(Candle._fields)


def fold(candles: Sequence[Candle], start_ms: int) -> Candle:
    """Return the candle of a longer interval that contains these. There is at least one, and they are in order."""
    return Candle(
        start_ms,
        candles[0].open,
        max(candle.high for candle in candles),
        min(candle.low for candle in candles),
        candles[-1].close,
        sum(candle.volume for candle in candles),
        sum(candle.turnover for candle in candles),
        sum(candle.trades for candle in candles),
        sum(candle.bought for candle in candles),
    )


def grouped(candles: Iterable[Candle], step_ms: int, shift_ms: int = 0) -> list[Candle]:
    """Return the candles of intervals of `step_ms`. These begin `shift_ms` before the multiples of `step_ms`."""
    groups = groupby(candles, lambda candle: start_of(candle.start_ms, step_ms, shift_ms))
    return [fold(list(group), start_ms) for start_ms, group in groups]


def filled(candles: Iterable[Candle], step_ms: int, starts: range, close: float) -> list[Candle]:
    """Return a candle for each of these starts: where nothing was traded, one at the close before it, with no volume.

    Args:
        candles: the traded candles, in order.
        step_ms: how long each lasts.
        starts: the starts wanted, in steps of `step_ms`.
        close: the last price before the first of them.
    """
    known = {candle.start_ms: candle for candle in candles}
    found = []
    for start_ms in range(starts.start, starts.stop, step_ms):
        candle = known.get(start_ms) or Candle(start_ms, close, close, close, close, 0.0, 0.0, 0, 0.0)
        close = candle.close
        found.append(candle)
    return found


def start_of(time_ms: int, step_ms: int, shift_ms: int = 0) -> int:
    """Return when the interval that contains a moment begins."""
    return time_ms - (time_ms + shift_ms) % step_ms


class Tape:
    """The candles of a market's own trades since the start: minutes for some hours, and hours for a month.

    `current` is the candle of the last minute that has a trade, or None before the first trade. Its fields are in a Candle's
    order. `wanted` is whether somebody has asked for its candles, so that the minutes of a day are kept.
    """

    __slots__ = ("_hours", "_minutes", "_since_ms", "current", "wanted")

    def __init__(self) -> None:
        self.current: list[float] | None = None
        self.wanted = False
        self._since_ms = 0  # the first hour whose minutes are kept
        self._minutes = array("d")  # WIDTH numbers a candle, so that a minute of 2,400 markets takes little memory
        self._hours = array("d")

    def trade(self, now_ms: int, price: float, size: float, *, bought: bool) -> None:
        """Add a trade. Trades come in the order of their times."""
        current = self.current
        if current is None or now_ms >= current[0] + MINUTE_MS:
            self._end_minute(now_ms)
            start_ms = now_ms - now_ms % MINUTE_MS
            self.current = [start_ms, price, price, price, price, size, size * price, 1, size if bought else 0.0]
            return
        if price > current[2]:
            current[2] = price
        elif price < current[3]:
            current[3] = price
        current[4] = price
        current[5] += size
        current[6] += size * price
        current[7] += 1
        if bought:
            current[8] += size

    def last(self) -> Candle | None:
        """Return the candle of the last minute that has a trade, as it is now."""
        return None if self.current is None else _candle(self.current)

    def newest(self) -> Candle:
        """Return the candle of the last minute that has a trade.

        Raises:
            LookupError: no trade has happened.
        """
        if self.current is None:
            raise LookupError("no trade has happened")
        return _candle(self.current)

    def minutes(self, first_ms: int, end_ms: int) -> list[Candle]:
        """Return the candles of minutes that began at or after one moment and before another, as far as they are kept."""
        found = _between(self._minutes, first_ms, end_ms)
        if self.current is not None and first_ms <= self.current[0] < end_ms:
            found.append(_candle(self.current))
        return found

    def hours(self, first_ms: int, end_ms: int) -> list[Candle]:
        """Return the candles of hours that began at or after one moment and before another, the open one included."""
        found = _between(self._hours, first_ms, end_ms)
        if self.current is not None:
            start_ms = start_of(int(self.current[0]), HOUR_MS)
            if first_ms <= start_ms < end_ms:
                found.append(fold(self.minutes(start_ms, start_ms + HOUR_MS), start_ms))
        return found

    def keeps(self, hour_ms: int) -> bool:
        """Return whether the minutes of an hour are kept, if it had any trade."""
        return hour_ms >= self._since_ms

    def _end_minute(self, now_ms: int) -> None:
        current = self.current
        if current is None:
            return
        hour_ms, next_ms = start_of(int(current[0]), HOUR_MS), start_of(now_ms, HOUR_MS)
        self._minutes.extend(current)
        if next_ms > hour_ms:
            self._hours.extend(fold(_between(self._minutes, hour_ms, hour_ms + HOUR_MS), hour_ms))
            del self._hours[: -MOST_HOURS * WIDTH]
            self._since_ms = max(self._since_ms, next_ms - (MANY_HOURS if self.wanted else FEW_HOURS) * HOUR_MS)
            del self._minutes[: _place(self._minutes, self._since_ms)]


def _candle(row: Sequence[float]) -> Candle:
    return Candle(int(row[0]), row[1], row[2], row[3], row[4], row[5], row[6], int(row[7]), row[8])


def _place(rows: "array[float]", time_ms: float) -> int:
    """Return the place of the first row that began at or after a moment."""
    low, high = 0, len(rows) // WIDTH
    while low < high:
        middle = (low + high) // 2
        if rows[middle * WIDTH] < time_ms:
            low = middle + 1
        else:
            high = middle
    return low * WIDTH


def _between(rows: "array[float]", first_ms: int, end_ms: int) -> list[Candle]:
    begin, end = _place(rows, first_ms), _place(rows, end_ms)
    return [_candle(rows[at : at + WIDTH]) for at in range(begin, end, WIDTH)]
