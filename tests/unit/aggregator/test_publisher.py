"""The publisher without Redis: its behaviour when the bus fails or is slow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Container, Mapping, Sequence
from typing import cast

import pytest
from msgspec.structs import replace

from aggregator.market import Market
from aggregator.ownership import Ownership
from aggregator.parameters import Parameters
from aggregator.publisher import Publisher
from market_pulse.bus import AggregatorBus, BusError, MembersChangedError, Published
from market_pulse.conversions import DEFAULT_CONVERSIONS
from market_pulse.messages import Symbol, Tick, Ticker

from .examples import BTC, BTC_USD, B, O, Y, tick


class BusInMemory:
    """Replaces the bus, because a real one cannot be made to fail at a chosen moment."""

    def __init__(self) -> None:
        self.tickers: list[Ticker] = []
        self.calls = 0
        self.epoch = 1
        self.epochs: list[int | None] = []
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish_tickers(self, tickers: Sequence[Ticker], epoch: int | None = None) -> list[Published]:
        self.calls += 1
        self.epochs.append(epoch)
        await self.gate.wait()
        if epoch != self.epoch:
            raise MembersChangedError("other members by now")
        if self.failures:
            self.failures -= 1
            raise BusError("away")
        self.tickers += tickers
        return [Published(ticker.seq + 1, 0) for ticker in tickers]


class Place:
    """Replaces this process's membership in the group of aggregators."""

    def __init__(self, bus: BusInMemory, symbols: Container[Symbol] = (BTC,)) -> None:
        self.me = "aggregator:1"
        self._bus = bus
        self._symbols = symbols
        self.epoch = bus.epoch

    def owns(self, symbol: Symbol) -> bool:
        return symbol in self._symbols

    async def adopted(self, refused: int) -> None:
        assert self.epoch == refused
        self.epoch = self._bus.epoch


def publisher(bus: BusInMemory, market: Market, place: Place | None = None) -> Publisher:
    return Publisher(cast("AggregatorBus", bus), market, 50, cast("Ownership", place or Place(bus)), lambda _, __: frozenset())


@contextlib.asynccontextmanager
async def running(subject: Publisher) -> AsyncIterator["asyncio.Task[None]"]:
    task: asyncio.Task[None] = asyncio.create_task(subject.run())
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.done()


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


def take(market: Market, subject: Publisher, price: float) -> None:
    assert market.take(tick(B, price)) is None
    subject.touch(BTC)


@pytest.fixture
def market() -> Market:
    return Market(Parameters(), 10)


async def test_failure_is_tried_again_with_the_newest_state(market: Market) -> None:
    bus = BusInMemory()
    bus.failures = 2
    subject = publisher(bus, market)
    async with running(subject):
        take(market, subject, 64000.0)
        await until(lambda: bus.calls)
        take(market, subject, 64001.0)
        assert subject.why_not_ready()
        await until(lambda: bus.tickers)
        assert subject.why_not_ready() is None
        assert subject.why_not_live() is None
    assert {ticker.sources[0].price for ticker in bus.tickers} == {64001.0}


async def test_changes_during_a_publish_add_up_to_one(market: Market) -> None:
    bus = BusInMemory()
    bus.gate.clear()
    subject = publisher(bus, market)
    async with running(subject):
        take(market, subject, 64000.0)
        await until(lambda: bus.calls)
        for step in range(100):
            take(market, subject, 64001.0 + step)
        bus.gate.set()
        await until(lambda: len(bus.tickers) == 2)
    assert [ticker.sources[0].price for ticker in bus.tickers] == [64000.0, 64100.0]
    assert [ticker.seq for ticker in bus.tickers] == [0, 1]


async def test_symbols_of_others_are_followed_but_not_published(market: Market) -> None:
    bus = BusInMemory()
    mine: set[Symbol] = set()
    subject = publisher(bus, market, Place(bus, mine))
    async with running(subject):
        take(market, subject, 64000.0)
        await asyncio.sleep(0.05)
        assert bus.calls == 0
        mine.add(BTC)
        take(market, subject, 64001.0)
        await until(lambda: bus.tickers)


async def test_what_was_decided_among_other_members_is_decided_anew(market: Market) -> None:
    bus = BusInMemory()
    subject = publisher(bus, market)
    bus.epoch = 2
    async with running(subject):
        take(market, subject, 64000.0)
        await until(lambda: bus.tickers)
    assert bus.epochs[:2] == [1, 2]
    assert subject.why_not_ready() is None, "nothing failed"


async def test_what_was_under_way_when_stopped_is_published(market: Market) -> None:
    bus = BusInMemory()
    bus.gate.clear()
    subject = publisher(bus, market)
    async with running(subject) as task:
        take(market, subject, 64000.0)
        await until(lambda: bus.calls)
        asyncio.get_running_loop().call_later(0.05, bus.gate.set)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
    assert [ticker.sources[0].price for ticker in bus.tickers] == [64000.0]


async def test_stopping_is_bounded_when_redis_is_away(market: Market, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.publisher.FLUSH_LIMIT_S", 0.05)
    bus = BusInMemory()
    bus.gate.clear()
    subject = publisher(bus, market)
    async with running(subject) as task:
        take(market, subject, 64000.0)
        await until(lambda: bus.calls)
        task.cancel()
        await asyncio.wait({task}, timeout=5)
        assert task.cancelled()


async def test_a_feed_is_judged_by_its_newest_tick_in_any_quote() -> None:
    """An exchange has one feed, and a converted source may stand beside its old direct market."""
    bus = BusInMemory()
    market = Market(Parameters(), 10, DEFAULT_CONVERSIONS)
    asked: list[dict[str, float]] = []

    def away(ticks: Mapping[str, Tick], _: int) -> frozenset[str]:
        asked.append({exchange: one.price for exchange, one in ticks.items()})
        return frozenset()

    place = Place(bus, {BTC_USD})
    subject = Publisher(cast("AggregatorBus", bus), market, 50, cast("Ownership", place), away)
    for one in (tick(B, 1.0), tick(Y, 2.0, age_s=9), tick(O, 3.0)):
        market.take(one)
    for one in (tick(B, 4.0, age_s=5), tick(Y, 5.0, age_s=5)):
        market.take(replace(one, symbol=BTC_USD))
    async with running(subject):
        subject.touch(BTC_USD)
        await until(lambda: bus.tickers)
    assert asked[0] == {B: 1.0, Y: 5.0, O: 3.0}
