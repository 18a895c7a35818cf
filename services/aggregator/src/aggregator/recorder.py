"""Each second, adds the published prices to their histories. It does not delay the publisher, and nothing queues."""

import asyncio
from typing import NoReturn

from market_pulse.bus import AggregatorBus, BusError
from market_pulse.messages import Resolution
from market_pulse.process.logs import get_logger

from .clock import Clock
from .market import Market, SymbolState
from .metrics import HISTORY_FAILURES, HISTORY_POINTS
from .ownership import Owns
from .sampling import point_due

MAX_BATCH = 100
"""The most symbols per command. Between two commands, this process reads ticks and publishes tickers."""

log = get_logger()


class Recorder:
    """Records the first price of each second, for the symbols that this process publishes.

    If Redis is away, or there is no price, during a whole second, that point stays missing.
    """

    def __init__(self, bus: AggregatorBus, market: Market, owns: Owns, clock: Clock | None = None) -> None:
        self._bus = bus
        self._market = market
        self._owns = owns
        self._now_ms = (clock or Clock()).now_ms

    async def run(self) -> NoReturn:
        """Record now, then at the start of each second of the aggregator's clock, until cancelled."""
        while True:
            try:
                await self.record(self._now_ms())
            except BusError as failed:
                HISTORY_FAILURES.inc()
                log.debug("history not written; continuing with the next second", cause=str(failed))
            await asyncio.sleep(1 - self._now_ms() % 1000 / 1000)

    async def record(self, time_ms: int) -> None:
        """Record the points that are due of each symbol.

        Raises:
            BusError: the points of some symbols were not written.
        """
        states = [state for state in self._market if self._owns(state.symbol)]
        for start in range(0, len(states), MAX_BATCH):
            await self._record(states[start : start + MAX_BATCH], time_ms)

    async def _record(self, states: list[SymbolState], time_ms: int) -> None:
        due = [(state, point_due(state.last, state.recorded_ms, time_ms)) for state in states]
        points = {state.symbol: point for state, point in due if point is not None}
        HISTORY_POINTS.inc(await self._bus.record(Resolution.SECOND, points))
        for state, point in due:
            if point is not None:
                state.recorded_ms = time_ms
