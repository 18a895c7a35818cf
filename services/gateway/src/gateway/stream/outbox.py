"""Streams, the groups of streams that are sent the same bytes, and when and to whom bytes are written.

Each flush writes one shared chunk to all of a group. A stream that has not taken the last write is passed over. This knows
nothing of HTTP but the chunks of a body.
"""

import asyncio
import os
import time
from collections.abc import Callable, Iterable
from typing import Protocol

from market_pulse.messages import Symbol
from market_pulse.process.clock import now_ms

from .flush import FlushClock
from .sse import LAST_CHUNK, chunk, unframed
from .stats import Stats

RESYNC = "resync"  # the one key whose event comes before all others
LATE_S = 1.0
SHORTEST_TIMER_S = 0.001  # the event loop's resolution
NO_DESCRIPTOR = -1  # the system refuses to write to it


class Sink(Protocol):
    """Where a stream's bytes go: as much of asyncio's WriteTransport as is needed."""

    def is_closing(self) -> bool:
        """Tell whether the connection is going or gone; then nothing may be written."""

    def get_write_buffer_size(self) -> int:
        """Return how many bytes the kernel has not taken yet."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    def close(self) -> None:
        """Close when everything written is sent."""

    def abort(self) -> None:
        """Close at once."""


class Group:
    """The streams that want the same symbols at the same rate: what is pending is encoded and framed once for all of them.

    `pending` keeps the newest event per key (a symbol, or `status:<exchange>`), so it never grows beyond what there is to
    know. `joiners` are new streams with the pending events that their snapshot already held. `frame` makes a text a part of the
    body: a chunk, or for HTTP/1.0 just the text.
    """

    __slots__ = (
        "chunked",
        "frame",
        "joiners",
        "not_before",
        "pending",
        "queued",
        "queued_at",
        "shortest_s",
        "streams",
        "symbols",
    )

    def __init__(self, symbols: tuple[Symbol, ...], max_hz: float | None, *, chunked: bool = True) -> None:
        self.symbols = symbols
        self.chunked = chunked
        self.frame = chunk if chunked else unframed
        self.shortest_s = 1 / max_hz if max_hz else 0.0
        self.not_before = 0.0
        self.queued = False
        self.queued_at = 0.0
        self.pending: dict[str, bytes] = {}
        self.streams: set[Stream] = set()
        self.joiners: dict[Stream, dict[str, bytes]] = {}

    @property
    def key(self) -> tuple[tuple[Symbol, ...], float, bool]:
        """What streams must have in common to be in this group."""
        return self.symbols, self.shortest_s, self.chunked


class Stream:
    """One client. It is written to only while nothing it was sent before is unsent, so at most one write is ever buffered.

    `owner` is the address whose share the stream's symbols count towards. `descriptor` is that of the connection's socket, if
    bytes may be written there as they are.

    `held` says that a proxy holds the client's next request where no gateway is there to take it.
    `missed` are the keys of the events that it was not sent because it did not read; `lagging_since` is since when.
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
        self.missed: dict[str, None] = {}
        self.lagging_since: float | None = None

    def end(self, goodbye: bytes) -> None:
        """Send a last event, finish the body and close."""
        if not self.sink.is_closing():
            self.sink.write(self.group.frame(goodbye) + (LAST_CHUNK if self.group.chunked else b""))
            self.sink.close()


class Outbox:
    """Writes what is pending in groups to their streams.

    Args:
        stats: where it counts.
        flush_clock: when flushes may happen.
        clock: monotonic seconds.
        current: the newest event of a key, for who missed it.
    """

    def __init__(
        self, stats: Stats, flush_clock: FlushClock, clock: Callable[[], float], current: Callable[[str], bytes]
    ) -> None:
        self._stats = stats
        self._flush_clock = flush_clock
        self._clock = clock
        self._current = current
        self._loop = asyncio.get_running_loop()
        self._dirty: list[Group] = []
        self._armed = False
        self._oldest_unwritten_ms: int | None = None

    def add(self, group: Group, key: str, event: bytes) -> None:
        """Have an event sent to a group, in the place of an earlier one of the same key that is still pending."""
        self._stats.conflated += key in group.pending
        group.pending[key] = event
        self.queue(group)

    def queue(self, group: Group) -> None:
        """Have a group flushed as soon as its own rate and the flush clock allow."""
        if group.queued:
            return
        group.queued, group.queued_at = True, self._clock()
        wait_s = group.not_before - group.queued_at if group.shortest_s else 0.0
        if wait_s > 0:
            self._loop.call_later(wait_s, self._enqueue, group)
        else:
            self._enqueue(group)

    def date(self, published_ms: int) -> None:
        """Note when a message that is now pending was published, for the latency of the next flush."""
        if self._oldest_unwritten_ms is None:
            self._oldest_unwritten_ms = published_ms

    def write(self, stream: Stream, data: bytes) -> None:
        """Write to one stream, unless its connection is going."""
        if stream.sink.is_closing():
            return
        stream.sink.write(data)
        self._stats.frames += 1
        self._stats.bytes += len(data)

    def beat(self, stream: Stream, data: bytes) -> None:
        """Write a heartbeat to a stream that can take it; one that cannot is lagging."""
        if stream.sink.get_write_buffer_size():
            self._lag(stream, self._clock())
        else:
            self.write(stream, data)

    def catch_up(self, stream: Stream) -> None:
        """Go on with a stream that has nothing unsent any more: send it the newest of all that it missed."""
        stream.lagging_since = None
        if stream.missed:
            missed, stream.missed = stream.missed, {}
            self.write(stream, stream.group.frame(b"".join(self._current(key) for key in sorted(missed, key=RESYNC.__ne__))))

    def _enqueue(self, group: Group) -> None:
        self._dirty.append(group)
        if self._armed:
            return
        self._armed = True
        wait_s = self._flush_clock.wait_s(self._clock())
        if wait_s > 0:
            self._loop.call_later(max(wait_s, SHORTEST_TIMER_S), self._flush)
        else:
            self._loop.call_soon(self._flush)  # with all that the bus has for us in this turn of the loop

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
            self._stats.latency.observe((now_ms() - self._oldest_unwritten_ms) / 1000)
            self._oldest_unwritten_ms = None

    def _flush_group(self, group: Group, now: float) -> None:
        pending, group.pending = group.pending, {}
        joiners, group.joiners = group.joiners, {}
        if not pending:
            return
        if now - group.queued_at > LATE_S:  # this process may have slept, and what was live then is not any more
            pending = {key: self._current(key) for key in pending}
        data = group.frame(b"".join(pending.values()))
        written, size, send = 0, len(data), os.write
        for stream in list(group.streams):
            sink = stream.sink
            if stream.missed or sink.get_write_buffer_size() or sink.is_closing():
                self._offer(stream, data, pending, now)
                continue
            # Most streams, most of the time. Straight to the socket, for the transport takes a third of a delivery's time more.
            written += 1
            try:
                taken = send(stream.descriptor, data)
            except OSError:  # there is no room, or no connection any more: the transport knows what to do
                taken = 0
            if taken < size:
                sink.write(data[taken:])
        self._stats.frames += written
        self._stats.bytes += written * size
        for stream, given in joiners.items():
            group.streams.add(stream)
            news = {key: event for key, event in pending.items() if given.get(key) is not event}
            if news:
                self._offer(stream, group.frame(b"".join(news.values())), news, now)

    def _offer(self, stream: Stream, data: bytes, keys: Iterable[str], now: float) -> None:
        unsent = stream.sink.get_write_buffer_size()
        if not unsent and not stream.missed:
            self.write(stream, data)
            return
        stream.missed.update(dict.fromkeys(keys))
        if unsent:
            self._lag(stream, now)
        else:
            self.catch_up(stream)

    def _lag(self, stream: Stream, now: float) -> None:
        if stream.lagging_since is None:
            stream.lagging_since = now
            self._stats.laggards += 1
