"""Which symbols are wanted, by how many, and what is known of each. Knows no stream's bytes."""

import asyncio
from collections.abc import Callable, Iterable, Iterator

from market_pulse.model import Symbol
from market_pulse.tickers import LatestTicker

from .streams import Group

LINGER_S = 5.0  # how long a symbol stays subscribed after the last one who wanted it


class Topic:
    """A symbol that somebody wants: what is known of it, who is told, and since when nobody has wanted it."""

    __slots__ = ("aged_event", "aged_for", "created", "event", "groups", "holders", "idle_since", "latest", "level", "live")

    def __init__(self, now: float) -> None:
        self.created = now
        self.holders = 0
        self.idle_since = now
        self.latest: LatestTicker | None = None
        self.event = b""  # the newest event sent
        self.level = 0  # the staleness that it told of
        self.aged_event = b""  # what who comes later is told of a ticker that has grown old since
        self.aged_for: tuple[LatestTicker, int, int] | None = None  # of which ticker, staleness and second that is
        self.live = asyncio.Event()  # a live ticker has come
        self.groups: set[Group] = set()


class Topics:
    """The wanted symbols. `changed` is set whenever the bus has to be asked for more or less."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.changed = asyncio.Event()
        self._clock = clock
        self._topics: dict[Symbol, Topic] = {}

    @property
    def wanted(self) -> set[Symbol]:
        """The symbols that the bus shall be asked for."""
        return set(self._topics)

    def __getitem__(self, symbol: Symbol) -> Topic:
        return self._topics[symbol]

    def __iter__(self) -> Iterator[tuple[Symbol, Topic]]:
        return iter(self._topics.items())

    def find(self, symbol: Symbol) -> Topic | None:
        """Return a symbol's topic, or None where nobody wants it."""
        return self._topics.get(symbol)

    def hold(self, symbols: Iterable[Symbol]) -> None:
        """Want symbols, until `release` is called as often."""
        for symbol in symbols:
            topic = self._topics.get(symbol)
            if topic is None:
                topic = self._topics[symbol] = Topic(self._clock())
                self.changed.set()
            topic.holders += 1

    def release(self, symbols: Iterable[Symbol]) -> None:
        """Want symbols no longer. They stay subscribed for LINGER_S."""
        for symbol in symbols:
            topic = self._topics[symbol]
            topic.holders -= 1
            topic.idle_since = self._clock()

    def expire(self) -> None:
        """Drop the symbols that nobody has wanted for LINGER_S."""
        now = self._clock()
        for symbol, topic in list(self._topics.items()):
            if topic.holders == 0 and now - topic.idle_since >= LINGER_S:
                del self._topics[symbol]
                self.changed.set()

    async def wait_live(self, symbols: Iterable[Symbol], within_s: float) -> None:
        """Wait until each of these held symbols has had a live ticker, or has been wanted for `within_s` without one."""
        now = self._clock()
        topics = [self._topics[symbol] for symbol in symbols]
        waits = [
            asyncio.wait_for(topic.live.wait(), topic.created + within_s - now)
            for topic in topics
            if not topic.live.is_set() and topic.created + within_s > now
        ]
        await asyncio.gather(*waits, return_exceptions=True)
