"""Ticks on their way to the bus: the newest of each symbol, never a queue.

Reading an exchange never waits for Redis. All that came in during one turn of the loop goes out in one command; while Redis
is slow or away, a newer tick takes the place of the one that waits.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterable
from typing import NoReturn

from market_pulse.bus import BusError
from market_pulse.messages import Symbol, Tick
from market_pulse.process.backoff import backoff_s
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger

from .metrics import Stats

DRAIN_LIMIT_S = 1.0
BUSY, REST_S = 6, 0.001
"""If so many more have come while others were on their way, more are waited for: a command for one costs as much as for ten."""

log = get_logger()


class Outbox:
    """Holds at most one tick a symbol of one exchange. `publish` returns how many of them were no news."""

    def __init__(self, publish: Callable[[Iterable[Tick]], Awaitable[int]], stats: Stats | None = None) -> None:
        self._publish = publish
        self._stats = stats or Stats()
        self._waiting: dict[Symbol, Tick] = {}
        self._filled = asyncio.Event()
        self.failing_since_s: float | None = None

    def put(self, tick: Tick) -> None:
        """Hand in a tick; never waits."""
        if tick.symbol in self._waiting:
            self._stats.conflated += 1
        self._waiting[tick.symbol] = tick
        self._filled.set()

    def discard(self, symbol: Symbol) -> None:
        """Drop what waits for a symbol that nobody wants any more."""
        self._waiting.pop(symbol, None)

    async def run(self) -> NoReturn:
        """Publish until cancelled; then try, for a moment, to send what still waits."""
        failures = 0
        try:
            while True:
                await self._filled.wait()
                if await self._send():
                    failures = 0
                    if len(self._waiting) >= BUSY:
                        await asyncio.sleep(REST_S)
                else:
                    failures += 1
                    await asyncio.sleep(backoff_s(failures, base_s=0.1, cap_s=2.0, floor_s=0.05))
        finally:
            if self._waiting and failures == 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRAIN_LIMIT_S):
                        await self._send()

    async def _send(self) -> bool:
        batch, self._waiting = self._waiting, {}
        self._filled.clear()
        try:
            suppressed = await self._publish(batch.values())
        except BusError as failed:
            if self.failing_since_s is None:
                self.failing_since_s = asyncio.get_running_loop().time()
                log.warning("publishing fails; the newest tick per symbol waits", cause=str(failed))
            self._waiting = batch | self._waiting  # what came in meanwhile is newer
            self._filled.set()
            return False
        except asyncio.CancelledError:
            self._waiting = batch | self._waiting
            raise
        if self.failing_since_s is not None:
            log.info("publishing works again", after_s=round(asyncio.get_running_loop().time() - self.failing_since_s, 1))
            self.failing_since_s = None
        self._stats.published += len(batch) - suppressed
        self._stats.suppressed += suppressed
        self._stats.publish.observe((now_ms() - next(iter(batch.values())).received_time_ms) / 1000)
        return True
