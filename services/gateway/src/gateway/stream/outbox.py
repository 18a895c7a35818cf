"""Streams, the groups of streams that get the same bytes, and the outbox that writes to them.

Each flush writes one shared chunk to all streams of a group. A stream whose client has not read the last write is skipped, and
catches up later. Of HTTP this knows only the chunks of a body.
"""

import asyncio
import os
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from .backlog import Backlog
from .flush import FlushClock
from .sse import LAST_CHUNK, chunk, unframed
from .stats import Stats

LATE_S = 1.0
SHORTEST_TIMER_S = 0.001  # the event loop's resolution
NO_DESCRIPTOR = -1  # writing to it fails with OSError


class Sink(Protocol):
    """Where a stream's bytes are written: the methods of asyncio's WriteTransport that are needed here."""

    def is_closing(self) -> bool:
        """Return whether the connection is closing or closed. Nothing may be written to it then."""

    def get_write_buffer_size(self) -> int:
        """Return how many written bytes the kernel has not taken yet."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def close(self) -> None:
        """Close once everything written is sent."""

    def abort(self) -> None:
        """Close at once."""


class Slot(Protocol):
    """The subject of events, for example a channel. An event about its state replaces the earlier ones."""

    def newest(self, now_ms: int) -> bytes:
        """Return the event with its state as it is now, or an empty text if there is no event."""


class Notice:
    """A slot with an event that stays the same until it is replaced."""

    __slots__ = ("event",)

    def __init__(self, event: bytes = b"") -> None:
        self.event = event

    def newest(self, now_ms: int) -> bytes:  # noqa: ARG002 - a slot's signature
        """Return the event."""
        return self.event


class Group:
    """The streams that want the same channels at the same rate. Pending events are encoded and framed once for all of them."""

    __slots__ = (
        "channels",
        "chunked",
        "events",
        "frame",
        "joiners",
        "not_before",
        "pending",
        "queued",
        "queued_at",
        "shortest_s",
        "streams",
    )

    def __init__(self, channels: tuple[str, ...], max_hz: float | None, *, chunked: bool = True) -> None:
        self.channels = channels
        self.chunked = chunked  # HTTP/1.0 has no chunks
        self.frame = chunk if chunked else unframed  # frames a text as part of the body
        self.shortest_s = 1 / max_hz if max_hz else 0.0  # the shortest time from one flush to the next
        self.not_before = 0.0  # the earliest time of the next flush
        self.queued = False  # whether the group waits for a flush, and since when
        self.queued_at = 0.0
        self.pending: dict[Slot, bytes] = {}  # the newest state event of each slot that has changed since the last flush
        self.events: dict[Slot, Backlog] = {}  # since the last flush, the events that do not replace each other
        self.streams: set[Stream] = set()
        self.joiners: dict[Stream, dict[Slot, bytes]] = {}  # new streams, with the pending events that their snapshot has

    @property
    def key(self) -> tuple[tuple[str, ...], float, bool]:
        """The channels, rate and framing that all streams of this group share."""
        return self.channels, self.shortest_s, self.chunked


class Stream:
    """One client's stream. It is written to only if all earlier bytes were sent, so that at most one write is buffered.

    Args:
        sink: where its bytes are written.
        group: the streams that want the same channels at the same rate.
        descriptor: the descriptor of the connection's socket, if bytes may be written to it directly.
        owner: the address whose share its channels count towards.
        opened_at: when it began; this and the next two are monotonic seconds.
        beat_at: when it gets its next heartbeat.
        expires_at: when its client is asked to reconnect.
        held: whether a proxy holds the client's next request while no gateway can take it.
    """

    __slots__ = (
        "beat_at",
        "descriptor",
        "expires_at",
        "group",
        "held",
        "lagging_since",
        "missed",
        "opened_at",
        "owner",
        "sink",
    )

    def __init__(
        self,
        sink: Sink,
        group: Group,
        descriptor: int = NO_DESCRIPTOR,
        *,
        owner: str = "local",
        opened_at: float,
        beat_at: float,
        expires_at: float,
        held: bool = False,
    ) -> None:
        self.sink = sink
        self.group = group
        self.descriptor = descriptor
        self.owner = owner
        self.opened_at = opened_at
        self.beat_at = beat_at
        self.expires_at = expires_at
        self.held = held
        self.missed: dict[Slot, Backlog | None] = {}  # slots with missed events; None: send the slot's newest state
        self.lagging_since: float | None = None  # since when the client has not read everything; None if it has

    def end(self, goodbye: bytes) -> None:
        """Send a last event, finish the body, and close the connection."""
        if not self.sink.is_closing():
            self.sink.write(self.group.frame(goodbye) + (LAST_CHUNK if self.group.chunked else b""))
            self.sink.close()


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
        self._oldest_unwritten_ms: int | None = None  # when the oldest message of the next flush was published

    def add(self, group: Group, slot: Slot, event: bytes) -> None:
        """Queue a slot's newest state event for a group. It replaces an earlier one that is still pending."""
        self._stats.conflated += slot in group.pending
        group.pending[slot] = event
        self.queue(group)

    def add_event(self, group: Group, slot: Slot, event: bytes) -> None:
        """Queue an event for a group, behind the slot's pending events. It replaces none of them."""
        group.events.setdefault(slot, Backlog()).put(event)
        self.queue(group)

    def add_resync(self, group: Group, event: bytes, snapshot: Mapping[Slot, bytes]) -> None:
        """Queue a resync event for a group, and a new snapshot behind it."""
        self.resync.event = event
        group.pending = {self.resync: event, **group.pending, **snapshot}
        self.queue(group)

    def queue(self, group: Group) -> None:
        """Schedule a group's flush for as soon as its own rate and the flush clock allow."""
        if group.queued:
            return
        group.queued, group.queued_at = True, self._clock()
        wait_s = group.not_before - group.queued_at if group.shortest_s else 0.0
        if wait_s > 0:
            self._loop.call_later(wait_s, self._enqueue, group)
        else:
            self._enqueue(group)

    def date(self, published_ms: int) -> None:
        """Record when a pending message was published, to measure the latency of the next flush."""
        if self._oldest_unwritten_ms is None:
            self._oldest_unwritten_ms = published_ms

    def write(self, stream: Stream, data: bytes) -> None:
        """Write to one stream, unless its connection is closing."""
        if stream.sink.is_closing():
            return
        stream.sink.write(data)
        self._stats.frames += 1
        self._stats.bytes += len(data)

    def beat(self, stream: Stream, data: bytes) -> None:
        """Write a heartbeat to a stream whose client has read everything before. Any other stream counts as lagging."""
        if stream.sink.get_write_buffer_size():
            self._lag(stream, self._clock())
        else:
            self.write(stream, data)

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
        now_ms = self._now_ms()
        texts = (slot.newest(now_ms) if events is None else events.text() for slot, events in missed.items())
        self.write(stream, stream.group.frame(b"".join(texts)))

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
        pending, group.pending = group.pending, {}
        events, group.events = group.events, {}
        joiners, group.joiners = group.joiners, {}
        if not pending and not events:
            return
        # If this process was suspended, the pending events are outdated, so write them again.
        if now - group.queued_at > LATE_S:
            now_ms = self._now_ms()
            pending = {slot: slot.newest(now_ms) for slot in pending}
        tail = b"".join(backlog.text() for backlog in events.values())
        data = group.frame(b"".join(pending.values()) + tail)
        # Usually nearly all streams have read everything before, so the same bytes are written directly to their sockets.
        written, size, send = 0, len(data), os.write
        for stream in list(group.streams):
            sink = stream.sink
            if stream.missed or sink.get_write_buffer_size() or sink.is_closing():
                self._offer(stream, data, pending, events, now)
                continue
            written += 1
            try:
                taken = send(stream.descriptor, data)
            except OSError:  # the socket's buffer is full, or the connection is gone: leave both to the transport
                taken = 0
            if taken < size:
                sink.write(data[taken:])
        self._stats.frames += written
        self._stats.bytes += written * size
        # New streams get the events that their snapshot did not have. From now on they are streams like the others.
        for stream, given in joiners.items():
            group.streams.add(stream)
            news = {slot: event for slot, event in pending.items() if given.get(slot) is not event}
            if news or events:
                self._offer(stream, group.frame(b"".join(news.values()) + tail), news, events, now)

    def _offer(
        self, stream: Stream, data: bytes, pending: Mapping[Slot, bytes], events: Mapping[Slot, Backlog], now: float
    ) -> None:
        """Write to a stream if its client has read everything before. Otherwise record what it misses."""
        unsent = stream.sink.get_write_buffer_size()
        if not unsent and not stream.missed:
            self.write(stream, data)
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
