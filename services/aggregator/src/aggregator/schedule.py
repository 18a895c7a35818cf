"""When each symbol's next ticker is due: a change at once, then at most so often, and a heartbeat when nothing changes.

No clock and no waiting: time is an argument, in seconds of any monotonic clock. All is bounded by the number of symbols: what
changes while it must wait stays one entry, so nothing ever queues.
"""

import heapq
from itertools import islice

from market_pulse.model import Symbol

NEVER = float("-inf")


class Schedule:
    """The symbols that changed, and when each was last published.

    Args:
        min_interval_s: a symbol goes out no sooner than this after it last went out; at most `heartbeat_s`.
        heartbeat_s: a symbol that did not change goes out again after this.
    """

    def __init__(self, min_interval_s: float, heartbeat_s: float) -> None:
        self._min_interval_s = min_interval_s
        self._heartbeat_s = heartbeat_s
        self._published_s: dict[Symbol, float] = {}  # in the order of publication: the first is the next to beat
        self._changed: set[Symbol] = set()
        self._ready: dict[Symbol, None] = {}  # changed, and may go now
        self._waiting: list[tuple[float, Symbol]] = []  # changed, but went out too recently: a heap by when it may go

    def touch(self, symbol: Symbol, now_s: float) -> bool:
        """Note that a symbol changed. Return False when that was known already: the newer state takes the older one's place."""
        if symbol in self._changed:
            return False
        self._changed.add(symbol)
        may_go_s = self._published_s.get(symbol, NEVER) + self._min_interval_s
        if may_go_s <= now_s:
            self._ready[symbol] = None
        else:
            heapq.heappush(self._waiting, (may_go_s, symbol))
        return True

    def due(self, now_s: float, limit: int) -> list[Symbol]:
        """Take the symbols that are due, changed ones first, and count them as published now."""
        while self._waiting and self._waiting[0][0] <= now_s:
            self._ready[heapq.heappop(self._waiting)[1]] = None
        symbols = list(islice(self._ready, limit))
        if len(symbols) < limit:
            symbols += self._silent(now_s, limit - len(symbols))
        for symbol in symbols:
            self._ready.pop(symbol, None)
            self._changed.discard(symbol)
            self._published_s.pop(symbol, None)
            self._published_s[symbol] = now_s
        return symbols

    def next_s(self) -> float | None:
        """Return when something is due next, which may be in the past, or None while there is no symbol."""
        if self._ready:
            return NEVER
        times = [self._waiting[0][0]] if self._waiting else []
        if self._published_s:
            times.append(next(iter(self._published_s.values())) + self._heartbeat_s)
        return min(times, default=None)

    def changed(self) -> list[Symbol]:
        """Return the symbols that changed since they were published, due or not."""
        return list(self._changed)

    def drop(self, symbol: Symbol) -> None:
        """Forget a symbol: neither its change nor its heartbeat is due any more."""
        self._published_s.pop(symbol, None)
        self._ready.pop(symbol, None)
        if symbol in self._changed:
            self._changed.remove(symbol)
            self._waiting = [entry for entry in self._waiting if entry[1] != symbol]
            heapq.heapify(self._waiting)

    def _silent(self, now_s: float, limit: int) -> list[Symbol]:
        silent: list[Symbol] = []
        for symbol, published_s in self._published_s.items():
            if len(silent) == limit or published_s + self._heartbeat_s > now_s:
                break
            if symbol not in self._changed:
                silent.append(symbol)
        return silent
