"""Rate limits for our messages to an exchange: rolling windows. A token bucket would exceed them with its first burst."""

from collections import deque

from .adapter import Rate


class Pacer:
    """Counts the messages sent, and computes how long the next one must wait. Time is passed in."""

    def __init__(self, rates: tuple[Rate, ...]) -> None:
        self._windows = [(rate, deque[float](maxlen=rate.messages)) for rate in rates]

    def delay_s(self, now_s: float) -> float:
        """Return the seconds until the next message may be sent: zero if it may be sent now."""
        waits = (sent[0] + rate.window_s - now_s for rate, sent in self._windows if len(sent) == rate.messages)
        return max(0.0, max(waits, default=0.0))

    def sent(self, now_s: float, *, ping: bool = False) -> None:
        """Note that a message was sent."""
        for rate, sent in self._windows:
            if rate.pings_count or not ping:
                sent.append(now_s)
