"""An ingest's REST requests to the simulator: several addresses, first prices, and listings that lack a symbol."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import orjson
import pytest
import structlog
from pydantic import SecretStr

from ingest_binance.adapter import ADAPTER as BINANCE
from ingest_coinbase.adapter import ADAPTER as COINBASE
from ingest_okx.adapter import ADAPTER as OKX
from market_pulse.exchange import listing, quiet
from market_pulse.exchange.adapter import Adapter, Batch, Day, Listed
from market_pulse.exchange.errors import FeedRefused
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.feeds import Feeds
from market_pulse.exchange.main import carry
from market_pulse.exchange.rest import RestClient
from market_pulse.exchange.settings import IngestSettings
from market_pulse.kinds import TICKER, Kind
from market_pulse.messages import Symbol, Tick
from simulator.app import Running, serving
from simulator.faults import read_fault
from simulator.settings import Settings
from support.redis_server import RedisServer
from support.waiting import until
from support.whole_bus import WholeBus

REFUSED = b'{"exchange": "*", "kind": "refuse", "status": 451}'
FAILING = b'{"exchange": "okx", "kind": "refuse", "status": 503}'
SILENT = b'{"exchange": "okx", "kind": "mute", "symbol": "ETH-USDT"}'
CUT = b'{"exchange": "okx", "kind": "cut"}'
DELISTED = b'{"exchange": "okx", "kind": "delist", "symbol": "BTC-USDT"}'


def url(simulator: Running) -> str:
    return f"http://{simulator.host}:{simulator.port}"


async def test_an_address_that_refuses_this_place_gives_way_to_the_next_at_once() -> None:
    async with (
        serving(Settings(port=0)) as first,
        serving(Settings(port=0)) as second,
        RestClient(BINANCE, url(first), url(second)) as rest,
    ):
        first.engine.inject(read_fault(REFUSED))
        assert await rest.listing()
        second.engine.inject(read_fault(REFUSED))
        with pytest.raises(FeedRefused, match="451"):
            await rest.listing()


async def test_a_place_that_is_not_served_costs_one_warning(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each address refuses, for REST and for the socket, again and again. The operator reads of it once."""
    monkeypatch.setattr(listing, "LEAST_PAUSE_S", 0.1)
    refused: list[str] = []
    with structlog.testing.capture_logs() as logs:
        async with (
            serving(Settings(port=0)) as first,
            serving(Settings(port=0)) as second,
            WholeBus.open(server.url) as bus,
            RestClient(BINANCE, url(first), url(second)) as rest,
        ):
            for simulator in (first, second):
                simulator.engine.inject(read_fault(REFUSED))
            urls = tuple(url(simulator).replace("http", "ws") + BINANCE.ws_path for simulator in (first, second))
            feed = Feed(BINANCE, urls, lambda _: None, blocked_retry_s=0.2, max_age_s=None)
            settings = IngestSettings(redis_url=SecretStr(server.url), symbols=(Symbol("BTC-USDT"),), blocked_retry_s=1.0)
            asked = rest._get_once

            async def ask(path: str) -> bytes:
                refused.append(path)
                return await asked(path)

            monkeypatch.setattr(rest, "_get_once", ask)
            task = asyncio.create_task(carry(BINANCE, settings, bus, rest, Feeds([feed]), lambda *_: asyncio.sleep(0)))
            try:
                await until(lambda: len(refused) >= 6 and feed.stats.lost["http_451"] >= 4)
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
    assert [one["event"] for one in logs if one["log_level"] == "warning"] == ["feed blocked"]
    assert [one["event"] for one in logs if one["log_level"] == "info"].count("listing refused") == 1


async def test_a_ticker_of_two_answers_and_one_of_an_unknown_product() -> None:
    async with serving(Settings(port=0)) as simulator, RestClient(COINBASE, url(simulator)) as rest:
        (event,) = await rest.ticker("BTC-USD")
        assert isinstance(event, Day)
        assert event.native == "BTC-USD"
        assert None not in (event.bid, event.ask, event.open24h, event.high24h, event.low24h, event.quote_volume24h)
        assert await rest.ticker("NOPE-USD") == []


@dataclass
class Ingest:
    """A feed of BTC and ETH from OKX, whose socket is silent about ETH."""

    simulator: Running
    ticks: list[Tick] = field(default_factory=list)
    released: list[Symbol] = field(default_factory=list)

    def has(self, symbol: str, after: int = 0) -> bool:
        return any(tick.symbol == symbol for tick in self.ticks[after:])


@contextlib.asynccontextmanager
async def ingest(server: RedisServer, adapter: Adapter = OKX, **settings_of: Any) -> AsyncIterator[Ingest]:
    async def release(kind: Kind, symbol: Symbol) -> None:
        if kind is TICKER:
            running.released.append(symbol)

    async with (
        serving(Settings(port=0)) as simulator,
        WholeBus.open(server.url) as bus,
        RestClient(adapter, url(simulator)) as rest,
    ):
        simulator.engine.inject(read_fault(SILENT))
        running = Ingest(simulator)
        ws_url = url(simulator).replace("http", "ws") + OKX.ws_path
        feed = Feed(OKX, (ws_url,), running.ticks.append, blocked_retry_s=300, max_age_s=None)
        symbols = (Symbol("BTC-USDT"), Symbol("ETH-USDT"))
        settings = IngestSettings(redis_url=SecretStr(server.url), symbols=symbols).model_copy(update=settings_of)
        task = asyncio.create_task(carry(adapter, settings, bus, rest, Feeds([feed]), release))
        try:
            await until(lambda: running.has("BTC-USDT"))
            yield running
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


@pytest.fixture(autouse=True)
def short_delays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quiet, "FIRST_PRICE_S", 1.0)
    monkeypatch.setattr(quiet, "RETRY_S", 1.0)
    monkeypatch.setattr(listing, "LEAST_PAUSE_S", 1.0)
    monkeypatch.setattr(listing, "CONFIRM_S", 0.2)


async def test_a_first_price_that_rest_did_not_have_is_asked_for_again_soon(server: RedisServer) -> None:
    with structlog.testing.capture_logs() as logs:
        async with ingest(server) as running:
            running.simulator.engine.inject(read_fault(FAILING))
            await until(lambda: any(one["event"] == "quiet symbol not checked" for one in logs))
            running.simulator.engine.faults.clear(kind="refuse")
            await until(lambda: running.has("ETH-USDT"))


async def test_after_a_reconnect_the_first_price_is_asked_for_at_once(server: RedisServer) -> None:
    async with ingest(server) as running:
        await until(lambda: running.has("ETH-USDT"))
        before = len(running.ticks)
        running.simulator.engine.inject(read_fault(CUT))
        await until(lambda: running.has("BTC-USDT", before) and running.has("ETH-USDT", before))


async def test_a_delisted_symbol_has_a_last_word_and_begins_anew_when_it_is_listed_again(server: RedisServer) -> None:
    def last() -> Tick:
        return next(tick for tick in reversed(running.ticks) if tick.symbol == "BTC-USDT")

    def topics() -> set[str]:
        exchange = running.simulator.engine.exchanges["okx"]
        return {topic for connection in exchange.connections for topic in connection.topics}

    async with ingest(server, listing_refresh_s=0.3) as running:
        before = last()
        running.simulator.engine.inject(read_fault(DELISTED))
        await until(lambda: last().ended == "delisted")
        word = last()
        assert word.price > 0
        assert word.received_time_ms >= before.received_time_ms
        assert word.order
        await until(lambda: not any("BTC-USDT" in topic for topic in topics()))
        assert last() is word, "no further tick comes"
        assert not running.released, "its last value stays"
        running.simulator.engine.faults.clear(kind="delist")
        await until(lambda: last().ended is None)
        assert all(tick.ended is None for tick in running.ticks if tick is not word)


async def test_an_odd_entry_of_a_listing_ends_nothing(server: RedisServer) -> None:
    reads = 0

    def odd(answer: bytes) -> Batch[Listed]:
        nonlocal reads
        reads += 1
        message = orjson.loads(answer)
        for entry in message["data"]:
            if entry["instId"] == "BTC-USDT" and reads > 1:
                del entry["state"]
        return OKX.parse_listing(orjson.dumps(message))

    async with ingest(server, replace(OKX, parse_listing=odd), listing_refresh_s=0.1) as running:
        await until(lambda: reads > 5)
        before = len(running.ticks)
        await until(lambda: running.has("BTC-USDT", before))
        assert not any(tick.ended for tick in running.ticks)
