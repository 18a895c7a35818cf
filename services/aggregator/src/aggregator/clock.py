"""The aggregator's clock: its machine's clock, or Redis's if the machine's is wrong.

All copies can compare their clock with Redis's. If the two differ, the ingests' clocks decide which one is wrong: ticks carry
the time at which they were published. No I/O: the machine's two clocks are passed in as functions, and `hear` and `compare`
take the times of the other clocks.
"""

import time
from collections.abc import Callable
from statistics import median

from market_pulse.process.clock import now_ms

MOST_WITNESSES = 32
KEPT_WITHIN_MS = 500
"""A correction is kept until it is wrong by more than this, so that the time does not jump with each comparison."""


class Clock:
    """The aggregator's clock.

    Args:
        limit_s: how far the machine's clock may be from Redis's before it is off. Within half of that it is right again.
        machine_ms: returns the machine's time, Unix milliseconds.
        monotonic_s: returns the machine's monotonic time, seconds.

    `ahead_ms` is how far the machine's clock was ahead of Redis's at the last comparison, None before the first. `is_off` is
    whether that is beyond the limit. `changes` counts how often `is_off` changed or the result of `now_ms` jumped.
    """

    def __init__(
        self,
        limit_s: float = 5.0,
        machine_ms: Callable[[], int] = now_ms,
        monotonic_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.machine_ms = machine_ms
        self.ahead_ms: int | None = None
        self.is_off = False
        self.changes = 0
        self._limit_ms = limit_s * 1000
        self._monotonic_s = monotonic_s
        self._compared = machine_ms(), monotonic_s()  # the machine's two clocks at the last comparison
        self._correction_ms = 0  # what `now_ms` adds to the machine's time
        self._ahead_of: dict[str, int] = {}  # exchange -> how far the machine's clock is ahead of its ingest's

    @property
    def is_corrected(self) -> bool:
        """Whether `now_ms` returns Redis's time rather than the machine's."""
        return self._correction_ms != 0

    def now_ms(self) -> int:
        """Return the time in Unix milliseconds.

        If the machine's clock has been set since the last comparison, the setting is ignored until the next comparison.
        """
        machine_ms = self.machine_ms()
        steady_ms = self._steady_ms()
        if abs(machine_ms - steady_ms) > self._limit_ms:
            machine_ms = steady_ms
        return machine_ms + self._correction_ms

    def hear(self, exchange: str, published_ms: int) -> None:
        """Note when, by its own clock, an exchange's ingest published a tick that has just arrived."""
        if exchange in self._ahead_of or len(self._ahead_of) < MOST_WITNESSES:
            self._ahead_of[exchange] = self.machine_ms() - published_ms

    def compare(self, ahead_ms: int) -> None:
        """Take how far the machine's clock is ahead of Redis's, and decide which of the two is right."""
        told_ms, was_off = self.now_ms(), self.is_off
        if abs(self.machine_ms() - self._steady_ms()) > self._limit_ms:
            self._ahead_of.clear()  # these differences are from before the machine's clock was set
        self.ahead_ms = ahead_ms
        self.is_off = abs(ahead_ms) > (self._limit_ms / 2 if was_off else self._limit_ms)
        correction_ms = -ahead_ms if self.is_off and not self._have_ingests_our_time() else 0
        if not correction_ms or abs(correction_ms - self._correction_ms) > KEPT_WITHIN_MS:
            self._correction_ms = correction_ms
        self._compared = self.machine_ms(), self._monotonic_s()
        if was_off != self.is_off or abs(self.now_ms() - told_ms) > self._limit_ms:
            self.changes += 1

    def _steady_ms(self) -> int:
        machine_ms, monotonic_s = self._compared
        return machine_ms + round((self._monotonic_s() - monotonic_s) * 1000)

    def _have_ingests_our_time(self) -> bool:
        """Return whether the ingests' clocks are nearer to the machine's than to Redis's: then Redis's clock is wrong."""
        if not self._ahead_of or self.ahead_ms is None:
            return False
        ahead_ms = median(self._ahead_of.values())
        return abs(ahead_ms) < abs(ahead_ms - self.ahead_ms)
