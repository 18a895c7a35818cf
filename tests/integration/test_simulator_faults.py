"""Faults on real sockets: each has its documented effect, only where it was requested, and ends."""

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from simulator.app import Running
from support.lively import lively

WITHIN_S = 10.0
SILENT_S = 0.3
PATHS = {
    "binance": "/stream?streams=btcusdt@bookTicker/ethusdt@bookTicker",
    "bybit": "/v5/public/spot",
    "okx": "/ws/v5/public",
}
SUBSCRIPTIONS = {
    "bybit": {"op": "subscribe", "args": ["orderbook.1.BTCUSDT", "orderbook.1.ETHUSDT"]},
    "okx": {
        "op": "subscribe",
        "args": [{"channel": "tickers", "instId": "BTC-USDT"}, {"channel": "tickers", "instId": "ETH-USDT"}],
    },
}
EXCHANGES = pytest.mark.parametrize("exchange", list(PATHS))


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with lively() as running:
        yield running


@pytest.fixture
async def http(simulator: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}", timeout=WITHIN_S) as client:
        yield client


@asynccontextmanager
async def following(running: Running, exchange: str) -> AsyncIterator[ClientConnection]:
    """Open a socket with BTC and ETH, without pacing, that has already received data."""
    pacing = {"exchange": exchange, "pacing": False}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=WITHIN_S) as http:
        (await http.post("/control/pacing", json=pacing)).raise_for_status()
    async with AsyncExitStack() as stack:
        socket = await stack.enter_async_context(connect(f"ws://127.0.0.1:{running.port}{PATHS[exchange]}"))
        if exchange in SUBSCRIPTIONS:
            await socket.send(json.dumps(SUBSCRIPTIONS[exchange]))
        await data(socket)
        yield socket


async def receive(socket: ClientConnection) -> str | bytes:
    async with asyncio.timeout(WITHIN_S):
        return await socket.recv()


async def data(socket: ClientConnection) -> dict[str, Any]:
    """Return the next message with prices."""
    while True:
        message = json.loads(await receive(socket))
        if "data" in message:
            found: dict[str, Any] = message
            return found


async def fault(http: httpx.AsyncClient, **body: Any) -> None:
    answer = await http.post("/control/faults", json=body)
    assert answer.status_code == 200, answer.text


async def assert_silent(socket: ClientConnection) -> None:
    """Read the messages that were on their way, then expect silence for a while. Fail if messages keep coming."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            try:
                await asyncio.wait_for(socket.recv(), SILENT_S)
            except TimeoutError:
                return


async def closing(socket: ClientConnection) -> ConnectionClosed:
    """Read until the connection ends, and return the exception of its end."""
    async with asyncio.timeout(WITHIN_S):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed as closed:
            return closed


@EXCHANGES
async def test_mute_is_silent_but_answers_until_it_is_cleared(
    simulator: Running, http: httpx.AsyncClient, exchange: str
) -> None:
    async with following(simulator, exchange) as socket:
        await fault(http, exchange=exchange, kind="mute")
        await assert_silent(socket)
        await (await socket.ping())
        cleared = (await http.delete("/control/faults", params={"exchange": exchange, "kind": "mute"})).json()
        assert cleared["cleared"] == 1
        await data(socket)


async def test_mute_of_one_symbol_ends_by_itself(simulator: Running, http: httpx.AsyncClient) -> None:
    async with following(simulator, "okx") as socket:
        await fault(http, exchange="okx", kind="mute", symbol="BTC-USDT", for_s=1.0)
        seen = set()
        while "BTC-USDT" not in seen or "ETH-USDT" not in seen:
            seen.add((await data(socket))["data"][0]["instId"])


@EXCHANGES
async def test_cut_ends_without_a_close_frame(simulator: Running, http: httpx.AsyncClient, exchange: str) -> None:
    async with following(simulator, exchange) as socket:
        await fault(http, exchange=exchange, kind="cut")
        assert (await closing(socket)).rcvd is None


@EXCHANGES
async def test_half_open_neither_reads_nor_writes(simulator: Running, http: httpx.AsyncClient, exchange: str) -> None:
    async with following(simulator, exchange) as socket:
        await fault(http, exchange=exchange, kind="half_open")
        await assert_silent(socket)
        pong = await socket.ping()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SILENT_S):
                await asyncio.shield(pong)
        async with following(simulator, exchange):  # a new connection works
            await http.delete("/control/faults")
            await data(socket)
            await pong


@pytest.mark.parametrize("status", [403, 418, 429, 451, 503])
async def test_refuse(simulator: Running, http: httpx.AsyncClient, status: int) -> None:
    await fault(http, exchange="binance", kind="refuse", status=status, retry_after_s=7)
    rest = await http.get("/api/v3/time")
    assert (rest.status_code, rest.headers["Retry-After"]) == (status, "7")
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"ws://127.0.0.1:{simulator.port}/ws").__aenter__()
    assert refused.value.response.status_code == status
    assert refused.value.response.headers["Server"] == "market-pulse-simulator"
    assert (await http.get("/v5/market/time")).status_code == 200
    await fault(http, exchange="binance", kind="refuse", status=status, rest=False)
    assert (await http.get("/api/v3/time")).status_code == 200


async def test_clock(simulator: Running, http: httpx.AsyncClient) -> None:
    await fault(http, exchange="okx", kind="clock", ms=-3_600_000)
    theirs = int((await http.get("/api/v5/public/time")).json()["data"][0]["ts"])
    ours = int((await http.get("/api/v3/time")).json()["serverTime"])
    assert ours - theirs > 3_500_000
    async with following(simulator, "okx") as socket:
        while ours - int((await data(socket))["data"][0]["ts"]) < 3_500_000:
            pass


async def test_spike_and_a_moved_market(http: httpx.AsyncClient) -> None:
    moved = await http.post("/control/market", json={"symbol": "BTC-USDT", "price": 50_000})
    assert moved.status_code == 200
    await fault(http, exchange="bybit", kind="spike", symbol="BTC-USDT", factor=2)
    okx = (await http.get("/api/v5/market/ticker", params={"instId": "BTC-USDT"})).json()["data"][0]
    query = {"category": "spot", "symbol": "BTCUSDT"}
    bybit = (await http.get("/v5/market/tickers", params=query)).json()["result"]["list"][0]
    assert float(okx["last"]) == pytest.approx(50_000, rel=0.01)
    assert float(bybit["lastPrice"]) == pytest.approx(100_000, rel=0.01)
    prices = (await http.get("/control/market", params={"symbols": "BTC-USDT,BTC-USD"})).json()["prices"]
    assert prices == {"BTC-USDT": pytest.approx(50_000, rel=0.01), "BTC-USD": pytest.approx(49_985, rel=0.01)}
    assert (await http.get("/control/market", params={"symbols": "NOPE-USDT"})).status_code == 422


async def test_a_depeg_at_one_exchange(http: httpx.AsyncClient) -> None:
    depeg = {"currency": "USDT", "rate": 0.95, "exchange": "okx"}
    state = (await http.post("/control/depeg", json=depeg)).json()
    assert state["depegged"] == {"okx": {"USDT": pytest.approx(0.95, abs=0.001)}}
    query = {"category": "spot", "symbol": "USDCUSDT"}
    async with asyncio.timeout(WITHIN_S):
        while float((await http.get("/api/v5/market/ticker", params={"instId": "USDC-USDT"})).json()["data"][0]["last"]) < 1.05:
            await asyncio.sleep(0.01)
    bybit = (await http.get("/v5/market/tickers", params=query)).json()["result"]["list"][0]
    assert float(bybit["lastPrice"]) == pytest.approx(1, abs=0.002)
    back = (await http.post("/control/depeg", json={"currency": "USDT"})).json()
    assert back["depegged"] == {}


@EXCHANGES
@pytest.mark.parametrize("variety", ["truncated", "not_json", "wrong_type", "binary", "extra_fields", "nan", "zero"])
async def test_garbage(simulator: Running, http: httpx.AsyncClient, exchange: str, variety: str) -> None:
    async with following(simulator, exchange) as socket:
        while not simulator.engine.faults.standing:
            await data(socket)
            await fault(http, exchange=exchange, kind="garbage", varieties=[variety])
        while True:
            frame = await receive(socket)
            if is_garbage(frame, variety):
                return


def is_garbage(frame: str | bytes, variety: str) -> bool:
    """Return whether a frame is spoilt in this way."""
    if variety == "binary":
        return isinstance(frame, bytes)
    assert isinstance(frame, str)
    try:
        message = json.loads(frame)
    except ValueError:
        return variety in {"truncated", "not_json"}
    match variety:
        case "extra_fields":
            return "newField" in frame
        case "nan":
            return '"NaN"' in frame
        case "zero":
            return '"0"' in frame
        case "wrong_type":
            row = message.get("data") if isinstance(message, dict) else None
            return not row or any(isinstance(value, list) for value in (row[0] if isinstance(row, list) else row).values())
    return False


async def test_empty_and_no_open(simulator: Running, http: httpx.AsyncClient) -> None:
    async with following(simulator, "okx") as socket:
        await fault(http, exchange="okx", kind="empty")
        await fault(http, exchange="okx", kind="no_open", symbol="BTC-USDT")
        while True:
            row = (await data(socket))["data"][0]
            if row["instId"] == "BTC-USDT" and row["open24h"] == "0":
                break
        assert row["bidPx"] == row["askPx"] == ""
        assert math.isfinite(float(row["last"]))


async def test_duplicate_sends_twice_and_an_older_one(simulator: Running, http: httpx.AsyncClient) -> None:
    await http.post("/control/rate", json={"events_per_s": 200, "symbols": ["BTC-USDT"]})
    async with following(simulator, "bybit") as socket:
        await fault(http, exchange="bybit", kind="duplicate", symbol="BTC-USDT")
        numbers = [(await data(socket))["data"]["u"] for _ in range(3)]
        while not numbers[-3] == numbers[-2] > numbers[-1]:
            numbers.append((await data(socket))["data"]["u"])


async def test_late_messages_are_older_than_those_before(simulator: Running, http: httpx.AsyncClient) -> None:
    async with following(simulator, "okx") as socket:
        await fault(http, exchange="okx", kind="late", ms=100, share=0.5)
        newest = 0
        while True:
            time_ms = int((await data(socket))["data"][0]["ts"])
            if time_ms < newest:
                return
            newest = time_ms


async def test_delist(simulator: Running, http: httpx.AsyncClient) -> None:
    async with following(simulator, "bybit") as socket:
        await fault(http, exchange="bybit", kind="delist", symbol="BTC-USDT")
        await fault(http, exchange="bybit", kind="delist", symbol="ETH-USDT")
        await assert_silent(socket)
        listed = (await http.get("/v5/market/instruments-info", params={"category": "spot"})).json()["result"]["list"]
        assert not {"BTCUSDT", "ETHUSDT"} & {row["symbol"] for row in listed}
        await socket.send(json.dumps({"op": "subscribe", "args": ["tickers.BTCUSDT"]}))
        assert json.loads(await receive(socket))["ret_msg"] == "Invalid symbol :[tickers.BTCUSDT]"


async def test_burst_after_a_stall(simulator: Running, http: httpx.AsyncClient) -> None:
    async with following(simulator, "okx") as socket:
        before = simulator.engine.exchanges["okx"].messages_sent
        await http.post("/control/rate", json={"events_per_s": 0})
        await fault(http, exchange="okx", kind="burst", n=1000, stall_s=0.2)
        for _ in range(1000):
            await data(socket)
        assert simulator.engine.exchanges["okx"].messages_sent >= before + 1000


async def test_a_reader_that_does_not_read_is_ended(simulator: Running, http: httpx.AsyncClient) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.port, limit=1024)
    writer.write(
        b"GET /ws/v5/public HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    subscription = json.dumps(SUBSCRIPTIONS["okx"]).encode()
    writer.write(bytes((0x81, 0x80 | 126)) + len(subscription).to_bytes(2, "big") + bytes(4) + subscription)
    async with asyncio.timeout(WITHIN_S):
        while simulator.engine.exchanges["okx"].messages_sent < 4:
            await asyncio.sleep(0.01)
        while simulator.engine.exchanges["okx"].connections:
            await http.post("/control/faults", json={"exchange": "okx", "kind": "burst", "n": 20_000, "stall_s": 0})
            await asyncio.sleep(0.01)
    writer.transport.abort()


@pytest.mark.parametrize(
    ("path", "body", "reason"),
    [
        pytest.param("faults", {"exchange": "okx", "kind": "nope"}, "kind", id="unknown kind"),
        pytest.param("faults", {"exchange": "nobody", "kind": "mute"}, "exchange", id="unknown exchange"),
        pytest.param("faults", {"exchange": "okx", "kind": "late"}, "ms", id="missing parameter"),
        pytest.param("faults", {"exchange": "okx", "kind": "cut", "symbol": "BTC-USDT"}, "symbol", id="no such scope"),
        pytest.param("faults", {"exchange": "okx", "kind": "mute", "symbol": "NOPE-USDT"}, "NOPE-USDT", id="symbol"),
        pytest.param("faults", {"exchange": "okx", "kind": "server_shutdown"}, "binance", id="another exchange's"),
        pytest.param("rate", {"events_per_s": -1}, "events_per_s", id="negative rate"),
        pytest.param("market", {"symbol": "NOPE-USDT", "price": 1}, "NOPE-USDT", id="unlisted"),
        pytest.param("depeg", {"currency": "USD", "rate": 0.9}, "USDT", id="USD has no rate"),
        pytest.param("depeg", {"rate": 0}, "rate", id="rate zero"),
        pytest.param("depeg", {"rate": 0.9, "exchange": "nobody"}, "exchange", id="depeg at an unknown exchange"),
        pytest.param("pacing", {"pacing": "sometimes"}, "pacing", id="no boolean"),
    ],
)
async def test_wrong_requests_are_told_what_is_wrong(
    http: httpx.AsyncClient, path: str, body: dict[str, Any], reason: str
) -> None:
    answer = await http.post(f"/control/{path}", json=body)
    assert answer.status_code == 422
    assert reason in " ".join(answer.json()["errors"])


async def test_state_and_connections(simulator: Running, http: httpx.AsyncClient) -> None:
    async with following(simulator, "bybit"):
        state = (await http.get("/control")).json()
        assert state["simulated"] is True
        assert state["exchanges"]["bybit"]["connections"] == 1
        assert state["exchanges"]["bybit"]["subscriptions"] == {"orderbook.1": 2}
        assert state["exchanges"]["bybit"]["messages_sent"] > 0
        (listed,) = (await http.get("/control/connections", params={"exchange": "bybit"})).json()["connections"]
        assert listed["topics"] == ["orderbook.1.BTCUSDT", "orderbook.1.ETHUSDT"]
        assert listed["control_messages"] == 1
