"""When each symbol's next ticker is due: at once after a change, within a maximum rate; and without a change, as a heartbeat.

No clock and no waiting: time is an argument, in seconds of any monotonic clock. A symbol that changes again while it waits
stays one entry, so memory is bounded by the number of symbols.
"""

import heapq
from itertools import islice

from market_pulse.messages import Symbol

NEVER = float("-inf")
AT_ONCE_SHARE = 0.1
"""This share of a second's tickers may be published without any distance between them. The others are spread evenly.

Most symbols change a few times a second, and often twice at almost the same time: at two exchanges, or by a trade and a quote.
With even distances only, the second change would wait some 20 ms at the default rate, without any benefit.
"""


class Schedule:
    """The symbols that changed, and when each was last published.

    Args:
        max_rate_hz: how many times a symbol may be published in any second, at least 1.
        heartbeat_s: after how many seconds a symbol that did not change is published again, at least 1.
    """

    def __init__(self, max_rate_hz: float, heartbeat_s: float) -> None:
        at_once = int(max_rate_hz * AT_ONCE_SHARE)
        self._interval_s = 1 / (max_rate_hz - at_once)
        self._ahead_s = at_once * self._interval_s
        self._heartbeat_s = heartbeat_s
        self._even_s: dict[Symbol, float] = {}  # when a symbol would be due next if its tickers were spread evenly
        self._published_s: dict[Symbol, float] = {}  # ordered by publication: the first has the next heartbeat
        self._changed: set[Symbol] = set()
        self._ready: dict[Symbol, None] = {}  # symbols that changed and may be published now
        self._waiting: list[tuple[float, Symbol]] = []  # symbols that changed but must wait: a heap by when they may go

    def touch(self, symbol: Symbol, now_s: float) -> bool:
        """Note that a symbol changed. Return False if an earlier change of it is not published yet: the two become one."""
        if symbol in self._changed:
            return False
        self._changed.add(symbol)
        may_go_s = self._even_s.get(symbol, NEVER) - self._ahead_s
        if may_go_s <= now_s:
            self._ready[symbol] = None
        else:
            heapq.heappush(self._waiting, (may_go_s, symbol))
        return True

    def due(self, now_s: float, limit: int) -> list[Symbol]:
        """Return at most `limit` symbols that are due, changed ones first. They count as published at `now_s`."""
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
            self._even_s[symbol] = max(self._even_s.get(symbol, NEVER), now_s) + self._interval_s
        return symbols

    def next_s(self) -> float | None:
        """Return when the next symbol is due, which may be in the past, or None if there is no symbol."""
        if self._ready:
            return NEVER
        times = [self._waiting[0][0]] if self._waiting else []
        if self._published_s:
            times.append(next(iter(self._published_s.values())) + self._heartbeat_s)
        return min(times, default=None)

    def changed(self) -> list[Symbol]:
        """Return the symbols that changed since they were last published, whether they are due or not."""
        return list(self._changed)

    def drop(self, symbol: Symbol) -> None:
        """Forget a symbol, with its change and its heartbeat."""
        self._published_s.pop(symbol, None)
        self._even_s.pop(symbol, None)
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
