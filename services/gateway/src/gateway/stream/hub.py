"""One bus, fanned out to many streams: what is known of each wanted symbol, and who is told. Knows no HTTP, no Redis.

Messages come in through `on_message` and go to the groups of streams that want them. The outbox writes what is pending in
each group as one shared chunk to every stream of the group that can take it; who cannot gets the newest state when it can.
"""

import asyncio
import random
import time
from collections.abc import Callable, Collection, Iterable

import orjson

from market_pulse import channels
from market_pulse.bus import Last
from market_pulse.codec import CodecError
from market_pulse.messages import Symbol
from market_pulse.process.clock import now_ms
from market_pulse.tickers import Clocks, as_of, read_ticker

from . import sse
from .flush import FlushClock
from .outbox import NO_DESCRIPTOR, RESYNC, SHORTEST_TIMER_S, Group, Outbox, Sink, Stream
from .stats import Stats
from .statuses import Statuses
from .topics import NoRoom, Topic, Topics

CLOSE_LIMIT_S = 5.0  # how long a client may take to read its goodbye
RETRY_MS = (500, 2000)  # when a gateway dies without a goodbye: its clients are back within three seconds
RETRY_AFTER_BYE_MS = (500, 3000)
RETRY_AFTER_LAST_BYE_MS = 15_000  # of a gateway that may be the only one, by which time it has started again
SHORT_FOR_S = 60.0  # after the last symbol was turned away; then what lies beyond shares is asked for again
NAMED_WITHIN_S = 3.0  # so long after it is wanted, a symbol without a price is one that an exchange turned away without a name
ROOM = "room:"  # before a symbol, the key of its room event
PRICED = {"ok", "single", "disputed"}


class Hub:
    """The streams, the symbols they want, and the newest of each.

    Args:
        featured: symbols that are wanted always.
        instance: this process's name, told to clients.
        flush_clock: when flushes may happen.
        heartbeat_s: how often each stream gets a heartbeat.
        max_age_s: when a stream is asked to reconnect, give or take 15 %, so that load levels out.
        slow_client_s: how long a client may leave unread what it was sent.
        share: how many symbols beside the featured ones an address gets once room is short.
        listed_at: the exchanges that list a symbol.
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
        listed_at: Callable[[Symbol], Collection[str]] = lambda _: (),
        clock: Callable[[], float] = time.monotonic,  # not the loop's, which stands still while a callback runs
        wall_clock_ms: Callable[[], int] = now_ms,
    ) -> None:
        self.instance = instance
        self.stats = Stats()
        self.statuses = Statuses()
        self.topics = Topics(clock, featured, share)
        self.streams: set[Stream] = set()
        self._clock = clock
        self._now_ms = wall_clock_ms
        self._clocks = Clocks()
        self.slow_client_s = slow_client_s
        self._heartbeat_s, self._max_age_s = heartbeat_s, max_age_s
        self._outbox = Outbox(self.stats, flush_clock or FlushClock(), clock, self._current)
        self._groups: dict[tuple[tuple[Symbol, ...], float, bool], Group] = {}
        self._status_events: dict[str, bytes] = {}
        self._resync_event = b""
        self._listed_at = listed_at
        self._turned_away: dict[Symbol, tuple[str, ...]] = {}
        self._overfull: frozenset[str] = frozenset()
        self._short_until = clock()

    def ticker(self, symbol: Symbol) -> bytes | None:
        """Return a held symbol's ticker as it must be read now, or None where none is known."""
        latest = self.topics[symbol].latest
        return None if latest is None else as_of(latest, self._now_ms())

    # From the bus.

    def on_message(self, channel: str, data: bytes, *, live: bool = True, age_ms: int | None = None) -> None:
        """Take a message, or, unless `live`, a channel's last one, so old. One that is malformed is counted and skipped."""
        kind, _, name = channel.partition(":")
        try:
            if kind == "ticker":
                self._take_ticker(Symbol(name), data, live=live, age_ms=age_ms)
            elif kind == "status":
                self._take_status(name.partition(":")[0], data)  # its copies' last ones have their names behind that
        except CodecError:
            self.stats.bad_messages += 1

    def take_last(self, tickers: Iterable[tuple[Symbol, Last | None]], statuses: Iterable[tuple[str, bytes]] = ()) -> None:
        """Take last values. Whatever is older than what is known already is passed over."""
        for channel, data in statuses:
            self.on_message(channel, data, live=False)
        for symbol, last in tickers:
            if last is not None:
                self.on_message(channels.ticker(symbol), last.message, live=False, age_ms=last.age_ms)

    def listen(self, *, hears: bool) -> None:
        """Note whether the bus is heard at this moment."""
        self.statuses.listen(self._now_ms(), hears=hears)

    def resync(self, reason: str) -> None:
        """Tell every stream that messages may have been missed, and send it all that it wants anew."""
        self.stats.resyncs += 1
        self._resync_event = sse.event("resync", {"reason": reason})
        for group in self._groups.values():
            group.pending = {RESYNC: self._resync_event, **group.pending, **self._snapshot(group)}
            self._outbox.queue(group)

    def _take_ticker(self, symbol: Symbol, data: bytes, *, live: bool, age_ms: int | None) -> None:
        topic = self.topics.find(symbol)
        if topic is None:
            return  # unsubscribed a moment ago
        latest = read_ticker(symbol, data, self._now_ms(), self._clocks, live=live, age_ms=age_ms)
        self.stats.ticks += live
        if not latest.supersedes(topic.latest):
            return
        topic.latest = latest
        if live and topic.groups:
            self._outbox.date(latest.published_ms)
        self._tell(symbol, topic)
        if topic.level == 0:
            topic.live.set()

    def _take_status(self, exchange: str, data: bytes) -> None:
        self.statuses.take(exchange, data, self._now_ms())
        self._tell_statuses()
        for name, status in self.statuses.current(self._now_ms()).items():  # for those who join later
            self._status_events[channels.status(name)] = sse.status_event(status.json())
        self._look_for_room()

    def _tell(self, symbol: Symbol, topic: Topic) -> None:
        """Make the topic's event from its latest ticker, as of now, and have it sent."""
        if topic.latest is None:
            return
        now = self._now_ms()
        topic.level = topic.latest.staleness(now)
        topic.event = sse.ticker_event(symbol, topic.latest.seq, as_of(topic.latest, now))
        for group in topic.groups:
            self._outbox.add(group, symbol, topic.event)

    def _tell_statuses(self) -> None:
        for status in self.statuses.changed(self._now_ms()):
            key = channels.status(status.feed.exchange)
            event = self._status_events[key] = sse.status_event(status.json())
            for group in self._groups.values():
                self._outbox.add(group, key, event)

    # Room.

    def no_room(self, symbol: Symbol) -> NoRoom | None:
        """Return why a held symbol has no room, or None where it has some, as far as is known."""
        topic = self.topics[symbol]
        if self.topics.room_is_short and not topic.sharers and topic.holders:
            return NoRoom("share")
        exchanges = self._turned_away.get(symbol, ())
        if self._overfull and self._clock() - topic.wanted_since >= NAMED_WITHIN_S:
            exchanges = tuple(sorted({*exchanges, *self._overfull.intersection(self._listed_at(symbol))}))
        return NoRoom("full", exchanges) if exchanges and not self._is_priced(topic) else None

    def explain(self, no_room: NoRoom) -> str:
        """Say in words why a symbol has no room."""
        if no_room.reason == "share":
            share = self.topics.share
            return f"room is short, and one address gets {share} symbol{'s'[: share != 1]} beside the featured ones"
        return f"{' and '.join(no_room.exchanges)} can carry no more symbols (MAX_SYMBOLS)"

    def _is_priced(self, topic: Topic) -> bool:
        if topic.latest is None or topic.latest.staleness(self._now_ms()):
            return False
        return orjson.loads(topic.latest.data)["quality"] in PRICED

    def _look_for_room(self) -> None:
        """Learn whether room is short, and tell each symbol's streams whether it has room where that has changed."""
        was_short = self.topics.room_is_short
        self._turned_away, self._overfull = self.statuses.without_room(self._now_ms())
        if self._turned_away or self._overfull:
            self._short_until = self._clock() + SHORT_FOR_S
        self.topics.room_is_short = self._clock() < self._short_until
        if was_short or self.topics.room_is_short:
            for symbol, topic in self.topics:
                self._tell_room(symbol, topic)

    def _tell_room(self, symbol: Symbol, topic: Topic) -> None:
        no_room = self.no_room(symbol)
        if no_room == topic.no_room:
            return
        topic.no_room = no_room
        if no_room is None:
            topic.room_event = sse.room_event(symbol, None, (), None)
        else:
            topic.room_event = sse.room_event(symbol, no_room.reason, no_room.exchanges, self.explain(no_room))
        for group in topic.groups:
            self._outbox.add(group, ROOM + symbol, topic.room_event)

    # To the streams.

    def open(
        self,
        sink: Sink,
        symbols: tuple[Symbol, ...],
        max_hz: float | None = None,
        descriptor: int = NO_DESCRIPTOR,
        *,
        owner: str = "local",
        resumed: bool = False,
        chunked: bool = True,
        held: bool = False,
    ) -> Stream:
        """Start a stream: what is known goes out at once, and from then on all that changes, without a gap between.

        `chunked` says whether its body is sent in chunks, `held` whether a proxy holds the client's next request.
        """
        self.topics.hold(symbols, owner)
        group = self._group(symbols, max_hz, chunked=chunked)
        if self.topics.room_is_short:
            for symbol in symbols:
                self._tell_room(symbol, self.topics[symbol])
        now = self._clock()
        stream = Stream(
            sink,
            group,
            descriptor,
            owner=owner,
            opened_at=now,
            beat_at=now + self._heartbeat_s * random.uniform(0.5, 1.0),  # so that not all beat at once
            expires_at=now + self._max_age_s * random.uniform(0.85, 1.15),
            held=held,
        )
        connected = sse.event(
            "connected",
            {
                "symbols": symbols,
                "instance": self.instance,
                "simulated": self.statuses.simulated,
                "resumed": resumed,
                "heartbeatMs": round(self._heartbeat_s * 1000),
            },
            retry_ms=random.randint(*RETRY_MS),
        )
        self._outbox.write(stream, group.frame(b"".join((connected, *self._snapshot(group).values()))))
        if group.pending:
            group.joiners[stream] = dict(group.pending)
        else:
            group.streams.add(stream)
        self.streams.add(stream)
        self.stats.opened += 1
        return stream

    def leave(self, stream: Stream, reason: str) -> None:
        """Forget a stream, at once and completely; a second time does nothing."""
        if stream not in self.streams:
            return
        self.streams.remove(stream)
        group = stream.group
        group.streams.discard(stream)
        group.joiners.pop(stream, None)
        if not group.streams and not group.joiners:
            del self._groups[group.key]
            for symbol in group.symbols:
                self.topics[symbol].groups.discard(group)
        self.topics.release(group.symbols, stream.owner)
        self.stats.closed[reason] += 1
        self.stats.streams.observe(self._clock() - stream.opened_at)

    def writable(self, stream: Stream) -> None:
        """Go on with a stream that has nothing unsent any more."""
        if stream in self.streams:
            self._outbox.catch_up(stream)

    def sweep(self) -> None:
        """Do what the time demands: call old tickers and silent exchanges by their name, beat, end and cut streams."""
        now, wall_ms = self._clock(), self._now_ms()
        self.topics.expire()
        for symbol, topic in self.topics:
            if topic.latest and topic.latest.staleness(wall_ms) > topic.level:
                self._tell(symbol, topic)
        self._tell_statuses()
        self._look_for_room()
        heartbeat = sse.heartbeat(wall_ms)
        beats = {True: sse.chunk(heartbeat), False: sse.unframed(heartbeat)}
        for stream in list(self.streams):
            if stream.lagging_since is not None and now - stream.lagging_since >= self.slow_client_s:
                stream.sink.abort()
                self.leave(stream, "slow")
            elif now >= stream.expires_at:
                self.end(stream, "max_age")
            elif now >= stream.beat_at:
                stream.beat_at = now + self._heartbeat_s
                self._outbox.beat(stream, beats[stream.group.chunked])

    def end(self, stream: Stream, reason: str) -> None:
        """Say goodbye to a stream: its client shall reconnect, at a time of its own.

        The event's data names that time, for clients that go on when nobody answers them. A bare EventSource may not. So where
        nothing holds its request it is told, by `retry:`, to wait until a gateway that stops has started again.
        """
        retry_ms = random.randint(*RETRY_AFTER_BYE_MS)
        waits = reason == "shutdown" and not stream.held
        stream.end(sse.event("bye", {"reason": reason, "retryMs": retry_ms}, RETRY_AFTER_LAST_BYE_MS if waits else retry_ms))
        if stream.sink.get_write_buffer_size():
            asyncio.get_running_loop().call_later(CLOSE_LIMIT_S, stream.sink.abort)
        self.leave(stream, reason)

    async def drain(self, over_s: float) -> None:
        """End all streams, evenly spread over a time."""
        streams = list(self.streams)
        random.shuffle(streams)
        start = self._clock()
        for number, stream in enumerate(streams, start=1):
            ahead_s = start + over_s * number / len(streams) - self._clock()
            if ahead_s > SHORTEST_TIMER_S:
                await asyncio.sleep(ahead_s)
            if stream in self.streams:
                self.end(stream, "shutdown")

    def _group(self, symbols: tuple[Symbol, ...], max_hz: float | None, *, chunked: bool) -> Group:
        group = Group(tuple(sorted(symbols)), max_hz, chunked=chunked)
        known = self._groups.setdefault(group.key, group)
        if known is group:
            for symbol in symbols:
                self.topics[symbol].groups.add(group)
        return known

    def _snapshot(self, group: Group) -> dict[str, bytes]:
        """Return the newest event of each symbol of the group that has one, of each exchange, and about missing room."""
        known: dict[str, bytes] = {symbol: self._current(symbol) for symbol in group.symbols if self.topics[symbol].latest}
        if self.topics.room_is_short:
            topics = ((symbol, self.topics[symbol]) for symbol in group.symbols)
            known |= {ROOM + symbol: topic.room_event for symbol, topic in topics if topic.no_room}
        return known | self._status_events

    def _current(self, key: str) -> bytes:
        """Return the newest event of a key, none being empty."""
        if key == RESYNC:
            return self._resync_event
        if key.startswith(ROOM):
            told = self.topics.find(Symbol(key.removeprefix(ROOM)))
            return told.room_event if told else b""
        topic = self.topics.find(Symbol(key))
        if topic is None or topic.latest is None:
            return self._status_events.get(key, b"")
        now = self._now_ms()
        level = topic.latest.staleness(now)
        if topic.level == level == 0:
            return topic.event
        aged_for = topic.latest, level, now // 1000
        if topic.aged_for != aged_for:  # rewritten once a second, not for each of thousands who come back to a dead market
            topic.aged_for, topic.aged_event = aged_for, sse.ticker_event(key, topic.latest.seq, as_of(topic.latest, now))
        return topic.aged_event
