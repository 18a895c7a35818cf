"""An ingest doubts implausible answers: a listing that lost most symbols, and an empty list of requests from Redis."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import structlog
from pydantic import SecretStr
from structlog.typing import EventDict

from ingest_okx.adapter import ADAPTER as OKX
from market_pulse import kinds
from market_pulse.bus import BusError
from market_pulse.exchange import listing
from market_pulse.exchange.adapter import Batch, Listed
from market_pulse.exchange.asked import SETTLE_S
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.feeds import Feeds
from market_pulse.exchange.main import carry
from market_pulse.exchange.rest import RestClient
from market_pulse.exchange.settings import IngestSettings
from market_pulse.kinds import Kind
from market_pulse.messages import Symbol, Tick
from simulator.app import serving
from simulator.settings import Settings
from support.listening import listening
from support.redis_server import RedisServer
from support.waiting import until
from support.whole_bus import WholeBus

BTC, XRP = Symbol("BTC-USDT"), Symbol("XRP-USDT")


class Rest(RestClient):
    """An exchange's REST side, which can be limited to a number of its markets."""

    most: int | None = None

    async def listing(self) -> Batch[Listed]:
        return Batch((await super().listing())[: self.most])


@dataclass
class Ingest:
    """A running ingest of OKX: its ticks, the symbols it dropped, and its exchange's REST side."""

    bus: WholeBus
    rest: Rest
    ticks: list[Tick] = field(default_factory=list)
    released: list[Symbol] = field(default_factory=list)

    def ticks_of(self, symbol: Symbol) -> int:
        return sum(tick.symbol == symbol for tick in self.ticks)

    async def goes_on(self, symbol: Symbol, more: int = 3) -> None:
        before = self.ticks_of(symbol)
        await until(lambda: self.ticks_of(symbol) >= before + more)


@contextlib.asynccontextmanager
async def ingest(server: RedisServer, most: int | None = None) -> AsyncIterator[Ingest]:
    """Run an ingest that drops a symbol as soon as no client requests it."""
    async with serving(Settings(port=0)) as simulator, WholeBus.open(server.url) as bus:
        url = f"http://{simulator.host}:{simulator.port}"
        async with Rest(OKX, url) as rest:
            rest.most = most
            running = Ingest(bus, rest)

            async def release(_: Kind, symbol: Symbol) -> None:
                running.released.append(symbol)

            settings = IngestSettings(redis_url=SecretStr(server.url), symbols=(BTC,), symbol_grace_s=0.0)
            settings = settings.model_copy(update={"listing_refresh_s": 0.2})  # shorter than the settings allow
            feed = Feed(
                OKX, (url.replace("http", "ws") + OKX.ws_path,), running.ticks.append, blocked_retry_s=300, max_age_s=None
            )
            task = asyncio.create_task(carry(OKX, settings, bus, rest, Feeds([feed]), release))
            try:
                await until(lambda: running.ticks_of(BTC))
                yield running
            finally:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)


def refusals(logs: list[EventDict]) -> list[str]:
    return [str(one["cause"]) for one in logs if one["event"] == "listing not updated"]


@pytest.mark.parametrize("left", [0, 3])
async def test_a_listing_that_has_lost_nearly_all_is_not_believed_at_once(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """An exchange in trouble may answer so. The ingest drops no symbol for that, and no client is told of unknown symbols."""
    with structlog.testing.capture_logs() as logs:
        async with ingest(server) as running, listening(running.bus, kinds.TICKER.channel(XRP)):
            await running.goes_on(XRP)
            listed = (await running.bus.listings())["okx"]
            running.rest.most = left
            await until(lambda: len(refusals(logs)) >= 2)
            assert f"{left} of {len(listed)}" in refusals(logs)[0] or "empty" in refusals(logs)[0]
            await running.goes_on(XRP)
            assert (await running.bus.listings())["okx"] == listed
            assert running.released == []
            if left:
                monkeypatch.setattr(listing, "DOUBT_S", 1.0)  # the answer has lasted long enough, and is not doubted again
                await until(lambda: any(tick.symbol == XRP and tick.ended for tick in running.ticks))
                await until(lambda: lists(running.bus, left))
                running.rest.most = None
                await until(lambda: lists(running.bus, len(listed)))


async def test_an_ingest_that_starts_in_such_a_moment_asks_those_before_it(server: RedisServer) -> None:
    """Its first listing has three of many symbols. The listing in Redis stays, and so do the other copies' symbols."""
    before = {Symbol(f"COIN{number}-USDT") for number in range(30)} | {BTC, XRP}
    async with WholeBus.open(server.url) as bus:
        await bus.publish_listing("okx", before)
        with structlog.testing.capture_logs() as logs:
            async with ingest(server, most=3) as running:
                await until(lambda: len(refusals(logs)) >= 2)
                assert "3 of 32" in refusals(logs)[0]
                assert (await bus.listings())["okx"] == before
                running.rest.most = None
                await until(lambda: has_more(bus, before))


async def has_more(bus: WholeBus, than: set[Symbol]) -> bool:
    return (await bus.listings())["okx"] != than


async def lists(bus: WholeBus, count: int) -> bool:
    return len((await bus.listings())["okx"]) == count


async def test_a_redis_that_lost_its_memory_is_no_word_that_nobody_asks(server: RedisServer) -> None:
    """Clients reconnect one after another, some seconds after this ingest. Meanwhile it drops no symbol."""
    async with ingest(server) as running:
        async with listening(running.bus, kinds.TICKER.channel(XRP)):
            await running.goes_on(XRP)
        await server.kill()
        await server.start()
        await until(lambda: answers_demand(running.bus))
        await running.goes_on(XRP)
        await asyncio.sleep(2.5)  # longer than the interval between two reads of the demand
        async with listening(running.bus, kinds.TICKER.channel(XRP)):
            await running.goes_on(XRP)
            assert running.released == []
        await until(lambda: running.released == [XRP], SETTLE_S + 20)


async def answers_demand(bus: WholeBus) -> bool:
    try:
        return await bus.demanded() is not None
    except BusError:
        return False
