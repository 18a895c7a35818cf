"""Whether this process has just stood still, or heard nothing. Until it has caught up, no clock closes a candle. Pure."""

LONG_S = 1.0
"""A healthy process looks ten times a second. One that has not for so long has stood still."""
CATCH_UP_S = 2.0
"""After a standstill the process takes so long to hear what has waited, and the first ticker after a gap."""


class Standstill:
    """Finds standstills by the times at which the process looked, in seconds of a monotonic clock."""

    def __init__(self, now_s: float) -> None:
        self._looked_s = now_s
        self._since_s = now_s
        self._until_s = now_s

    def look(self, now_s: float, *, hears: bool = True) -> float:
        """Return how many seconds ago the standstill began from which the process is catching up. Otherwise return 0.

        Args:
            now_s: the monotonic clock.
            hears: whether the process is connected to the bus. If not, it stands still as well.
        """
        before_s, self._looked_s = self._looked_s, now_s
        if not hears or now_s - before_s > LONG_S:
            if before_s >= self._until_s:
                self._since_s = before_s
            self._until_s = now_s + CATCH_UP_S
        return now_s - self._since_s if now_s < self._until_s else 0.0
