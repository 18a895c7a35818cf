"""How fast we may speak to an exchange: strict rolling windows, which a token bucket would overrun at its start."""

from collections import deque

from .adapter import Rate


class Pacer:
    """Counts messages sent and says how long the next one has to wait. Time is passed in."""

    def __init__(self, rates: tuple[Rate, ...]) -> None:
        self._windows = [(rate, deque[float](maxlen=rate.messages)) for rate in rates]

    def delay_s(self, now_s: float) -> float:
        """Return the seconds until the next message may go: zero when it may go now."""
        waits = (sent[0] + rate.window_s - now_s for rate, sent in self._windows if len(sent) == rate.messages)
        return max(0.0, max(waits, default=0.0))

    def sent(self, now_s: float, *, ping: bool = False) -> None:
        """Note that a message went out."""
        for rate, sent in self._windows:
            if rate.pings_count or not ping:
                sent.append(now_s)
