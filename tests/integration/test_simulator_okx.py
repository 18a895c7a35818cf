"""The simulator's OKX on real sockets: one answer per argument, snapshots, text pings, limits, notices and closes."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from simulator.app import Running, serving
from simulator.settings import Settings
from support.lively import lively

WITHIN_S = 10.0
BTC = {"channel": "tickers", "instId": "BTC-USDT"}
ETH = {"channel": "tickers", "instId": "ETH-USDT"}


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with lively() as running:
        yield running


@pytest.fixture
async def socket(simulator: Running) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{simulator.port}/ws/v5/public") as opened:
        yield opened


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return json.loads(await socket.recv())


async def answers(socket: ClientConnection, count: int, **request: Any) -> list[Any]:
    """Send a request and return `count` answers without the connection's id. Data messages in between are skipped."""
    await socket.send(json.dumps(request))
    found: list[Any] = []
    while len(found) < count:
        message = await receive(socket)
        if "event" in message:
            assert message.pop("connId")
            found.append(message)
    return found


def unknown(channel: str, native: str) -> dict[str, str]:
    return {
        "event": "error",
        "code": "60018",
        "msg": f"Wrong URL or channel:{channel},instId:{native} doesn't exist. "
        "Please use the correct URL, channel and parameters referring to API document.",
    }


async def test_one_answer_per_argument_then_its_snapshot(socket: ClientConnection) -> None:
    await socket.send(json.dumps({"id": "1512", "op": "subscribe", "args": [BTC, ETH]}))
    received = [await receive(socket) for _ in range(4)]
    for arg in (BTC, ETH):
        (place,) = [n for n, it in enumerate(received) if it.get("event") and it["arg"] == arg]
        assert set(received[place]) == {"id", "event", "arg", "connId"}
        assert received[place + 1]["arg"] == arg
        assert received[place + 1]["data"][0]["instId"] == arg["instId"]


async def test_bad_arguments_are_refused_alone(socket: ClientConnection) -> None:
    args = [
        {"channel": "tickers", "instId": "NOPE-USDT"},
        {"channel": "candle1m", "instId": "BTC-USDT"},
        BTC,
    ]
    assert await answers(socket, 3, op="subscribe", args=args) == [
        unknown("tickers", "NOPE-USDT"),
        unknown("candle1m", "BTC-USDT"),
        {"event": "subscribe", "arg": BTC},
    ]


async def test_a_repeated_subscription_is_acked_and_not_doubled(simulator: Running, socket: ClientConnection) -> None:
    acks = await answers(socket, 3, op="subscribe", args=[BTC, BTC, BTC])
    assert acks == [{"event": "subscribe", "arg": BTC}] * 3
    (connection,) = simulator.engine.exchanges["okx"].connections
    assert list(connection.topics) == ["tickers:BTC-USDT"]


@pytest.mark.parametrize("text", ['{"op":"subscribe","args":"x"}', "{nope", "[]", '{"args":[]}'])
async def test_a_request_of_no_shape(socket: ClientConnection, text: str) -> None:
    await socket.send(text)
    refused = await receive(socket)
    assert (refused["event"], refused["code"]) == ("error", "60012")
    assert refused["msg"] == f"Invalid request: {text}"


async def test_text_ping(socket: ClientConnection) -> None:
    await socket.send("ping")
    async with asyncio.timeout(WITHIN_S):
        assert await socket.recv() == "pong"


async def test_more_than_480_requests_an_hour_are_too_many(socket: ClientConnection) -> None:
    for _ in range(480):
        await socket.send(json.dumps({"op": "unsubscribe", "args": [BTC]}))
    (*_, last) = await answers(socket, 481, op="subscribe", args=[BTC], id="9")
    assert (last["event"], last["code"], last["id"]) == ("error", "60014", "9")


async def test_an_idle_connection_is_closed_and_pings_keep_it() -> None:
    async with serving(Settings(port=0, rate=0.0, okx_idle_s=0.5)) as running:
        url = f"ws://127.0.0.1:{running.port}/ws/v5/public"
        async with connect(url) as idle, connect(url) as pinging:
            async with asyncio.timeout(WITHIN_S):
                while idle.close_code is None:
                    await pinging.send("ping")
                    assert await pinging.recv() == "pong"
                    await asyncio.sleep(0.1)
            with pytest.raises(ConnectionClosed) as closed:
                await idle.recv()
    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (4004, "No data received in 30s")


async def test_a_notice_comes_before_the_end(simulator: Running, socket: ClientConnection) -> None:
    await answers(socket, 1, op="subscribe", args=[BTC])
    fault = {"exchange": "okx", "kind": "notice_64008", "close_after_s": 0.2}
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}") as http:
        (await http.post("/control/faults", json=fault)).raise_for_status()
    async with asyncio.timeout(WITHIN_S):
        received = [json.loads(frame) async for frame in socket]  # until it is closed
    (notice,) = [message for message in received if message.get("event") == "notice"]
    assert (notice["code"], set(notice)) == ("64008", {"event", "code", "msg", "connId"})


async def test_nothing_changes_nothing_comes() -> None:
    async with (
        serving(Settings(port=0, rate=0.0)) as running,
        connect(f"ws://127.0.0.1:{running.port}/ws/v5/public") as socket,
    ):
        await answers(socket, 1, op="subscribe", args=[BTC])
        await receive(socket)  # the snapshot
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(socket.recv(), 0.5)


async def test_rest(simulator: Running) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}/api/v5") as http:
        listed = (await http.get("/public/instruments", params={"instType": "SPOT"})).json()
        assert (listed["code"], listed["msg"]) == ("0", "")
        assert len(listed["data"]) >= 300
        assert {row["state"] for row in listed["data"]} == {"live", "suspend", "preopen"}
        assert len((await http.get("/market/tickers", params={"instType": "SPOT"})).json()["data"]) >= 300
        one = (await http.get("/market/ticker", params={"instId": "BTC-USDT"})).json()
        assert one["data"][0]["instId"] == "BTC-USDT"
        assert (await http.get("/market/ticker", params={"instId": "NOPE-USDT"})).json()["code"] == "51001"
        assert (await http.get("/public/instruments")).status_code == 400
        book = (await http.get("/market/books", params={"instId": "BTC-USDT", "sz": "5"})).json()["data"][0]
        assert len(book["asks"]) == 5
        assert (await http.get("/public/time")).json()["data"][0]["ts"].isdecimal()
