"""Which symbols an ingest carries: the featured ones always, any other listed one while somebody wants it. No I/O."""

import random
import secrets
import time
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import urlsplit

from market_pulse.messages import Symbol


class Lots:
    """Draws lots for symbols that are first wanted at the same time.

    Two processes with the same secret draw the same lot for a symbol in the same second, so copies of an ingest choose alike.
    Without the secret nobody can tell which name will be lucky in which second.

    Args:
        secret: what the copies share.
        clock: Unix seconds.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = blake2b(secret, digest_size=32).digest()
        self._clock = clock

    @classmethod
    def of(cls, redis_url: str) -> "Lots":
        """Return lots whose secret is a Redis URL's password. Where it has none, each copy draws lots of its own."""
        password = urlsplit(redis_url).password
        return cls(password.encode() if password else secrets.token_bytes(32))

    def draw(self, symbol: Symbol) -> bytes:
        """Return a symbol's lot in this second. The lowest comes first."""
        return blake2b(f"{int(self._clock())} {symbol}".encode(), key=self._key, digest_size=16).digest()


@dataclass(slots=True)
class _Wish:
    """A symbol that is wanted, or was until a moment ago: its place in the queue, and when it was last wanted."""

    place: tuple[float, object]
    last_wanted_s: float
    carried: bool = False


class Demand:
    """Shares the room that MAX_SYMBOLS leaves beside the featured symbols.

    A symbol that is carried and wanted stays. One that is wanted and not carried waits; the longest waiting is the first to
    get room, and between those that were first wanted at the same time lots decide. A symbol that nobody wants any more lingers
    for a grace period, but yields to one that is wanted: the longest unwanted first.

    Args:
        featured: what is always carried.
        max_symbols: how many symbols may be carried, the featured ones included.
        grace_s: how long an unwanted symbol lingers, where there is room.
        draw: a symbol's lot.
    """

    def __init__(
        self,
        featured: Iterable[Symbol],
        max_symbols: int,
        grace_s: float,
        draw: Callable[[Symbol], object] = lambda _: random.random(),
    ) -> None:
        self._featured = tuple(featured)
        self._max_symbols = max_symbols
        self._grace_s = grace_s
        self._draw = draw
        self._wishes: dict[Symbol, _Wish] = {}
        self._wanted: frozenset[Symbol] = frozenset()
        # The wanted symbols that found no room, the longest waiting first.
        self.turned_away: tuple[Symbol, ...] = ()
        # How many carried symbols nobody wants any more.
        self.lingering = 0

    def update(self, now_s: float, subscribed: Iterable[Symbol] | None, listed: Container[Symbol] | None) -> tuple[Symbol, ...]:
        """Return the symbols to carry now: the featured ones, then the wanted ones, then those that linger.

        Args:
            now_s: a monotonic clock, in seconds.
            subscribed: the symbols somebody is subscribed to at this moment; None: not known, so it is as it was before.
            listed: the symbols that the exchange lists; None: not known yet, then only the featured ones are tried.
        """
        if listed is None:
            return self._featured[: self._max_symbols]
        if subscribed is not None:
            self._wanted = frozenset(subscribed)
        featured = [symbol for symbol in self._featured if symbol in listed][: self._max_symbols]
        wanted = {symbol for symbol in self._wanted if symbol in listed} - set(featured)
        self._note(now_s, wanted)

        # Carried symbols come before waiting ones, and each by its place.
        queue = sorted(wanted, key=lambda symbol: (not self._wishes[symbol].carried, self._wishes[symbol].place))
        room = self._max_symbols - len(featured)
        served, self.turned_away = queue[:room], tuple(queue[room:])

        # Lingering symbols have the rest. The longest unwanted stand at the end, where the room may not reach.
        unwanted = [
            symbol
            for symbol, wish in self._wishes.items()
            if symbol not in wanted
            and symbol in listed
            and now_s - wish.last_wanted_s <= self._grace_s
            and symbol not in featured
        ]
        unwanted.sort(key=lambda symbol: (-self._wishes[symbol].last_wanted_s, self._wishes[symbol].place))
        lingering = unwanted[: room - len(served)]
        self.lingering = len(lingering)

        self._wishes = {symbol: self._wishes[symbol] for symbol in (*queue, *lingering)}
        for at, symbol in enumerate(queue):
            self._wishes[symbol].carried = at < room
        return (*featured, *served, *lingering)

    def _note(self, now_s: float, wanted: Iterable[Symbol]) -> None:
        """Give each symbol that is news its place, and forget those that left the queue before they were carried."""
        for symbol in wanted:
            wish = self._wishes.get(symbol)
            if wish is None:
                self._wishes[symbol] = _Wish((now_s, self._draw(symbol)), now_s)
            else:
                wish.last_wanted_s = now_s
        self._wishes = {symbol: wish for symbol, wish in self._wishes.items() if wish.carried or wish.last_wanted_s == now_s}
