"""The simulator's Bybit on real sockets: one answer per request, refusals of whole requests, the level 1 heartbeat."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from simulator.app import Running, serving
from simulator.settings import Settings
from support.lively import lively

WITHIN_S = 10.0


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with lively() as running:
        yield running


@pytest.fixture
async def socket(simulator: Running) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{simulator.port}/v5/public/spot") as opened:
        yield opened


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return json.loads(await socket.recv())


async def ask(socket: ClientConnection, **request: Any) -> Any:
    """Send a request and return its answer without the connection's id. Data messages in between are skipped."""
    await socket.send(json.dumps(request))
    while True:
        message = await receive(socket)
        if "topic" not in message:
            assert message.pop("conn_id")
            return message


async def until(socket: ClientConnection, topic: str) -> Any:
    """Return the next message of a topic."""
    while True:
        message = await receive(socket)
        if message.get("topic") == topic:
            return message


async def test_one_answer_per_request(socket: ClientConnection) -> None:
    topics = ["tickers.BTCUSDT", "orderbook.1.BTCUSDT", "publicTrade.BTCUSDT"]
    assert await ask(socket, op="subscribe", args=topics, req_id=1) == {
        "success": True,
        "ret_msg": "subscribe",
        "req_id": "1",
        "op": "subscribe",
    }
    assert {(await receive(socket))["topic"] for _ in range(2)} == {"tickers.BTCUSDT", "orderbook.1.BTCUSDT"}
    assert await ask(socket, op="ping", req_id="p1") == {"success": True, "ret_msg": "pong", "op": "ping"}
    assert await ask(socket, op="unsubscribe", args=topics) == {
        "success": True,
        "ret_msg": "unsubscribe",
        "op": "unsubscribe",
    }


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        pytest.param(["tickers.ETHUSDT"] * 11, "args size >10", id="eleven"),
        pytest.param(["tickers.ETHUSDT", "tickers.NOPEUSDT"], "Invalid symbol :[tickers.NOPEUSDT]", id="unknown symbol"),
        pytest.param(
            ["orderbook.30.BTCUSDT", "tickers.ETHUSDT"],
            "error:handler not found,topic:orderbook.30.BTCUSDT",
            id="unknown topic",
        ),
        pytest.param(["tickers.ETHUSDT", "tickers.BTCUSDT"], "error:already subscribed,topic:tickers.BTCUSDT", id="repeated"),
    ],
)
async def test_one_bad_topic_voids_the_request(
    simulator: Running, socket: ClientConnection, args: list[str], reason: str
) -> None:
    await ask(socket, op="subscribe", args=["tickers.BTCUSDT"])
    refused = await ask(socket, op="subscribe", args=args, req_id="r2")
    assert refused == {"success": False, "ret_msg": reason, "req_id": "r2", "op": "subscribe"}
    (connection,) = simulator.engine.exchanges["bybit"].connections
    assert list(connection.topics) == ["tickers.BTCUSDT"]


async def test_no_bid_or_ask_in_spot_tickers(socket: ClientConnection) -> None:
    await ask(socket, op="subscribe", args=["tickers.BTCUSDT"])
    assert not [key for key in (await receive(socket))["data"] if "bid" in key or "ask" in key]


async def test_a_quiet_book_is_sent_again_with_the_same_u() -> None:
    async with (
        serving(Settings(port=0, rate=0.0)) as running,
        connect(f"ws://127.0.0.1:{running.port}/v5/public/spot") as socket,
    ):
        await ask(socket, op="subscribe", args=["orderbook.1.BTCUSDT"])
        first, again = await receive(socket), await receive(socket)
    assert first["data"] == again["data"]
    assert again["ts"] - first["ts"] >= 2900


async def test_restart_begins_the_book_at_1(simulator: Running, socket: ClientConnection) -> None:
    await ask(socket, op="subscribe", args=["orderbook.1.BTCUSDT"])
    fault = {"exchange": "bybit", "kind": "bybit_restart", "symbol": "BTC-USDT"}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}") as http:
        (await http.post("/control/faults", json=fault)).raise_for_status()
    while (await until(socket, "orderbook.1.BTCUSDT"))["data"]["u"] != 1:
        pass
    assert (await until(socket, "orderbook.1.BTCUSDT"))["data"]["u"] > 1


async def test_rest(simulator: Running) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}/v5/market") as http:
        listed = (await http.get("/instruments-info", params={"category": "spot"})).json()
        assert (listed["retCode"], listed["retMsg"], listed["retExtInfo"]) == (0, "OK", {})
        assert len(listed["result"]["list"]) >= 300
        tickers = (await http.get("/tickers", params={"category": "spot", "symbol": "BTCUSDT"})).json()
        (row,) = tickers["result"]["list"]
        assert float(row["bid1Price"]) < float(row["ask1Price"])
        wrong = await http.get("/tickers", params={"category": "spot", "symbol": "NOPEUSDT"})
        assert (wrong.status_code, wrong.json()["retCode"]) == (200, 10001)
        assert (await http.get("/tickers")).json()["retCode"] == 10001
        book = (await http.get("/orderbook", params={"category": "spot", "symbol": "BTCUSDT", "limit": "5"})).json()
        assert len(book["result"]["b"]) == 5
        assert (await http.get("/time")).json()["result"]["timeSecond"].isdecimal()
