"""How long a symbol is usually silent between two events, and so from when on its silence is suspicious. Time is passed in."""

from typing import Final

EVENTS_TO_KNOW: Final = 20
SPAN_TO_KNOW_MS: Final = 10_000  # measured for less time, for example in a burst of trades, usual pauses are not known
PATIENCE: Final = 10.0  # silence is suspicious after this many times the longest recent pause
FADE_MS: Final = 900_000.0  # each later pause shortens the remembered longest pause by the factor 1 - pause / FADE_MS
LONGEST_MS: Final = 300_000  # pauses are measured up to this: no socket may be silent for longer (QUIET_LIMIT_S)


class Pace:
    """One symbol's pauses between its events. Times are Unix milliseconds."""

    __slots__ = ("_events", "_heard_ms", "_longest_ms", "_span_ms")

    def __init__(self) -> None:
        self._events = 0
        self._heard_ms = 0  # when the last event arrived; 0: do not measure the pause before the next event
        self._longest_ms = 0.0  # the longest recent pause
        self._span_ms = 0  # the sum of all pauses measured

    def pause(self) -> None:
        """Do not measure the pause before the next event, because it is not the symbol that is silent meanwhile."""
        self._heard_ms = 0

    def heard(self, now_ms: int) -> None:
        """Note that an event has arrived."""
        self._events += 1
        heard_ms, self._heard_ms = self._heard_ms, now_ms
        if now_ms > heard_ms > 0:
            pause_ms = now_ms - heard_ms
            pause_ms = min(pause_ms, LONGEST_MS)
            self._span_ms += pause_ms
            faded_ms = self._longest_ms * (1 - pause_ms / FADE_MS)
            self._longest_ms = max(faded_ms, pause_ms)

    def limit_s(self) -> float | None:
        """Return after how many seconds the symbol's silence is suspicious; None while too few events have been seen."""
        if self._events < EVENTS_TO_KNOW or self._span_ms < SPAN_TO_KNOW_MS:
            return None
        return PATIENCE * max(self._longest_ms, 1.0) / 1000
