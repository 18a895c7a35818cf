"""Streams over real sockets: the events, their order, and the symbols that they request."""

import asyncio
import contextlib
import logging
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable

import httpx
import orjson
import pytest

from gateway.server.protocol import StreamProtocol
from gateway.stream.fields import ALWAYS
from gateway.stream.topics import LINGER_S
from market_pulse import kinds
from market_pulse.process.clock import now_ms
from market_pulse.tickers import DOWN_AFTER_MS, STALE_AFTER_MS
from support.redis_server import RedisServer
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

from .bus_fixtures import age_last
from .gateway_fixtures import BTC, DOGE, ETH, SOL, Market, Running, reading, running_gateway


@pytest.fixture
async def market(server: RedisServer) -> AsyncIterator[Market]:
    async with WholeBus.open(server.url) as bus:
        yield Market(bus)


@pytest.fixture
async def running(server: RedisServer, market: Market) -> AsyncIterator[Running]:
    await market.list_symbols(BTC, ETH, SOL, DOGE)
    async with running_gateway(server.url) as running:
        yield running


async def test_snapshot_then_live(running: Running, market: Market) -> None:
    first = await market.publish(BTC, 100.0)
    async with reading(running.http, "/api/realtime/btc") as reader:
        assert reader.response.headers["cache-control"] == "no-cache, no-transform"
        assert reader.response.headers["x-accel-buffering"] == "no"
        connected = await reader.next()
        assert connected["type"] == "connected"
        assert connected["data"]["symbols"] == ["BTC-USDT"]
        assert connected["data"]["simulated"] is False
        assert reader.retry_ms is not None
        assert 500 <= reader.retry_ms <= 2000
        snapshot = await reader.next()
        assert (snapshot["type"], snapshot["data"]["seq"], snapshot["data"]["price"]) == ("ticker", first, 100.0)
        assert reader.last_id == f"BTC-USDT:{first}"
        second = await market.publish(BTC, 101.0)
        assert (await reader.next("ticker"))["seq"] == second == first + 1


@pytest.mark.parametrize("query", ["fields=price,changePercent24h", "fields=price&fields=%20changePercent24h,"])
async def test_a_stream_has_the_fields_that_it_asks_for(running: Running, market: Market, query: str) -> None:
    wished = ALWAYS | {"price", "changePercent24h"}
    await market.publish(BTC, 100.0)
    async with reading(running.http, f"/api/realtime/BTC?{query}&max_hz=50") as reader:
        connected = await reader.next("connected")
        assert (connected["fields"], connected["maxHz"]) == (sorted(wished), 50)
        assert set(await reader.next("ticker")) == wished
        await market.publish(BTC, 101.0)
        assert set(await reader.next("ticker")) == wished
    one = (await running.http.get(f"/api/ticker/BTC?{query}")).json()
    assert set(one) == wished
    assert (await running.http.get(f"/api/ticker?symbols=BTC&{query}")).json()["tickers"] == [one]


@pytest.mark.parametrize("path", ["/api/realtime/BTC?", "/api/ticker/BTC?", "/api/ticker?symbols=BTC&"])
async def test_a_field_that_no_ticker_has_is_refused_with_those_that_it_has(running: Running, path: str) -> None:
    answer = await running.http.get(f"{path}fields=price,cost")
    assert (answer.status_code, answer.json()["code"]) == (400, "unknown_field")
    assert "'cost'" in answer.json()["detail"]
    assert "changePercent24h" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("accepted", "encoding"), [("gzip, br", "gzip"), ("gzip;q=0", None), ("identity", None), ("", None), ("br", None)]
)
async def test_a_stream_is_compressed_for_a_client_that_takes_it(
    running: Running, market: Market, accepted: str, encoding: str | None
) -> None:
    await market.publish(BTC, 100.0)
    async with running.http.stream("GET", "/api/realtime/BTC", headers={"Accept-Encoding": accepted}) as answer:
        assert answer.headers.get("Content-Encoding") == encoding
        assert "accept-encoding" in answer.headers["Vary"]
        raw = answer.aiter_raw()
        reader = zlib.decompressobj(zlib.MAX_WBITS | 16)
        read: Callable[[bytes], bytes] = reader.decompress if encoding else bytes
        text = b""

        async def until_told(part: bytes) -> None:
            nonlocal text
            async with asyncio.timeout(PATIENCE_S):
                while part not in text:
                    text += read(await anext(raw))

        await until_told(b'"price":100.0')
        for price in (101.0, 102.0, 103.0):
            await market.publish(BTC, price)
            await until_told(b'"price":%.1f' % price)  # an event is never held back for more to compress
        await running.gateway.hub.drain(0)
        async with asyncio.timeout(PATIENCE_S):
            async for piece in raw:
                text += read(piece)
        assert b'"type":"bye"' in text
        assert reader.eof is bool(encoding)


async def test_no_gap_and_no_repetition_while_opening(running: Running, market: Market) -> None:
    """A stream that opens during many updates gets each number once, from its snapshot on."""
    stop = asyncio.Event()

    async def publish() -> None:
        while not stop.is_set():
            await market.publish(BTC, 1.0)
            await asyncio.sleep(0.001)

    async def read() -> list[int]:
        async with reading(running.http, "/api/realtime/BTC") as reader:
            return [(await reader.next("ticker"))["seq"] for _ in range(60)]

    publishing = asyncio.create_task(publish())
    try:
        streams = await asyncio.gather(*(read() for _ in range(10)))
    finally:
        stop.set()
        await publishing
    for numbers in streams:
        assert numbers == sorted(set(numbers)), "numbers never fall or repeat"


async def test_the_last_number_always_arrives(running: Running, market: Market) -> None:
    async with reading(running.http, "/api/realtime?symbols=BTC,ETH") as reader:
        for _ in range(50):
            newest = {BTC: await market.publish(BTC, 1.0), ETH: await market.publish(ETH, 1.0)}
        for symbol, seq in newest.items():
            await reader.next("ticker", lambda data, symbol=symbol, seq=seq: (data["symbol"], data["seq"]) == (symbol, seq))  # type: ignore[misc]


async def test_many_symbols_over_one_connection(running: Running, market: Market) -> None:
    for symbol in (BTC, ETH):
        await market.publish(symbol, 10.0)
    async with reading(running.http, "/api/realtime?symbols=ETH,btc,BTC-USDT,SOL") as reader:
        assert (await reader.next())["data"]["symbols"] == ["ETH-USDT", "BTC-USDT", "SOL-USDT"]
        assert {(await reader.next("ticker"))["symbol"] for _ in range(2)} == {BTC, ETH}
        await market.publish(SOL, 5.0)
        assert (await reader.next("ticker"))["symbol"] == SOL


async def test_a_stream_is_demand_until_it_ends(running: Running, market: Market) -> None:
    assert await market.bus.demanded() == {BTC, ETH}
    async with reading(running.http, "/api/realtime/SOL") as reader:
        await reader.next("connected")
        await until(lambda: _demanded(market, {BTC, ETH, SOL}))
    await until(lambda: not running.gateway.hub.streams)
    assert SOL in await market.bus.demanded(), "the subscription lingers for a moment"
    await until(lambda: _demanded(market, {BTC, ETH}), LINGER_S + 10)


async def _demanded(market: Market, symbols: set[str]) -> bool:
    return await market.bus.demanded() == symbols


async def test_a_price_from_before_is_a_snapshot_too(running: Running, market: Market) -> None:
    """The gateway has not subscribed to the symbol yet, so the snapshot is the last value."""
    seq = await market.publish(DOGE, 0.1)
    async with reading(running.http, "/api/realtime/DOGE") as reader:
        assert (await reader.next("ticker"))["seq"] == seq


async def test_an_old_price_is_not_shown_as_live(running: Running, market: Market) -> None:
    await market.publish(DOGE, 0.1)
    await age_last(market.bus, DOGE, DOWN_AFTER_MS)
    async with reading(running.http, "/api/realtime/DOGE") as reader:
        ticker = await reader.next("ticker")
        assert (ticker["quality"], ticker["price"]) == ("down", None)
        await market.publish(DOGE, 0.2)
        ticker = await reader.next("ticker")
        assert (ticker["quality"], ticker["price"]) == ("ok", 0.2)


@pytest.mark.parametrize("skew_ms", [-600_000, 600_000])
@pytest.mark.parametrize(
    ("age_ms", "quality"),
    [
        pytest.param(0, "ok", id="of now"),
        pytest.param(STALE_AFTER_MS, "stale", id="old"),
        pytest.param(DOWN_AFTER_MS, "down", id="very old"),
    ],
)
async def test_a_last_price_made_by_a_wrong_clock_is_as_old_as_it_is(
    running: Running, market: Market, skew_ms: int, age_ms: int, quality: str
) -> None:
    """A gateway that has just started does not know the skew of the publisher's clock, so it must not trust that time."""
    await market.publish(DOGE, 0.1, now_ms() + skew_ms)
    await age_last(market.bus, DOGE, age_ms)
    async with reading(running.http, "/api/realtime/DOGE") as reader:
        assert (await reader.next("ticker"))["quality"] == quality


@pytest.mark.parametrize(
    ("sent", "resumed"),
    [
        ({"headers": {"Last-Event-ID": "BTC-USDT:7"}}, True),
        ({"params": {"last_event_id": "BTC-USDT:7"}}, True),
        ({"headers": {"Last-Event-ID": "nonsense"}}, False),
        ({}, False),
    ],
)
async def test_resuming_is_answered_with_a_fresh_snapshot(
    running: Running, market: Market, sent: dict[str, dict[str, str]], resumed: bool
) -> None:
    seq = await market.publish(BTC, 1.0)
    async with reading(running.http, "/api/realtime/BTC", **sent) as reader:
        assert (await reader.next("connected"))["resumed"] is resumed
        assert (await reader.next("ticker"))["seq"] == seq


async def test_status_and_simulation_are_told(running: Running, market: Market) -> None:
    async with reading(running.http, "/api/realtime/BTC") as reader:
        await reader.next("connected")
        await market.say(simulated=True)
        assert (await reader.next("status"))["simulated"] is True
    async with reading(running.http, "/api/realtime/BTC") as reader:
        assert reader.response.headers["x-market-pulse-simulated"] == "true"
        assert (await reader.next("connected"))["simulated"] is True
        assert (await reader.next("status"))["exchange"] == "okx"


async def test_heartbeats(server: RedisServer) -> None:
    async with running_gateway(server.url, heartbeat_s=0.2) as running, reading(running.http, "/api/realtime/BTC") as reader:
        first, second = await reader.next("hb"), await reader.next("hb")
        assert first["time"] < second["time"]
        assert reader.last_id == "", "a heartbeat has no id"


async def test_max_hz(running: Running, market: Market) -> None:
    """max_hz limits the number of events, but the newest one always comes."""
    async with reading(running.http, "/api/realtime/BTC?max_hz=5") as reader:
        await reader.next("connected")
        seq = 0
        for _ in range(100):
            seq = await market.publish(BTC, 1.0)
            await asyncio.sleep(0.005)
        seen = 1
        while (await reader.next("ticker"))["seq"] != seq:
            seen += 1
        assert seen < 50


async def test_streams_end_at_their_age(server: RedisServer) -> None:
    async with running_gateway(server.url, stream_max_age_s=0.3, heartbeat_s=0.2) as running:
        async with reading(running.http, "/api/realtime/BTC") as reader:
            last = (await reader.rest())[-1]
        assert (last["type"], last["data"]["reason"]) == ("bye", "max_age")
        assert last["data"]["retryMs"] == reader.retry_ms


async def test_limits_per_address_and_in_all(server: RedisServer) -> None:
    async with running_gateway(server.url, max_streams=3, max_streams_per_ip=2, trusted_proxies=("127.0.0.1",)) as running:

        def as_client(address: str) -> dict[str, str]:
            return {"X-Forwarded-For": address}

        async with contextlib.AsyncExitStack() as streams:
            for address in ("192.0.2.1", "192.0.2.1", "192.0.2.2"):
                reader = await streams.enter_async_context(
                    reading(running.http, "/api/realtime/BTC", headers=as_client(address))
                )
                await reader.next("connected")
            too_many = await running.http.get("/api/realtime/BTC", headers=as_client("192.0.2.1"))
            assert (too_many.status_code, too_many.json()["code"]) == (429, "too_many_streams")
            full = await running.http.get("/api/realtime/BTC", headers=as_client("192.0.2.3"))
            assert full.status_code == 503
            for refused in (too_many, full):
                assert refused.headers["content-type"] == "application/problem+json"
                assert int(refused.headers["retry-after"]) > 0
            assert (await running.http.get("/livez")).status_code == 200, "probes never count"
        await until(lambda: not running.gateway.hub.streams)
        async with reading(running.http, "/api/realtime/BTC", headers=as_client("192.0.2.1")) as reader:
            await reader.next("connected")


async def test_forwarded_addresses_of_strangers_are_not_believed(server: RedisServer) -> None:
    async with (
        running_gateway(server.url, max_streams_per_ip=1) as running,
        reading(running.http, "/api/realtime/BTC", headers={"X-Forwarded-For": "192.0.2.1"}) as reader,
    ):
        await reader.next("connected")
        refused = await running.http.get("/api/realtime/BTC", headers={"X-Forwarded-For": "192.0.2.2"})
        assert refused.status_code == 429


async def test_a_connection_serves_rest_first_and_a_stream_after(running: Running, market: Market) -> None:
    """It does so also with both requests in one packet."""
    await market.publish(BTC, 42.0)
    await until(lambda: running.gateway.hub.newest(kinds.TICKER.channel(BTC)) is not None)
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0]))
        writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\nGET /api/realtime/BTC HTTP/1.1\r\nHost: x\r\n\r\n")
        async with asyncio.timeout(10):
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
            chunk = await reader.readexactly(int(await reader.readuntil(b"\r\n"), 16))
        assert [orjson.loads(line[6:])["type"] for line in chunk.split(b"\n") if line.startswith(b"data: ")] == [
            "connected",
            "ticker",
        ]
    finally:
        writer.close()
        await writer.wait_closed()


async def test_whatever_else_a_connection_of_a_stream_brings_is_passed_over(
    running: Running, market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    """Further requests and nonsense are not answered, and neither disturb the stream nor hide its end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(
                b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
                b"GET /api/realtime/BTC HTTP/1.1\r\nHost: x\r\n\r\n"
                b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" * 2
            )
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            assert b"text/event-stream" in await reader.readuntil(b"\r\n\r\n")
            assert b"connected" in await reader.readuntil(b"\n\n")
            writer.write(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n" + bytes(300_000))
            await writer.drain()
            for price in (1.0, 2.0):
                await market.publish(BTC, price)
                assert b'"price":%g' % price in await reader.readuntil(b"\n\n")
    finally:
        writer.close()
        await writer.wait_closed()
    await until(lambda: not running.gateway.hub.streams)
    assert not running.gateway.limits._open
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_an_old_client_gets_a_stream_that_ends_with_its_connection(running: Running, market: Market) -> None:
    """Some proxies use HTTP/1.0."""
    reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
    try:
        async with asyncio.timeout(PATIENCE_S):
            writer.write(b"GET /api/realtime/BTC HTTP/1.0\r\n\r\n")
            head = await reader.readuntil(b"\r\n\r\n")
            assert b"connection: close" in head
            assert b"transfer-encoding" not in head, "HTTP/1.0 has no chunked encoding"
            body = await reader.readuntil(b"\n\n")
            assert body.startswith(b"retry: ")
            await market.publish(BTC, 3.0)
            body += await reader.readuntil(b'"price":3')
            running.gateway.hub.sweep()
            await running.gateway.hub.drain(0)
            body += await reader.read()
            assert b'"bye"' in body
            assert {line.partition(b":")[0] for line in body.split(b"\n")} <= {b"", b"id", b"data", b"event", b"retry"}
    finally:
        writer.close()
        await writer.wait_closed()
    await until(lambda: not running.gateway.limits._open)


async def test_an_open_stream_costs_no_task(running: Running) -> None:
    """It keeps none of the server's other objects for a request either."""
    async with reading(running.http, "/api/realtime/BTC") as reader:
        await reader.next("connected")
        await until(lambda: not running.server.server_state.tasks)
        connections = running.server.server_state.connections
        assert [one.scope for one in connections if isinstance(one, StreamProtocol)] == [None]


async def test_vanished_clients_leave_nothing_behind(
    running: Running, market: Market, caplog: pytest.LogCaptureFixture
) -> None:
    """Connections are reset in every state, under load."""

    async def come_and_go(number: int) -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", running.port)
        connection = writer.get_extra_info("socket")
        # So that closing resets the connection.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.write(b"GET /api/realtime?symbols=BTC,SOL HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.sleep(number % 7 * 0.004)
        writer.transport.abort()

    async def publish() -> None:
        for _ in range(200):
            await market.publish(BTC, 1.0)

    await asyncio.gather(publish(), *(come_and_go(number) for number in range(200)))
    await until(lambda: not running.gateway.hub.streams)
    hub = running.gateway.hub
    await until(lambda: not running.server.server_state.tasks and len(running.server.server_state.connections) <= 1)
    assert hub.stats.opened == hub.stats.closed.total()
    assert not running.gateway.limits._open
    assert not hub._groups
    assert not [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_stream_before_the_bus_is_there(server: RedisServer, market: Market) -> None:
    await server.kill()
    async with running_gateway(server.url, connected=False) as running, reading(running.http, "/api/realtime/BTC") as reader:
        assert (await reader.next("connected"))["symbols"] == [BTC]
        await server.start()
        await until(lambda: running.gateway.intake.connected)
        await market.publish(BTC, 7.0)
        assert (await reader.next("ticker"))["price"] == 7.0


async def test_cors(running: Running) -> None:
    headers = {"Origin": "https://elsewhere.example"}
    async with reading(running.http, "/api/realtime/BTC", headers=headers) as reader:
        assert reader.response.headers["access-control-allow-origin"] == "*"
    answer = await running.http.get("/api/symbols", headers=headers)
    assert "ETag" in answer.headers["access-control-expose-headers"]
    assert isinstance(answer, httpx.Response)


async def test_a_parameter_that_nobody_knows_makes_no_difference(running: Running, market: Market) -> None:
    await market.say(simulated=True)
    await until(lambda: running.gateway.hub.statuses.simulated)
    heads = []
    for path in ("/api/realtime?symbols=BTC,ETH&max_hz=5", "/api/realtime?symbols=BTC,ETH&max_hz=5&nobody=knows"):
        async with reading(running.http, path, headers={"Origin": "https://elsewhere.example"}) as reader:
            heads.append(sorted(header for header in reader.response.headers.multi_items() if header[0] != "date"))
            assert (await reader.next("connected"))["symbols"] == [BTC, ETH]
            [group] = running.gateway.hub._groups.values()
            assert (group.wish.channels, group.shortest_s) == ((kinds.TICKER.channel(BTC), kinds.TICKER.channel(ETH)), 0.2)
        await until(lambda: not running.gateway.hub.streams)
    assert heads[0] == heads[1]
