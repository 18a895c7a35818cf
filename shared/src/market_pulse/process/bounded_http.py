"""Limits for the connections of our HTTP servers: how many there may be, and how long each may take to send and to read.

uvicorn itself limits none of this: a client that sends half a request, or does not read its answers, can keep its connection
open for as long as it likes.
"""

import asyncio
import contextlib
import socket
import struct
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

if sys.platform == "linux":
    import fcntl
    import termios

HEAD_LIMIT_S = 10.0
"""How long a client may take from connecting, or from a later request's first byte, until a request's head is complete."""
LINGER_S = 2.0
"""How long a connection stays open after the answer to a request with a body. Closing it at once could lose the answer."""
MOST_IN_A_ROUND = 8
"""Requests that are started before the event loop runs everything else again. Most requests take about a millisecond."""
SWEEPS_EVERY = 10  # sweep once in this many of uvicorn's ticks, which come every 0.1 s

MOST_HEAD_BYTES = 32_768
MOST_HEADS_BYTES = 4 << 20
"""The limit for all incomplete heads together. Nearly every head arrives in one piece, so it is never incomplete."""
MOST_WAITING_BYTES = 4_096
"""How many bytes of further requests may wait until the request before is answered. Beyond this, reading is paused."""
MOST_DISCARDED_BYTES = 262_144  # of a body, after which the connection is cut
NOTSENT_LOWAT_BYTES = 16_384
"""The kernel accepts no more unsent bytes than this, so a slow client shows early, before much is buffered for it."""
RECEIVE_BUFFER_BYTES = 4_096
"""The kernel doubles this, and buffers that many bytes of a client while we read none."""

_ACKED = struct.Struct("=120xQ")  # tcpi_bytes_acked in Linux's struct tcp_info
_AT_ONCE = struct.pack("ii", 1, 0)
_QUEUED = struct.Struct("=i")


class Connections:
    """The connections of one server. Event streams are counted per address only, and have limits of their own elsewhere.

    If there is no room for a new connection, the one that was idle for longest is cut, so idle clients cannot keep others
    out. A connection whose request is not answered yet is never cut to make room.

    Args:
        most: how many connections there may be in all, without streams.
        most_per_address: how many connections one address may have, with its streams.
        unread_limit_s: how long a client may take to acknowledge all of an answer, in seconds.
        trusted: networks of proxies. The limit per address does not apply to them, because they connect for many clients.
        clock: returns monotonic seconds.
    """

    def __init__(
        self,
        most: int,
        most_per_address: int,
        unread_limit_s: float,
        trusted: Iterable[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.unread_limit_s = unread_limit_s
        self.clock = clock
        self.refused: Counter[str] = Counter()  # by the limit that was reached: address, total
        self.cut: Counter[str] = Counter()  # by reason: head, body, unread, crowded
        self._most, self._most_per_address = most, most_per_address
        self._open: dict[BoundedProtocol, None] = {}  # ordered by the last request, the most recent at the end
        self._of_address: Counter[str] = Counter()  # connections by owner, with streams; trusted proxies are ""
        self._heads_bytes = 0  # of all incomplete heads
        self._queues: dict[str, deque[BoundedProtocol]] = {}  # by owner: connections that wait for their turn to be parsed
        networks = [ip_network(network) for network in trusted]
        self._is_trusted = lru_cache(1024)(lambda address: any(address in network for network in networks))

    def __len__(self) -> int:
        """Return the number of connections, without streams."""
        return len(self._open)

    def admit(self, connection: "BoundedProtocol", address: str) -> str | None:
        """Count a new connection and return its owner (see `owner_of`), to be passed to `leave`. None: there is no room."""
        owner = "" if self._trusts(address) else owner_of(address)
        if owner and self._of_address[owner] >= self._most_per_address:
            self.refused["address"] += 1
            return None
        if len(self._open) >= self._most:
            idle = next((one for one in self._open if not one.is_answering), None)
            if idle is None:
                self.refused["total"] += 1
                return None
            self.end(idle, "crowded")
        self._of_address[owner] += 1
        self._open[connection] = None
        return owner

    def end(self, connection: "BoundedProtocol", why: str) -> None:
        """Cut a connection at once, and count it under the reason `why`."""
        self._open.pop(connection, None)
        self.cut[why] += 1
        reset(connection.transport)

    def touch(self, connection: "BoundedProtocol") -> None:
        """Note that a request has just arrived on a connection."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def lend(self, connection: "BoundedProtocol") -> None:
        """Note that a connection is an event stream from now on, so the limits here no longer apply to it."""
        self._open.pop(connection, None)

    def leave(self, connection: "BoundedProtocol", owner: str) -> None:
        """Forget a connection that was admitted and is closed now."""
        self._open.pop(connection, None)
        self._of_address[owner] -= 1
        if not self._of_address[owner]:
            del self._of_address[owner]

    def hold_head(self, size: int) -> bool:
        """Add to the bytes of incomplete heads (a negative size subtracts). Return whether they are within the limit."""
        self._heads_bytes += size
        return self._heads_bytes <= MOST_HEADS_BYTES

    def queue(self, connection: "BoundedProtocol", owner: str) -> None:
        """Queue a connection; `go_on` is called when it is its turn.

        Each round of the event loop serves MOST_IN_A_ROUND connections, taking the addresses in turn. So an address with many
        requests delays neither the streams nor other addresses.
        """
        if not self._queues:
            asyncio.get_running_loop().call_soon(self._serve)
        self._queues.setdefault(owner, deque()).append(connection)

    def _serve(self) -> None:
        for _ in range(MOST_IN_A_ROUND):
            if not self._queues:
                return
            owner, waiting = next(iter(self._queues.items()))
            del self._queues[owner]
            connection = waiting.popleft()
            if waiting:
                self._queues[owner] = waiting  # at the end, behind all other owners
            connection.go_on()
        if self._queues:
            asyncio.get_running_loop().call_soon(self._serve)

    def sweep(self) -> None:
        """Cut the connections that take too long. Call this about once a second."""
        now = self.clock()
        for connection in list(self._open):
            if why := connection.overdue(now):
                self.end(connection, why)

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:  # a Unix socket has no address
            return False
        return self._is_trusted((parsed.version == 6 and parsed.ipv4_mapped) or parsed)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol with limits. On each connection, one request at a time is read and answered.

    Requests have no bodies here. If a head announces a body or a change of protocol, the bytes after it are discarded, and the
    connection is closed after the answer.
    """

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._bounds = connections
        self._owner: str | None = None  # the owner under whom this connection is counted
        self._asking_since: float | None = connections.clock()  # since when a request's head is awaited or incomplete
        self._head_bytes = 0  # bytes of the incomplete head
        self._waiting = bytearray()  # received bytes that are not parsed yet
        self._is_queued = False  # whether this connection waits for its turn to have them parsed
        self._told_taken: Callable[[], None] | None = None  # called when the kernel has taken all of the answer
        self._deaf_since: float | None = None  # since when received bytes are discarded instead of parsed
        self._discarded = 0  # how many bytes were discarded
        self._written = False  # whether bytes were written that the client may not have acknowledged yet
        self._mark: tuple[int, float] | None = None  # a byte count that must be acknowledged, and since when

    @property
    def is_answering(self) -> bool:
        """Whether a request has arrived whose answer is not complete yet."""
        return self.cycle is not None and not (self.cycle.response_complete or self.cycle.disconnected)

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop when a client has connected."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that `write_paused` is True as soon as any byte is unsent
        self._set("TCP_NOTSENT_LOWAT", NOTSENT_LOWAT_BYTES)
        self._owner = self._bounds.admit(self, self.client[0] if self.client else "local")
        if self._owner is None:
            transport.abort()

    def _set(self, option: str, value: int) -> None:
        """Set a TCP option of the connection's socket (on Linux only)."""
        connection = self.transport.get_extra_info("socket")
        if sys.platform == "linux" and connection is not None and connection.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # the connection was reset: connection_lost is about to be called
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the connection is closed or lost."""
        if self._owner is not None:
            self._bounds.leave(self, self._owner)
            self._owner = None
        self._waiting.clear()
        self._release_head()
        self._tell_taken()
        super().connection_lost(exc)
        # After a reset, uvicorn leaves its keep-alive timer running, and the timer keeps this object in memory.
        self._unset_keepalive_if_required()
        self.forget_request()

    def data_received(self, data: bytes) -> None:
        """Called by the transport with bytes from the client."""
        if self._deaf_since is not None:
            self._discarded += len(data)
            if self._discarded > MOST_DISCARDED_BYTES:
                reset(self.transport)
            return
        self._unset_keepalive_if_required()
        if self._asking_since is None and not self._is_busy:
            self._asking_since = self._bounds.clock()
        self._waiting += data
        if len(self._waiting) > MOST_WAITING_BYTES:
            self.flow.pause_reading()
        self._want_turn()

    @property
    def _is_busy(self) -> bool:
        """Whether an answer is incomplete, or the kernel has not taken all of it yet."""
        return self.is_answering or self.flow.write_paused

    def _want_turn(self) -> None:
        if not (self._is_busy or self._is_queued) and self._owner is not None:
            self._is_queued = True
            self._bounds.queue(self, self._owner)

    def go_on(self) -> None:
        """Parse the first request of the received bytes. The rest stays unparsed, because parsed requests take more memory."""
        self._is_queued = False
        if self._is_busy or self.transport.is_closing() or self._deaf_since is not None or not self._waiting:
            return
        end = self._waiting.find(b"\r\n\r\n") + 4
        if end < 4:
            end = len(self._waiting)
        first = bytes(self._waiting[:end])
        del self._waiting[:end]
        super().data_received(first)
        if self._asking_since is not None and not self._has_room_for_head(end):
            self._bounds.end(self, "head")
        elif self._waiting:
            self._want_turn()
        else:
            self.flow.resume_reading()

    def _has_room_for_head(self, size: int) -> bool:
        """Count `size` more bytes of an incomplete head. Return whether it, and all of them together, are within limits."""
        self._head_bytes += size
        return self._bounds.hold_head(size) and self._head_bytes <= MOST_HEAD_BYTES

    def _release_head(self) -> None:
        self._bounds.hold_head(-self._head_bytes)
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Called by the parser with each request. If a body or another protocol follows, stop reading requests."""
        self._asking_since = None
        self._release_head()
        self._bounds.touch(self)
        if self.parser.should_upgrade() or any(
            name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in self.headers
        ):
            self._deaf_since = self._bounds.clock()
        super().on_headers_complete()
        if self._deaf_since is not None:
            self.cycle.keep_alive = False
            self.cycle.transport = _EndsGently(self.transport)  # type: ignore[assignment] # has every method that a cycle calls

    def on_response_complete(self) -> None:
        """Called by uvicorn when all of an answer is written. The kernel may not have taken all of it yet."""
        self._written = True
        if not self.flow.write_paused:
            self._go_on()

    def resume_writing(self) -> None:
        """Called by the transport when the kernel has taken all written bytes."""
        super().resume_writing()
        if self.cycle is not None and self.cycle.response_complete:
            self._go_on()

    def _go_on(self) -> None:
        """After an answer, wait for the next request, or take one that has arrived already."""
        super().on_response_complete()
        self._tell_taken()
        self.forget_request()
        if len(self._waiting) > MOST_WAITING_BYTES:  # uvicorn has resumed reading after the answer
            self.flow.pause_reading()
        if self._deaf_since is not None:
            self._deaf_since = self._bounds.clock()
        elif self._waiting and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._asking_since = self._bounds.clock()
            self._want_turn()

    def forget_request(self) -> None:
        """Free the last request's objects, some 10 KiB.

        A scope's extensions refer to its cycle, and the cycle to the scope. Without breaking this circle, the memory would be
        freed only by the garbage collector, which runs rarely here.
        """
        if self.scope is not None:
            self.scope.get("extensions", {}).clear()
        self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def when_taken(self, tell: Callable[[], None]) -> None:
        """Call `tell` once, when the kernel has taken all of the present answer, or when the connection is lost."""
        self._told_taken = tell

    def _tell_taken(self) -> None:
        tell, self._told_taken = self._told_taken, None
        if tell is not None:
            tell()

    def forgo_bounds(self) -> None:
        """Note that this connection is an event stream from now on. The stream's writer applies limits of its own."""
        self._bounds.lend(self)
        # The kernel ends the connection if, for this long, the client does not acknowledge bytes or has no room for them.
        self._set("TCP_USER_TIMEOUT", round(1000 * self._bounds.unread_limit_s))
        self._asking_since = None
        self._waiting.clear()
        self._tell_taken()

    def overdue(self, now: float) -> str | None:
        """Return the reason why this connection must be cut now: head, body or unread. None: it is within its limits."""
        if self._asking_since is not None and not self._is_queued and now - self._asking_since >= HEAD_LIMIT_S:
            return "head"
        if self._deaf_since is not None and not self._is_busy and now - self._deaf_since >= LINGER_S:
            return "body"
        return "unread" if self._is_unread(now) else None

    def _is_unread(self, now: float) -> bool:
        """Return whether bytes that were written `unread_limit_s` ago are still not acknowledged.

        A client that acknowledges a few bytes now and then does not pass: it must acknowledge all bytes that had been written
        when this was first looked at.
        """
        if not (self._written or self.flow.write_paused):
            return False
        acked, queued = _progress(self.transport)
        if not queued:
            self._written, self._mark = False, None
            return False
        if self._mark is None or acked >= self._mark[0]:
            self._mark = acked + queued, now
        return now - self._mark[1] >= self._bounds.unread_limit_s


def bound_buffers(servers: Iterable[asyncio.Server]) -> None:
    """Set small receive buffers on the servers' listening sockets, so that new connections have them from the first packet."""
    for server in servers:
        for listening in server.sockets:
            if listening.family != getattr(socket, "AF_UNIX", None):
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


class _EndsGently:
    """A transport whose `close` only closes the sending side, so that the client receives the whole answer first."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """Close the sending side once all is sent."""
        if not self._transport.is_closing():
            self._transport.write_eof()


def reset(transport: Any) -> None:
    """Cut a connection at once. Without this, the kernel would keep it, and go on sending the client what it has not read."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
        with contextlib.suppress(OSError):  # the connection is lost already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


def _progress(transport: Any) -> tuple[int, int]:
    """Return how many bytes the client has acknowledged, and how many more were written.

    If the system does not report this, the first is 0, and the second is the number of bytes that the kernel has not taken.
    """
    unsent: int = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if sys.platform != "linux" or connection is None or connection.family == socket.AF_UNIX:
        return 0, unsent
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size)
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_QUEUED.size))
        return _ACKED.unpack(info)[0], _QUEUED.unpack(queued)[0] + unsent
    except (OSError, struct.error):  # the connection has just been lost, or this is a Linux before 4.1
        return 0, unsent


def owner_of(address: str) -> str:
    """Return the owner under whom an address is counted.

    This is the address itself, but for IPv6 its /64 network, because one host has a whole /64. An IPv4 address on an IPv6
    socket counts as that IPv4 address.
    """
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or int(parsed) >> 64)
