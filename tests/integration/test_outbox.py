"""Ticks that wait to be published on a real server, which may be slow, away or back again."""

import asyncio
import contextlib
import random
from collections.abc import Iterable

import pytest

from market_pulse import kinds
from market_pulse.bus import BusError, connection
from market_pulse.exchange.outbox import BUSY, Outbox
from market_pulse.messages import Symbol, Tick, decode_tick
from support.redis_server import RedisServer
from support.waiting import until
from support.whole_bus import WholeBus

BTC = Symbol("BTC-USDT")


def tick(price: float) -> Tick:
    return Tick(exchange="okx", symbol=BTC, price=price, exchange_time_ms=1, received_time_ms=1)


async def test_while_redis_is_away_the_newest_tick_waits(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus:
        outbox = Outbox(bus.publish_ticks)
        running = asyncio.create_task(outbox.run())
        await server.kill()
        for price in range(1, 1000):
            outbox.put(BTC, tick(float(price)))
            await asyncio.sleep(0)
        await until(lambda: outbox.failing_since_s is not None)
        await server.start()
        await until(lambda: outbox.failing_since_s is None)
        (last,) = await bus.last(kinds.TICK.channel("okx", BTC))
        assert last is not None
        assert decode_tick(last).price == 999
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def test_a_frozen_redis_delays_nothing_but_the_publishing(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "COMMAND_TIMEOUT_S", 0.3)
    async with WholeBus.open(server.url) as bus:
        outbox = Outbox(bus.publish_ticks)
        running = asyncio.create_task(outbox.run())
        outbox.put(BTC, tick(1.0))
        await until(lambda: _last_price(bus, 1.0))
        server.freeze()
        for price in range(2, 1000):
            outbox.put(BTC, tick(float(price)))  # never waits
        await until(lambda: outbox.failing_since_s is not None)
        server.thaw()
        await until(lambda: _last_price(bus, 999.0))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _last_price(bus: WholeBus, price: float) -> bool:
    with contextlib.suppress(BusError):  # on a busy machine a command may take longer than the short limit of a test
        (last,) = await bus.last(kinds.TICK.channel("okx", BTC))
        return last is not None and decode_tick(last).price == price
    return False


async def test_it_always_ends_when_told_to_whatever_it_is_doing(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus:
        for _ in range(300):
            outbox = Outbox(bus.publish_ticks)
            running = asyncio.create_task(outbox.run())
            for price in range(1, 20):
                outbox.put(BTC, tick(float(price)))
                await asyncio.sleep(0)
            await asyncio.sleep(random.random() / 1000)
            running.cancel()
            _, pending = await asyncio.wait({running}, timeout=5)
            assert not pending


async def test_it_ends_as_cancelled_even_while_redis_hangs(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus:
        outbox = Outbox(bus.publish_ticks)
        running = asyncio.create_task(outbox.run())
        outbox.put(BTC, tick(1.0))
        await until(lambda: _last_price(bus, 1.0))
        server.freeze()
        outbox.put(BTC, tick(2.0))
        await asyncio.sleep(0.1)
        running.cancel()
        await asyncio.wait({running}, timeout=5)
        server.thaw()
        assert running.cancelled()


async def test_what_waits_at_the_end_is_still_sent(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus:
        outbox = Outbox(bus.publish_ticks)
        running = asyncio.create_task(outbox.run())
        await asyncio.sleep(0)
        outbox.put(BTC, tick(7.0))
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        assert await _last_price(bus, 7.0)


async def test_ticks_that_come_faster_than_they_go_are_sent_together() -> None:
    """Ticks of the next turns of the loop are sent together with those that came while others were being sent."""
    batches: list[list[float]] = []

    async def publish(ticks: Iterable[Tick]) -> None:
        batches.append([tick.price for tick in ticks])
        if len(batches) == 1:
            for number in range(BUSY):
                outbox.put(f"X{number}-USDT", tick(number))
            asyncio.get_running_loop().call_soon(outbox.put, BTC, tick(7.0))

    outbox = Outbox(publish)
    running = asyncio.create_task(outbox.run())
    outbox.put(BTC, tick(6.0))
    await until(lambda: len(batches) == 2)
    assert batches == [[6.0], [*range(BUSY), 7.0]]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
