"""How far a currency is from its usual value at one exchange: it moves away, stays there, and comes back.

Pure: times are passed in, in Unix milliseconds.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Peg:
    """A currency's course at one exchange.

    `corners` are times, each with the logarithm of the currency's value over its usual value. Between two corners the logarithm
    moves in a straight line. Before the first corner it is the first one's, after the last corner the last one's.
    """

    corners: tuple[tuple[float, float], ...] = ((0.0, 0.0),)

    def at(self, now_ms: float) -> float:
        """Return the currency's value as a multiple of its usual value."""
        return math.exp(self._log(now_ms))

    def moved(self, factor: float, now_ms: float, within_s: float, hold_s: float | None = None) -> "Peg":
        """Return the course from now on, if the currency now moves away from its present value.

        Args:
            factor: the value to reach, as a multiple of the usual value.
            now_ms: the present time.
            within_s: how long the way takes, in seconds.
            hold_s: how long the currency stays there, in seconds. Then it comes back to its usual value in `within_s`. None: it
                stays there.
        """
        way_ms = within_s * 1000
        corners = [(now_ms, self._log(now_ms)), (now_ms + way_ms, math.log(factor))]
        if hold_s is not None:
            back_ms = now_ms + way_ms + hold_s * 1000
            corners += [(back_ms, math.log(factor)), (back_ms + way_ms, 0.0)]
        return Peg(tuple(corners))

    def _log(self, now_ms: float) -> float:
        before_ms, before = self.corners[0]
        for at_ms, log in self.corners:
            if now_ms < at_ms:
                share = max(now_ms - before_ms, 0.0) / (at_ms - before_ms) if at_ms > before_ms else 0.0
                return before + (log - before) * share
            before_ms, before = at_ms, log
        return before
