"""The hub fans one bus out to many streams, and holds the newest message of each wanted channel. It knows no HTTP and no Redis.

`on_message` receives each message and queues it for the groups of streams that want it. For each group the outbox writes the
pending events as one shared piece to every stream that has read everything before. A stream that has not gets the newest states
and its waiting events once it has.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable

from market_pulse.bus import Last
from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE, TICKER, Kind
from market_pulse.messages import CodecError, Symbol
from market_pulse.process.clock import now_ms
from market_pulse.tickers import Clocks

from . import sse
from .fields import Fields, FieldSets
from .flush import FlushClock
from .group import NO_DESCRIPTOR, Group, Notice, Sink, Slot, Stream, Wish
from .kinds import Asked, one_line
from .outbox import SHORTEST_TIMER_S, Outbox
from .stats import Stats
from .statuses import Statuses
from .topic import NoRoom, Part, Topic
from .topics import Topics

CLOSE_LIMIT_S = 5.0  # how long a client may take to read its goodbye
RETRY_MS = (500, 2000)  # if a gateway dies without a goodbye, its clients are back within three seconds
RETRY_AFTER_BYE_MS = (500, 3000)
RETRY_AFTER_LAST_BYE_MS = 15_000  # after this time a gateway that is the only one has started again
SHORT_FOR_S = 60.0  # room counts as short for this long after the last symbol was turned away
NAMED_WITHIN_S = 3.0  # without a price after this time, a symbol may be one that a full exchange turned away without naming it


class Hub:
    """The streams, the channels that they want, and the newest message of each channel.

    Args:
        featured: symbols whose tickers are always wanted.
        instance: this process's name, which is sent to clients.
        flush_clock: decides when flushes may happen.
        heartbeat_s: how often each stream gets a heartbeat.
        max_age_s: the age at which a stream is asked to reconnect, give or take 15 %, so that gateways share the load.
        slow_client_s: how long a client may leave data unread before it is disconnected.
        share: how many tickers beside the featured ones an address gets once room is short.
        candle_share: the same for the candles of an interval.
        listed_at: returns the exchanges that list a symbol.
        clock: monotonic seconds.
        wall_clock_ms: Unix milliseconds.
    """

    def __init__(
        self,
        featured: Iterable[Symbol] = (),
        *,
        instance: str = "gateway",
        flush_clock: FlushClock | None = None,
        heartbeat_s: float = 15.0,
        max_age_s: float = 1800.0,
        slow_client_s: float = 30.0,
        share: int = 50,
        candle_share: int = 12,
        listed_at: Callable[[Symbol], Collection[str]] = lambda _: (),
        clock: Callable[[], float] = time.monotonic,  # not the event loop's clock, which stands still while a callback runs
        wall_clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self.instance = instance
        self.stats = Stats()
        self.statuses = Statuses()
        self.topics = Topics(
            clock,
            [one for symbol in featured for one in TICKER.channels(symbol, listed_at)],
            share,
            dict.fromkeys((EXCHANGE_CANDLE, *CANDLES.values()), candle_share),
        )
        self.streams: set[Stream] = set()
        self._clock = clock
        self._now_ms = wall_clock_ms
        self._clocks = Clocks()  # of the processes that publish tickers, by which a ticker's age is judged
        self.slow_client_s = slow_client_s
        self._heartbeat_s, self._max_age_s = heartbeat_s, max_age_s
        self._outbox = Outbox(self.stats, flush_clock or FlushClock(), clock, wall_clock_ms)
        self._groups: dict[Wish, Group] = {}  # the groups that have streams
        self.field_sets = FieldSets()  # those of the groups
        self._heartbeat = Notice()
        self._status_slots: dict[str, Notice] = {}  # exchange -> its status event
        self._listed_at = listed_at
        self._turned_away: dict[Symbol, tuple[str, ...]] = {}  # symbol -> the exchanges that have no room for it
        self._overfull: frozenset[str] = frozenset()  # the exchanges that turn away more symbols than they name
        self._short_until = clock()  # until then room is short, so channels beyond an address's share are not subscribed to

    def newest(self, channel: str) -> bytes | None:
        """Return a held channel's latest message, marked stale or down if it is too old, or None before the first one."""
        return self.topics[channel].read(self._now_ms())

    # From the bus.

    def on_message(self, channel: str, data: bytes, *, live: bool = True, age_ms: int | None = None) -> None:
        """Take a channel's new message, or its last value if not `live`. A malformed message is counted and skipped.

        `age_ms` is the age of a last value.
        """
        try:
            if channel.startswith("status:"):
                self._take_status(channel.split(":")[1], data)  # the key of a copy's last status ends with the copy's name
            elif topic := self.topics.find(channel):  # None if the channel was unsubscribed a moment ago
                self._take(topic, data, live=live, age_ms=age_ms)
        except CodecError:
            self.stats.bad_messages += 1

    def take_last(self, lasts: Iterable[tuple[str, Last | None]], statuses: Iterable[tuple[str, bytes]] = ()) -> None:
        """Take the last values of channels. A last value that is older than the known message is ignored."""
        for channel, data in statuses:
            self.on_message(channel, data, live=False)
        for channel, last in lasts:
            if last is not None:
                self.on_message(channel, last.message, live=False, age_ms=last.age_ms)

    def listen(self, *, hears: bool) -> None:
        """Record whether this process is connected to the bus at this moment."""
        self.statuses.listen(self._now_ms(), hears=hears)

    def resync(self, reason: str) -> None:
        """Send every stream a resync event, because messages may have been missed, and then a new snapshot."""
        self.stats.resyncs += 1
        event = sse.event("resync", {"reason": reason})
        for group in self._groups.values():
            self._outbox.add_resync(group, event, self._snapshot(group))

    def _take(self, topic: Topic, data: bytes, *, live: bool, age_ms: int | None) -> None:
        now_ms = self._now_ms()
        reading = topic.reading
        if reading is None:
            event = sse.message_event(topic.kind.name, one_line(data))
            for group in topic.groups:
                self._outbox.add_event(group, topic.tail, event)
            return
        latest = reading.read(topic.names, data, now_ms, self._clocks, live=live, age_ms=age_ms)
        self.stats.received[topic.kind.name] += live
        part = topic.take(reading, latest, now_ms)
        if part is None:
            return
        if live and topic.groups and latest.published_ms is not None:
            self._outbox.date(latest.published_ms)
        self._tell(topic, part)
        if part.level == 0:
            topic.live.set()

    def _take_status(self, exchange: str, data: bytes) -> None:
        self.statuses.take(exchange, data, self._now_ms())
        self._tell_statuses()
        for name, status in self.statuses.current(self._now_ms()).items():  # for the snapshots of later streams
            self._status_slots[name].event = sse.message_event("status", status.json())
        self._look_for_room()

    def _tell(self, topic: Topic, part: Part) -> None:
        """Queue a part's latest message for all groups that want its channel."""
        for group in topic.groups:
            self._outbox.add(group, part)

    def _tell_statuses(self) -> None:
        for status in self.statuses.changed(self._now_ms()):
            slot = self._status_slots.setdefault(status.feed.exchange, Notice())
            slot.event = sse.message_event("status", status.json())
            for group in self._groups.values():
                self._outbox.add(group, slot)

    # Room.

    def no_room(self, channel: str) -> NoRoom | None:
        """Return why a held channel has no room, or None if it has room as far as is known."""
        return self._no_room(self.topics[channel])

    def explain(self, no_room: NoRoom, kind: Kind = TICKER) -> str:
        """Return in words why a channel of this kind has no room."""
        if no_room.reason == "share":
            share = self.topics.share_of(kind)
            return f"room is short, and one address gets {share} symbol{'s'[: share != 1]} beside the featured ones"
        return f"{' and '.join(no_room.exchanges)} can carry no more symbols (MAX_SYMBOLS)"

    def _no_room(self, topic: Topic) -> NoRoom | None:
        if self.topics.room_is_short and not topic.sharers and topic.holders:
            return NoRoom("share")
        exchanges = self._turned_away.get(topic.symbol, ())
        if self._overfull and self._clock() - topic.wanted_since >= NAMED_WITHIN_S:
            exchanges = tuple(sorted({*exchanges, *self._overfull.intersection(self._listed_at(topic.symbol))}))
        return NoRoom("full", exchanges) if exchanges and not topic.is_live(self._now_ms()) else None

    def _look_for_room(self) -> None:
        """Find out whether room is short, and send a room event to the streams of each channel for which that has changed."""
        was_short = self.topics.room_is_short
        self._turned_away, self._overfull = self.statuses.without_room(self._now_ms())
        if self._turned_away or self._overfull:
            self._short_until = self._clock() + SHORT_FOR_S
        self.topics.room_is_short = self._clock() < self._short_until
        if was_short or self.topics.room_is_short:
            for topic in self.topics:
                self._tell_room(topic)

    def _tell_room(self, topic: Topic) -> None:
        no_room = self._no_room(topic)
        if no_room == topic.no_room:
            return
        topic.no_room = no_room
        if no_room is None:
            topic.room.event = sse.room_event(topic.symbol, None, (), None)
        else:
            why = self.explain(no_room, topic.kind)
            topic.room.event = sse.room_event(topic.symbol, no_room.reason, no_room.exchanges, why)
        for group in topic.groups:
            if _tells_room(topic, group):
                self._outbox.add(group, topic.room)

    # To the streams.

    def open(
        self,
        sink: Sink,
        symbols: tuple[Symbol, ...],
        max_hz: float | None = None,
        descriptor: int = NO_DESCRIPTOR,
        *,
        kinds: Collection[Asked] = (Asked(TICKER),),
        fields: Fields = None,
        owner: str = "local",
        resumed: bool = False,
        chunked: bool = True,
        compressed: bool = False,
        held: bool = False,
    ) -> Stream:
        """Start a stream. It is sent a snapshot at once and every later change, with no gap between them.

        Args:
            sink: where its bytes are written.
            symbols: the symbols that it asks for, without repetitions.
            max_hz: the most writes per second, or None for no limit.
            descriptor: the descriptor of the connection's socket, if bytes may be written to it directly.
            kinds: the kinds of messages that it asks for.
            fields: the members of each ticker that it asks for. It may get more of them.
            owner: the address whose share its channels count towards.
            resumed: whether the client has had a stream before.
            chunked: whether its body is sent in chunks.
            compressed: whether its body is compressed with gzip.
            held: whether a proxy holds the client's next request while no gateway can take it.
        """
        # Hold the channels, and find out whether they have room.
        channels = list(dict.fromkeys(one for asked in kinds for one in asked.channels(symbols, self._listed_at)))
        self.topics.hold(channels, owner)
        fields = self.field_sets.take(fields)
        group = self._group(Wish(tuple(sorted(channels)), max_hz, fields, chunked, compressed))
        if self.topics.room_is_short:
            for channel in channels:
                self._tell_room(self.topics[channel])
        # Send the snapshot.
        now = self._clock()
        stream = Stream(
            sink,
            group,
            descriptor,
            owner=owner,
            opened_at=now,
            expires_at=now + self._max_age_s * random.uniform(0.85, 1.15),
            held=held,
        )
        connected = sse.event(
            "connected",
            {
                "symbols": symbols,
                "kinds": list(map(str, kinds)),
                "instance": self.instance,
                "simulated": self.statuses.simulated,
                "resumed": resumed,
                "heartbeatMs": round(self._heartbeat_s * 1000),
                "maxHz": max_hz,
                "fields": None if fields is None else sorted(fields),
            },
            retry_ms=random.randint(*RETRY_MS),
        )
        self._outbox.write(stream, b"".join((connected, *self._snapshot(group).values())), first=True)
        # Join the group. Its pending events are in the snapshot, so this stream gets only those that change until the flush.
        if group.pending:
            now_ms = self._now_ms()
            group.joiners[stream] = {slot: slot.newest(now_ms, fields) for slot in group.pending}
        else:
            group.admit(stream)
        self.streams.add(stream)
        self.stats.opened += 1
        return stream

    def leave(self, stream: Stream, reason: str) -> None:
        """Forget a stream, at once and completely. Calling it again does nothing."""
        if stream not in self.streams:
            return
        self.streams.remove(stream)
        group = stream.group
        if group.remove(stream):
            del self._groups[group.wish]
            for channel in group.wish.channels:
                self.topics[channel].groups.discard(group)
        self.field_sets.give_back(group.wish.fields)
        self.topics.release(group.wish.channels, stream.owner)
        self.stats.closed[reason] += 1
        self.stats.streams.observe(self._clock() - stream.opened_at)

    def writable(self, stream: Stream) -> None:
        """Go on with a stream whose client has read everything that was written."""
        if stream in self.streams:
            self._outbox.catch_up(stream)

    def sweep(self) -> None:
        """Do the periodic work: report old tickers as stale and silent exchanges as down; beat, end or cut each stream."""
        now, wall_ms = self._clock(), self._now_ms()
        # Forget unwanted channels. Send messages that have grown old once more, as stale or down.
        self.topics.expire()
        for topic in self.topics:
            if old := topic.grown_old(wall_ms):
                self._tell(topic, old)
        self._tell_statuses()
        self._look_for_room()
        # Send heartbeats. Cut a slow stream, or end an old one.
        self._heartbeat.event = sse.heartbeat(wall_ms)
        for group in self._groups.values():
            if now >= group.beat_at:
                group.beat_at = now + self._heartbeat_s
                self._outbox.add(group, self._heartbeat)
        for stream in list(self.streams):
            if stream.lagging_since is not None and now - stream.lagging_since >= self.slow_client_s:
                stream.sink.abort()
                self.leave(stream, "slow")
            elif now >= stream.expires_at:
                self.end(stream, "max_age")

    def end(self, stream: Stream, reason: str) -> None:
        """Send a stream its `bye` event, and close it. The client shall reconnect after a random delay.

        The event's data has that delay, for clients that try again if no server answers. A bare EventSource may give up then.
        So at a shutdown, if no proxy holds its next request, `retry:` makes it wait until a stopped gateway has started again.
        """
        retry_ms = random.randint(*RETRY_AFTER_BYE_MS)
        waits = reason == "shutdown" and not stream.held
        stream.end(sse.event("bye", {"reason": reason, "retryMs": retry_ms}, RETRY_AFTER_LAST_BYE_MS if waits else retry_ms))
        if stream.sink.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_LIMIT_S, stream.sink.abort)
        self.leave(stream, reason)

    async def drain(self, over_s: float) -> None:
        """End all streams one after another, evenly spread over `over_s` seconds."""
        streams = list(self.streams)
        random.shuffle(streams)
        start = self._clock()
        for number, stream in enumerate(streams, start=1):
            ahead_s = start + over_s * number / len(streams) - self._clock()
            if ahead_s > SHORTEST_TIMER_S:
                await asyncio.sleep(ahead_s)
            if stream in self.streams:
                self.end(stream, "shutdown")

    def _group(self, wish: Wish) -> Group:
        """Return the group of the streams with this wish. A new one gets its heartbeats at times of its own."""
        group = self._groups.get(wish)
        if group is None:
            beat_at = self._clock() + self._heartbeat_s * random.uniform(0.5, 1.0)
            group = self._groups[wish] = Group(wish, self._outbox.windows, beat_at)
            for channel in wish.channels:
                self.topics[channel].groups.add(group)
        return group

    def _snapshot(self, group: Group) -> dict[Slot, bytes]:
        """Return the newest events: of each of the group's channels, of those channels' missing room, and of each exchange."""
        now_ms, fields = self._now_ms(), group.wish.fields
        topics = [self.topics[channel] for channel in group.wish.channels]
        known: dict[Slot, bytes] = {part: part.newest(now_ms, fields) for topic in topics for part in topic.shown(group)}
        if self.topics.room_is_short:
            known |= {topic.room: topic.room.event for topic in topics if topic.no_room and _tells_room(topic, group)}
        return known | {slot: slot.event for slot in self._status_slots.values()}


def _tells_room(topic: Topic, group: Group) -> bool:
    """Return whether a group hears of a topic's room. If it gets the symbol's ticker, it hears only of the ticker's room."""
    return topic.kind is TICKER or TICKER.channel(topic.symbol) not in group.wish.channels
