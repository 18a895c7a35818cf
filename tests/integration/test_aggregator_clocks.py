"""Aggregators on machines with wrong clocks: readers of the bus still see live prices, and logs name the wrong clock."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import orjson
import pytest

from aggregator.ownership import CLOCK_OFF
from aggregator.service import Service
from gateway.stream.hub import Hub
from market_pulse import kinds
from market_pulse.bus import AggregatorBus, keys
from market_pulse.messages import Resolution, Symbol, Ticker, decode_ticker
from market_pulse.process.clock import now_ms
from support.redis_server import RedisServer
from support.waiting import until
from support.whole_bus import WholeBus

from .aggregator_fixtures import aggregator, running, tick

SYMBOLS = [Symbol(f"COIN{n}-USDT") for n in range(12)]
TEN_MINUTES_MS = 600_000
SKEWS_MS = [TEN_MINUTES_MS, -TEN_MINUTES_MS]


class MachineClock:
    """A machine's wrong clock, which can be set."""

    def __init__(self, ahead_ms: int = 0) -> None:
        self.ahead_ms = ahead_ms

    def __call__(self) -> int:
        return now_ms() + self.ahead_ms


@pytest.fixture
async def bus(server: RedisServer) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(server.url) as opened:
        yield opened


@contextlib.asynccontextmanager
async def market(bus: WholeBus, clock: Callable[[], int] = now_ms) -> AsyncIterator[None]:
    """Keep publishing ticks of all symbols, by an ingest with a clock of its own."""

    async def move() -> None:
        while True:
            news = [tick(100.0, symbol=symbol, age_s=(now_ms() - clock()) / 1000) for symbol in SYMBOLS]
            with contextlib.suppress(Exception):
                await bus.publish_ticks(news)
            await asyncio.sleep(0.1)

    async with contextlib.AsyncExitStack() as stack:
        moving = asyncio.create_task(move())
        stack.callback(moving.cancel)
        yield


class Reader:
    """A gateway's view of the bus: the quality of each symbol that it would show, and whether that was ever not live."""

    def __init__(self) -> None:
        self.hub = Hub()
        self.hub.topics.hold(map(kinds.TICKER.channel, SYMBOLS), "a")
        self.published: list[Ticker] = []
        self.bad: set[tuple[str, str]] = set()

    def take(self, channel: str, data: bytes) -> None:
        self.published.append(decode_ticker(data))
        self.hub.on_message(channel, data)
        self.look()

    def look(self) -> None:
        for symbol in SYMBOLS:
            if (shown := self.hub.newest(kinds.TICKER.channel(symbol))) is not None:
                ticker = orjson.loads(shown)
                if ticker["quality"] not in {"ok", "single"}:
                    self.bad.add((ticker["publisher"], ticker["quality"]))

    def forget(self) -> None:
        self.published.clear()

    @property
    def publishers(self) -> dict[Symbol, str | None]:
        return {ticker.symbol: ticker.publisher for ticker in self.published}

    def all_by(self, service: Service) -> bool:
        return self.publishers == dict.fromkeys(SYMBOLS, service._ownership.me)

    def ahead_ms(self) -> int:
        return self.published[-1].aggregated_time_ms - now_ms()


@contextlib.asynccontextmanager
async def reader(bus: WholeBus) -> AsyncIterator[Reader]:
    watching = Reader()

    async def subscribed(_: bool) -> None:
        pass

    async def look() -> None:
        while True:
            watching.look()
            await asyncio.sleep(0.05)

    subscriber = bus.subscriber(watching.take, subscribed)
    await subscriber.subscribe_patterns(kinds.TICKER.pattern)
    async with running(subscriber.run(), look()):
        await until(lambda: subscriber.connected)
        yield watching


def owned(service: Service) -> set[Symbol]:
    return {symbol for symbol in SYMBOLS if service._ownership.owns(symbol)}


def why_aside(service: Service) -> str | None:
    return service.ready()["clock"]()


@pytest.mark.parametrize("skew_ms", SKEWS_MS)
async def test_a_copy_whose_clock_is_off_leaves_its_symbols_to_the_others(
    server: RedisServer, bus: WholeBus, skew_ms: int
) -> None:
    """In either order of start, while the wrong clock is corrected, and when it is set wrong again."""
    wrong = MachineClock(skew_ms)
    async with market(bus), reader(bus) as seen, aggregator(server.port, wrong) as other:
        await until(lambda: seen.all_by(other))
        assert abs(seen.ahead_ms()) < 5_000, "as the only copy it continues by Redis's time"
        assert str(seen.published[-1].publisher).startswith(CLOCK_OFF)
        assert why_aside(other) is None
        async with aggregator(server.port) as right:
            await until(lambda: owned(right) == set(SYMBOLS) and not owned(other))
            seen.forget()
            await until(lambda: seen.all_by(right))
            assert f"600.0 s {'ahead of' if skew_ms > 0 else 'behind'} Redis's" in (why_aside(other) or "")
            wrong.ahead_ms = 0
            await until(lambda: 0 < len(owned(other)) < len(SYMBOLS))
            assert why_aside(other) is None
            wrong.ahead_ms = -skew_ms
            await until(lambda: owned(right) == set(SYMBOLS) and not owned(other))
            assert why_aside(other) is not None
            right._ownership.leave = nothing  # type: ignore[method-assign] # as if it were killed
        await until(lambda: owned(other) == set(SYMBOLS))
        seen.forget()
        await until(lambda: seen.all_by(other))
        assert abs(seen.ahead_ms()) < 5_000
    assert seen.bad == set()


async def nothing() -> None:
    """Do nothing, in the place of a step of a case."""


@pytest.mark.parametrize("skew_ms", SKEWS_MS)
async def test_a_clock_that_is_set_while_it_runs(server: RedisServer, bus: WholeBus, skew_ms: int) -> None:
    """The only copy keeps publishing before and after, each time under a new publisher name."""
    clock = MachineClock()
    async with market(bus), reader(bus) as seen, aggregator(server.port, clock) as only:
        await until(lambda: seen.all_by(only))
        for ahead_ms in (skew_ms, 0):
            name, clock.ahead_ms = only._ownership.me, ahead_ms
            await until(lambda name=name: only._ownership.me != name)  # type: ignore[misc]
            seen.forget()
            await until(lambda: seen.all_by(only))
            assert abs(seen.ahead_ms()) < 5_000
    assert seen.bad == set()


@pytest.mark.parametrize("skews_ms", [(TEN_MINUTES_MS, -TEN_MINUTES_MS), (TEN_MINUTES_MS, TEN_MINUTES_MS)])
async def test_where_all_clocks_are_off_all_go_on(server: RedisServer, bus: WholeBus, skews_ms: tuple[int, int]) -> None:
    first_clock, second_clock = map(MachineClock, skews_ms)
    async with (
        market(bus),
        reader(bus) as seen,
        aggregator(server.port, first_clock) as first,
        aggregator(server.port, second_clock) as second,
    ):
        await until(lambda: owned(first) and owned(second) and owned(first) | owned(second) == set(SYMBOLS))
        seen.forget()
        await until(lambda: set(seen.publishers) == set(SYMBOLS))
        assert not owned(first) & owned(second)
        assert (why_aside(first), why_aside(second)) == (None, None)
    assert seen.bad == set()


async def test_where_it_is_redis_whose_clock_is_off(
    server: RedisServer, bus: WholeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All copies and the ingests agree on the time. Then no copy stands aside, and none uses Redis's time."""
    real = AggregatorBus.time_ms

    async def time_ms(asked: AggregatorBus) -> int:
        return await real(asked) - TEN_MINUTES_MS

    monkeypatch.setattr(AggregatorBus, "time_ms", time_ms)
    async with market(bus), reader(bus) as seen, aggregator(server.port) as first, aggregator(server.port) as second:
        await until(lambda: owned(first) and owned(second) and owned(first) | owned(second) == set(SYMBOLS))
        await until(lambda: not first._ownership._clock.is_corrected and not second._ownership._clock.is_corrected)
        seen.forget()
        await until(lambda: set(seen.publishers) == set(SYMBOLS))
        await until(lambda: abs(seen.ahead_ms()) < 5_000)
        assert (why_aside(first), why_aside(second)) == (None, None)
        assert first._ownership._clock.is_off
        assert await bus.client.zcard(keys.MEMBERS) == 2


async def test_a_history_goes_on_after_points_from_the_future(server: RedisServer, bus: WholeBus) -> None:
    """Ids of a Redis stream only rise, but points added by a wrong clock must not block new points until that time."""
    async with market(bus), aggregator(server.port):
        key = keys.history(Resolution.SECOND, SYMBOLS[0])
        await until(lambda: bus.client.xlen(key))
        before = await bus.client.xlen(key)
        for ahead_ms in (TEN_MINUTES_MS, TEN_MINUTES_MS + 1000):
            await bus.client.xadd(key, {"price": "1"}, id=f"{now_ms() + ahead_ms}-0")

        async def has_grown() -> bool:
            points = await bus.history(Resolution.SECOND, SYMBOLS[0], 0)
            return len(points) >= before + 2 and all(point.time_ms <= now_ms() + 5_000 for point in points)

        await until(has_grown)
