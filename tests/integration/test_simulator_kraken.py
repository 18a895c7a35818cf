"""The simulator's Kraken on real sockets: a status first, one answer per symbol, heartbeats, maintenance, and two vocabularies."""

import asyncio
import json
import re
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
BTC, ETH = "BTC/USD", "ETH/USD"


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with lively() as running:
        yield running


@pytest.fixture
async def quiet() -> AsyncIterator[Running]:
    """A simulator in which nothing happens."""
    async with serving(Settings(port=0, rate=0.0, kraken_idle_s=0.5)) as running:
        yield running


def url(running: Running) -> str:
    return f"ws://127.0.0.1:{running.port}/v2"


async def receive(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return json.loads(await socket.recv())


async def answers(socket: ClientConnection, count: int, method: str, *symbols: str, **params: Any) -> list[Any]:
    """Send a request and return `count` answers without their times. Messages of channels in between are skipped."""
    request = {"method": method, "params": {"channel": "ticker", "symbol": symbols} | params, "req_id": 7}
    await socket.send(json.dumps(request))
    found: list[Any] = []
    while len(found) < count:
        message = await receive(socket)
        if "channel" not in message:
            assert message.pop("time_in") <= message.pop("time_out")
            found.append(message)
    return found


async def first_of(socket: ClientConnection, channel: str) -> Any:
    while True:
        message = await receive(socket)
        if message.get("channel") == channel:
            return message


def accepted(symbol: str, trigger: str = "trades") -> dict[str, Any]:
    result = {"channel": "ticker", "event_trigger": trigger, "snapshot": True, "symbol": symbol}
    return {"method": "subscribe", "req_id": 7, "result": result, "success": True}


def refused(reason: str, symbol: str, method: str = "subscribe") -> dict[str, Any]:
    return {"error": reason, "method": method, "req_id": 7, "success": False, "symbol": symbol}


async def test_the_status_comes_first_with_a_number_that_no_double_holds(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        status = await receive(socket)
    assert (status["channel"], status["type"]) == ("status", "update")
    (state,) = status["data"]
    assert state["system"] == "online"
    assert state["connection_id"] > 2**53


async def test_one_answer_per_symbol_then_its_snapshot(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        await receive(socket)  # the status
        request = {"method": "subscribe", "params": {"channel": "ticker", "symbol": [BTC, ETH], "event_trigger": "bbo"}}
        await socket.send(json.dumps(request))
        received = [await receive(socket) for _ in range(4)]
    for symbol, answer, snapshot in zip((BTC, ETH), received[::2], received[1::2], strict=True):
        assert answer["result"] == accepted(symbol, "bbo")["result"]
        assert "req_id" not in answer, "it is only repeated"
        assert (snapshot["type"], snapshot["data"][0]["symbol"]) == ("snapshot", symbol)


async def test_a_bad_symbol_is_refused_alone(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        assert await answers(socket, 2, "subscribe", "XBT/USD", BTC) == [
            refused("Currency pair not supported XBT/USD", "XBT/USD"),
            accepted(BTC),
        ]


async def test_a_repeated_subscription_is_an_error_without_a_snapshot(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        assert await answers(socket, 1, "subscribe", BTC) == [accepted(BTC)]
        await first_of(socket, "ticker")
        assert await answers(socket, 1, "subscribe", BTC, event_trigger="bbo") == [refused("Already subscribed", BTC)]
        assert (await receive(socket))["channel"] == "heartbeat"


async def test_unsubscribing(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        await answers(socket, 2, "subscribe", BTC, ETH)
        assert await answers(socket, 2, "unsubscribe", ETH, "NOPE/USD") == [
            {"method": "unsubscribe", "req_id": 7, "result": {"channel": "ticker", "symbol": ETH}, "success": True},
            refused("Subscription Not Found", "NOPE/USD", "unsubscribe"),
        ]
        (connection,) = quiet.engine.exchanges["kraken"].connections
        assert list(connection.topics) == [f"ticker:trades {BTC}"]


async def test_figures_are_numbers_with_all_decimals(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        await socket.send(json.dumps({"method": "subscribe", "params": {"channel": "ticker", "symbol": [BTC]}}))
        while '"ticker","type":"snapshot"' not in (frame := str(await asyncio.wait_for(socket.recv(), WITHIN_S))):
            pass
    assert re.search(r'"last":\d+\.\d,"volume":\d+\.\d{8},"vwap":\d+\.\d,', frame)
    assert re.search(r'"change":-?\d+\.\d,"change_pct":-?\d+\.\d\d,', frame)


async def test_updates_have_rising_times_which_are_the_same_on_two_sockets(simulator: Running) -> None:
    async def follow() -> list[str]:
        async with connect(url(simulator)) as socket:
            await answers(socket, 1, "subscribe", BTC, event_trigger="bbo")
            return [(await first_of(socket, "ticker"))["data"][0]["timestamp"] for _ in range(60)]

    one, other = await asyncio.gather(follow(), follow())
    for times in (one, other):
        assert times == sorted(set(times))
    assert len(set(one[5:-5]) & set(other)) >= 30


async def test_a_quiet_pair_s_snapshot_has_an_old_time(quiet: Running) -> None:
    listing = quiet.engine.exchanges["kraken"].listings[BTC]
    listing.changed_us = 1_788_481_280_217_476
    async with connect(url(quiet)) as socket:
        (answer,) = await answers(socket, 1, "subscribe", BTC)
        assert answer["success"]
        snapshot = await first_of(socket, "ticker")
    assert snapshot["data"][0]["timestamp"] == "2026-09-04T00:21:20.217476Z"


async def test_a_pair_that_never_traded_has_no_orders_and_the_time_0(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        await answers(socket, 1, "subscribe", "MOVE/USD")
        (row,) = (await first_of(socket, "ticker"))["data"]
    assert (row["bid"], row["ask"], row["last"], row["timestamp"]) == (0, 0, 0, "1970-01-01T00:00:00.000000Z")


async def test_heartbeats_come_only_to_subscribers_that_get_nothing_else(quiet: Running) -> None:
    async with connect(url(quiet)) as socket, connect(url(quiet)) as idle:
        await answers(socket, 1, "subscribe", BTC)
        await first_of(socket, "ticker")
        assert [await receive(socket) for _ in range(2)] == [{"channel": "heartbeat"}] * 2
        await receive(idle)  # the status
        with pytest.raises(ConnectionClosed):  # without subscriptions and traffic
            await receive(idle)


async def test_ping(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        await receive(socket)
        await socket.send('{"method":"ping","req_id":101}')
        pong = await receive(socket)
    assert (pong["method"], pong["req_id"]) == ("pong", 101)


async def test_more_than_20_messages_in_a_second_are_refused(quiet: Running) -> None:
    async with connect(url(quiet)) as socket:
        await receive(socket)
        for _ in range(21):
            await socket.send('{"method":"ping"}')
        received = [await receive(socket) for _ in range(21)]
    assert "Exceeded msg rate" in {message.get("error") for message in received}


@pytest.mark.parametrize("text", ["{nope", "[]", '{"method":"subscribe"}', '{"method":"subscribe","params":{"symbol":"x"}}'])
async def test_a_request_of_no_shape(simulator: Running, text: str) -> None:
    async with connect(url(simulator)) as socket:
        await receive(socket)
        await socket.send(text)
        message = await receive(socket)
    assert (message["error"], message["success"]) == ("Malformed request", False)


async def test_maintenance_is_announced_ends_the_data_and_closes(simulator: Running) -> None:
    async with connect(url(simulator)) as socket:
        await answers(socket, 1, "subscribe", BTC, event_trigger="bbo")
        fault = {"exchange": "kraken", "kind": "kraken_maintenance", "close_after_s": 0.5}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}") as http:
            (await http.post("/control/faults", json=fault)).raise_for_status()
        async with asyncio.timeout(WITHIN_S):
            received = [json.loads(frame) async for frame in socket]  # until it is closed
    channels = [message["channel"] for message in received]
    announced = [message["data"][0]["system"] for message in received if message["channel"] == "status"]
    assert announced == ["maintenance"]
    assert "ticker" not in channels[len(channels) - channels[::-1].index("status") :]
    async with connect(url(simulator)) as socket:
        assert (await receive(socket))["data"][0]["system"] == "online"


async def rest(running: Running, path: str, **query: Any) -> Any:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}/0/public") as http:
        answer = await http.get(f"/{path}", params=query)
    assert answer.status_code == 200, "errors too"
    return answer.json()


async def test_the_listing_speaks_two_vocabularies(simulator: Running) -> None:
    old = (await rest(simulator, "AssetPairs"))["result"]
    assert {"XXBTZUSD", "XETHZUSD", "XBTUSDT", "XDGUSD", "USDTZUSD", "XETHXXBT", "SOLUSD"} <= old.keys()
    assert (old["XXBTZUSD"]["base"], old["XXBTZUSD"]["quote"], old["XXBTZUSD"]["wsname"]) == ("XXBT", "ZUSD", "XBT/USD")
    new = (await rest(simulator, "AssetPairs", assetVersion=1))["result"]
    assert len(new) == len(old)
    assert (new["BTC/USD"]["base"], new["DOGE/USD"]["quote"]) == ("BTC", "USD")
    assert {"online", "cancel_only", "post_only"} == {row["status"] for row in new.values()}
    assert new["AAPLx/USD"]["aclass_base"] == "tokenized_asset"


async def test_the_ticker_s_key_is_not_the_name_that_was_asked_for(simulator: Running) -> None:
    for query, key in (
        ({"pair": "USDTUSD"}, "USDTZUSD"),
        ({"pair": "XBT/USD"}, "XXBTZUSD"),
        ({"pair": "BTC/USD", "assetVersion": 1}, "BTC/USD"),
        ({"pair": "XBTUSD", "assetVersion": 1}, "BTC/USD"),
    ):
        answer = await rest(simulator, "Ticker", **query)
        assert (answer["error"], list(answer["result"])) == ([], [key])


async def test_rest_errors(simulator: Running) -> None:
    assert await rest(simulator, "Ticker", pair="NOPEUSD") == {"error": ["EQuery:Unknown asset pair"]}
    both = await rest(simulator, "Ticker", pair="NOPEUSD,XBTUSD")
    assert (both["error"], list(both["result"])) == (["EQuery:Unknown asset pair"], ["XXBTZUSD"])
    assert (await rest(simulator, "Time"))["result"]["unixtime"] > 1_700_000_000


async def test_the_rest_ticker_s_open_is_today_s(simulator: Running) -> None:
    listing = simulator.engine.exchanges["kraken"].listings[BTC]
    row = (await rest(simulator, "Ticker", pair=BTC, assetVersion=1))["result"][BTC]
    assert float(row["o"]) in {hour.open for hour in listing.hours}
    assert float(row["h"][1]) == listing.high24h
    assert float(row["v"][1]) >= float(row["v"][0])
