"""Past prices for a chart, in columns, with at most as many points as it asks for. Requests at the same time share one read."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import ceil
from typing import Any

import orjson

from market_pulse.bus import Reader
from market_pulse.messages import CodecError, Interval, Point, Resolution, Symbol, decode_candle
from market_pulse.process.clock import now_ms

from .candles import Of
from .reads import SharedReads

MOST_SHARED = 128  # histories in memory; some 30 MB if all are whole days
MOST_SOURCES = 32
AHEAD_MS = 5_000  # another machine's clock may be ahead of ours by this; points further ahead come from a wrong clock


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A symbol's points as they were at `read_ms`, in columns, oldest first. None means that an exchange had no price then."""

    symbol: Symbol
    resolution: Resolution
    read_ms: int
    times: list[int]
    prices: list[float]
    sources: dict[str, list[float | None]]

    def json(self, max_points: int) -> bytes:
        """Return the history as JSON, thinned to at most `max_points` points."""
        kept, step_ms = thinned(self.times, self.resolution.step_ms, max_points, self.read_ms)

        def take(column: Sequence[Any]) -> list[Any]:
            return [column[at] for at in kept]

        return orjson.dumps(
            {
                "symbol": self.symbol,
                "resolution": self.resolution,
                "stepMs": step_ms,
                "times": take(self.times),
                "prices": take(self.prices),
                "sources": {exchange: take(prices) for exchange, prices in self.sources.items()},
            }
        )


def in_columns(symbol: Symbol, resolution: Resolution, points: Sequence[Point], read_ms: int) -> History:
    """Return a symbol's points, oldest first, as columns. Points from more than AHEAD_MS in the future are left out."""
    points = [point for point in points if point.time_ms <= read_ms + AHEAD_MS]
    exchanges = sorted({exchange for point in points for exchange in point.sources})[:MOST_SOURCES]
    return History(
        symbol=symbol,
        resolution=resolution,
        read_ms=read_ms,
        times=[point.time_ms for point in points],
        prices=[point.price for point in points],
        sources={exchange: [point.sources.get(exchange) for point in points] for exchange in exchanges},
    )


def thinned(times: Sequence[int], step_ms: int, max_points: int, now_ms: int) -> tuple[Sequence[int], int]:
    """Choose which points to show: the newest one, and those at whole multiples of a step.

    So a later call chooses the same points, if the range has as many points then.
    The step is long enough for at most `max_points` points from the first time until now.

    Args:
        times: the points' times in Unix milliseconds, ascending.
        step_ms: the time from one point to the next.
        max_points: how many points may be shown, at least two.
        now_ms: the current time.

    Returns:
        The indices of the chosen points, and the chosen step.
    """
    if len(times) <= max_points:
        return range(len(times)), step_ms
    newest = len(times) - 1
    covered = (max(now_ms, times[newest]) - times[0]) // step_ms + 1
    step_ms *= ceil(covered / (max_points - 1))
    return [at for at, time_ms in enumerate(times) if time_ms % step_ms == 0 or at == newest], step_ms


class Histories(SharedReads[tuple[Resolution, Symbol], History]):
    """Histories from the bus. A history of seconds is kept as such, and one of minutes is made of past candles.

    Args:
        bus: the bus to read from.
        listed_at: returns the exchanges that list a symbol.
        clock: monotonic seconds.
        wall_clock_ms: Unix milliseconds.
    """

    def __init__(
        self,
        bus: Reader,
        listed_at: Callable[[Symbol], Iterable[str]] = lambda _: (),
        clock: Callable[[], float] = time.monotonic,
        wall_clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        super().__init__(self._of, "histories", MOST_SHARED, clock)
        self._bus = bus
        self._listed_at = listed_at
        self._now_ms = wall_clock_ms

    async def _of(self, key: tuple[Resolution, Symbol]) -> History:
        resolution, symbol = key
        read_ms = self._now_ms()
        since_ms = read_ms - resolution.span_ms + 1
        if resolution is Resolution.SECOND:
            points = await self._bus.history(resolution, symbol, since_ms)
        else:
            points = await self._minutes(symbol, since_ms)
        return in_columns(symbol, resolution, points, read_ms)

    async def _minutes(self, symbol: Symbol, since_ms: int) -> list[Point]:
        """Return a point for each of our candles of a minute since a moment. Its prices are those at which the candles open."""
        all_of = [Of(symbol, Interval.MINUTE, one) for one in (None, *list(self._listed_at(symbol))[:MOST_SOURCES])]
        lasts = await self._bus.last(*(of.channel for of in all_of))
        opens = {of.exchange: await self._opens(of, last, since_ms) for of, last in zip(all_of, lasts, strict=True)}
        ours = opens.pop(None)
        return [
            Point(time_ms=start_ms, price=price, sources=_known_at(start_ms, opens)) for start_ms, price in sorted(ours.items())
        ]

    async def _opens(self, of: Of, last: bytes | None, since_ms: int) -> dict[int, float]:
        """Return the price at which each candle opened. `last` is the last message about one, which may be open."""
        bars = await self._bus.bars(of.interval, of.symbol, of.exchange, limit=Resolution.MINUTE.points)
        opens = {bar.start_ms: bar.open for bar in bars if bar.start_ms >= since_ms}
        with suppress(CodecError):
            if last is not None and (candle := decode_candle(last)).start_ms >= since_ms:
                opens.setdefault(candle.start_ms, candle.open)
        return opens


def _known_at(start_ms: int, opens: Mapping[str | None, Mapping[int, float]]) -> dict[str, float]:
    return {one: prices[start_ms] for one, prices in opens.items() if one is not None and start_ms in prices}
