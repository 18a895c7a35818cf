"""Which symbols get candles: the featured ones always, others while they have subscribers and for a while after. Pure."""

from collections.abc import Iterable

from market_pulse.messages import Symbol, unique


class Wanted:
    """Shares out the room among symbols: first come, first served.

    A symbol with subscribers that has room keeps it. One that has none left lingers for a grace period, but yields to one that
    is wanted; the longest unwanted yields first.

    Args:
        featured: the symbols that always have candles.
        most: how many symbols may have candles, with the featured ones.
        grace_s: for how long a symbol keeps its candles after its last subscriber has left, in seconds.
    """

    def __init__(self, featured: Iterable[Symbol], most: int, grace_s: float) -> None:
        self._featured = unique(featured)[:most]
        self._most = most
        self._grace_s = grace_s
        # When each further symbol was last wanted, in the order in which they came.
        self._last_s: dict[Symbol, float] = {}
        self.turned_away: tuple[Symbol, ...] = ()

    def update(self, now_s: float, subscribed: Iterable[Symbol] | None) -> tuple[Symbol, ...]:
        """Return the symbols that have room now.

        Args:
            now_s: a monotonic clock, in seconds.
            subscribed: the symbols that have subscribers; None: not known, so nothing changes.
        """
        if subscribed is None:
            return (*self._featured, *self._last_s)
        wanted = set(subscribed).difference(self._featured)
        room = self._most - len(self._featured)
        served = [symbol for symbol in self._last_s if symbol in wanted]
        served += sorted(wanted.difference(served))  # those that came in the same second, by name
        self.turned_away = tuple(served[room:])
        served = served[:room]
        lingering = [
            symbol for symbol, last_s in self._last_s.items() if symbol not in wanted and now_s - last_s <= self._grace_s
        ]
        lingering.sort(key=self._last_s.__getitem__, reverse=True)
        lingering = lingering[: room - len(served)]
        last_s = dict.fromkeys(served, now_s) | {symbol: self._last_s[symbol] for symbol in lingering}
        self._last_s = {symbol: last_s[symbol] for symbol in unique((*self._last_s, *served)) if symbol in last_s}
        return (*self._featured, *self._last_s)
