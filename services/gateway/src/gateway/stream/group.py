"""Streams, and the groups of streams that get the same bytes."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol
from zlib import crc32

from .backlog import Backlog
from .body import Body, Windows
from .fields import Fields

NO_DESCRIPTOR = -1  # writing to it fails with OSError
SETTLE_S = 5.0  # how often streams that were sent text of their own go back to the others of their group


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

    def newest(self, now_ms: int, fields: Fields = None) -> bytes:
        """Return the event with these fields of its state as it is now, or an empty text if there is no event."""


class Notice:
    """A slot with an event that stays the same until it is replaced."""

    __slots__ = ("event",)

    def __init__(self, event: bytes = b"") -> None:
        self.event = event

    def newest(self, now_ms: int, fields: Fields = None) -> bytes:  # noqa: ARG002 - a slot's signature
        """Return the event."""
        return self.event


class Wish(NamedTuple):
    """The content and the form of a stream, as its client asks for them. Streams with equal wishes get the same bytes.

    `channels` are in order. `max_hz` is the most writes per second, or None for no limit. `fields` are the members of a ticker
    to send. `chunked` is whether the body is sent in chunks, and `compressed` whether it is compressed.
    """

    channels: tuple[str, ...]
    max_hz: float | None = None
    fields: Fields = None
    chunked: bool = True
    compressed: bool = False


class Group:
    """The streams with one wish. Pending events are encoded once for all of them.

    A compressed stream that was sent text of its own cannot share a piece that refers back to other text. That happens when it
    begins, and when its client has read too slowly. It then is `apart`. The streams apart share pieces of their own, and go
    back to the others each SETTLE_S. So streams that come all the time do not make every piece start anew.
    """

    __slots__ = (
        "apart",
        "apart_body",
        "beat_at",
        "body",
        "events",
        "joiners",
        "not_before",
        "pending",
        "queued",
        "settle_at",
        "shortest_s",
        "streams",
        "wish",
    )

    def __init__(self, wish: Wish, windows: Windows, beat_at: float = 0.0) -> None:
        self.wish = wish
        self.body, self.apart_body = (
            Body(windows, chunked=wish.chunked, compressed=wish.compressed) for _ in range(2)
        )  # of `streams`, and of `apart`
        self.settle_at = 0.0  # when the streams apart go back
        self.shortest_s = 1 / wish.max_hz if wish.max_hz else 0.0  # the shortest time from one flush to the next
        self.not_before = 0.0  # the earliest time of the next flush
        self.beat_at = beat_at  # when its streams get their next heartbeat
        self.queued = False  # whether the group waits for a flush
        self.pending: dict[Slot, None] = {}  # the slots whose state has changed since the last flush
        self.events: dict[Slot, Backlog] = {}  # since the last flush, the events that do not replace each other
        self.streams: set[Stream] = set()
        self.apart: set[Stream] = set()
        self.joiners: dict[Stream, Mapping[Slot, bytes]] = {}  # new streams, with the pending events that they have

    def admit(self, stream: "Stream") -> None:
        """Add a stream, which has had text of its own."""
        if self.wish.compressed:
            self.apart.add(stream)
            self.apart_body.start_anew()
        else:
            self.streams.add(stream)

    def set_apart(self, stream: "Stream") -> None:
        """Note that one of the streams was sent text of its own, if that matters."""
        if self.wish.compressed and (stream in self.streams or stream in self.apart):
            self.streams.discard(stream)
            self.admit(stream)

    def settle(self, now: float) -> None:
        """Let the streams apart share the pieces of the others again, if it is time."""
        if self.apart and now >= self.settle_at:
            self.settle_at = now + SETTLE_S
            self.streams |= self.apart
            self.apart.clear()
            self.start_anew()

    def start_anew(self) -> None:
        """Let the next pieces refer back to nothing."""
        self.body.start_anew()
        self.apart_body.start_anew()

    def remove(self, stream: "Stream") -> bool:
        """Remove a stream. Return whether it was the last one."""
        self.streams.discard(stream)
        self.apart.discard(stream)
        self.joiners.pop(stream, None)
        if self.streams or self.apart or self.joiners:
            return False
        self.start_anew()
        return True


class Stream:
    """One client's stream. It is written to only if all earlier bytes were sent, so that at most one write is buffered.

    Args:
        sink: where its bytes are written.
        group: the streams that get the same bytes.
        descriptor: the descriptor of the connection's socket, if bytes may be written to it directly.
        owner: the address whose share its channels count towards.
        opened_at: when it began; this and the next are monotonic seconds.
        expires_at: when its client is asked to reconnect.
        held: whether a proxy holds the client's next request while no gateway can take it.
    """

    __slots__ = (
        "check",
        "descriptor",
        "expires_at",
        "group",
        "held",
        "lagging_since",
        "missed",
        "opened_at",
        "owner",
        "sink",
        "size",
    )

    def __init__(
        self,
        sink: Sink,
        group: Group,
        descriptor: int = NO_DESCRIPTOR,
        *,
        owner: str = "local",
        opened_at: float,
        expires_at: float,
        held: bool = False,
    ) -> None:
        self.sink = sink
        self.group = group
        self.descriptor = descriptor
        self.owner = owner
        self.opened_at = opened_at
        self.expires_at = expires_at
        self.held = held
        self.missed: dict[Slot, Backlog | None] = {}  # slots with missed events; None: send the slot's newest state
        self.lagging_since: float | None = None  # since when the client has not read everything; None if it has
        self.check = 0  # of a compressed stream: the checksum and the length of all text that was written
        self.size = 0

    def sum_up(self, text: bytes) -> None:
        """Add a text of a compressed stream to its checksum and length."""
        self.check = crc32(text, self.check)
        self.size += len(text)

    def end(self, goodbye: bytes) -> None:
        """Send a last event, finish the body, and close the connection."""
        if not self.sink.is_closing():
            self.sink.write(self.group.body.last(goodbye, self.check, self.size))
            self.sink.close()
