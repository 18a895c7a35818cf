"""Several aggregators on one real server: each symbol has one publisher, even if copies or the server fail."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import pytest

from aggregator.ownership import EXPIRY_MS
from aggregator.service import Service
from market_pulse.bus import MembersChangedError, keys
from market_pulse.messages import Symbol
from market_pulse.process.clock import now_ms
from support.redis_server import RedisServer
from support.waiting import free_port, until
from support.whole_bus import WholeBus

from .aggregator_fixtures import Listener, aggregator, listening, tick, url
from .bus_fixtures import TICKER

SYMBOLS = [Symbol(f"COIN{n}-USDT") for n in range(30)]
TICKS_EACH_S = 0.05
START_LIMIT_S = 60.0
LEASE_MS = 500


@pytest.fixture
async def bus(server: RedisServer) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(server.url) as opened:
        yield opened


@contextlib.asynccontextmanager
async def market(bus: WholeBus) -> AsyncIterator[None]:
    """Keep publishing ticks of all symbols, except while the server is away."""

    async def move() -> None:
        price = 100.0
        while True:
            price += 1
            with contextlib.suppress(Exception):
                await bus.publish_ticks([tick(price, symbol=symbol) for symbol in SYMBOLS])
            await asyncio.sleep(TICKS_EACH_S)

    moving = asyncio.create_task(move())
    try:
        yield
    finally:
        moving.cancel()
        await asyncio.gather(moving, return_exceptions=True)


def owned(service: Service) -> set[Symbol]:
    return {symbol for symbol in SYMBOLS if service._ownership.owns(symbol)}


def check_numbers(listener: Listener) -> None:
    """Check that each symbol's numbers rise by one, and that no older state follows a newer one."""
    for symbol in SYMBOLS:
        tickers = listener.of(symbol)
        assert len(tickers) > 5, symbol
        for before, after in pairwise(tickers):
            assert after.seq == before.seq + 1, symbol
            assert (after.price or 0) >= (before.price or 0), symbol


def check_rising(listener: Listener) -> None:
    """Check that each symbol's numbers rise. Those published while the subscriber was disconnected may be missing."""
    for symbol in SYMBOLS:
        for before, after in pairwise(listener.of(symbol)):
            assert after.seq > before.seq, symbol


def longest_silence_s(listener: Listener) -> float:
    silences = []
    for symbol in SYMBOLS:
        times = [at for ticker, at in zip(listener.tickers, listener.arrivals_s, strict=True) if ticker.symbol == symbol]
        silences.append(max(after - before for before, after in pairwise(times)))
    return max(silences)


async def test_symbols_are_shared_out_and_handed_over(server: RedisServer, bus: WholeBus) -> None:
    """First two copies run, then three, then one again, each stopped by a signal. No number is missing or repeated."""
    async with market(bus), aggregator(server.port) as first, listening(bus) as listener:
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS))
        assert owned(first) == set(SYMBOLS)
        async with aggregator(server.port) as second:
            await until(
                lambda: owned(second) and not owned(first) & owned(second) and owned(first) | owned(second) == set(SYMBOLS)
            )
            heard = len(listener.tickers)
            names = {first._ownership.me, second._ownership.me}
            await until(lambda: {one.publisher for one in listener.tickers[heard:]} == names)
            async with aggregator(server.port) as third:
                await until(lambda: len(owned(first)) + len(owned(second)) + len(owned(third)) == len(SYMBOLS))
                assert all(owned(copy) for copy in (first, second, third))
                await asyncio.sleep(0.5)
            await until(lambda: len(owned(first)) + len(owned(second)) == len(SYMBOLS))
        await until(lambda: owned(first) == set(SYMBOLS))
        await asyncio.sleep(0.5)
    check_numbers(listener)
    assert longest_silence_s(listener) < EXPIRY_MS / 1000, "no lease had to expire"


@contextlib.asynccontextmanager
async def process(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    environment = os.environ | {"REDIS_URL": url(port), "HEALTH_PORT": str(free_port()), "LOG_LEVEL": "warning"}
    started = await asyncio.create_subprocess_exec(sys.executable, "-m", "aggregator", env=environment)
    try:
        yield started
    finally:
        if started.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                started.send_signal(signal.SIGCONT)
                started.kill()
            await started.wait()


async def members(bus: WholeBus) -> int:
    return int(await bus.client.zcard(keys.MEMBERS))


async def test_a_killed_copy_is_replaced(server: RedisServer, bus: WholeBus) -> None:
    async with market(bus), process(server.port) as doomed, aggregator(server.port) as survivor, listening(bus) as listener:
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS))
        await until(lambda: 0 < len(owned(survivor)) < len(SYMBOLS), START_LIMIT_S)
        await asyncio.sleep(0.3)
        doomed.kill()
        await until(lambda: owned(survivor) == set(SYMBOLS))
        await asyncio.sleep(0.5)
    check_numbers(listener)


async def test_a_copy_that_was_asleep_says_nothing_late(server: RedisServer, bus: WholeBus) -> None:
    """A copy that was suspended for longer than its lease must not publish its old state when it resumes."""
    async with market(bus), process(server.port) as sleeper, aggregator(server.port) as other, listening(bus) as listener:
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS))
        await until(lambda: 0 < len(owned(other)) < len(SYMBOLS), START_LIMIT_S)
        await asyncio.sleep(0.3)
        sleeper.send_signal(signal.SIGSTOP)
        await until(lambda: owned(other) == set(SYMBOLS))
        await asyncio.sleep(1)
        sleeper.send_signal(signal.SIGCONT)
        await until(lambda: 0 < len(owned(other)) < len(SYMBOLS))
        await asyncio.sleep(1)
    check_numbers(listener)


async def test_times_from_the_future_are_not_taken_over(server: RedisServer, bus: WholeBus) -> None:
    """If a last tick dated an hour ahead were accepted, its exchange would count as heard for an hour."""
    async with aggregator(server.port) as first:
        async with aggregator(server.port) as second:
            await bus.publish_ticks([tick(100.0, symbol=symbol, age_s=-3600) for symbol in SYMBOLS])
            await until(lambda: len(first.market) == len(second.market) == len(SYMBOLS))
        await until(lambda: owned(first) == set(SYMBOLS))
        kept = [tick.received_time_ms for state in first.market for tick in state.ticks.values()]
        assert max(kept) <= now_ms()


async def test_a_server_that_forgot_everything(server: RedisServer, bus: WholeBus) -> None:
    """The server is killed and restarts empty. Every symbol's numbers go on, though the copies return one after another."""
    async with market(bus), aggregator(server.port) as first, aggregator(server.port) as second, listening(bus) as listener:
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS))
        await until(lambda: owned(first) and owned(second))
        await server.kill()
        await asyncio.sleep(0.5)
        await server.start()
        before = {symbol: listener.last(symbol).seq for symbol in SYMBOLS}
        await until(lambda: all(listener.last(symbol).seq > before[symbol] + 5 for symbol in SYMBOLS))
    check_rising(listener)


async def test_a_server_and_a_copy_die_together(server: RedisServer, bus: WholeBus) -> None:
    """The last numbers of the dead copy are unknown. Its symbols continue with higher numbers, never with lower ones."""
    async with market(bus), process(server.port) as doomed, aggregator(server.port) as survivor, listening(bus) as listener:
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS))
        await until(lambda: 0 < len(owned(survivor)) < len(SYMBOLS), START_LIMIT_S)
        await asyncio.sleep(0.5)
        doomed.kill()
        await server.kill()
        await server.start()
        await until(lambda: owned(survivor) == set(SYMBOLS))
        before = {symbol: listener.last(symbol).seq for symbol in SYMBOLS}
        await until(lambda: all(listener.last(symbol).seq > before[symbol] for symbol in SYMBOLS))
    check_rising(listener)


async def test_a_copy_that_starts_with_an_empty_server_waits_for_those_that_knew_it(server: RedisServer, bus: WholeBus) -> None:
    """It cannot know the numbers of the other copies, nor that there are any, until they are back."""
    async with market(bus), process(server.port) as earlier, listening(bus) as listener:
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS), START_LIMIT_S)
        await asyncio.sleep(0.5)
        earlier.send_signal(signal.SIGSTOP)
        await server.kill()
        await server.start()
        async with aggregator(server.port) as new:
            await asyncio.sleep(0.5)
            earlier.send_signal(signal.SIGCONT)
            await until(lambda: 0 < len(owned(new)) < len(SYMBOLS))
            await asyncio.sleep(1)
    check_rising(listener)


async def test_a_copy_that_slept_while_others_went_on_and_the_server_forgot_it(server: RedisServer, bus: WholeBus) -> None:
    """The copy's own numbers are too low, and no other copy is running that knows the right ones."""
    async with market(bus), process(server.port) as sleeper, listening(bus) as listener:
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS), START_LIMIT_S)
        async with process(server.port) as other:
            await until(lambda: has_members(bus, 2), START_LIMIT_S)
            await asyncio.sleep(0.5)
            sleeper.send_signal(signal.SIGSTOP)
            await until(lambda: has_members(bus, 1))
            await asyncio.sleep(1)
            other.send_signal(signal.SIGSTOP)
            await server.kill()
            await server.start()
            before = {symbol: len(listener.of(symbol)) for symbol in SYMBOLS}
            sleeper.send_signal(signal.SIGCONT)
            await until(lambda: all(len(listener.of(symbol)) > before[symbol] + 5 for symbol in SYMBOLS))
            other.send_signal(signal.SIGCONT)
            await until(lambda: has_members(bus, 2))
            await asyncio.sleep(1)
    check_rising(listener)


async def test_a_server_that_is_behind(server: RedisServer, bus: WholeBus) -> None:
    """A replica that becomes the master may lack the latest writes. The first copy there leaves the others their symbols."""
    client: Any = bus.client
    async with market(bus), process(server.port) as first, process(server.port) as second, listening(bus) as listener:
        await until(lambda: has_members(bus, 2), START_LIMIT_S)
        await until(lambda: len({one.symbol for one in listener.tickers}) == len(SYMBOLS))
        behind = [(key, await client.pttl(key), await client.dump(key)) for key in await client.keys("*")]
        await asyncio.sleep(1)
        await server.kill()
        await asyncio.sleep(EXPIRY_MS / 1000)  # until the copies notice that the server is away, and all leases have expired
        for copy in (first, second):
            copy.send_signal(signal.SIGSTOP)
        await server.start()
        for key, expires_ms, value in behind:
            await client.restore(key, max(expires_ms, 0), value, replace=True)
        first.send_signal(signal.SIGCONT)
        await asyncio.sleep(1)
        second.send_signal(signal.SIGCONT)
        await until(lambda: has_members(bus, 2))
        before = {symbol: len(listener.of(symbol)) for symbol in SYMBOLS}
        await until(lambda: all(len(listener.of(symbol)) > before[symbol] + 5 for symbol in SYMBOLS))
    check_rising(listener)


async def test_a_server_whose_clock_was_set_back(server: RedisServer, bus: WholeBus) -> None:
    """Times in the future, and a member whose lease seems to last until then, do not stop the publishing of any symbol."""
    client: Any = bus.client
    await bus.beat("gone", EXPIRY_MS)
    ahead_ms = now_ms() + 3_600_000
    await client.zadd(keys.MEMBERS, {"gone": ahead_ms})
    await client.hset(keys.EPOCH, "since", ahead_ms)
    async with market(bus), aggregator(server.port) as service:
        await until(lambda: owned(service) == set(SYMBOLS))


async def has_members(bus: WholeBus, count: int) -> bool:
    return await members(bus) == count


async def test_membership_goes_by_the_servers_clock(bus: WholeBus) -> None:
    first = await bus.beat("a", LEASE_MS)
    assert first.members == ("a",)
    again = await bus.beat("a", LEASE_MS)
    assert (again.members, again.epoch) == (first.members, first.epoch), "a beat changes nothing"
    assert again.age_ms >= first.age_ms
    both = await bus.beat("b", LEASE_MS)
    assert (set(both.members), both.epoch > first.epoch) == ({"a", "b"}, True)
    await until(lambda: is_alone(bus))
    await bus.leave("a")
    assert await members(bus) == 0


async def is_alone(bus: WholeBus) -> bool:
    return (await bus.beat("a", LEASE_MS)).members == ("a",)


async def test_tickers_of_another_epoch_are_refused(bus: WholeBus, server: RedisServer) -> None:
    async with aggregator(server.port) as service:
        await bus.publish_ticks([tick(1.0)])
        await until(lambda: len(service.market))
        epoch = service._ownership.epoch
        state = next(iter(service.market))
        ticker = state.make_ticker(1_790_000_000_000, service.market.parameters)
        with pytest.raises(MembersChangedError):
            await bus.publish_tickers([ticker], epoch - 1)
        assert await bus.publish_tickers([ticker], epoch)
        assert await bus.publish_tickers([ticker])


async def test_an_epoch_ends_with_the_first_lease_that_does(bus: WholeBus) -> None:
    """Writes that waited at a frozen server are older than their publisher's lease. None of them is published, in any order."""
    membership = await bus.beat("a", 2_000)

    async def refused() -> bool:
        try:
            await bus.publish_tickers([TICKER], membership.epoch)
        except MembersChangedError:
            return True
        return False

    assert not await refused()
    await until(refused)
