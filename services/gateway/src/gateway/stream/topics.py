"""Which symbols are wanted, by how many, and what is known of each. Knows no stream's bytes."""

import asyncio
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Literal, NamedTuple

from market_pulse.messages import Symbol
from market_pulse.tickers import LatestTicker

from .outbox import Group

LINGER_S = 5.0  # how long a symbol stays subscribed after the last one who wanted it, while there is room
SHARE_OF_ROOM = 4  # one address gets one part in so many of MAX_SYMBOLS


class NoRoom(NamedTuple):
    """Why a symbol has no room: the exchanges that list it are full, or the addresses that want it have their share."""

    reason: Literal["full", "share"]
    exchanges: tuple[str, ...] = ()


class Topic:
    """A symbol that somebody wants: what is known of it, who is told, and since when nobody has wanted it."""

    __slots__ = (
        "aged_event",
        "aged_for",
        "event",
        "groups",
        "holders",
        "idle_since",
        "latest",
        "level",
        "live",
        "no_room",
        "room_event",
        "sharers",
        "wanted_since",
    )

    def __init__(self, now: float) -> None:
        self.wanted_since = now  # by anyone within whose share it is
        self.holders = 0
        self.sharers = 0  # addresses within whose share it is
        self.idle_since = now
        self.latest: LatestTicker | None = None
        self.event = b""  # the newest event sent
        self.level = 0  # the staleness that it told of
        self.aged_event = b""  # what who comes later is told of a ticker that has grown old since
        self.aged_for: tuple[LatestTicker, int, int] | None = None  # of which ticker, staleness and second that is
        self.live = asyncio.Event()  # a live ticker has come
        self.no_room: NoRoom | None = None  # as was told last
        self.room_event = b""  # the event that told it; empty where there was always room
        self.groups: set[Group] = set()


class _Address:
    """The symbols that one address wants, and how often each: within its share, and beyond it in the order they came."""

    __slots__ = ("beyond", "within")

    def __init__(self) -> None:
        self.within: dict[Symbol, int] = {}
        self.beyond: dict[Symbol, int] = {}


class Topics:
    """The wanted symbols. `changed` is set whenever the bus has to be asked for more or less.

    While there is room the bus is asked for every wanted symbol, and for each that was wanted until LINGER_S ago. When room
    becomes short it is asked for the featured symbols, and of each address for the symbols that it asked for first, `share` at
    most. So nobody can lock others out by holding names open.

    Args:
        clock: monotonic seconds.
        featured: symbols that are wanted always and count towards no share.
        share: how many other symbols one address gets once room is short.
    """

    def __init__(self, clock: Callable[[], float], featured: Iterable[Symbol] = (), share: int = 50) -> None:
        self.changed = asyncio.Event()
        self.share = share
        self._clock = clock
        self._topics: dict[Symbol, Topic] = {}
        self._addresses: dict[str, _Address] = {}
        self._room_is_short = False
        self._featured: Container[Symbol] = frozenset(featured)
        for symbol in featured:
            topic = self._topics[symbol] = Topic(clock())
            topic.holders = topic.sharers = 1
            self.changed.set()

    @property
    def room_is_short(self) -> bool:
        """Whether more is wanted than the exchanges' ingests carry."""
        return self._room_is_short

    @room_is_short.setter
    def room_is_short(self, is_short: bool) -> None:
        if is_short != self._room_is_short:
            self._room_is_short = is_short
            self.changed.set()

    @property
    def wanted(self) -> set[Symbol]:
        """The symbols that the bus shall be asked for."""
        if not self._room_is_short:
            return set(self._topics)
        return {symbol for symbol, topic in self._topics.items() if topic.sharers}

    @property
    def beyond_share(self) -> int:
        """How many symbols the bus is not asked for, because all who want them have their share."""
        return sum(topic.holders > 0 and not topic.sharers for topic in self._topics.values()) if self._room_is_short else 0

    def __getitem__(self, symbol: Symbol) -> Topic:
        return self._topics[symbol]

    def __iter__(self) -> Iterator[tuple[Symbol, Topic]]:
        return iter(self._topics.items())

    def find(self, symbol: Symbol) -> Topic | None:
        """Return a symbol's topic, or None where nobody wants it."""
        return self._topics.get(symbol)

    def hold(self, symbols: Iterable[Symbol], owner: str) -> None:
        """Want symbols for an address, until `release` is called as often."""
        for symbol in symbols:
            topic = self._topics.get(symbol)
            if topic is None:
                topic = self._topics[symbol] = Topic(self._clock())
                self.changed.set()
            topic.holders += 1
            if symbol not in self._featured:
                self._count(self._addresses.setdefault(owner, _Address()), symbol, topic)

    def release(self, symbols: Iterable[Symbol], owner: str) -> None:
        """Want symbols no longer for an address. While there is room they stay subscribed for LINGER_S."""
        for symbol in symbols:
            topic = self._topics[symbol]
            topic.holders -= 1
            topic.idle_since = self._clock()
            if symbol not in self._featured:
                address = self._addresses[owner]
                self._count_down(address, symbol, topic)
                if not address.within and not address.beyond:
                    del self._addresses[owner]

    def _count(self, address: _Address, symbol: Symbol, topic: Topic) -> None:
        if symbol in address.within:
            address.within[symbol] += 1
        elif symbol in address.beyond:
            address.beyond[symbol] += 1
        elif len(address.within) < self.share:
            address.within[symbol] = 1
            self._take_into_share(topic)
        else:
            address.beyond[symbol] = 1

    def _count_down(self, address: _Address, symbol: Symbol, topic: Topic) -> None:
        counts = address.within if symbol in address.within else address.beyond
        counts[symbol] -= 1
        if counts[symbol]:
            return
        del counts[symbol]
        if counts is address.within:
            topic.sharers -= 1
            self.changed.set()
            self._fill_up(address)

    def _fill_up(self, address: _Address) -> None:
        """Let the symbol that has waited the longest beyond an address's share come into it."""
        if address.beyond:
            symbol = next(iter(address.beyond))
            address.within[symbol] = address.beyond.pop(symbol)
            self._take_into_share(self._topics[symbol])

    def _take_into_share(self, topic: Topic) -> None:
        if not topic.sharers:
            topic.wanted_since = self._clock()
            if self._room_is_short:  # the bus was not asked for it, so what is known of it is old
                topic.live.clear()
            self.changed.set()
        topic.sharers += 1

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
            asyncio.wait_for(topic.live.wait(), topic.wanted_since + within_s - now)
            for topic in topics
            if not topic.live.is_set() and topic.wanted_since + within_s > now
        ]
        await asyncio.gather(*waits, return_exceptions=True)
