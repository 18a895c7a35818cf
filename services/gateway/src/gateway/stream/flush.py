"""When the hub may write next: at once while writing is cheap, later if it is costly. Pure: time is an argument."""

from math import inf

SHORTEST_REST_S = 0.001
"""The resolution of the event loop's timers. Shorter rests are added up until they reach it, and taken together."""


class FlushClock:
    """Rests after flushes for as long as they worked, so that writing never takes more than about half of a core.

    Times are seconds of one monotonic clock. Work is this thread's CPU time, because the time that other processes took on the
    core meanwhile is no reason to wait.
    """

    def __init__(self, max_hz: float | None = None) -> None:
        self._shortest_s = 1 / max_hz if max_hz else 0.0
        self._next = -inf
        self._rested = -inf  # when the rests for all work so far are over

    def wait_s(self, now: float) -> float:
        """Return how long from now the next flush has to wait, or 0 if it is due."""
        owed_s = self._rested - now
        return max(0.0, self._next - now, owed_s if owed_s >= SHORTEST_REST_S else 0.0)

    def flushed(self, start: float, end: float, worked_s: float) -> None:
        """Record when a flush began and ended, and how much CPU time it took."""
        self._next = start + self._shortest_s
        self._rested = max(self._rested, start) + (end - start) + worked_s
