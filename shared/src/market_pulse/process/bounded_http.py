"""Bounds for the connections of an HTTP server of ours: how many there are, and how long each may take over what it does.

uvicorn by itself bounds none of this: a client that sends half a request, or leaves its answers unread, keeps its connection
for as long as it likes.
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
"""How long a client may take to send a request's head, and may wait with its first one."""
LINGER_S = 2.0
"""How long a connection stays after the answer to a request with a body: closed at once, it could take the answer with it."""
MOST_IN_A_ROUND = 8
"""Requests that are begun before the event loop looks after everything else again; most take about a millisecond."""
SWEEPS_EVERY = 10  # of uvicorn's ticks, which are 0.1 s

MOST_HEAD_BYTES = 32_768
MOST_HEADS_BYTES = 4 << 20
"""Of all heads together that are not complete yet. Nearly every head comes in one piece, and never counts."""
MOST_WAITING_BYTES = 4_096
"""Of further requests, which wait until the one before is answered: beyond that nothing more is read."""
MOST_DISCARDED_BYTES = 262_144
NOTSENT_LOWAT_BYTES = 16_384
"""The kernel takes no more unsent bytes than this, so a slow client is noticed while it is fresh."""
RECEIVE_BUFFER_BYTES = 4_096
"""The kernel doubles it, and keeps so many bytes of a client while none are read."""

_ACKED = struct.Struct("=120xQ")  # of Linux's struct tcp_info: tcpi_bytes_acked
_AT_ONCE = struct.pack("ii", 1, 0)
_QUEUED = struct.Struct("=i")


class Connections:
    """The connections of one server. Those that were lent to streams are not among them: they have bounds of their own.

    When there is no room for a new one, the one goes that did nothing for longest: a client that says or reads nothing keeps
    nobody else away. One that waits for its answer is never cut for another.

    Args:
        most: how many there may be in all, streams apart.
        most_per_address: how many of one address, its streams among them.
        unread_limit_s: how long a client may take to acknowledge all of an answer.
        trusted: networks of proxies, which connect for many.
        clock: monotonic seconds.
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
        self.refused: Counter[str] = Counter()  # by whose bound: address, total
        self.cut: Counter[str] = Counter()  # by why: head, body, unread, crowded
        self._most, self._most_per_address = most, most_per_address
        self._open: dict[BoundedProtocol, None] = {}  # who did something last comes last
        self._of_address: Counter[str] = Counter()
        self._heads_bytes = 0
        self._queues: dict[str, deque[BoundedProtocol]] = {}  # who wants its turn, by whose it is
        networks = [ip_network(network) for network in trusted]
        self._is_trusted = lru_cache(1024)(lambda address: any(address in network for network in networks))

    def __len__(self) -> int:
        """Return how many there are, streams apart."""
        return len(self._open)

    def admit(self, connection: "BoundedProtocol", address: str) -> str | None:
        """Count a new connection and return whose it is, for `leave`; None where there is no room for it."""
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
        """Cut a connection."""
        self._open.pop(connection, None)
        self.cut[why] += 1
        reset(connection.transport)

    def touch(self, connection: "BoundedProtocol") -> None:
        """Note that a connection has just brought a request."""
        if connection in self._open:
            del self._open[connection]
            self._open[connection] = None

    def lend(self, connection: "BoundedProtocol") -> None:
        """Note that a connection is a stream from now on."""
        self._open.pop(connection, None)

    def leave(self, connection: "BoundedProtocol", owner: str) -> None:
        """Forget a connection that was admitted."""
        self._open.pop(connection, None)
        self._of_address[owner] -= 1
        if not self._of_address[owner]:
            del self._of_address[owner]

    def hold_head(self, size: int) -> bool:
        """Count bytes of a head that is not complete, or with a negative size no longer; return whether there is room."""
        self._heads_bytes += size
        return self._heads_bytes <= MOST_HEADS_BYTES

    def queue(self, connection: "BoundedProtocol", owner: str) -> None:
        """Have a connection go on with the bytes that came in, when it is its turn.

        In each round of the event loop so many have theirs, one address after the other: an address that asks for much holds up
        neither streams nor the others.
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
                self._queues[owner] = waiting  # the last one now
            connection.go_on()
        if self._queues:
            asyncio.get_running_loop().call_soon(self._serve)

    def sweep(self) -> None:
        """Cut what takes too long. To be called about once a second."""
        now = self.clock()
        for connection in list(self._open):
            if why := connection.overdue(now):
                self.end(connection, why)

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ip_address(address)
        except ValueError:  # of a Unix socket
            return False
        return self._is_trusted((parsed.version == 6 and parsed.ipv4_mapped) or parsed)


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol within bounds. One request of a connection is read and answered at a time.

    No request has a body: what comes after the head of one that announces a body, or another protocol, is not read, and the
    connection ends with the answer.
    """

    def __init__(self, *arguments: Any, connections: Connections, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._bounds = connections
        self._owner: str | None = None  # of whom this connection is counted
        self._asking_since: float | None = connections.clock()  # since when a head is awaited or comes in
        self._head_bytes = 0
        self._waiting = bytearray()  # bytes that are not parsed yet
        self._is_queued = False  # whether this connection waits for its turn to have them parsed
        self._told_taken: Callable[[], None] | None = None  # told when the kernel has all of an answer
        self._deaf_since: float | None = None  # since when nothing more is read as requests
        self._discarded = 0
        self._written = False  # whether something was, that may not be acknowledged yet
        self._mark: tuple[int, float] | None = None  # up to which byte must be acknowledged, and since when

    @property
    def is_answering(self) -> bool:
        """Whether a request is here whose answer is not complete yet."""
        return self.cycle is not None and not (self.cycle.response_complete or self.cycle.disconnected)

    def connection_made(self, transport: Any) -> None:
        """Called by the event loop when a client has connected."""
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=0)  # so that write_paused says whether something is unsent
        self._set("TCP_NOTSENT_LOWAT", NOTSENT_LOWAT_BYTES)
        self._owner = self._bounds.admit(self, self.client[0] if self.client else "local")
        if self._owner is None:
            transport.abort()

    def _set(self, option: str, value: int) -> None:
        """Set an option of the connection where the system has it."""
        connection = self.transport.get_extra_info("socket")
        if sys.platform == "linux" and connection is not None and connection.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # already reset: connection_lost is about to be called
                connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the connection is gone."""
        if self._owner is not None:
            self._bounds.leave(self, self._owner)
            self._owner = None
        self._waiting.clear()
        self._release_head()
        self._tell_taken()
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # which uvicorn leaves to run, and to hold all of this, after a reset
        self.forget_request()

    def data_received(self, data: bytes) -> None:
        """Called by the transport with bytes of the client."""
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
        """Whether an answer is under way or not yet taken by the kernel."""
        return self.is_answering or self.flow.write_paused

    def _want_turn(self) -> None:
        if not (self._is_busy or self._is_queued) and self._owner is not None:
            self._is_queued = True
            self._bounds.queue(self, self._owner)

    def go_on(self) -> None:
        """Have the first request in what was sent parsed. The rest waits as it is: parsed, it takes far more memory."""
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
        """Count so many more bytes of a head that is not complete."""
        self._head_bytes += size
        return self._bounds.hold_head(size) and self._head_bytes <= MOST_HEAD_BYTES

    def _release_head(self) -> None:
        self._bounds.hold_head(-self._head_bytes)
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """Called by the parser with each request. If a body or another protocol follows, it is not read."""
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
            self.cycle.transport = _EndsGently(self.transport)  # type: ignore[assignment] # all of it that a cycle calls

    def on_response_complete(self) -> None:
        """Called by uvicorn when all of an answer is written, of which the kernel may not have taken all."""
        self._written = True
        if not self.flow.write_paused:
            self._go_on()

    def resume_writing(self) -> None:
        """Called by the transport when nothing is unsent any more."""
        super().resume_writing()
        if self.cycle is not None and self.cycle.response_complete:
            self._go_on()

    def _go_on(self) -> None:
        """Wait for the next request, or take one that waits."""
        super().on_response_complete()
        self._tell_taken()
        self.forget_request()
        if len(self._waiting) > MOST_WAITING_BYTES:  # uvicorn would read on after each answer
            self.flow.pause_reading()
        if self._deaf_since is not None:
            self._deaf_since = self._bounds.clock()
        elif self._waiting and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._asking_since = self._bounds.clock()
            self._want_turn()

    def forget_request(self) -> None:
        """Let go of the last request, some 10 KiB. The next one brings its own.

        The extensions of a scope know its cycle, which knows the scope: such a circle would wait long to be found.
        """
        if self.scope is not None:
            self.scope.get("extensions", {}).clear()
        self.cycle = self.scope = self.headers = None  # type: ignore[assignment]

    def when_taken(self, tell: Callable[[], None]) -> None:
        """Have somebody told, once, when the kernel has taken all of the answer under way, or the connection is gone."""
        self._told_taken = tell

    def _tell_taken(self) -> None:
        tell, self._told_taken = self._told_taken, None
        if tell is not None:
            tell()

    def forgo_bounds(self) -> None:
        """Note that this connection is a stream from now on. The stream's writer bounds its time."""
        self._bounds.lend(self)
        # The kernel ends the connection when bytes so old are not acknowledged, or the client has no room for them.
        self._set("TCP_USER_TIMEOUT", round(1000 * self._bounds.unread_limit_s))
        self._asking_since = None
        self._waiting.clear()
        self._tell_taken()

    def overdue(self, now: float) -> str | None:
        """Return why this connection must be cut, if it must."""
        if self._asking_since is not None and not self._is_queued and now - self._asking_since >= HEAD_LIMIT_S:
            return "head"
        if self._deaf_since is not None and not self._is_busy and now - self._deaf_since >= LINGER_S:
            return "body"
        return "unread" if self._is_unread(now) else None

    def _is_unread(self, now: float) -> bool:
        """Return whether what was written `unread_limit_s` ago is not all acknowledged.

        That something is acknowledged now and then does not count: all must be that was there when this was looked at first.
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
    """Have the kernel keep few unread bytes of each client of some servers, from its first packet on."""
    for server in servers:
        for listening in server.sockets:
            if listening.family != getattr(socket, "AF_UNIX", None):
                listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER_BYTES)


class _EndsGently:
    """A transport that is not closed by its answer, but ended on this side: the client has the answer before the end."""

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        """End this side of the connection once all is sent."""
        if not self._transport.is_closing():
            self._transport.write_eof()


def reset(transport: Any) -> None:
    """Cut a connection so that nothing is left of it here: else the kernel would go on to offer what is not read yet."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family != getattr(socket, "AF_UNIX", None):
        with contextlib.suppress(OSError):  # gone already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


def _progress(transport: Any) -> tuple[int, int]:
    """Return how many bytes the client has acknowledged, and how many more were written.

    Where the system does not tell, the first is 0 and the second what the kernel has not taken.
    """
    unsent: int = transport.get_write_buffer_size()
    connection = transport.get_extra_info("socket")
    if sys.platform != "linux" or connection is None or connection.family == socket.AF_UNIX:
        return 0, unsent
    try:
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _ACKED.size)
        queued = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(_QUEUED.size))
        return _ACKED.unpack(info)[0], _QUEUED.unpack(queued)[0] + unsent
    except (OSError, struct.error):  # a connection just lost, or a Linux before 4.1
        return 0, unsent


def owner_of(address: str) -> str:
    """Return whose an address is: an IPv6 host has a whole /64 of them, unless it is an IPv4 host on an IPv6 socket."""
    if ":" not in address:
        return address
    try:
        parsed = IPv6Address(address)
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or int(parsed) >> 64)
