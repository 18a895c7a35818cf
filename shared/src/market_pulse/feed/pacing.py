"""How fast we may speak to an exchange: strict rolling windows, which a token bucket would overrun at its start."""

from collections import deque

from .adapter import Rate


class Pacer:
    """Counts messages sent and says how long the next one has to wait. Time is passed in."""

    def __init__(self, rates: tuple[Rate, ...]) -> None:
        self._rates = rates
        self._sent: deque[float] = deque(maxlen=max((rate.messages for rate in rates), default=1))

    def delay_s(self, now_s: float) -> float:
        """Return the seconds until the next message may go: zero when it may go now."""
        waits = (self._sent[-rate.messages] + rate.window_s - now_s for rate in self._rates if len(self._sent) >= rate.messages)
        return max(0.0, max(waits, default=0.0))

    def sent(self, now_s: float) -> None:
        """Note that a message went out."""
        self._sent.append(now_s)
