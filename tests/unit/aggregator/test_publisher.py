"""The publisher without Redis: what it does when the bus fails or is slow."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any, cast

import pytest

from aggregator.market import Market
from aggregator.publisher import Publisher
from aggregator.result import Parameters
from market_pulse.bus import Bus, BusError, Published
from market_pulse.model import Symbol, Ticker

from .examples import BTC, B, tick


class BusInMemory:
    """Stands for the bus where a real one cannot be made to misbehave on cue."""

    def __init__(self) -> None:
        self.tickers: list[Ticker] = []
        self.calls = 0
        self.failures = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def publish_tickers(self, tickers: Sequence[Ticker]) -> list[Published]:
        self.calls += 1
        await self.gate.wait()
        if self.failures:
            self.failures -= 1
            raise BusError("away")
        self.tickers += tickers
        return [Published(ticker.seq + 1, 0) for ticker in tickers]


def publisher(bus: BusInMemory, market: Market, **others: Any) -> Publisher:
    return Publisher(cast("Bus", bus), market, 50, **others)


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
    subject = publisher(bus, market, owns=mine.__contains__)
    async with running(subject):
        take(market, subject, 64000.0)
        await until(lambda: bus.calls)
        assert bus.tickers == []
        mine.add(BTC)
        take(market, subject, 64001.0)
        await until(lambda: bus.tickers)


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
