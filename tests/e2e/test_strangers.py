"""Who comes to the edge to do harm: slowly, in floods, or with nonsense. Everybody else goes on."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator

import httpx
import pytest

from market_pulse.bus import open_bus
from support.compose import on_containers
from support.demo import Demo
from support.waiting import PATIENCE_S, until

MAX_CONNECTIONS = 200
FLOOD = 260
UNKNOWN = 10_000
SLOW = 20
CUT_WITHIN_S = 30.0

pytestmark = on_containers()


@contextlib.asynccontextmanager
async def connection(demo: Demo) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", demo.page_port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def answer(demo: Demo, request: bytes) -> bytes:
    """Send bytes and return all that comes until the edge closes."""
    async with connection(demo) as (reader, writer):
        writer.write(request)
        async with asyncio.timeout(CUT_WITHIN_S):
            return await reader.read()


async def is_served(demo: Demo) -> bool:
    async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as client:
        with contextlib.suppress(httpx.TransportError):
            return (await client.get("/api/ticker/BTC")).status_code == 200
    return False


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        pytest.param("GET /api/ticker/BTC HTTP/1.1", "Content-Length: 5\r\n\r\nhello", 413, id="a body"),
        pytest.param("POST /api/ticker/BTC HTTP/1.1", "Transfer-Encoding: chunked\r\n\r\n0\r\n", 413, id="a body without end"),
        pytest.param(f"GET /api/ticker/{'X' * 5000} HTTP/1.1", "", 414, id="a long address"),
        pytest.param("GET / HTTP/1.1", f"X-Long: {'x' * 20_000}\r\n", 400, id="a long header"),
        pytest.param("GET / HTTP/1.1", "".join(f"X-{number}: 1\r\n" for number in range(200)), 400, id="many headers"),
        pytest.param("DELETE /api/ticker/BTC HTTP/1.1", "", 405, id="another method"),
        pytest.param("NONSENSE", "", 400, id="no HTTP"),
        pytest.param("GET /api/ticker/..%2f..%2fetc HTTP/1.1", "", 404, id="a path"),
        pytest.param("GET /api/ticker/BTC%0d%0aPUBLISH HTTP/1.1", "", 400, id="a command"),
    ],
)
async def test_nonsense_is_refused(demo: Demo, request_line: str, headers: str, status: int) -> None:
    told = await answer(demo, f"{request_line}\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n".encode())
    assert int(told.split(b" ", 2)[1]) == status, told[:300]
    assert await is_served(demo)


async def test_who_sends_its_request_by_the_byte_is_cut(demo: Demo) -> None:
    async def crawl() -> bytes:
        async with connection(demo) as (reader, writer), asyncio.timeout(CUT_WITHIN_S):
            reading = asyncio.create_task(reader.read())
            for byte in b"GET /api/realtime/BTC HTTP/1.1\r\nHost: localhost\r\nX-Slow: " + b"x" * 1000:
                writer.write(bytes([byte]))
                await asyncio.wait({reading}, timeout=0.5)
                if reading.done():
                    return reading.result()
        raise AssertionError

    crawling = [asyncio.create_task(crawl()) for _ in range(SLOW)]
    assert await is_served(demo)
    assert {told.split(b" ", 2)[1] for told in await asyncio.gather(*crawling)} == {b"408"}


async def test_one_address_does_not_get_all_connections(demo: Demo) -> None:
    async with contextlib.AsyncExitStack() as flood:
        opened = [await flood.enter_async_context(connection(demo)) for _ in range(FLOOD)]

        async def refused() -> bool:
            return sum(reader.at_eof() or reader.exception() is not None for reader, _ in opened) >= FLOOD - MAX_CONNECTIONS

        for reader, _ in opened:
            flood.callback(asyncio.create_task(_drain(reader)).cancel)
        await until(refused)
    await until(lambda: is_served(demo))


async def _drain(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError):
        await reader.read()


async def test_ten_thousand_unknown_symbols_ask_for_nothing(demo: Demo) -> None:
    """They are not known, or too many; no exchange is ever asked for them, and who comes later is served again."""
    async with open_bus(demo.redis_url) as bus:
        wanted = await bus.demanded()
        statuses: Counter[bytes] = Counter()
        async with connection(demo) as (reader, writer), asyncio.timeout(60):

            async def ask() -> None:
                for number in range(UNKNOWN):
                    writer.write(f"GET /api/realtime/N{number} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
                    await writer.drain()

            asking = asyncio.create_task(ask())
            for _ in range(UNKNOWN):
                head = await reader.readuntil(b"\r\n\r\n")
                statuses[head.split(b" ", 2)[1]] += 1
                (length,) = (int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                await reader.readexactly(length)
            await asking
        assert statuses.keys() == {b"404", b"429"}, statuses
        assert await bus.demanded() <= wanted
    await until(lambda: is_served(demo))
