"""What a client's TCP tells of how far the client has read, on real sockets of this machine."""

import asyncio
import socket
import struct
import sys
from collections.abc import Iterator
from typing import cast

import pytest

from gateway.stream.receiver import PROBES, Receiver, receiver
from gateway.stream.streams import UNREAD_LIMIT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")

SENT = 40_000
MSS = 1448


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """A server's end of a connection and its client's, with segments of an Ethernet's size."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket() as client:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, MSS)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            yield server, client


def send(server: socket.socket, size: int) -> None:
    """Send in small parts, as events are."""
    for _ in range(size // 800):
        server.sendall(b"x" * 800)


async def unread(far_end: Receiver, expected: range) -> None:
    """Wait until a look tells of so much: acknowledgements may take some 40 ms."""
    async with asyncio.timeout(5):
        while far_end.look() not in expected:
            await asyncio.sleep(0.01)


async def test_what_lies_unread_is_told_until_it_is_read(ends: tuple[socket.socket, socket.socket]) -> None:
    server, client = ends
    far_end = receiver(server)
    assert far_end is not None
    assert far_end.look() == 0
    send(server, SENT)
    await unread(far_end, range(SENT // 4, SENT + 1))
    left = SENT
    while left:
        left -= len(client.recv(left))
    server.sendall(b"x")  # whose acknowledgement tells
    await unread(far_end, range(SENT // 4))


def test_of_a_lost_connection_nothing_is_unread(ends: tuple[socket.socket, socket.socket]) -> None:
    server, _ = ends
    far_end = receiver(server)
    assert far_end is not None
    server.close()
    assert far_end.look() == 0


def test_nothing_is_known_of_a_unix_socket() -> None:
    one, other = socket.socketpair()
    with one, other:
        assert receiver(one) is None
    assert receiver(None) is None


async def probed(server: socket.socket, far_end: Receiver) -> bool | None:
    """Send, wait for the acknowledgement, and probe."""
    server.sendall(b"x" * 1000)
    await asyncio.sleep(0.06)
    far_end.look()
    return far_end.probe()


async def test_probes_find_who_reads_nothing(ends: tuple[socket.socket, socket.socket]) -> None:
    server, _ = ends
    far_end = receiver(server)
    assert far_end is not None
    send(server, SENT)
    assert await probed(server, far_end) is None, "there was nothing before it"
    async with asyncio.timeout(20):
        while await probed(server, far_end):
            send(server, 10_000)  # as long as its system has room that it had not offered


async def test_a_window_that_stays_narrow_is_no_backlog(ends: tuple[socket.socket, socket.socket]) -> None:
    """A reader's system may offer less than it did."""
    server, client = ends
    far_end = receiver(server)
    assert far_end is not None
    far_end._widest += 30_000
    client.setblocking(False)
    assert far_end.look() > 8_192
    async with asyncio.timeout(20):
        while far_end.look() > 8_192:
            await probed(server, far_end)
            client.recv(100_000)


class Told:
    """A connection of which the system tells what the test says."""

    def __init__(self) -> None:
        self.acked, self.window = 0, 110_000

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option) == (socket.IPPROTO_TCP, socket.TCP_INFO)
        return struct.pack("=120xQ100xI", self.acked, self.window)[:size]


@pytest.mark.parametrize(("falls", "let_go"), [(300, True), (1000, False)])
def test_who_reads_half_of_the_probes_is_let_go_though_the_window_moves_with_each(falls: int, let_go: bool) -> None:
    told = Told()
    far_end = Receiver(cast("socket.socket", told))
    far_end.look()
    told.acked, told.window = 100_000, 85_000
    for _ in range(PROBES + 1):
        assert far_end.look() > 20_000
        far_end.probe()
        told.acked, told.window = told.acked + 1000, told.window - falls
    assert (far_end.look() < UNREAD_LIMIT) is let_go


def test_what_lies_unread_is_not_taken_for_a_narrow_window_because_probes_are_read() -> None:
    """Who reads an eighth of what is sent reads a probe, too, and is as far behind as before."""
    told = Told()
    far_end = Receiver(cast("socket.socket", told))
    far_end.look()
    told.acked, told.window = 100_000, 0
    for _ in range(PROBES + 1):
        far_end.look()
        far_end.probe()
        told.acked += 1000
    assert far_end.look() > UNREAD_LIMIT
