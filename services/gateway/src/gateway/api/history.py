"""Past prices for a chart, in columns, with at most as many points as it asks for. Requests at the same time share one read."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Any

import orjson

from market_pulse.bus import Reader
from market_pulse.messages import Point, Resolution, Symbol
from market_pulse.process.clock import now_ms

from .problems import ProblemError

SHARED_FOR_S = 1.0
MOST_SHARED = 128  # histories in memory; some 30 MB if all are whole days
MOST_OF_ONE = MOST_SHARED // 4  # reads under way for one address, so that there is room for others
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


@dataclass(frozen=True, slots=True)
class _Read:
    owner: str
    began_s: float
    task: "asyncio.Task[History]"


class Histories:
    """Histories from the bus. Requests for the same history within SHARED_FOR_S share one read, even if that fails.

    Args:
        bus: the bus to read from.
        clock: monotonic seconds.
        wall_clock_ms: Unix milliseconds.
    """

    def __init__(
        self, bus: Reader, clock: Callable[[], float] = time.monotonic, wall_clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._now_ms = wall_clock_ms
        self._reads: dict[tuple[Resolution, Symbol], _Read] = {}

    async def get(self, resolution: Resolution, symbol: Symbol, owner: str = "local") -> History:
        """Return a symbol's history within the resolution's span, at most SHARED_FOR_S old. `owner` is the client's address.

        Raises:
            BusError: the history could not be read.
            ProblemError: too many histories are being read already, for this address or in total.
        """
        read = self._reads.get((resolution, symbol))
        if read is None or self._is_over(read):
            self._make_room(owner)
            read = _Read(owner, self._clock(), asyncio.create_task(self._read(resolution, symbol)))
            self._reads[resolution, symbol] = read
        return await asyncio.shield(read.task)  # a cancelled request must not end the read for others

    async def _read(self, resolution: Resolution, symbol: Symbol) -> History:
        read_ms = self._now_ms()
        points = await self._bus.history(resolution, symbol, read_ms - resolution.span_ms + 1)
        return in_columns(symbol, resolution, points, read_ms)

    def _is_over(self, read: _Read) -> bool:
        return read.task.done() and self._clock() - read.began_s >= SHARED_FOR_S

    def _make_room(self, owner: str) -> None:
        if sum(read.owner == owner and not read.task.done() for read in self._reads.values()) >= MOST_OF_ONE:
            raise ProblemError(429, "busy", "too many histories are being read for this address: ask again", retry_after_s=1)
        self._reads = {key: read for key, read in self._reads.items() if not self._is_over(read)}
        if len(self._reads) < MOST_SHARED:
            return
        oldest = next((key for key, read in self._reads.items() if read.task.done()), None)
        if oldest is None:
            raise ProblemError(503, "busy", "too many histories are being read at once: ask again", retry_after_s=1)
        del self._reads[oldest]
