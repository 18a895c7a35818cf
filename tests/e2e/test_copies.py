"""Two copies of each ingest on one simulator publish one line of ticks, even if a copy fails."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from itertools import pairwise
from typing import Any

import orjson
import pytest
import pytest_asyncio

from market_pulse import kinds
from market_pulse.messages import Symbol
from support.stack import EXCHANGES, Part, Stack, running_stack
from support.waiting import until

pytestmark = [pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]
START_LIMIT_S = 90
ENOUGH = 30  # ticks of a busy symbol
BUSY = Symbol("BTC-USDT")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Every part, and a second copy of each ingest."""
    async with running_stack(tmp_path_factory.mktemp("logs")) as running:
        for exchange in EXCHANGES:
            await running.another(exchange, f"{exchange}-2").start()
        await until(lambda: _count(running, 2), START_LIMIT_S)
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def line(stack: Stack) -> AsyncIterator["Line"]:
    """The ticks that a subscriber to `ticks:*` receives during a test. They are checked at its end."""
    heard = Line()

    async def subscribed(missed: bool) -> None:
        assert not missed

    subscriber = stack.bus.subscriber(heard.take, subscribed)
    await subscriber.subscribe_patterns(kinds.TICK.pattern)
    await subscriber.subscribe(kinds.TICKER.channel(BUSY))
    listening = asyncio.create_task(subscriber.run())
    try:
        yield heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)
    heard.check()


class Line:
    """The ticks of each channel, and the busiest symbol's tickers, in the order of arrival."""

    def __init__(self) -> None:
        self.ticks: dict[str, list[dict[str, Any]]] = {}
        self.tickers: list[dict[str, Any]] = []

    def take(self, channel: str, data: bytes) -> None:
        if channel == kinds.TICKER.channel(BUSY):
            self.tickers.append(orjson.loads(data))
        else:
            self.ticks.setdefault(channel, []).append(orjson.loads(data))

    def counts(self) -> Counter[str]:
        return Counter({channel: len(ticks) for channel, ticks in self.ticks.items()})

    async def goes_on(self) -> None:
        """Wait for some more ticks of each exchange's busiest symbol."""
        before = self.counts()
        names = [kinds.TICK.channel(exchange, BUSY) for exchange in EXCHANGES]
        await until(lambda: all(self.counts()[name] >= before[name] + ENOUGH for name in names))

    def check(self) -> None:
        """Compare each tick with the one before it: a number is higher, and none of its numbers is lower."""
        assert self.ticks
        for before, after in self.pairs():
            assert before["order"], "without an order the ticks cannot be checked"
            assert after["order"] != before["order"], f"a duplicate: {before} {after}"
            steps = zip(before["order"], after["order"], strict=True)
            assert all(known <= new for known, new in steps), f"an inversion: {before} {after}"
            assert before["exchangeTime"] <= after["exchangeTime"], f"a time that falls: {before} {after}"

    def pairs(self) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
        for ticks in self.ticks.values():
            yield from pairwise(ticks)


async def _count(stack: Stack, copies: int) -> bool:
    exchanges = (await stack.http.get("/api/status")).json()["exchanges"]
    counts = [(exchanges[exchange]["state"], exchanges[exchange]["instances"]) for exchange in EXCHANGES]
    return counts == [("connected", copies)] * len(EXCHANGES)


def copies_of(stack: Stack, number: int) -> list[Part]:
    return [stack.parts[exchange if number == 1 else f"{exchange}-{number}"] for exchange in EXCHANGES]


async def test_two_copies_make_one_line(stack: Stack, line: Line) -> None:
    suppressed = "market_pulse_ingest_suppressed_total"

    async def both_are_arbitrated() -> bool:
        counts = [await stack.metric(name, suppressed) for exchange in EXCHANGES for name in (exchange, f"{exchange}-2")]
        return all(first + second > ENOUGH for first, second in zip(counts[::2], counts[1::2], strict=True))

    await line.goes_on()
    await until(both_are_arbitrated)


async def test_a_copy_that_is_killed_is_not_missed(stack: Stack, line: Line) -> None:
    await line.goes_on()
    for part in copies_of(stack, 1):
        await part.kill()
    await line.goes_on()
    await until(lambda: _count(stack, 1), START_LIMIT_S)  # the dead copy is counted until it has been silent for too long
    for part in copies_of(stack, 1):
        await part.start()
    await until(lambda: _count(stack, 2), START_LIMIT_S)
    await line.goes_on()
    assert line.tickers
    for ticker in line.tickers:
        assert (ticker["quality"], ticker["sourcesUsed"]) == ("ok", 3)


@pytest.mark.parametrize("number", [1, pytest.param(2, marks=pytest.mark.long)])
async def test_a_copy_that_was_asleep_wakes_with_nothing_new(stack: Stack, line: Line, number: int) -> None:
    await line.goes_on()
    for part in copies_of(stack, number):
        part.freeze()
    await line.goes_on()
    for part in copies_of(stack, number):
        part.thaw()
    await line.goes_on()
