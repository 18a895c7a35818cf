"""When the hub may write next: at once while writing is cheap, less often as it gets dearer. Pure: time is an argument."""

from math import inf

SHORTEST_REST_S = 0.001
"""The event loop's timers count milliseconds. Rests that are shorter are owed, and taken together."""


class FlushClock:
    """Leaves as much time free after flushes as they worked, so that writing never takes more than about half of a core.

    Times are seconds on any one monotonic clock. Work is CPU time: what others on the core took meanwhile is no reason to wait.
    """

    def __init__(self, max_hz: float | None = None) -> None:
        self._shortest_s = 1 / max_hz if max_hz else 0.0
        self._next = -inf
        self._rested = -inf  # when all that was worked is rested

    def wait_s(self, now: float) -> float:
        """Return how long from now the next flush has to wait; 0 when it is due."""
        owed_s = self._rested - now
        return max(0.0, self._next - now, owed_s if owed_s >= SHORTEST_REST_S else 0.0)

    def flushed(self, start: float, end: float, worked_s: float) -> None:
        """Note when the newest flush began and ended, and how much CPU time it took."""
        self._next = start + self._shortest_s
        self._rested = max(self._rested, start) + (end - start) + worked_s
