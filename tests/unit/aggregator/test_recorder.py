"""The recorder without Redis: the symbols it writes, the size of its batches, and its behaviour when the bus fails."""

import asyncio
from collections.abc import Mapping
from typing import cast

import pytest
from msgspec.structs import replace

from aggregator.clock import Clock
from aggregator.market import Market
from aggregator.ownership import Owns
from aggregator.parameters import Parameters
from aggregator.recorder import MAX_BATCH, Recorder
from market_pulse.bus import AggregatorBus, BusError
from market_pulse.messages import Point, Resolution, Symbol

from .examples import BTC, NOW_MS, B, tick

ETH = Symbol("ETH-USDT")
MINUTE_MS = NOW_MS - NOW_MS % 60_000


class BusInMemory:
    """Replaces the bus, because a real one cannot be made to fail at a chosen moment."""

    def __init__(self) -> None:
        self.calls: list[Mapping[Symbol, Point]] = []
        self.failures = 0

    async def record(self, resolution: Resolution, points: Mapping[Symbol, Point]) -> int:
        assert resolution is Resolution.SECOND
        if self.failures:
            self.failures -= 1
            raise BusError("away")
        if points:
            self.calls.append(points)
        return len(points)

    def times(self, symbol: Symbol = BTC) -> list[int]:
        return [points[symbol].time_ms - MINUTE_MS for points in self.calls if symbol in points]


def market(*symbols: Symbol) -> Market:
    market = Market(Parameters(), len(symbols))
    for symbol in symbols:
        assert market.take(replace(tick(B, 64000.0), symbol=symbol)) is None
    return market


def publish(market: Market, now_ms: int) -> None:
    for state in market:
        state.last = replace(state.make_ticker(NOW_MS, market.parameters), aggregated_time_ms=now_ms)


def recorder(bus: BusInMemory, market: Market, owns: Owns = lambda _: True, clock: Clock | None = None) -> Recorder:
    return Recorder(cast("AggregatorBus", bus), market, owns, clock)


async def test_only_our_symbols_are_recorded() -> None:
    bus, followed = BusInMemory(), market(BTC, ETH)
    publish(followed, NOW_MS)
    await recorder(bus, followed, owns=lambda symbol: symbol == ETH).record(NOW_MS)
    assert [set(points) for points in bus.calls] == [{ETH}]


async def test_a_symbol_that_comes_later_begins_at_once() -> None:
    bus, followed = BusInMemory(), market(BTC, ETH)
    subject = recorder(bus, followed)
    await subject.record(MINUTE_MS)
    publish(followed, MINUTE_MS + 20_000)
    await subject.record(MINUTE_MS + 20_400)
    assert bus.times() == [20_000]


async def test_many_symbols_go_in_bounded_commands() -> None:
    bus, followed = BusInMemory(), market(*(Symbol(f"A{number}-USDT") for number in range(2 * MAX_BATCH + 1)))
    publish(followed, NOW_MS)
    await recorder(bus, followed).record(NOW_MS)
    assert [len(points) for points in bus.calls] == [MAX_BATCH, MAX_BATCH, 1]


@pytest.mark.parametrize("failed_calls", [1, 2])
async def test_a_failure_costs_its_seconds(failed_calls: int) -> None:
    """Points that could not be written are dropped."""
    bus, followed = BusInMemory(), market(BTC)
    bus.failures = failed_calls
    subject = recorder(bus, followed)
    for second in range(failed_calls):
        publish(followed, MINUTE_MS + second * 1000)
        with pytest.raises(BusError):
            await subject.record(MINUTE_MS + second * 1000)
    for second in (failed_calls, failed_calls + 1):
        publish(followed, MINUTE_MS + second * 1000)
        await subject.record(MINUTE_MS + second * 1000)
    assert bus.times() == [failed_calls * 1000, (failed_calls + 1) * 1000]


async def test_a_failing_bus_does_not_end_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each turn is at a new second, and another follows after a failed one."""
    clock_ms = NOW_MS
    bus, followed = BusInMemory(), market(BTC)
    bus.failures = 1
    publish(followed, clock_ms)
    waits: list[float] = []

    async def sleep(wait_s: float) -> None:
        nonlocal clock_ms
        waits.append(wait_s)
        if len(waits) == 3:
            raise asyncio.CancelledError
        clock_ms += round(wait_s * 1000)

    clock_ms += 250
    monkeypatch.setattr("aggregator.recorder.asyncio.sleep", sleep)
    with pytest.raises(asyncio.CancelledError):
        await recorder(bus, followed, clock=Clock(machine_ms=lambda: clock_ms)).run()
    assert waits == [0.75, 1.0, 1.0]
    assert bus.times() == [NOW_MS - MINUTE_MS + 1000, NOW_MS - MINUTE_MS + 2000]
