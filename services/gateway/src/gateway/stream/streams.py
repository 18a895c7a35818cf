"""One client's stream, and the group of streams that are sent the same bytes. Knows no HTTP but the chunks of a body."""

from typing import Protocol

from market_pulse.messages import Symbol

from .sse import LAST_CHUNK, chunk, unframed

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
