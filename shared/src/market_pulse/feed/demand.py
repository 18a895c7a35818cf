"""Which symbols an ingest carries: the featured ones always, any other listed one while somebody wants it. Pure."""

from collections.abc import Collection, Container, Iterable

from market_pulse.model import Symbol


class Demand:
    """Remembers who was wanted when, so that a symbol outlives its last subscriber by a grace period."""

    def __init__(self, featured: Iterable[Symbol], max_symbols: int, grace_s: float) -> None:
        self._featured = tuple(featured)
        self._max_symbols = max_symbols
        self._grace_s = grace_s
        self._last_wanted_s: dict[Symbol, float] = {}
        self.turned_away: frozenset[Symbol] = frozenset()

    def update(self, now_s: float, subscribed: Collection[Symbol], listed: Container[Symbol] | None) -> tuple[Symbol, ...]:
        """Return the symbols to carry now, the featured ones first.

        Args:
            now_s: a monotonic clock, in seconds.
            subscribed: the symbols somebody is subscribed to at this moment.
            listed: the symbols that the exchange lists; None: not known yet, then only the featured ones are tried.
        """
        if listed is None:
            return self._featured[: self._max_symbols]
        featured = [symbol for symbol in self._featured if symbol in listed][: self._max_symbols]
        room = self._max_symbols - len(featured)
        self._last_wanted_s = {
            symbol: seen_s
            for symbol, seen_s in self._last_wanted_s.items()
            if symbol in listed and (now_s - seen_s <= self._grace_s or symbol in subscribed)
        }
        turned_away = []
        for symbol in sorted(subscribed):
            if symbol not in listed or symbol in featured:
                continue
            if symbol in self._last_wanted_s or len(self._last_wanted_s) < room:
                self._last_wanted_s[symbol] = now_s
            else:
                turned_away.append(symbol)
        self.turned_away = frozenset(turned_away)
        return (*featured, *self._last_wanted_s)
