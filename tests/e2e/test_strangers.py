"""Hostile clients of the edge: slow ones, floods and nonsense. Other clients are still served."""

import asyncio
import contextlib
import json
import uuid
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from support.compose import on_containers
from support.demo import Demo
from support.http2 import Headers, ask, request_for
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

MAX_CONNECTIONS = 200
FLOOD = 260
UNKNOWN = 10_000
SLOW = 20
CUT_WITHIN_S = 30.0
# Runs in a container, where no proxy of Docker's lies between. It opens streams with small buffers until one is on the named
# gateway, stops reading it, waits until that gateway has cut it, and then reads the rest to the end.
NEVER_READS = """
import socket, sys, time, urllib.request
host, within_s = sys.argv[1], float(sys.argv[2])
until = time.monotonic() + within_s
opened = []
told = b""
while host.encode() not in told:
    assert time.monotonic() < until, "never came to that gateway"
    time.sleep(0.1)
    opened.append(socket.socket())
    opened[-1].settimeout(10)
    opened[-1].setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
    opened[-1].connect(("edge", 8080))
    opened[-1].send(b"GET /api/realtime?symbols=BTC,ETH,SOL,BNB HTTP/1.1\\r\\nHost: edge\\r\\n\\r\\n")
    told = b""
    while b"heartbeatMs" not in told:
        told += opened[-1].recv(64)
[opened.pop(0).close() for _ in opened[1:]]
while b'streams_closed_total{reason="slow"} 1.0' not in urllib.request.urlopen(f"http://{host}:8000/metrics", timeout=5).read():
    assert time.monotonic() < until, "never cut"
    time.sleep(0.5)
try:
    while opened[0].recv(65536):
        pass
except ConnectionResetError:
    pass
print("cut, and ended")
"""
# Runs in a container too. It reads nothing for a while, then all data made meanwhile, and prints the number of bytes.
RESTS = """
import re, socket, sys, time
stream = socket.socket()
stream.settimeout(10)
stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
stream.connect(("edge", 8080))
stream.send(b"GET /api/realtime?symbols=BTC,ETH,SOL,BNB HTTP/1.1\\r\\nHost: edge\\r\\n\\r\\n")
time.sleep(float(sys.argv[1]))
until_ms, told = time.time() * 1000, b""
while not any(int(made) >= until_ms for made in re.findall(rb'"aggregatedTime":([0-9]{13})', told[-5000:])):
    told += stream.recv(4096)
print(len(told))
"""
RESTS_S = 6
WAITS = 150_000  # bytes that all buffers on the way can hold

pytestmark = on_containers()


@contextlib.asynccontextmanager
async def connection(demo: Demo) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", demo.page_port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(demo: Demo, request: bytes) -> bytes:
    """Send bytes, and return all data received until the edge closes the connection."""
    async with connection(demo) as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(CUT_WITHIN_S):
            return await _rest(reader)


async def is_served(demo: Demo, connections: int = 10) -> bool:
    """Return whether the edge serves this many connections at a time. Closed ones may linger there."""
    async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as client:
        with contextlib.suppress(httpx.TransportError):
            answers = await asyncio.gather(*(client.get("/api/ticker/BTC") for _ in range(connections)))
            return all(answer.status_code == 200 for answer in answers)
    return False


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        pytest.param("GET /api/ticker/BTC HTTP/1.1", "Content-Length: 5\r\n\r\nhello", 413, id="a body"),
        pytest.param("POST /api/ticker/BTC HTTP/1.1", "Transfer-Encoding: chunked\r\n\r\n0\r\n", 413, id="a body without end"),
        pytest.param(f"GET /api/ticker/{'X' * 5000} HTTP/1.1", "", 414, id="a long address"),
        pytest.param("GET / HTTP/1.1", f"X-Long: {'x' * 20_000}\r\n", None, id="a long header"),
        pytest.param("GET / HTTP/1.1", "".join(f"X-{number}: 1\r\n" for number in range(200)), 431, id="many headers"),
        pytest.param("DELETE /api/ticker/BTC HTTP/1.1", "", 405, id="another method"),
        pytest.param("NONSENSE", "", None, id="no HTTP"),
        pytest.param("GET /api/ticker/..%2f..%2fetc HTTP/1.1", "", 400, id="a path"),
        pytest.param("GET /api/ticker/BTC%0d%0aPUBLISH HTTP/1.1", "", 404, id="a command"),
    ],
)
async def test_nonsense_is_refused(demo: Demo, request_line: str, headers: str, status: int | None) -> None:
    """A connection without HTTP is closed without a response, because HAProxy's would be HTML."""
    told = await answer(
        demo, f"{request_line}\r\nHost: localhost\r\nOrigin: https://example.org\r\nConnection: close\r\n{headers}\r\n".encode()
    )
    if status is None:
        assert told == b""
    else:
        assert int(told.split(b" ", 2)[1]) == status, told[:300]
        assert b"application/problem+json" in told
        assert b"cache-control: no-store" in told.lower(), "no cache may repeat the refusal later"
        assert b"access-control-allow-origin: *" in told.lower(), "a page of another origin may read the reason"
    assert await is_served(demo)


BODIES = [
    pytest.param(request_for("/livez"), False, None, 413, id="a body that never comes"),
    pytest.param(request_for("/livez"), False, b"x", 413, id="a body"),
    pytest.param(request_for("/livez"), False, b"", 413, id="an empty one"),
    pytest.param(request_for("/api/realtime/BTC"), False, None, 413, id="of a stream"),
    pytest.param(request_for("/livez", "GET", ("content-length", "0")), False, None, 413, id="a body declared as empty"),
    pytest.param(request_for("/livez", "GET", ("content-length", "5")), False, b"hello", 413, id="with its length"),
    pytest.param(request_for("/livez", "GET", ("content-length", "0")), True, None, 200, id="no body, declared so"),
    pytest.param(request_for("/livez", "POST"), False, b"{}", 413, id="a POST"),
    pytest.param([(":method", "CONNECT"), (":authority", "localhost:80")], False, None, 405, id="a tunnel"),
    pytest.param(
        [*request_for("/api/realtime/BTC", "CONNECT"), (":protocol", "websocket")], False, None, 405, id="another protocol"
    ),
    pytest.param(request_for(f"/{'x' * 4096}"), True, None, 414, id="a long address"),
    pytest.param(request_for("/metrics"), True, None, 404, id="metrics"),
]


@pytest.mark.parametrize(("headers", "ends", "body", "status"), BODIES)
async def test_nonsense_over_http_2_is_refused(
    demo: Demo, headers: Headers, ends: bool, body: bytes | None, status: int
) -> None:
    """In HTTP/2 a request may have a body that no header announces."""
    origin = [] if headers[0][1] == "CONNECT" else [("origin", "https://example.org")]
    told = await asyncio.to_thread(ask, demo.page_port, headers + origin, ends=ends, body=body)
    assert told.status == status, told
    if status != 200:
        assert told.headers["content-type"] == "application/problem+json"
        assert told.headers["access-control-allow-origin"] == "*"
        assert json.loads(told.body)["status"] == status
    assert await is_served(demo)


async def test_another_protocol_over_http_1_is_passed_over(demo: Demo) -> None:
    upgrade = (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="
    )
    async with connection(demo) as (reader, writer), asyncio.timeout(CUT_WITHIN_S):
        writer.write(f"GET /livez HTTP/1.1\r\nHost: x\r\n{upgrade}\r\n\r\n".encode())
        assert (await reader.readline()).startswith(b"HTTP/1.1 200")


async def test_who_sends_its_request_by_the_byte_is_cut(demo: Demo) -> None:
    async def crawl() -> bytes:
        async with connection(demo) as (reader, writer), asyncio.timeout(CUT_WITHIN_S):
            reading = asyncio.create_task(_rest(reader))
            for byte in b"GET /api/realtime/BTC HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 1000:
                writer.write(bytes([byte]))
                await asyncio.wait({reading}, timeout=0.5)
                if reading.done():
                    return reading.result()
        raise AssertionError

    crawling = [asyncio.create_task(crawl()) for _ in range(SLOW)]
    assert await is_served(demo)
    assert set(await asyncio.gather(*crawling)) == {b""}, "closed without a response"


async def test_one_address_does_not_get_all_connections(demo: Demo) -> None:
    async with contextlib.AsyncExitStack() as flood:
        opened = [await flood.enter_async_context(connection(demo)) for _ in range(FLOOD)]

        async def refused() -> bool:
            return sum(reader.at_eof() or reader.exception() is not None for reader, _ in opened) >= FLOOD - MAX_CONNECTIONS

        for reader, _ in opened:
            flood.callback(asyncio.create_task(_drain(reader)).cancel)
        await until(refused)
    await until(lambda: is_served(demo), every_s=1)


async def _rest(reader: asyncio.StreamReader) -> bytes:
    """Return all data until the edge closes the connection, also if it does so before reading all our data."""
    try:
        return await reader.read()
    except ConnectionResetError:
        return b""


async def _drain(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        await reader.read()


async def test_who_never_reads_its_stream_is_cut(demo: Demo) -> None:
    """The gateway sees only the edge, which keeps reading for a client until its own buffers are full."""
    with demo.one_more("gateway", SLOW_CLIENT_S="2") as impatient:
        # At a lower rate it takes half a minute to fill the buffers.
        await demo.control("POST", "/control/rate", {"events_per_s": 1000})
        try:
            command = ("exec", "-T", "gateway", "python", "-c", NEVER_READS, impatient.host, str(2 * CUT_WITHIN_S))
            assert "cut, and ended" in await asyncio.to_thread(demo.compose, *command, within_s=5 * CUT_WITHIN_S)
        finally:
            await demo.control("POST", "/control/rate", {"events_per_s": 300})


async def test_little_waits_for_who_rests(demo: Demo) -> None:
    """A client that pauses first reads all buffered data, so the more is buffered, the older are its prices."""
    await demo.control(
        "POST", "/control/rate", {"events_per_s": 1000, "symbols": ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"]}
    )
    try:
        async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as client:
            stream = client.stream("GET", "/api/realtime?symbols=BTC,ETH,SOL,BNB")
            due = await bytes_within(stream, RESTS_S)
        waiting = int(await asyncio.to_thread(demo.compose, "exec", "-T", "gateway", "python", "-c", RESTS, str(RESTS_S)))
    finally:
        await demo.control("POST", "/control/rate", {"events_per_s": 300})
    assert waiting < WAITS < due


async def bytes_within(stream: contextlib.AbstractAsyncContextManager[httpx.Response], seconds: float) -> int:
    count = 0
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), stream as response:
            async for part in response.aiter_raw():
                count += len(part)
    return count


async def test_what_all_ask_for_together_is_bounded(demo: Demo) -> None:
    """The edge refuses the requests beyond its limits, in the usual form, and answers the others."""
    with demo.one_more("edge", EDGE_MAX_REQUESTS_PER_S="20") as edge:
        async with httpx.AsyncClient(base_url=edge.page, timeout=PATIENCE_S) as client:

            async def some_of_many_are_refused() -> bool:
                answers = await asyncio.gather(*(client.get("/api/symbols") for _ in range(100)))
                refused = [answer for answer in answers if answer.status_code == 503 and answer.json()["code"] == "busy"]
                assert {answer.headers["retry-after"] for answer in refused} <= {"2"}
                return 0 < len(refused) < len(answers)

            await until(some_of_many_are_refused, every_s=1.5)


async def test_a_key_in_the_address_is_not_written_down(demo: Demo) -> None:
    key, path = uuid.uuid4().hex, f"/api/ticker/N{uuid.uuid4().hex[:8]}"
    async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as client:
        for line in (f"/api/realtime/BTC-?api_key={key}", f"/?api_key={key}&{'x' * 5000}", f"{path}?api_key={key}"):
            await client.get(line)
    await answer(demo, f"GET /api/realtime?api_key={key} nonsense\r\n\r\n".encode())

    def logged() -> str:
        return demo.compose("logs", "edge", "gateway")

    await until(lambda: path in logged())
    assert key not in logged()


async def _ask_for_unknown(demo: Demo, statuses: Counter[bytes]) -> None:
    """Request all symbols without an answer so far over one connection, and count the responses by status."""
    async with connection(demo) as (reader, writer):

        async def ask(first: int) -> None:
            for number in range(first, UNKNOWN):
                writer.write(f"GET /api/realtime/N{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                await writer.drain()

        asking = asyncio.create_task(ask(statuses.total()))
        try:
            while statuses.total() < UNKNOWN:
                head = await reader.readuntil(b"\r\n\r\n")
                lengths = [int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                # Among thousands of pending requests the edge now and then answers one without a length. That response ends
                # with the connection.
                await (reader.readexactly(lengths[0]) if lengths else reader.read())
                statuses[head.split(b" ", 2)[1]] += 1
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)


async def test_ten_thousand_unknown_symbols_ask_for_nothing(demo: Demo) -> None:
    """They are unknown, or too many. No exchange ever receives a request for them, and later clients are served."""
    await until(lambda: is_served(demo), every_s=1)
    async with WholeBus.open(demo.redis_url) as bus:
        wanted = await bus.demanded()
        statuses: Counter[bytes] = Counter()
        async with asyncio.timeout(60):
            while statuses.total() < UNKNOWN:
                # The edge may close a connection between two requests.
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await _ask_for_unknown(demo, statuses)
        assert statuses.keys() == {b"404", b"429"}, statuses
        assert await bus.demanded() <= wanted
    await until(lambda: is_served(demo), every_s=1)
