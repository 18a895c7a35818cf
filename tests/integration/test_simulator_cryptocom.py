"""The simulator's Crypto.com on real sockets: acknowledgements merged with data, heartbeats to answer, limits, and REST."""

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
BTC, ETH = "ticker.BTC_USD", "ticker.ETH_USD"


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with lively() as running:
        yield running


@pytest.fixture
async def quiet() -> AsyncIterator[Running]:
    """A simulator in which nothing happens but heartbeats."""
    async with serving(Settings(port=0, rate=0.0, cryptocom_heartbeat_every_s=0.3)) as running:
        yield running


def url(running: Running) -> str:
    return f"ws://127.0.0.1:{running.port}/exchange/v1/market"


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return json.loads(await socket.recv())


async def send(socket: ClientConnection, method: str, *channels: str, **members: Any) -> None:
    await socket.send(json.dumps({"method": method, "params": {"channels": channels}} | members))


async def first_of(socket: ClientConnection, method: str) -> Any:
    while True:
        message = await receive(socket)
        if message["method"] == method:
            return message


async def test_the_first_data_of_each_channel_is_the_acknowledgement(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        await send(socket, "subscribe", BTC, ETH, id=11)
        first: dict[str, Any] = {}
        later: list[Any] = []
        while len(later) < 20:
            message = await receive(socket)
            topic = message["result"]["subscription"]
            later.append(message["id"]) if topic in first else first.update({topic: message})
    assert {topic: (message["id"], message["code"]) for topic, message in first.items()} == {BTC: (11, 0), ETH: (11, 0)}
    assert first[BTC]["result"]["instrument_name"] == first[BTC]["result"]["data"][0]["i"] == "BTC_USD"
    assert set(later) == {-1}


async def test_without_a_number_the_acknowledgement_has_the_lowest_number(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        await send(socket, "subscribe", BTC)
        assert (await receive(socket))["id"] == -(2**63)


async def test_an_unknown_channel_is_refused_alone(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        await send(socket, "subscribe", "ticker.NOPE_USD", BTC, id=11)
        refusal = {"id": 11, "method": "subscribe", "code": 40003, "channel": "ticker.NOPE_USD", "message": "Unknown symbol"}
        assert await receive(socket) == refusal
        assert (await receive(socket))["result"]["subscription"] == BTC


async def test_unsubscribing(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        await send(socket, "subscribe", BTC, ETH, id=1)
        await first_of(socket, "subscribe")
        await send(socket, "unsubscribe", ETH, id=2)
        assert await first_of(socket, "unsubscribe") == {"id": 2, "method": "unsubscribe", "code": 0}
        (connection,) = simulator.engine.exchanges["cryptocom"].connections
        assert list(connection.topics) == [BTC]


async def test_more_than_400_channels_are_too_many(quiet: Running) -> None:
    names = [f"{kind}.{native}" for kind in ("ticker", "trade") for native in quiet.engine.exchanges["cryptocom"].listings]
    async with connect(url(quiet)) as socket:
        await send(socket, "subscribe", *names[:401], id=1)
        received = [await receive(socket) for _ in range(401)]
    assert [message["code"] for message in received] == [0] * 400 + [40107]


async def test_an_unanswered_heartbeat_ends_the_connection_at_the_third(quiet: Running) -> None:
    async with connect(url(quiet)) as deaf, connect(url(quiet)) as polite:
        for _ in range(5):
            heartbeat = await receive(polite)
            assert (heartbeat["method"], heartbeat["code"]) == ("public/heartbeat", 0)
            await polite.send(json.dumps({"id": heartbeat["id"], "method": "public/respond-heartbeat"}))
        assert [(await receive(deaf))["method"] for _ in range(2)] == ["public/heartbeat"] * 2
        with pytest.raises(ConnectionClosed) as closed:
            await receive(deaf)
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 1000
        assert polite.close_code is None


async def test_more_than_100_requests_a_second_are_refused(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        for number in range(220):
            await send(socket, "unsubscribe", BTC, id=number)
        codes = [(await receive(socket))["code"] for _ in range(220)]
    assert 42901 in codes


@pytest.mark.parametrize("text", ["{nope", "[]", '{"method":"subscribe"}', '{"id":3,"method":"public/nope"}'])
async def test_a_request_of_no_shape(quiet: Running, text: str) -> None:
    async with connect(url(quiet)) as socket:
        await socket.send(text)
        while (message := await receive(socket))["method"] == "public/heartbeat":
            pass
    assert message["code"] == 40001


async def test_the_change_is_a_fraction_and_turnover_is_in_usd(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        await send(socket, "subscribe", "ticker.BTC_USDT", id=1)
        (row,) = (await first_of(socket, "subscribe"))["result"]["data"]
    listing = simulator.engine.exchanges["cryptocom"].listings["BTC_USDT"]
    assert float(row["c"]) == pytest.approx(float(row["a"]) / listing.open24h - 1, abs=0.00006)
    assert float(row["l"]) * 0.999 <= float(row["vv"]) / float(row["v"]) <= float(row["h"]) * 0.999
    assert float(row["b"]) < float(row["k"])


async def test_rest(simulator: Running) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}/exchange/v1/public") as http:
        listed = (await http.get("/get-instruments")).json()
        assert (listed["code"], listed["method"]) == (0, "public/get-instruments")
        rows = {row["symbol"]: row for row in listed["result"]["data"]}
        assert {"BTC_USD", "BTC_USDT", "USDT_USD", "BTCUSD-PERP"} <= rows.keys()
        assert {row["tradable"] for row in rows.values()} == {True, False}
        assert rows["BTC_USD"]["price_tick_size"] == "0.01"
        one = (await http.get("/get-tickers", params={"instrument_name": "BTC_USD"})).json()
        assert [row["i"] for row in one["result"]["data"]] == ["BTC_USD"]
        assert len((await http.get("/get-tickers")).json()["result"]["data"]) >= 300
        bad = await http.get("/get-tickers", params={"instrument_name": "NOPE"})
        assert (bad.status_code, bad.json()["code"], bad.json()["message"]) == (400, 40004, "Invalid instrument_name")
