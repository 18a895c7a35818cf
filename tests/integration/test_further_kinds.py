"""A kind that the project does not have: a message, a row, a channel. Somebody subscribes, and an ingest carries it."""

import asyncio
import dataclasses
import json
from typing import Annotated, Any

import httpx
import pytest
from msgspec import Meta, Struct
from pydantic import SecretStr

from ingest_okx import adapter as okx
from market_pulse import kinds
from market_pulse.exchange import demand
from market_pulse.exchange.adapter import Channel, Told, frames_of_rows
from market_pulse.exchange.fields import Text
from market_pulse.exchange.main import serve
from market_pulse.exchange.settings import IngestSettings
from market_pulse.kinds import TICKER, Kind, Shape
from market_pulse.messages import Message, Symbol
from market_pulse.process.way_out import STRAIGHT
from simulator.app import serving
from simulator.settings import Settings
from support.redis_server import RedisServer
from support.waiting import free_port, until
from support.whole_bus import WholeBus

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
CHANNEL, LAST = "books:okx:ETH-USDT", "last:books:okx:ETH-USDT"


class Book(Message, kw_only=True):
    exchange: str = ""
    symbol: str = ""
    bids: list[tuple[float, float]]
    asks: list[tuple[float, float]]
    received_time_ms: Annotated[int, Meta(ge=0)] = 0


BOOK = Kind(name="book", message=Book, shape=Shape.STATE, address="books:{exchange}:{symbol}", expiry_s=60)


class Levels(Struct, rename="camel"):
    inst_id: Text
    bids: Any
    asks: Any


def told(levels: Levels) -> Told:
    bids, asks = ([(float(row[0]), float(row[1])) for row in side] for side in (levels.bids, levels.asks))
    return Told(kind=BOOK, native=levels.inst_id, message=Book(bids=bids, asks=asks))


BOOKS = Channel(topics=lambda native: (f"books5:{native}",), frames={"books5": frames_of_rows(Levels, told, "instId")})


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demand, "KINDS", (TICKER, BOOK))
    monkeypatch.setattr(kinds, "KINDS", (*kinds.KINDS, BOOK))
    monkeypatch.setitem(okx.FRAMES, "books5", BOOKS.frames["books5"])


async def test_a_subscription_makes_an_ingest_carry_it_and_ends_it(server: RedisServer) -> None:
    adapter = dataclasses.replace(okx.ADAPTER, channels={**okx.ADAPTER.channels, "book": BOOKS})
    async with serving(Settings(port=0)) as simulator, WholeBus.open(server.url) as bus:
        url = f"127.0.0.1:{simulator.port}"
        settings = IngestSettings(
            redis_url=SecretStr(server.url),
            symbols=(BTC,),
            symbol_grace_s=1,
            health_port=free_port(),
            ws_url=f"ws://{url}",
            rest_url=f"http://{url}",
        )
        running = asyncio.create_task(serve(adapter, settings, STRAIGHT))
        try:
            async with httpx.AsyncClient(base_url=f"http://{url}") as http:

                async def topics() -> set[str]:
                    connections = (await http.get("/control/connections")).json()["connections"]
                    return {topic for one in connections if one["exchange"] == "okx" for topic in one["topics"]}

                async def carries(*wanted: str) -> bool:
                    return await topics() == set(wanted)

                await until(lambda: carries("tickers:BTC-USDT"))
                heard: list[dict[str, Any]] = []
                subscriber = bus.subscriber(lambda _, data: heard.append(json.loads(data)), _subscribed)
                listening = asyncio.create_task(subscriber.run())
                await subscriber.subscribe(CHANNEL, "ticks:okx:BTC-USDT")
                await until(lambda: carries("tickers:BTC-USDT", "books5:ETH-USDT"))
                await until(lambda: sum("bids" in one for one in heard) > 2)
                books = [one for one in heard if "bids" in one]
                assert {(one["v"], one["exchange"], one["symbol"]) for one in books} == {(1, "okx", "ETH-USDT")}
                assert all(one["bids"][0][0] < one["asks"][0][0] and one["receivedTime"] > 0 for one in books)
                assert await bus.client.get(LAST) is not None

                # Its ticker was not asked for, so it is not carried. The ticker of another symbol goes on beside it.
                assert await bus.client.get("last:ticks:okx:ETH-USDT") is None
                assert await bus.client.get("last:ticks:okx:BTC-USDT") is not None

                await subscriber.unsubscribe(CHANNEL)
                await until(lambda: carries("tickers:BTC-USDT"))
                await until(lambda: _is_gone(bus, LAST))
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def _subscribed(lost: bool) -> None:
    assert not lost


async def _is_gone(bus: WholeBus, key: str) -> bool:
    return await bus.client.get(key) is None


def test_another_exchanges_channel_is_no_wish_for_this_one() -> None:
    """`books:bybit:ETH-USDT` asks for Bybit's."""
    channels = ["books:bybit:ETH-USDT", "books:okx:BTC-USDT", "ticker:SOL-USDT"]
    assert kinds.symbols_of(BOOK, channels, "okx") == {BTC}
    assert kinds.symbols_of(TICKER, channels, "okx") == {"SOL-USDT"}
