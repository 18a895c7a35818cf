"""The candles of each market: the invented ones before the start, and those of its own trades since.

Pure: times are Unix milliseconds.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from .candles import DAY_MS, HOUR_MS, MINUTE_MS, Candle, fold, grouped, start_of
from .catalogue import ExchangeName
from .market import Listing
from .past import Past

MOST_HOURS, MOST_DAYS, MOST_DAY_CANDLES = 100, 100, 20_000  # kept: the minutes of an hour, the hours of a day, a day's candle
MOST_CORRECTIONS = 1000
WALK_MS = 30 * DAY_MS
LATE_SHARE = 0.1  # of a candle's volume, which a correction adds

Place = tuple[ExchangeName, str, int]
"""A market and a time: its exchange, its symbol in our spelling, and the start of the hour or day."""
Kept = TypeVar("Kept")


@dataclass(slots=True)
class _Cache:
    """Parts of the past, which never change. The oldest ones are dropped."""

    minutes: dict[Place, list[Candle]] = field(default_factory=dict)
    hours: dict[Place, list[Candle]] = field(default_factory=dict)
    days: dict[Place, Candle] = field(default_factory=dict)


class History:
    """Gives the candles of any market and interval. An interval without a trade has no candle.

    The minutes of an hour add up to it, and the hours of a day. Minutes that a tape no longer keeps are made up from
    their hour.
    """

    def __init__(self, past: Past) -> None:
        self.past = past
        self._cache = _Cache()
        self._corrected: dict[tuple[ExchangeName, str], dict[int, Candle]] = {}

    def blocks(self, listing: Listing, step_ms: int, first_ms: int, end_ms: int) -> Iterator[list[Candle]]:
        """Yield the candles that began at or after one moment and before another, in order, as blocks of little work.

        Args:
            listing: the market.
            step_ms: MINUTE_MS, HOUR_MS or DAY_MS.
            first_ms: the first moment.
            end_ms: the moment after the last.
        """
        listing.tape.wanted = True
        first_ms = max(first_ms, self.past.begin_ms)
        for time_ms in range(self.past.end_ms, first_ms, -WALK_MS):  # in steps, because a long walk back takes a while
            self.past.walk_to(listing, time_ms)
            yield []
        block_ms = HOUR_MS if step_ms == MINUTE_MS else DAY_MS
        read = {MINUTE_MS: self._minutes, HOUR_MS: self._hours, DAY_MS: self._day}[step_ms]
        for start_ms in range(start_of(first_ms, block_ms), end_ms, block_ms):
            yield [candle for candle in read(listing, start_ms) if first_ms <= candle.start_ms < end_ms]

    def close_before(self, listing: Listing, time_ms: int) -> float:
        """Return the last price before a moment, as far as the candles of its hour and of the day before know it."""
        for block in (
            self._minutes(listing, start_of(time_ms, HOUR_MS)),
            *reversed(list(self._hours_before(listing, time_ms))),
        ):
            before = [candle for candle in block if candle.start_ms < time_ms]
            if before:
                return before[-1].close
        return listing.last

    def correct(self, listing: Listing, ago: int, now_ms: int) -> Candle | None:
        """Add a late trade to a closed minute with trades, the `ago`-th last. Return the corrected candle, or None without one.

        The late trade is above the high, and has a tenth of the candle's volume.
        """
        minute_ms = start_of(now_ms, MINUTE_MS)
        closed = [candle for block in self.blocks(listing, MINUTE_MS, minute_ms - 6 * HOUR_MS, minute_ms) for candle in block]
        if len(closed) < ago:
            return None
        candle = closed[-ago]
        price, size = candle.high + 1 / listing.scale, listing.to_size(candle.volume * LATE_SHARE)
        corrected = candle._replace(
            high=price,
            close=price,
            volume=candle.volume + size,
            turnover=candle.turnover + size * price,
            trades=candle.trades + 1,
            bought=candle.bought + size,
        )
        of_market = self._corrected.setdefault((listing.exchange, listing.symbol), {})
        of_market.pop(candle.start_ms, None)
        if len(of_market) >= MOST_CORRECTIONS:
            del of_market[next(iter(of_market))]
        of_market[candle.start_ms] = corrected
        return corrected

    def _hours_before(self, listing: Listing, time_ms: int) -> Iterator[list[Candle]]:
        hour_ms, day_ms = start_of(time_ms, HOUR_MS), start_of(time_ms, DAY_MS)
        for start_ms in (day_ms - DAY_MS, day_ms):
            yield [candle for candle in self._hours(listing, start_ms) if candle.start_ms < hour_ms]

    def _minutes(self, listing: Listing, hour_ms: int, /) -> list[Candle]:
        """Return the minutes of an hour."""
        found = self._minutes_of_the_past(listing, hour_ms) if hour_ms < self.past.end_ms else []
        if hour_ms + HOUR_MS > self.past.end_ms:
            tape = listing.tape
            if tape.keeps(hour_ms):
                found = found + tape.minutes(hour_ms, hour_ms + HOUR_MS)
            else:
                first_ms = max(hour_ms, self.past.end_ms)
                for hour in tape.hours(hour_ms, hour_ms + HOUR_MS):
                    found = found + self.past.minutes(listing, hour, first_ms, hour_ms + HOUR_MS)
        corrected = self._corrected.get((listing.exchange, listing.symbol))
        return [corrected.get(candle.start_ms, candle) for candle in found] if corrected else found

    def _minutes_of_the_past(self, listing: Listing, hour_ms: int) -> list[Candle]:
        def read() -> list[Candle]:
            hours = [hour for hour in self._hours_of_the_past(listing, start_of(hour_ms, DAY_MS)) if hour.start_ms == hour_ms]
            end_ms = min(hour_ms + HOUR_MS, self.past.end_ms)
            return self.past.minutes(listing, hours[0], hour_ms, end_ms) if hours else []

        return _kept(self._cache.minutes, MOST_HOURS, (listing.exchange, listing.symbol, hour_ms), read)

    def _hours(self, listing: Listing, day_ms: int, /) -> list[Candle]:
        """Return the hours of a day."""
        found = self._hours_of_the_past(listing, day_ms) if day_ms < self.past.end_ms else []
        if day_ms + DAY_MS > self.past.end_ms:
            found = grouped([*found, *listing.tape.hours(day_ms, day_ms + DAY_MS)], HOUR_MS)
        corrected = self._corrected.get((listing.exchange, listing.symbol))
        if corrected:
            changed = {start_of(start_ms, HOUR_MS) for start_ms in corrected}
            found = [
                fold(self._minutes(listing, hour.start_ms), hour.start_ms) if hour.start_ms in changed else hour
                for hour in found
            ]
        return found

    def _hours_of_the_past(self, listing: Listing, day_ms: int) -> list[Candle]:
        place = listing.exchange, listing.symbol, day_ms
        return _kept(self._cache.hours, MOST_DAYS, place, lambda: self.past.hours(listing, day_ms))

    def _day(self, listing: Listing, day_ms: int, /) -> list[Candle]:
        """Return the candle of a day, if it had a trade."""

        def read() -> Candle:
            return fold(self._hours(listing, day_ms), day_ms)

        if day_ms + DAY_MS <= self.past.end_ms and (listing.exchange, listing.symbol) not in self._corrected:
            return [_kept(self._cache.days, MOST_DAY_CANDLES, (listing.exchange, listing.symbol, day_ms), read)]
        return [read()] if self._hours(listing, day_ms) else []


def _kept(cache: dict[Place, Kept], most: int, place: Place, read: Callable[[], Kept]) -> Kept:
    found = cache.get(place)
    if found is None:
        found = read()
        if len(cache) >= most:
            del cache[next(iter(cache))]
        cache[place] = found
    return found
