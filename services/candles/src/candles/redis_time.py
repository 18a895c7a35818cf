"""Redis's clock, as this process knows it. It closes candles, so that all copies close them at the same moment."""

import time
from collections.abc import Callable

from market_pulse.process.clock import now_ms


class RedisTime:
    """Tells the time by Redis's clock. Before the first comparison, it is this machine's.

    Between comparisons only the monotonic clock counts, so a machine's clock that is set moves no candle.
    """

    def __init__(self, machine_ms: Callable[[], int] = now_ms, monotonic_s: Callable[[], float] = time.monotonic) -> None:
        self._monotonic_s = monotonic_s
        self._began_ms = machine_ms() - self._passed_ms()

    def now_ms(self) -> int:
        """Return the time in Unix milliseconds."""
        return self._began_ms + self._passed_ms()

    def compare(self, ahead_ms: int) -> None:
        """Take how far `now_ms` is ahead of Redis's clock."""
        self._began_ms -= ahead_ms

    def _passed_ms(self) -> int:
        return round(self._monotonic_s() * 1000)
