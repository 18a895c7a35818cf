"""The changes of prices over hours and weeks: the candle that each is computed from, how often it is read, and the change if it cannot be read."""

import asyncio
from collections.abc import Sequence
from typing import cast

import orjson
import pytest

from gateway.api.changes import (
    AGAIN_AFTER_S,
    FRESH_FOR_S,
    KNOWN_FOR_S,
    LONGEST_GAP,
    MOST_SYMBOLS_A_READ,
    SPANS,
    Changes,
    price_at,
    with_changes,
)
from market_pulse.bus import BusError, Reader
from market_pulse.messages import Bar, Interval, Symbol
from support.samples import NOW_MS, ticker_bytes

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
NOTHING = (None, None, None)
MINUTE_MS = Interval.MINUTE.step_ms


@pytest.mark.parametrize(
    ("ago", "expected"),
    [
        pytest.param(0, 1.0, id="it begins then"),
        pytest.param(MINUTE_MS - 1, 1.0, id="it holds the moment"),
        pytest.param(MINUTE_MS, 1.5, id="it has just ended"),
        pytest.param((LONGEST_GAP + 1) * MINUTE_MS - 1, 1.5, id="the last trade before"),
        pytest.param((LONGEST_GAP + 1) * MINUTE_MS, None, id="too long before"),
    ],
)
def test_the_price_of_a_moment(ago: int, expected: float | None) -> None:
    assert price_at(Bar(NOW_MS - ago, 1.0, 2.0, 0.5, 1.5), Interval.MINUTE, NOW_MS) == expected
    assert price_at(None, Interval.MINUTE, NOW_MS) is None


def test_the_members_of_a_ticker() -> None:
    ticker = ticker_bytes(price=110.0)
    whole = with_changes(ticker, (100.0, 220.0, None), None)
    assert whole.startswith(ticker[:-1])
    assert orjson.loads(whole) == orjson.loads(ticker) | {
        "changePercent1h": 10.0,
        "changePercent7d": -50.0,
        "changePercent30d": None,
    }
    some = with_changes(ticker, (100.0, 220.0, None), frozenset({"price", "changePercent7d"}))
    assert orjson.loads(some) == {"price": 110.0, "changePercent7d": -50.0}
    assert orjson.loads(with_changes(ticker, NOTHING, frozenset({"price"}))) == {"price": 110.0}
    down = orjson.loads(with_changes(ticker_bytes(price=None), (100.0, 220.0, 1.0), None))
    assert [down[name] for name in SPANS] == [None] * 3


class BusInMemory:
    """Replaces the bus, because a real one cannot be made to fail at a chosen moment."""

    def __init__(self) -> None:
        self.reads: list[list[tuple[Interval, Symbol, int]]] = []
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def bars_at(self, asked: Sequence[tuple[Interval, Symbol, int]]) -> list[Bar | None]:
        self.reads.append(list(asked))
        await self.gate.wait()
        if self.fails:
            raise BusError("away")
        return [Bar(at_ms, float(len(self.reads)), 9.0, 0.1, 1.0) for _, _, at_ms in asked]


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def changes(bus: BusInMemory, clock: Clock) -> Changes:
    return Changes(cast("Reader", bus), clock, lambda: NOW_MS)


async def test_all_who_ask_share_a_read() -> None:
    bus, clock = BusInMemory(), Clock()
    subject = changes(bus, clock)
    found = await asyncio.gather(*(subject.of([BTC]) for _ in range(20)), subject.of([]))
    assert found == [{BTC: (1.0,) * 3}] * 20 + [{}]
    hour_ms = 3_600_000
    assert bus.reads == [
        [(Interval.MINUTE, BTC, NOW_MS - hour_ms)] + [(Interval.HOUR, BTC, NOW_MS - days * 24 * hour_ms) for days in (7, 30)]
    ]
    clock.now_s += FRESH_FOR_S - 0.001
    assert await subject.of([BTC, ETH]) == {BTC: (1.0,) * 3, ETH: (2.0,) * 3}
    assert {symbol for _, symbol, _ in bus.reads[1]} == {ETH}
    clock.now_s += 0.001
    assert (await subject.of([BTC]))[BTC] == (3.0,) * 3


async def test_many_symbols_are_read_in_pieces() -> None:
    bus = BusInMemory()
    symbols = [Symbol(f"A{number}-USDT") for number in range(2 * MOST_SYMBOLS_A_READ + 1)]
    found = await changes(bus, Clock()).of(symbols)
    assert [len(read) for read in bus.reads] == [len(SPANS) * size for size in (MOST_SYMBOLS_A_READ, MOST_SYMBOLS_A_READ, 1)]
    assert list(found) == symbols


async def test_what_cannot_be_read_is_what_it_was_for_a_while() -> None:
    bus, clock = BusInMemory(), Clock()
    subject = changes(bus, clock)
    await subject.of([BTC])
    bus.fails = True
    clock.now_s += FRESH_FOR_S
    assert await subject.of([BTC, ETH]) == {BTC: (1.0,) * 3, ETH: NOTHING}
    await subject.of([BTC, ETH])
    assert len(bus.reads) == 2, "it is not tried again at once"
    clock.now_s += AGAIN_AFTER_S
    await subject.of([ETH])
    assert len(bus.reads) == 3
    clock.now_s += KNOWN_FOR_S
    assert await subject.of([BTC]) == {BTC: NOTHING}
    bus.fails = False
    clock.now_s += AGAIN_AFTER_S
    assert await subject.of([BTC]) == {BTC: (5.0,) * 3}


async def test_an_answer_does_not_wait_for_a_bus_that_is_frozen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.api.changes.WAIT_S", 0.01)
    bus, clock = BusInMemory(), Clock()
    subject = changes(bus, clock)
    bus.gate.clear()
    assert await subject.of([BTC]) == {BTC: NOTHING}
    assert await subject.of([BTC]) == {BTC: NOTHING}
    assert len(bus.reads) == 1
    bus.gate.set()
    monkeypatch.setattr("gateway.api.changes.WAIT_S", 10)
    assert await subject.of([BTC]) == {BTC: (1.0,) * 3}
