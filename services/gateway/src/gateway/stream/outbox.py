"""The outbox writes to groups of streams.

Each flush writes one shared piece to all streams of a group. A stream whose client has not read the last write is skipped, and
catches up later.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Mapping

from .backlog import Backlog
from .body import Windows
from .flush import FlushClock
from .group import Group, Notice, Slot, Stream
from .stats import Stats

SHORTEST_TIMER_S = 0.001  # the event loop's resolution


class Outbox:
    """Writes the pending events of groups to their streams.

    Args:
        stats: the counters to update.
        flush_clock: decides when flushes may happen.
        clock: monotonic seconds.
        wall_clock_ms: Unix milliseconds.
    """

    def __init__(
        self, stats: Stats, flush_clock: FlushClock, clock: Callable[[], float], wall_clock_ms: Callable[[], int]
    ) -> None:
        self.resync = Notice()  # the slot of resync events, which are sent before all others: a new snapshot follows them
        self._stats = stats
        self._flush_clock = flush_clock
        self._clock = clock
        self._now_ms = wall_clock_ms
        self._loop = asyncio.get_running_loop()
        self._dirty: list[Group] = []  # the groups that the next flush writes
        self._armed = False  # whether the next flush is scheduled
        self.windows = Windows()
        self._oldest_unwritten_ms: int | None = None  # when the oldest message of the next flush was published

    def add(self, group: Group, slot: Slot) -> None:
        """Queue a slot's newest state for a group. It replaces an earlier one that is still pending."""
        self._stats.conflated += slot in group.pending
        group.pending[slot] = None
        self.queue(group)

    def add_event(self, group: Group, slot: Slot, event: bytes) -> None:
        """Queue an event for a group, behind the slot's pending events. It replaces none of them."""
        group.events.setdefault(slot, Backlog()).put(event)
        self.queue(group)

    def add_resync(self, group: Group, event: bytes, snapshot: Iterable[Slot]) -> None:
        """Queue a resync event for a group, and a new snapshot of these slots behind it."""
        self.resync.event = event
        group.pending = {self.resync: None, **group.pending, **dict.fromkeys(snapshot)}
        self.queue(group)

    def queue(self, group: Group) -> None:
        """Schedule a group's flush for as soon as its own rate and the flush clock allow."""
        if group.queued:
            return
        group.queued = True
        wait_s = group.not_before - self._clock() if group.shortest_s else 0.0
        if wait_s > 0:
            self._loop.call_later(wait_s, self._enqueue, group)
        else:
            self._enqueue(group)

    def date(self, published_ms: int) -> None:
        """Record when a pending message was published, to measure the latency of the next flush."""
        if self._oldest_unwritten_ms is None:
            self._oldest_unwritten_ms = published_ms

    def write(self, stream: Stream, text: bytes, *, first: bool = False) -> None:
        """Write a text to one stream alone, unless its connection is closing. `first` says that its body begins with it."""
        if stream.sink.is_closing():
            return
        data = stream.group.body.own(text, first=first)
        stream.sink.write(data)
        if stream.group.wish.compressed:
            stream.sum_up(text)
            stream.group.set_apart(stream)
        self._stats.frames += 1
        self._stats.bytes += len(data)

    def catch_up(self, stream: Stream) -> None:
        """Go on with a stream whose client has read everything: send the newest state and the events of each missed slot."""
        stream.lagging_since = None
        if not stream.missed:
            return
        missed: dict[Slot, Backlog | None] = {}
        if self.resync in stream.missed:
            missed[self.resync] = None  # first, before the snapshots that it announces
        missed |= stream.missed
        stream.missed = {}
        now_ms, fields = self._now_ms(), stream.group.wish.fields
        texts = (slot.newest(now_ms, fields) if events is None else events.text() for slot, events in missed.items())
        self.write(stream, b"".join(texts))

    def _enqueue(self, group: Group) -> None:
        self._dirty.append(group)
        if self._armed:
            return
        self._armed = True
        wait_s = self._flush_clock.wait_s(self._clock())
        if wait_s > 0:
            self._loop.call_later(max(wait_s, SHORTEST_TIMER_S), self._flush)
        else:
            self._loop.call_soon(self._flush)  # after all messages from the bus in this round of the event loop

    def _flush(self) -> None:
        start, worked_s = self._clock(), time.thread_time()
        self._armed = False
        dirty, self._dirty = self._dirty, []
        for group in dirty:
            group.queued = False
            group.not_before = start + group.shortest_s
            self._flush_group(group, start)
        end = self._clock()
        self._flush_clock.flushed(start, end, time.thread_time() - worked_s)
        self._stats.flushes += 1
        self._stats.flush_s += end - start
        if self._oldest_unwritten_ms is not None:
            self._stats.latency.observe((self._now_ms() - self._oldest_unwritten_ms) / 1000)
            self._oldest_unwritten_ms = None

    def _flush_group(self, group: Group, now: float) -> None:
        slots, group.pending = group.pending, {}
        events, group.events = group.events, {}
        joiners, group.joiners = group.joiners, {}
        if not slots and not events:
            return
        now_ms, fields = self._now_ms(), group.wish.fields
        pending = {slot: slot.newest(now_ms, fields) for slot in slots}
        tail = b"".join(backlog.text() for backlog in events.values())
        text = b"".join(pending.values()) + tail
        group.settle(now)
        # Make all pieces first, because streams that are sent text of their own below do not get these.
        lots = [
            (list(streams), body.shared(text))
            for streams, body in ((group.streams, group.body), (group.apart, group.apart_body))
            if streams
        ]
        for streams, data in lots:
            self._write_all(streams, text, data, pending, events, now)
        # New streams get the events that their snapshot did not have. From now on they are streams like the others.
        for stream, given in joiners.items():
            group.admit(stream)
            news = {slot: event for slot, event in pending.items() if given.get(slot) is not event}
            if news or events:
                self._offer(stream, b"".join(news.values()) + tail, news, events, now)

    def _write_all(
        self,
        streams: Iterable[Stream],
        text: bytes,
        data: bytes,
        pending: Mapping[Slot, bytes],
        events: Mapping[Slot, Backlog],
        now: float,
    ) -> None:
        """Write a text to streams that share its piece `data`. The text consists of `pending` and `events`."""
        # Usually nearly all streams have read everything before, so the same bytes are written directly to their sockets.
        written, size, send = 0, len(data), os.write
        for stream in streams:
            sink = stream.sink
            if stream.missed or sink.get_write_buffer_size() or sink.is_closing():
                self._offer(stream, text, pending, events, now)
                continue
            written += 1
            if stream.group.wish.compressed:
                stream.sum_up(text)
            try:
                taken = send(stream.descriptor, data)
            except OSError:  # the socket's buffer is full, or the connection is gone: leave both to the transport
                taken = 0
            if taken < size:
                sink.write(data[taken:])
        self._stats.frames += written
        self._stats.bytes += written * size

    def _offer(
        self, stream: Stream, text: bytes, pending: Mapping[Slot, bytes], events: Mapping[Slot, Backlog], now: float
    ) -> None:
        """Write to a stream alone if its client has read everything before. Otherwise record what it misses."""
        unsent = stream.sink.get_write_buffer_size()
        if not unsent and not stream.missed:
            self.write(stream, text)
            return
        stream.missed.update(dict.fromkeys(pending))
        for slot, backlog in events.items():
            known = stream.missed.get(slot)
            if known is None:
                known = stream.missed[slot] = Backlog()
            known.extend(backlog)
        if unsent:
            self._lag(stream, now)
        else:
            self.catch_up(stream)

    def _lag(self, stream: Stream, now: float) -> None:
        if stream.lagging_since is None:
            stream.lagging_since = now
            self._stats.laggards += 1
