"""The wanted channels: the demand for each one, and its newest message."""

import asyncio
from collections.abc import Callable, Container, Iterable, Iterator
from typing import Literal, NamedTuple

from market_pulse.kinds import read_channel
from market_pulse.messages import Symbol
from market_pulse.tickers import LatestTicker

from . import sse
from .fields import Fields
from .kinds import READINGS
from .group import Group, Notice

LINGER_S = 5.0  # while there is room, a channel stays subscribed for this long after its last client has left
SHARE_OF_ROOM = 4  # one address gets MAX_SYMBOLS divided by this


class NoRoom(NamedTuple):
    """Why a symbol has no room: its exchanges are full, or all addresses that want it have used up their share."""

    reason: Literal["full", "share"]
    exchanges: tuple[str, ...] = ()


class Topic:
    """A wanted channel: its newest message, the groups that get it, and the counts of its clients."""

    __slots__ = (
        "_events",
        "_events_of",
        "channel",
        "groups",
        "holders",
        "idle_since",
        "kind",
        "latest",
        "level",
        "live",
        "no_room",
        "room",
        "sharers",
        "symbol",
        "wanted_since",
    )

    def __init__(self, channel: str, now: float) -> None:
        self.channel = channel
        self.kind, self.symbol = read_channel(channel)
        self.wanted_since = now  # since when an address wants it within its share
        self.holders = 0  # how many times it is held
        self.sharers = 0  # how many addresses want it within their share
        self.idle_since = now  # when it was last released
        self.latest: LatestTicker | None = None  # the latest message of a state; always None for events
        self.level = 0  # the staleness of the latest message that was last reported to clients
        self._events: dict[Fields, bytes] = {}  # the newest event, cut down to each set of fields that was asked for
        self._events_of: tuple[LatestTicker, int, int] | None = None  # the message, staleness and second of _events
        self.live = asyncio.Event()  # set once a live message has come
        self.no_room: NoRoom | None = None  # what was last reported to clients about room
        self.room = Notice()  # the event that reported it; empty if there has always been room
        self.groups: set[Group] = set()

    def renew(self, latest: LatestTicker, now_ms: int) -> None:
        """Keep the latest message, and how old it is."""
        self.latest = latest
        self.level = latest.staleness(now_ms)

    def newest(self, now_ms: int, fields: Fields = None) -> bytes:
        """Return the latest message's event, marked stale or down if it is too old, or an empty text before the first one."""
        if self.latest is None:
            return b""
        # Write an event once for all streams that get the same fields. One with an old message is renewed each second.
        level = self.latest.staleness(now_ms)
        events_of = self.latest, level, now_ms // 1000 if level else 0
        if self._events_of != events_of:
            self._events_of, self._events = events_of, {}
        event = self._events.get(fields)
        if event is None:
            message = READINGS[self.kind].as_of(self.latest, now_ms, fields)
            event = self._events[fields] = sse.state_event(self.kind.name, self.symbol, self.latest.seq, message)
        return event

    def read(self, now_ms: int) -> bytes | None:
        """Return the latest message, marked stale or down if it is too old, or None before the first one."""
        return None if self.latest is None else READINGS[self.kind].as_of(self.latest, now_ms, None)

    def is_live(self, now_ms: int) -> bool:
        """Return whether the latest message is live, judged by its age and its content."""
        if self.latest is None or self.latest.staleness(now_ms):
            return False
        return READINGS[self.kind].is_live(self.latest.data)


class _Address:
    """The channels that one address wants, and how often it holds each: within its share, and the later ones beyond it."""

    __slots__ = ("beyond", "within")

    def __init__(self) -> None:
        self.within: dict[str, int] = {}
        self.beyond: dict[str, int] = {}


class Topics:
    """The wanted channels. `changed` is set whenever the process has to subscribe to more or fewer of them.

    While there is room, the process subscribes to every wanted channel, and to each that was wanted until LINGER_S ago. While
    room is short, it subscribes to the featured channels, and for each address to the `share` channels that it asked for first.
    So a client that asks for many symbols cannot keep other clients from theirs.

    Args:
        clock: monotonic seconds.
        featured: channels that are always wanted and count towards no share.
        share: how many other channels one address gets once room is short.
    """

    def __init__(self, clock: Callable[[], float], featured: Iterable[str] = (), share: int = 50) -> None:
        self.changed = asyncio.Event()
        self.share = share
        self._clock = clock
        self._topics: dict[str, Topic] = {}
        self._addresses: dict[str, _Address] = {}  # the addresses that want channels beside the featured ones
        self._room_is_short = False
        self._featured: Container[str] = frozenset(featured)
        for channel in featured:
            topic = self._topics[channel] = Topic(channel, clock())
            topic.holders = topic.sharers = 1
            self.changed.set()

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
    def beyond_share(self) -> int:
        """How many wanted channels are not subscribed to, because all addresses that want them have used up their share."""
        return sum(topic.holders > 0 and not topic.sharers for topic in self._topics.values()) if self._room_is_short else 0

    def __getitem__(self, channel: str) -> Topic:
        return self._topics[channel]

    def __iter__(self) -> Iterator[Topic]:
        return iter(self._topics.values())

    def find(self, channel: str) -> Topic | None:
        """Return a channel's topic, or None if the channel is not wanted."""
        return self._topics.get(channel)

    def hold(self, channels: Iterable[str], owner: str) -> None:
        """Hold channels for an address, until `release` has been called as often."""
        for channel in channels:
            topic = self._topics.get(channel)
            if topic is None:
                topic = self._topics[channel] = Topic(channel, self._clock())
                self.changed.set()
            topic.holders += 1
            if channel not in self._featured:
                self._count(self._addresses.setdefault(owner, _Address()), topic)

    def release(self, channels: Iterable[str], owner: str) -> None:
        """Release channels that an address held. While there is room, they stay subscribed for LINGER_S."""
        for channel in channels:
            topic = self._topics[channel]
            topic.holders -= 1
            topic.idle_since = self._clock()
            if channel not in self._featured:
                address = self._addresses[owner]
                self._count_down(address, topic)
                if not address.within and not address.beyond:
                    del self._addresses[owner]

    def _count(self, address: _Address, topic: Topic) -> None:
        channel = topic.channel
        if channel in address.within:
            address.within[channel] += 1
        elif channel in address.beyond:
            address.beyond[channel] += 1
        elif len(address.within) < self.share:
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
