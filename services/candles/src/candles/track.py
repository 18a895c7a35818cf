"""The live candles of one interval: the open one, and those that are over but not closed yet. Pure."""

from .live import Live, joined

MOST_RECENT = 10
"""So many closed live candles are remembered, so that their corrections can name their first and last ticker."""


class Track:
    """The live candles of one interval. `step_ms` is how long each lasts."""

    def __init__(self, step_ms: int) -> None:
        self.step_ms = step_ms
        self.open: Live | None = None
        self.over: dict[int, Live] = {}
        self.recent: dict[int, Live] = {}

    def add(self, minute_ms: int, price: float, seq: int, unpriced: int, received_ms: int, unheard: int, lacking: int) -> None:
        """Add a ticker that belongs to a minute. If a new candle begins with it, the open one is over.

        `unheard` is how many tickers before this one were not heard. If a new candle begins with it, the open one may lack
        them at its end. `lacking` is how many the new one may lack at its beginning.
        """
        start_ms = minute_ms - minute_ms % self.step_ms
        if self.open is not None and self.open.start_ms == start_ms:
            self.open.add(price, seq, unpriced, received_ms)
            return
        self.end(unheard)
        self.open = Live(start_ms, start_ms + self.step_ms, price, price, price, price, seq, seq, 1, received_ms, lacking)

    def end(self, unheard: int = 0) -> None:
        """Note that the open candle is over, and how many tickers were not heard at its end."""
        if self.open is not None:
            self.open.lacking += unheard
            self.over[self.open.start_ms] = self.open
            self.open = None

    def resume(self, live: Live) -> None:
        """Go on with a candle that an earlier process has begun. It is over if a later one is open."""
        if self.open is None and not any(start_ms > live.start_ms for start_ms in self.over):
            self.open = live
        elif self.open is not None and self.open.start_ms == live.start_ms:
            self.open = joined(live, self.open)
        elif self.open is not None and self.open.start_ms < live.start_ms:
            self.end(max(0, live.first_seq - self.open.last_seq - 1))
            self.open = live
        else:
            if self.open is not None:
                live.lacking += max(0, self.open.first_seq - live.last_seq - 1)
            known = self.over.get(live.start_ms)
            self.over[live.start_ms] = live if known is None else joined(live, known)

    def close(self, start_ms: int) -> Live:
        """Remove a candle that is over, and remember it among the recent ones."""
        live = self.recent[start_ms] = self.over.pop(start_ms)
        while len(self.recent) > MOST_RECENT:
            del self.recent[min(self.recent)]
        return live

    def find(self, time_ms: int) -> Live | None:
        """Return the candle that is open, or over but not closed, and contains a moment."""
        start_ms = time_ms - time_ms % self.step_ms
        if self.open is not None and self.open.start_ms == start_ms:
            return self.open
        return self.over.get(start_ms)

    def between(self, start_ms: int, end_ms: int) -> list[Live]:
        """Return the candles that are open, or over but not closed, and begin in a span of time, in order."""
        found = [live for live in self.over.values() if start_ms <= live.start_ms < end_ms]
        if self.open is not None and start_ms <= self.open.start_ms < end_ms:
            found.append(self.open)
        return sorted(found, key=lambda live: live.start_ms)

    def forget_after(self, time_ms: int) -> None:
        """Forget the candles that begin after a moment: a clock that was wrong has made them."""
        if self.open is not None and self.open.start_ms > time_ms:
            self.open = None
        self.over = {start_ms: live for start_ms, live in self.over.items() if start_ms <= time_ms}
