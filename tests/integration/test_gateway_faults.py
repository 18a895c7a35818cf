"""Faults around a gateway: the bus is away, clients do not read, and the gateway itself stops."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from market_pulse import kinds
from market_pulse.bus import BusError, Last, Reader
from market_pulse.process.clock import now_ms
from support.redis_server import RedisServer
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

from .gateway_fixtures import (
    BTC,
    ETH,
    GatewayProcess,
    Market,
    gateway_process,
    reading,
    running_gateway,
)


@pytest.fixture
async def market(server: RedisServer) -> AsyncIterator[Market]:
    async with WholeBus.open(server.url) as bus:
        yield Market(bus)


async def test_the_bus_goes_and_comes_back(server: RedisServer, market: Market) -> None:
    """Streams stay open, report that prices are stale, and send a resync when the bus is back."""
    await market.list_symbols(BTC, ETH)
    async with running_gateway(server.url) as running, reading(running.http, "/api/realtime/BTC") as reader:
        for number in range(5):
            await market.publish(BTC, 100.0 + number)
        await reader.next("ticker", lambda data: data["price"] == 104.0)

        await server.kill()
        await until(lambda: not running.gateway.intake.connected)
        ready = await running.http.get("/readyz")
        assert (ready.status_code, ready.json()["checks"]["draining"]) == (503, "ok")
        assert (await running.http.get("/livez")).status_code == 200
        stale = await reader.next("ticker")
        assert (stale["quality"], stale["price"], stale["seq"]) == ("stale", 104.0, 5)
        assert (await running.http.get("/api/ticker/BTC")).json()["quality"] == "stale"
        cold = await running.http.get("/api/ticker/ETH")
        assert (cold.status_code, cold.json()["code"]) == (503, "bus_unavailable"), "the reason is not that no price has come"
        assert (await running.http.get("/api/status")).json()["gateway"]["busConnected"] is False

        await server.start()
        seq = await market.publish(BTC, 200.0)
        assert seq == 1, "the new server does not have the old one's numbers"
        await reader.next("resync")
        fresh = await reader.next("ticker")
        assert (fresh["quality"], fresh["price"]) == ("ok", 200.0)
        seq = await market.publish(BTC, 201.0)
        assert (await reader.next("ticker"))["seq"] == seq
        assert (await running.http.get("/readyz")).status_code == 200


async def test_a_last_value_that_could_not_be_read_is_read_again(
    server: RedisServer, market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While no aggregator runs, no other ticker comes. Without a second read the stream would stay empty."""
    read = Reader.last_aged
    failed: list[tuple[str, ...]] = []

    async def fail_twice(bus: Reader, *channels: str) -> list[Last | None]:
        if kinds.TICKER.channel(ETH) in channels and len(failed) < 2:
            failed.append(channels)
            raise BusError("away")
        return await read(bus, *channels)

    await market.list_symbols(BTC, ETH)
    async with running_gateway(server.url, symbols=(BTC,)) as running:
        await market.publish(ETH, 1.0)
        monkeypatch.setattr(Reader, "last_aged", fail_twice)
        async with reading(running.http, "/api/realtime/ETH") as reader:
            assert (await reader.next("ticker"))["price"] == 1.0
    assert len(failed) == 2


async def test_the_exchanges_are_not_down_because_the_bus_is_away(server: RedisServer, market: Market) -> None:
    async with running_gateway(server.url) as running:
        await market.say(exchange="okx")
        await until(lambda: "okx" in running.gateway.hub.statuses.current(now_ms()))
        async with reading(running.http, "/api/realtime/BTC") as reader:
            await server.kill()
            told = await reader.next("status", lambda data: data["reason"] is not None)
            assert told["state"] == "connected"
            assert "does not hear the bus" in told["reason"]
            await server.start()
            await market.say(exchange="okx")
            assert (await reader.next("status", lambda data: data["reason"] is None))["state"] == "connected"


async def test_without_a_bus_nothing_hangs(server: RedisServer) -> None:
    await server.kill()
    async with running_gateway(server.url, connected=False) as running:
        async with asyncio.timeout(PATIENCE_S):
            for path, status in {
                "/livez": 200, "/readyz": 503, "/api/status": 200, "/api/symbols": 200, "/metrics": 200,
                "/api/ticker/BTC": 503, "/api/ticker?symbols=BTC": 200, "/api/realtime/SOL": 503,
            }.items():  # fmt: skip
                answer = await running.http.get(path)
                assert answer.status_code == status, path


@contextlib.asynccontextmanager
async def not_reading(gateway: GatewayProcess, path: str) -> AsyncIterator[socket.socket]:
    """Open a stream with a small receive buffer, and read nothing of it."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(connection, ("127.0.0.1", gateway.port))
        await loop.sock_sendall(connection, f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        yield connection


async def metric(http: httpx.AsyncClient, name: str) -> float:
    for line in (await http.get("/metrics")).text.splitlines():
        if line.startswith(f"{name} "):
            return float(line.split()[-1])
    return 0.0


async def test_a_slow_reader_gets_the_newest_and_costs_nothing(server: RedisServer, market: Market) -> None:
    """The client reads nothing during thousands of messages. Then it reads mostly new prices, not old ones."""
    async with (
        gateway_process(server.url) as gateway,
        httpx.AsyncClient(base_url=gateway.url) as http,
        not_reading(gateway, "/api/realtime/BTC") as slow,
        reading(http, "/api/realtime/BTC") as quick,
    ):
        await quick.next("connected")
        await until(lambda: streams(http, 2))
        before = await metric(http, "process_resident_memory_bytes")
        seq = 0
        for _ in range(3000):
            seq = await market.publish(BTC, 1.0)
        await quick.next("ticker", lambda data: data["seq"] == seq)
        assert await metric(http, "market_pulse_gateway_laggards_total") >= 1
        assert await metric(http, "process_resident_memory_bytes") - before < 8_000_000
        loop = asyncio.get_running_loop()
        received = 0
        async with asyncio.timeout(PATIENCE_S):
            text = b""
            while f'"seq":{seq},'.encode() not in text:
                data = await loop.sock_recv(slow, 65536)
                received += len(data)
                text = (text + data)[-4096:]
        assert received < 3000 * 300 / 4, "most messages were conflated"


async def streams(http: httpx.AsyncClient, count: int) -> bool:
    return await metric(http, "market_pulse_gateway_streams") == count


async def test_who_never_reads_is_cut(server: RedisServer, market: Market) -> None:
    async with (
        gateway_process(server.url, SLOW_CLIENT_S="1") as gateway,
        httpx.AsyncClient(base_url=gateway.url) as http,
        not_reading(gateway, "/api/realtime/BTC"),
    ):
        await until(lambda: streams(http, 1))
        async with asyncio.timeout(PATIENCE_S):
            while 'streams_closed_total{reason="slow"} 1.0' not in (await http.get("/metrics")).text:
                for _ in range(50):
                    await market.publish(BTC, 1.0)
        assert await streams(http, 0)


async def test_who_never_reads_a_quiet_stream_is_cut(server: RedisServer, market: Market) -> None:
    """The kernel's buffers have room for the whole stream, so only the kernel knows that the client reads nothing."""
    async with (
        gateway_process(server.url, SLOW_CLIENT_S="2") as gateway,
        httpx.AsyncClient(base_url=gateway.url) as http,
        not_reading(gateway, "/api/realtime/BTC"),
    ):
        await until(lambda: streams(http, 1))
        for _ in range(30):
            await market.publish(BTC, 1.0)
            await asyncio.sleep(0.02)  # so that each is sent by itself
        await until(lambda: streams(http, 0))
        assert 'streams_closed_total{reason="slow"} 1.0' in (await http.get("/metrics")).text


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_stopping_with_open_streams(server: RedisServer, market: Market, number: signal.Signals) -> None:
    """All streams get a `bye`, a client that does not read does not delay the end, and the exit code is 0."""
    await market.publish(BTC, 1.0)
    async with (
        gateway_process(server.url, DRAIN_S="1") as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S) as http,
        not_reading(gateway, "/api/realtime/BTC"),
        contextlib.AsyncExitStack() as stack,
    ):
        readers = [await stack.enter_async_context(reading(http, "/api/realtime/BTC")) for _ in range(20)]
        for reader in readers:
            await reader.next("ticker")
        gateway.process.send_signal(number)
        await until(lambda: unready(http))
        async with reading(http, "/api/realtime/BTC") as late:
            await late.next("connected")  # new clients are served until a proxy has noticed
        ends: list[Any] = [(await reader.rest())[-1] for reader in readers]
        assert {(end["type"], end["data"]["reason"]) for end in ends} == {("bye", "shutdown")}
        assert len({end["data"]["retryMs"] for end in ends}) > 1, "clients must not all come back at once"
        assert await asyncio.wait_for(gateway.process.wait(), PATIENCE_S) == 0


async def test_it_lives_until_the_last_goodbye(server: RedisServer, market: Market) -> None:
    """If a proxy took the gateway for dead before, it would cut the streams that have not received their `bye`.

    New clients are told to come back later. If an edge holds their requests, they are cut instead: the edge tries another copy.
    """
    await market.publish(BTC, 1.0)
    by_edge = {"X-Market-Pulse-Edge": "holds"}
    async with (
        gateway_process(server.url, DRAIN_S="8", TRUSTED_PROXIES="127.0.0.1") as gateway,
        httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S) as http,
        contextlib.AsyncExitStack() as stack,
    ):
        readers = [await stack.enter_async_context(reading(http, "/api/realtime/BTC")) for _ in range(3)]
        for reader in readers:
            await reader.next("ticker")
        gateway.process.send_signal(signal.SIGTERM)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())  # ends before the readers, whatever fails below
        ends = [tasks.create_task(reader.rest()) for reader in readers]
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert (await http.get("/livez")).status_code == 200
        refused = await http.get("/api/realtime/BTC", headers={"Origin": "https://shop.example"})
        assert (refused.status_code, refused.json()["code"], refused.headers["retry-after"]) == (503, "draining", "15")
        assert refused.headers["access-control-allow-origin"] == "*"
        async with reading(http, "/api/realtime/BTC") as newcomer:
            told = await newcomer.raw()
            assert (told.event, told.json()["code"]) == ("refused", "draining")
            assert told.retry is not None
            assert told.retry >= 15_000, "clients must not return before a lone gateway has restarted"
        for path in ("/api/ticker/BTC", "/api/realtime/BTC"):
            with pytest.raises(httpx.TransportError):
                await http.get(path, headers=by_edge)
        assert not all(end.done() for end in ends)
        assert [(await end)[-1]["type"] for end in ends] == ["bye"] * 3


async def unready(http: httpx.AsyncClient) -> bool:
    return (await http.get("/readyz")).status_code == 503


async def test_a_second_signal_ends_at_once(server: RedisServer) -> None:
    async with (
        gateway_process(server.url, DRAIN_S="60") as gateway,
        httpx.AsyncClient(base_url=gateway.url) as http,
        reading(http, "/api/realtime/BTC") as reader,
    ):
        await reader.next("connected")
        gateway.process.send_signal(signal.SIGTERM)
        await until(lambda: unready(http))
        gateway.process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(gateway.process.wait(), PATIENCE_S) == 0
