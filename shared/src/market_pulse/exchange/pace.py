"""How fast a symbol speaks, by its own past: whether its silence is suspicious. Pure: time is passed in, in milliseconds."""

from typing import Final

EVENTS_TO_KNOW: Final = 20
SPAN_TO_KNOW_MS: Final = 10_000  # a burst of trades says nothing about the pause after it
PATIENCE: Final = 10.0  # times the longest pause lately
FADE_MS: Final = 900_000.0  # a long pause is forgotten little by little
LONGEST_MS: Final = 300_000  # a longer pause need not be measured: nobody waits for it


class Pace:
    """One symbol's pauses between two events on one socket."""

    __slots__ = ("_events", "_heard_ms", "_longest_ms", "_span_ms")

    def __init__(self) -> None:
        self._events = 0
        self._heard_ms = 0  # 0: there is nothing to measure the next pause from
        self._longest_ms = 0.0
        self._span_ms = 0

    def pause(self) -> None:
        """Do not measure from the last event to the next: what lies between them is no silence of the symbol's own."""
        self._heard_ms = 0

    def heard(self, now_ms: int) -> None:
        """Count an event."""
        self._events += 1
        heard_ms, self._heard_ms = self._heard_ms, now_ms
        if now_ms > heard_ms > 0:
            pause_ms = now_ms - heard_ms
            pause_ms = min(pause_ms, LONGEST_MS)
            self._span_ms += pause_ms
            faded_ms = self._longest_ms * (1 - pause_ms / FADE_MS)
            self._longest_ms = max(faded_ms, pause_ms)

    def limit_s(self) -> float | None:
        """Return after how many seconds its silence is suspicious; None while too little is known of it."""
        if self._events < EVENTS_TO_KNOW or self._span_ms < SPAN_TO_KNOW_MS:
            return None
        return PATIENCE * max(self._longest_ms, 1.0) / 1000
