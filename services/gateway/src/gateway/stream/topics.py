"""The wanted channels, and the demand for each one."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from market_pulse.kinds import Kind
from market_pulse.messages import Symbol

from .topic import Topic

LINGER_S = 5.0  # while there is room, a channel stays subscribed for this long after its last client has left
SHARE_OF_ROOM = 4  # one address gets MAX_SYMBOLS divided by this


class _Address:
    """The channels of one kind that an address wants, and how often it holds each: within its share, and later ones beyond."""

    __slots__ = ("beyond", "within")

    def __init__(self) -> None:
        self.within: dict[str, int] = {}
        self.beyond: dict[str, int] = {}


class Topics:
    """The wanted channels. `changed` is set whenever the process has to subscribe to more or fewer of them.

    While there is room, the process subscribes to every wanted channel, and to each that was wanted until LINGER_S ago. While
    room is short, it subscribes to the featured channels, and for each address and each kind to the channels that it asked for
    first, up to the kind's share. So a client that asks for many symbols cannot keep other clients from theirs.

    Args:
        clock: monotonic seconds.
        featured: channels that are always wanted. All channels of their symbols count towards no share.
        share: how many other channels of a kind one address gets once room is short.
        shares: the same for the kinds that have another share.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        featured: Iterable[str] = (),
        share: int = 50,
        shares: Mapping[Kind, int] = MappingProxyType({}),
    ) -> None:
        self.changed = asyncio.Event()
        self._share, self._shares = share, shares
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self._addresses: dict[tuple[str, Kind], _Address] = {}  # those that want channels of symbols that are not featured
        self._room_is_short = False
        for channel in featured:
            topic = self._topics[channel] = Topic(channel, clock())
            topic.holders = topic.sharers = 1
            self.changed.set()
        self._featured = frozenset(topic.symbol for topic in self._topics.values())

    @property
    def room_is_short(self) -> bool:
        """Whether more symbols are wanted than the exchanges' ingests carry."""
        return self._room_is_short

    @room_is_short.setter
    def room_is_short(self, is_short: bool) -> None:
        if is_short != self._room_is_short:
            self._room_is_short = is_short
            self.changed.set()

    @property
    def wanted(self) -> set[str]:
        """The channels to subscribe to."""
        if not self._room_is_short:
            return set(self._topics)
        return {channel for channel, topic in self._topics.items() if topic.sharers}

    @property
    def symbols(self) -> set[Symbol]:
        """The symbols of the channels to subscribe to."""
        return {self._topics[channel].symbol for channel in self.wanted}

    @property
    def by_kind(self) -> Counter[str]:
        """How many channels of each kind to subscribe to, by the kind's name."""
        return Counter(self._topics[channel].kind.name for channel in self.wanted)

    def share_of(self, kind: Kind) -> int:
        """Return how many channels of a kind one address gets while room is short."""
        return self._shares.get(kind, self._share)

    @property
    def beyond_share(self) -> int:
        """How many symbols have wanted channels that are not subscribed to: all addresses that want those have their share."""
        if not self._room_is_short:
            return 0
        return len({topic.symbol for topic in self._topics.values() if topic.holders > 0 and not topic.sharers})

    def __getitem__(self, channel: str) -> Topic:
        return self._topics[channel]

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def find(self, channel: str) -> Topic | None:
        """Return a channel's topic, or None if the channel is not wanted."""
        return self._topics.get(channel)

    def held_for_s(self, channel: str) -> float:
        """Return how long a held channel has been wanted."""
        return self._clock() - self._topics[channel].wanted_since

    def hold(self, channels: Iterable[str], owner: str) -> None:
        """Hold channels for an address, until `release` has been called as often."""
        for channel in channels:
            topic = self._topics.get(channel)
            if topic is None:
                topic = self._topics[channel] = Topic(channel, self._clock())
                self.changed.set()
            topic.holders += 1
            if topic.symbol in self._featured:
                topic.sharers += 1
                self.changed.set()
            else:
                self._count(self._addresses.setdefault((owner, topic.kind), _Address()), topic)

    def release(self, channels: Iterable[str], owner: str) -> None:
        """Release channels that an address held. While there is room, they stay subscribed for LINGER_S."""
        for channel in channels:
            topic = self._topics[channel]
            topic.holders -= 1
            topic.idle_since = self._clock()
            if topic.symbol in self._featured:
                topic.sharers -= 1
                self.changed.set()
                continue
            address = self._addresses[owner, topic.kind]
            self._count_down(address, topic)
            if not address.within and not address.beyond:
                del self._addresses[owner, topic.kind]

    def _count(self, address: _Address, topic: Topic) -> None:
        channel = topic.channel
        if channel in address.within:
            address.within[channel] += 1
        elif channel in address.beyond:
            address.beyond[channel] += 1
        elif len(address.within) < self.share_of(topic.kind):
            address.within[channel] = 1
            self._take_into_share(topic)
        else:
            address.beyond[channel] = 1

    def _count_down(self, address: _Address, topic: Topic) -> None:
        channel = topic.channel
        counts = address.within if channel in address.within else address.beyond
        counts[channel] -= 1
        if counts[channel]:
            return
        del counts[channel]
        if counts is address.within:
            topic.sharers -= 1
            self.changed.set()
            self._fill_up(address)

    def _fill_up(self, address: _Address) -> None:
        """Move the channel that has waited the longest beyond an address's share into the share."""
        if address.beyond:
            channel = next(iter(address.beyond))
            address.within[channel] = address.beyond.pop(channel)
            self._take_into_share(self._topics[channel])

    def _take_into_share(self, topic: Topic) -> None:
        if not topic.sharers:
            topic.wanted_since = self._clock()
            if self._room_is_short:  # the channel was not subscribed to, so its latest message is old
                topic.live.clear()
            self.changed.set()
        topic.sharers += 1

    def expire(self) -> None:
        """Drop the channels that have not been held for LINGER_S."""
        now = self._clock()
        for channel, topic in list(self._topics.items()):
            if topic.holders == 0 and now - topic.idle_since >= LINGER_S:
                del self._topics[channel]
                self.changed.set()

    async def wait_live(self, channels: Iterable[str], within_s: float) -> None:
        """Wait until each of these held channels has had a live message, or has been wanted for `within_s` seconds."""
        now = self._clock()
        topics = [self._topics[channel] for channel in channels]
        waits = [
            asyncio.wait_for(topic.live.wait(), topic.wanted_since + within_s - now)
            for topic in topics
            if not topic.live.is_set() and topic.wanted_since + within_s > now
        ]
        await asyncio.gather(*waits, return_exceptions=True)
