"""Every connection and every response ends, whatever the client does. `test_siege` runs all such clients at once."""

import asyncio
import contextlib
import json
import socket
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.api import answers
from market_pulse.process import bounded_http
from market_pulse.process.health import serve_health
from support.attacks import BIG
from support.waiting import PATIENCE_S, free_port, until

from .gateway_fixtures import Running, running_gateway

NO_BUS = "redis://127.0.0.1:1/0"
QUICK: dict[str, Any] = {"slow_client_s": 1.0, "max_answers": 20, "max_answers_per_ip": 10, "max_streams_per_ip": 10}
HEAD = "Host: x\r\nAccept-Encoding: identity\r\n"
UNREAD = f"GET {BIG} HTTP/1.1\r\n{HEAD}\r\n".encode()


@pytest.fixture
async def running(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    monkeypatch.setattr(bounded_http, "HEAD_LIMIT_S", 1.0)
    async with running_gateway(NO_BUS, connected=False, **QUICK) as gateway:
        yield gateway


@contextlib.asynccontextmanager
async def connected(port: int, address: str = "127.0.0.1") -> AsyncIterator[socket.socket]:
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        connection.setblocking(False)
        connection.bind((address, 0))
        await asyncio.get_running_loop().sock_connect(connection, ("127.0.0.1", port))
        yield connection


async def send(connection: socket.socket, data: bytes) -> None:
    await asyncio.get_running_loop().sock_sendall(connection, data)


async def rest(connection: socket.socket) -> bytes:
    """Return all data until the end of the connection, which may be a reset."""
    told, loop = b"", asyncio.get_running_loop()
    with contextlib.suppress(ConnectionResetError):
        async with asyncio.timeout(PATIENCE_S):
            while data := await loop.sock_recv(connection, 65_536):
                told += data
    return told


async def send_until_cut(connection: socket.socket, data: bytes, every_s: float = 0.0) -> None:
    with contextlib.suppress(OSError):
        async with asyncio.timeout(PATIENCE_S):
            while True:
                await send(connection, data)
                await asyncio.sleep(every_s)


async def is_cut(connection: socket.socket) -> bool:
    """Return whether the connection was reset, without reading from it."""
    return connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != 0


async def test_an_answer_that_nobody_reads_is_cut(running: Running) -> None:
    async with connected(running.port) as connection:
        await send(connection, UNREAD)
        await until(lambda: running.gateway.answers.count == 1)
        await until(lambda: is_cut(connection))
        await until(lambda: running.gateway.answers.count == 0)
        assert running.gateway.connections.cut == Counter(unread=1)


async def test_a_byte_a_moment_is_no_taking(running: Running) -> None:
    async with connected(running.port) as connection:
        await send(connection, UNREAD)

        async def is_cut_meanwhile() -> bool:
            return not await asyncio.get_running_loop().sock_recv(connection, 1) or await is_cut(connection)

        await until(is_cut_meanwhile, every_s=0.05)
    assert running.gateway.connections.cut == Counter(unread=1)


@pytest.mark.parametrize("path", ["/openapi.json", "/api/status", "/livez", "/nowhere", "/docs", "/metrics", "/api/ticker/!"])
async def test_whatever_kind_of_answer_it_is(running: Running, path: str) -> None:
    """A client is cut also if the kernel holds the whole response, or so many of them that it does not."""
    async with connected(running.port) as connection:
        await send(connection, f"GET {path} HTTP/1.1\r\n{HEAD}\r\n".encode() * 100)
        await until(lambda: is_cut(connection))
    await until(lambda: len(running.gateway.connections) == 0)
    assert running.gateway.answers.count == 0


async def test_who_reads_slowly_but_all_of_it_is_not_cut(running: Running) -> None:
    """In all it takes many times SLOW_CLIENT_S for many responses, but it reads each in time."""
    async with connected(running.port) as connection:
        for _ in range(8):
            await send(connection, f"GET /api/status HTTP/1.1\r\n{HEAD}\r\n".encode())
            told = b""
            async with asyncio.timeout(PATIENCE_S):
                while b"\r\n\r\n" not in told or not told.endswith(b"}"):
                    told += await asyncio.get_running_loop().sock_recv(connection, 100)
                    await asyncio.sleep(0.02)
            assert told.startswith(b"HTTP/1.1 200")
    assert not running.gateway.connections.cut


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"GET /livez HT", id="half a request"),
        pytest.param(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /", id="half of a second one"),
    ],
)
async def test_who_does_not_ask_is_cut(running: Running, sent: bytes) -> None:
    async with connected(running.port) as connection:
        await send(connection, sent)
        told = await rest(connection)
        assert told.count(b"HTTP/1.1 200") == sent.count(b"\r\n\r\n")
    assert running.gateway.connections.cut == Counter(head=1)


async def test_who_sends_its_request_by_the_byte_is_cut(running: Running) -> None:
    async with connected(running.port) as connection:
        for byte in b"GET /":
            await send(connection, bytes([byte]))
        await send_until_cut(connection, b"x", every_s=0.05)
    assert running.gateway.connections.cut == Counter(head=1)


async def test_a_head_without_an_end_is_cut(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_LIMIT_S", 100.0)
    async with connected(running.port) as connection:
        await send(connection, b"GET / HTTP/1.1\r\nX-Long: ")
        await send_until_cut(connection, b"x" * 1000)
    assert running.gateway.connections.cut == Counter(head=1)


async def test_heads_without_an_end_are_bounded_together(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_LIMIT_S", 100.0)
    monkeypatch.setattr(bounded_http, "MOST_HEADS_BYTES", 5_000)
    async with contextlib.AsyncExitStack() as stack:
        for number in range(8):
            connection = await stack.enter_async_context(connected(running.port, f"127.0.0.{2 + number % 4}"))
            await send(connection, b"GET / HTTP/1.1\r\nX-Long: " + b"x" * 1000)
        await until(lambda: running.gateway.connections.cut["head"] >= 3)
        assert (await running.http.get("/livez")).status_code == 200
        assert len(running.gateway.connections) >= 4
    await until(lambda: running.gateway.connections._heads_bytes == 0)


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        pytest.param("Content-Length: 5", b"hello", id="short"),
        pytest.param("Content-Length: 5", b"", id="that never comes"),
        pytest.param("Content-Length: 1000000000", b"x" * 100_000, id="long"),
        pytest.param("Transfer-Encoding: chunked", b"5\r\nhello\r\n", id="in chunks, without an end"),
        pytest.param("Transfer-Encoding: gzip, chunked", b"", id="encoded twice"),
        pytest.param("Content-Length: 5\r\nExpect: 100-continue", b"", id="that asks first"),
    ],
)
async def test_a_body_is_refused(running: Running, headers: str, body: bytes) -> None:
    for request_line in ("GET /api/status", "POST /api/status", "GET /api/realtime/BTC", "OPTIONS /", "GET /livez"):
        async with connected(running.port) as connection:
            await send(connection, f"{request_line} HTTP/1.1\r\nHost: x\r\nOrigin: http://a.b\r\n{headers}\r\n\r\n".encode())
            with contextlib.suppress(OSError):
                await send(connection, body)
            told = await rest(connection)
        head, _, text = told.partition(b"\r\n\r\n")
        assert b"HTTP/1.1 413 " in head.split(b"\r\n")[0], (request_line, told)
        assert b"application/problem+json" in head
        assert b"access-control-allow-origin: *" in head
        assert b"connection: close" in head
        assert json.loads(text)["code"] == "no_body"
        await until(lambda: len(running.gateway.connections) == 0)


async def test_a_body_of_no_bytes_is_none(running: Running) -> None:
    answer = await running.http.get("/api/status", headers={"Content-Length": "0"})
    assert answer.status_code == 200


async def test_another_protocol_is_not_listened_to(running: Running) -> None:
    """The request is answered as if it asked for no upgrade, and the connection ends, since its further data is not read."""
    upgrade = f"GET /livez HTTP/1.1\r\n{HEAD}Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n".encode()
    async with connected(running.port) as connection:
        await send(connection, upgrade)
        await send(connection, bytes(1000))
        told = await rest(connection)
    assert told.startswith(b"HTTP/1.1 200")
    assert b"connection: close" in told
    await until(lambda: len(running.gateway.connections) == 0)


async def test_requests_sent_at_once_are_answered_in_turn(running: Running) -> None:
    """Any number may wait: they take no more memory than their bytes, of which less than 64 KiB are read ahead."""
    count = 2000
    async with connected(running.port) as connection:
        requests = f"GET /livez HTTP/1.1\r\n{HEAD}\r\n".encode() * count
        sending = asyncio.create_task(send(connection, requests))
        told, longest = 0, 0
        async with asyncio.timeout(4 * PATIENCE_S):
            while told < count:
                told += (await asyncio.get_running_loop().sock_recv(connection, 65_536)).count(b"HTTP/1.1 200")
                [server_side] = list(running.gateway.connections._open)
                longest = max(longest, len(server_side._waiting))
        await sending
        assert 0 < longest < 65_536
        assert len(requests) > 65_536


async def test_one_address_has_so_many_connections(running: Running) -> None:
    async with contextlib.AsyncExitStack() as stack:
        opened = [await stack.enter_async_context(connected(running.port, "127.0.0.2")) for _ in range(21)]
        await until(lambda: running.gateway.connections.refused == Counter(address=1))
        assert await rest(opened[-1]) == b""
        assert (await running.http.get("/livez")).status_code == 200


async def test_who_is_idle_yields_to_a_newcomer(running: Running) -> None:
    """The gateway keeps twice as many connections as open responses, and cuts idle ones beyond that."""
    async with contextlib.AsyncExitStack() as stack:
        for number in range(60):
            await stack.enter_async_context(connected(running.port, f"127.0.0.{2 + number % 4}"))
        await until(lambda: running.gateway.connections.cut["crowded"] >= 20)
        assert len(running.gateway.connections) <= 40
        assert (await running.http.get("/livez")).status_code == 200


async def test_one_address_has_so_many_open_answers(running: Running) -> None:
    """An address with too many open responses is refused, and other addresses are served."""
    async with contextlib.AsyncExitStack() as stack:
        for _ in range(10):
            connection = await stack.enter_async_context(connected(running.port, "127.0.0.2"))
            await send(connection, UNREAD)
        await until(lambda: running.gateway.answers.count == 10)
        one_more = await stack.enter_async_context(connected(running.port, "127.0.0.2"))
        await send(one_more, UNREAD.replace(b"HTTP/1.1\r\n", b"HTTP/1.1\r\nConnection: close\r\n"))
        refused = await rest(one_more)
        assert refused.startswith(b"HTTP/1.1 429"), refused
        assert b"retry-after:" in refused
        assert b"problem+json" in refused
        assert (await running.http.get("/api/status")).status_code == 200
    metrics = (await running.http.get("/metrics")).text
    assert 'market_pulse_gateway_answers_refused_total{reason="address"} 1.0' in metrics


async def test_who_reads_nothing_yields_to_a_newcomer(running: Running) -> None:
    async with contextlib.AsyncExitStack() as stack:
        for number in range(20):
            connection = await stack.enter_async_context(connected(running.port, f"127.0.0.{2 + number % 2}"))
            await send(connection, UNREAD)
        await until(lambda: running.gateway.answers.count == 20 or running.gateway.connections.cut)
        assert (await running.http.get("/api/status")).status_code == 200


async def test_unread_bytes_of_one_address_are_bounded(running: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "MOST_UNREAD_BYTES_PER_ADDRESS", 100)
    assert (await running.http.get("/api/status")).status_code == 429
    assert (await running.http.get(BIG)).status_code == 200, "all responses share the bytes of a file"
    assert running.gateway.answers.bytes == 0


async def test_probes_of_other_parts_have_bounds_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_LIMIT_S", 1.0)
    port = free_port()
    serving = asyncio.create_task(serve_health("127.0.0.1", port, {}, {}))
    try:
        await until(lambda: listens(port))
        async with contextlib.AsyncExitStack() as stack:
            idle = [await stack.enter_async_context(connected(port)) for _ in range(100)]
            async with connected(port) as connection:
                await send(connection, b"GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
                told = await rest(connection)
                assert told.startswith(b"HTTP/1.1 200"), told
            assert [await rest(one) for one in idle] == [b""] * 100
    finally:
        serving.cancel()
        await asyncio.wait({serving})


async def listens(port: int) -> bool:
    try:
        async with connected(port):
            return True
    except ConnectionRefusedError:
        return False
