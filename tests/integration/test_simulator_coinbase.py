"""The simulator's Coinbase on real sockets: the state of the socket as the answer, old matches, heartbeats, refusals and the cut."""

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

WITHIN_S = 10.0
BOTH = ["ticker", "heartbeat"]


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with serving(Settings(port=0, rate=0.0)) as running:
        yield running


@pytest.fixture
async def socket(simulator: Running) -> AsyncIterator[ClientConnection]:
    async with connect(f"ws://127.0.0.1:{simulator.port}/") as opened:
        yield opened


async def receive(socket: ClientConnection, *types: str) -> Any:
    """Return the next message of one of these types, or of any type."""
    async with asyncio.timeout(WITHIN_S):
        while True:
            message = json.loads(await socket.recv())
            if not types or message["type"] in types:
                return message


async def answer(socket: ClientConnection, kind: str, products: list[str], channels: list[Any]) -> Any:
    await socket.send(json.dumps({"type": kind, "product_ids": products, "channels": channels}))
    return await receive(socket, "subscriptions", "error")


def state(message: Any) -> dict[str, set[str]]:
    assert all(list(channel) == ["name", "product_ids", "account_ids"] for channel in message["channels"])
    return {channel["name"]: set(channel["product_ids"]) for channel in message["channels"]}


async def test_each_answer_is_the_whole_state(socket: ClientConnection) -> None:
    first = await answer(socket, "subscribe", ["BTC-USD", "ETH-USD"], BOTH)
    assert state(first) == {"ticker": {"BTC-USD", "ETH-USD"}, "heartbeat": {"BTC-USD", "ETH-USD"}}
    second = await answer(socket, "subscribe", ["SOL-USD"], [{"name": "ticker", "product_ids": ["DOGE-USD"]}, "heartbeat"])
    assert state(second) == {"ticker": {"BTC-USD", "ETH-USD", "DOGE-USD"}, "heartbeat": {"BTC-USD", "ETH-USD", "SOL-USD"}}
    third = await answer(socket, "unsubscribe", ["BTC-USD", "NOPE-USD"], BOTH)
    assert state(third) == {"ticker": {"ETH-USD", "DOGE-USD"}, "heartbeat": {"ETH-USD", "SOL-USD"}}
    again = await answer(socket, "subscribe", ["ETH-USD"], BOTH)
    assert state(again) == state(third), "a repetition is acknowledged"


async def test_the_first_ticker_is_the_last_match_with_its_old_time(simulator: Running, socket: ClientConnection) -> None:
    listing = simulator.engine.market.of("coinbase")["BTC-USD"]
    listing.traded_ms -= 108_000
    await answer(socket, "subscribe", ["BTC-USD"], ["ticker"])
    first = await receive(socket)
    assert (first["type"], first["trade_id"]) == ("ticker", listing.trade_id)
    async with connect(f"ws://127.0.0.1:{simulator.port}/") as other:
        await answer(other, "subscribe", ["BTC-USD"], ["ticker"])
        assert await receive(other) == first, "the same match has the same time on each socket"


async def test_a_ticker_comes_with_each_match_only(simulator: Running, socket: ClientConnection) -> None:
    listing = simulator.engine.market.of("coinbase")["BTC-USD"]
    await answer(socket, "subscribe", ["BTC-USD"], ["ticker"])
    before = await receive(socket)
    publisher, market = simulator.engine.exchanges["coinbase"].publisher, simulator.engine.market
    for traded in (False, False, True, False, True):
        publisher.on_event(market.step(listing, listing.traded_ms + 1000, traded=traded))
    tickers = [await receive(socket) for _ in range(2)]
    assert [one["trade_id"] - before["trade_id"] for one in tickers] == [1, 2]
    sequences = [one["sequence"] for one in (before, *tickers)]
    assert sequences == sorted(set(sequences))
    assert sequences[1] - sequences[0] >= 3, "all changes of the book count"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(socket.recv(), 0.3)


async def test_a_quiet_product_has_heartbeats_of_its_last_match(simulator: Running, socket: ClientConnection) -> None:
    await answer(socket, "subscribe", ["BTC-USD"], BOTH)
    beats = [await receive(socket, "heartbeat") for _ in range(3)]
    assert [list(beat) for beat in beats] == [["type", "sequence", "last_trade_id", "product_id", "time"]] * 3
    assert {beat["last_trade_id"] for beat in beats} == {simulator.engine.market.of("coinbase")["BTC-USD"].trade_id}
    assert len({beat["time"] for beat in beats}) == 3


@pytest.mark.parametrize(
    ("products", "channels", "reason"),
    [
        (["ETH-USD", "FOO-USD"], BOTH, "FOO-USD is not a valid product"),
        (["ETH-USD", "EOS-USD"], BOTH, "EOS-USD is not a valid product"),
        ([], BOTH, " is not a valid product"),
        (["ETH-USD"], [], "No channels provided"),
        (["ETH-USD"], ["ticker", "nope"], "nope is not a valid channel"),
    ],
)
async def test_one_wrong_part_voids_the_whole_request(
    socket: ClientConnection, products: list[str], channels: list[str], reason: str
) -> None:
    await answer(socket, "subscribe", ["BTC-USD"], ["ticker"])
    refused = await answer(socket, "subscribe", products, channels)
    assert refused == {"type": "error", "message": "Failed to subscribe", "reason": reason}
    assert state(await answer(socket, "subscribe", ["SOL-USD"], ["ticker"])) == {"ticker": {"BTC-USD", "SOL-USD"}}


async def test_a_product_in_usdc_is_another_name_of_the_one_in_usd(socket: ClientConnection) -> None:
    await answer(socket, "subscribe", ["BTC-USDC"], ["ticker"])
    assert (await receive(socket, "ticker"))["product_id"] == "BTC-USD"


async def test_a_connection_that_does_not_subscribe_is_cut() -> None:
    async with serving(Settings(port=0, rate=0.0, coinbase_first_request_s=0.5)) as running:
        url = f"ws://127.0.0.1:{running.port}/"
        async with connect(url) as silent, connect(url) as wrong, connect(url) as subscribed:
            await answer(wrong, "subscribe", ["FOO-USD"], BOTH)
            await answer(subscribed, "subscribe", ["BTC-USD"], BOTH)
            await answer(subscribed, "unsubscribe", ["BTC-USD"], BOTH)
            for lost in (silent, wrong):
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(lost)
                assert closed.value.rcvd is None
            assert state(await answer(subscribed, "subscribe", ["BTC-USD"], ["ticker"])) == {"ticker": {"BTC-USD"}}


async def test_more_than_a_hundred_messages_a_second_end_a_connection(socket: ClientConnection) -> None:
    for _ in range(101):
        await socket.send(json.dumps({"type": "unsubscribe", "product_ids": ["BTC-USD"], "channels": BOTH}))
    with pytest.raises(ConnectionClosed) as closed:
        await receive(socket, "never")
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008


async def test_rest(simulator: Running) -> None:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}") as http:
        products = {row["id"]: row for row in (await http.get("/products")).json()}
        assert (products["BTC-USD"]["status"], products["BTC-USD"]["quote_increment"]) == ("online", "0.01")
        assert (products["EOS-USD"]["status"], products["EOS-USD"]["trading_disabled"]) == ("delisted", True)
        assert products["STRK-USD"]["auction_mode"]
        assert {"BTC-USDC", "USDT-USDC"} <= products.keys(), "other names are listed too"
        last, stats = [(await http.get(f"/products/BTC-USD/{part}")).json() for part in ("ticker", "stats")]
        assert last["price"] == stats["last"]
        assert "time" not in stats
        assert "open" not in last
        assert (await http.get("/products/BTC-USDC/ticker")).json()["trade_id"] == last["trade_id"]
        unknown = await http.get("/products/FOO-USD/ticker")
        assert (unknown.status_code, unknown.json()) == (404, {"message": "NotFound"})
        assert (await http.get("/time")).json()["iso"].endswith("Z")
