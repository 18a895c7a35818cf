"""All feeds are lost: no price stays live for longer than it takes to detect that."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from market_pulse import kinds
from support.stack import EXCHANGES, Part, Stack, running_stack
from support.waiting import until

pytestmark = [pytest.mark.timeout(400), pytest.mark.asyncio(loop_scope="module")]
SYMBOLS = {f"{base}-USDT" for base in ("BTC", "ETH", "SOL", "BNB")}
LONG_S = 90
"""A limit for steps that take 15 s and the start of processes, on a busy machine."""


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=[pytest.param(1, id="one copy"), pytest.param(2, id="two copies", marks=pytest.mark.long)],
)
async def stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Every part, with a number of copies of each ingest, and with the times of production."""
    haste = {"BLOCKED_RETRY_S": "2"}
    async with running_stack(tmp_path_factory.mktemp("logs"), **haste) as running:
        if request.param == 2:
            for exchange in EXCHANGES:
                await running.another(exchange, f"{exchange}-2").start()
        await until(lambda: is_well(running, request.param), LONG_S)
        yield running


def ingests(stack: Stack) -> list[Part]:
    return [part for name, part in stack.parts.items() if name.partition("-")[0] in EXCHANGES]


async def is_well(stack: Stack, copies: int) -> bool:
    """Return whether every copy of every ingest is connected, and every price has all exchanges."""
    exchanges = (await stack.http.get("/api/status")).json()["exchanges"]
    counts = [(exchanges[exchange]["state"], exchanges[exchange]["instances"]) for exchange in EXCHANGES]
    return counts == [("connected", copies)] * len(EXCHANGES) and await stack.ready()


class Heard:
    """The messages that a subscriber to every ticker and status receives, in the order in which Redis sent them."""

    def __init__(self) -> None:
        self.tickers: list[dict[str, Any]] = []
        self.states: dict[tuple[str, str], str] = {}
        self.since_last_status = 0

    def take(self, channel: str, data: bytes) -> None:
        message = orjson.loads(data)
        if channel.startswith("ticker:"):
            self.tickers.append(message)
            return
        copy = message["exchange"], message["instance"]
        if self.states.get(copy) != message["state"]:
            self.states[copy] = message["state"]
            self.since_last_status = len(self.tickers)

    def are_all(self, quality: str) -> bool:
        """Return whether every symbol's newest ticker has this quality."""
        newest = {ticker["symbol"]: ticker["quality"] for ticker in self.tickers}
        return newest == dict.fromkeys(SYMBOLS, quality)


@pytest_asyncio.fixture(loop_scope="module")
async def heard(stack: Stack) -> AsyncIterator[Heard]:
    heard = Heard()

    async def subscribed(_: bool) -> None:
        pass

    subscriber = stack.bus.subscriber(heard.take, subscribed)
    await subscriber.subscribe_patterns(kinds.TICKER.pattern, kinds.STATUS.pattern)
    listening = asyncio.create_task(subscriber.run())
    try:
        await until(lambda: heard.are_all("ok"))
        yield heard
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def test_every_exchange_refuses_us(stack: Stack, heard: Heard) -> None:
    """All exchanges cut us off and answer 451. Once the last ingest has reported that, each symbol's next ticker is `stale`."""
    copies = len(ingests(stack))
    await stack.fault("*", "refuse", status=451)
    await stack.fault("*", "cut")
    await until(lambda: len(heard.states) == copies and set(heard.states.values()) == {"blocked"}, LONG_S)
    await until(lambda: heard.are_all("stale"))
    for symbol in SYMBOLS:
        after = [one["quality"] for one in heard.tickers[heard.since_last_status :] if one["symbol"] == symbol]
        assert after[1:].count("ok") == 0, "one more may have been on its way"
    youngest_ms = min(source["ageMs"] for source in heard.tickers[-1]["sources"])
    assert youngest_ms < 60_000, "long before they count as silent"
    await stack.heal()
    await until(lambda: is_well(stack, copies // len(EXCHANGES)), LONG_S)
    await until(lambda: heard.are_all("ok"), LONG_S)


@pytest.mark.long
async def test_every_ingest_is_killed_and_the_aggregator_begins_anew(stack: Stack, heard: Heard) -> None:
    copies = len(ingests(stack))
    for part in ingests(stack):
        await part.kill()
    await until(lambda: heard.are_all("stale"), LONG_S)
    assert all(source["state"] in {"used", "fading"} for source in heard.tickers[-1]["sources"]), (
        "it is not stale because of silence"
    )

    await stack.parts["aggregator"].kill()
    await until(lambda: seconds_since_a_status(stack, 20), LONG_S)
    before = len(heard.tickers)
    await stack.parts["aggregator"].start()
    await until(lambda: {one["symbol"] for one in heard.tickers[before:]} == SYMBOLS, LONG_S)
    assert {one["quality"] for one in heard.tickers[before:]} <= {"stale", "down"}, "from the first ticker on"
    for part in ingests(stack):
        await part.start()
    await until(lambda: is_well(stack, copies // len(EXCHANGES)), LONG_S)
    await until(lambda: heard.are_all("ok"), LONG_S)


async def seconds_since_a_status(stack: Stack, seconds: float) -> bool:
    """Return whether no ingest has published for `seconds`, so that statuses have expired and ticks are that old."""
    statuses = await stack.bus.last_matching(kinds.STATUS.pattern)
    [(_, tick), *_] = await stack.bus.last_matching("ticks:binance:BTC-USDT")
    age_ms = await stack.bus.time_ms() - orjson.loads(tick)["receivedTime"]
    return not statuses and age_ms > seconds * 1000
