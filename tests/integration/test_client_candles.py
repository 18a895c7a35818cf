"""A program that reads candles, and the tickers that follow them, on a real bus that is stopped and restarted."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Iterator

import pytest
from msgspec.structs import replace

from market_pulse.bus import RefusedError
from market_pulse.client import UnlistedError, candles, candles_then_tickers
from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE
from market_pulse.messages import Bar, Candle, Interval, Symbol, Ticker, bar_of, encode
from market_pulse.process.clock import now_ms
from support.played_bus import Market
from support.redis_server import RedisServer, redis_server
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

from .bus_fixtures import BTC

MINUTE = Interval.MINUTE
CHANNEL = CANDLES[MINUTE].channel(BTC)


class Program:
    """Reads in a task of its own, and records what it is told."""

    def __init__(self, source: AsyncGenerator[Candle | Ticker], gaps: list[int | None]) -> None:
        self.told: list[Candle | Ticker] = []
        self.gaps = gaps
        self._source = source

    async def read(self) -> None:
        async with contextlib.aclosing(self._source):
            async for one in self._source:
                self.told.append(one)

    @property
    def starts(self) -> list[tuple[int, bool, int]]:
        """Which minutes were told, counted from the first: whether closed, and in which revision."""
        found = [one for one in self.told if isinstance(one, Candle)]
        return [((one.start_ms - found[0].start_ms) // MINUTE.step_ms, one.closed, one.revision) for one in found]

    @property
    def numbers(self) -> list[int]:
        return [one.seq for one in self.told if isinstance(one, Ticker)]


@contextlib.asynccontextmanager
async def program(url: str, *, tickers: bool = False, limit: int = 2, exchange: str | None = None) -> AsyncIterator[Program]:
    gaps: list[int | None] = []

    def on_gap(_: Symbol, missed: int | None) -> None:
        gaps.append(missed)

    source: AsyncGenerator[Candle | Ticker]
    if tickers:
        source = candles_then_tickers("BTC", limit=limit, redis_url=url, on_gap=on_gap)
    else:
        source = candles("BTC", limit=limit, exchange=exchange, redis_url=url, on_gap=on_gap)
    running = Program(source, gaps)
    reading = asyncio.create_task(running.read())
    try:
        yield running
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


@pytest.fixture
async def bus(server: RedisServer) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(server.url) as opened:
        yield opened


async def publish(bus: WholeBus, candle: Candle) -> None:
    """Publish a candle as the service does, and keep it as a bar if it is closed."""
    channel = CHANNEL if candle.exchange is None else EXCHANGE_CANDLE.channel(candle.exchange, BTC)
    if candle.closed:
        await bus.keep_bars(MINUTE, BTC, [bar_of(candle)], candle.exchange)
    else:
        await bus.client.set(f"last:{channel}", encode(candle), ex=3600)
    await bus.client.publish(channel, encode(candle))


async def tick(bus: WholeBus, market: Market, time_ms: int, *, heard: bool = True) -> None:
    """Publish the market's next ticker; `heard`: the service of candles hears it."""
    one = market.ticker(100.0 + market.seq % 5, time_ms)
    await bus.client.set("last:ticker:BTC-USDT", encode(one), ex=86_400)
    await bus.client.publish("ticker:BTC-USDT", encode(one))
    if heard:
        market.heard(one)


def opened(market: Market) -> Candle:
    assert market.open is not None
    return market.open


def closed(candle: Candle, revision: int = 0) -> Candle:
    return replace(candle, closed=True, volume=1.0 + revision, quote_volume=100.0, revision=revision)


def minute(number: int) -> int:
    """Return the start of a minute, counted from now."""
    return MINUTE.start_of(now_ms()) + number * MINUTE.step_ms


async def begin(bus: WholeBus) -> Market:
    """Publish three past minutes and an open one, each of three tickers."""
    market = Market(seq=100)
    for number in range(-3, 1):
        for second in range(3):
            await tick(bus, market, minute(number) + second)
    for candle in market.ended:
        await publish(bus, closed(candle))
    market.ended.clear()
    await publish(bus, opened(market))
    return market


async def test_past_candles_then_the_open_one_then_each_newer_state(bus: WholeBus, server: RedisServer) -> None:
    market = await begin(bus)
    async with program(server.url) as reader:
        await until(lambda: len(reader.told) == 3)
        assert reader.starts == [(0, True, 0), (1, True, 0), (2, False, 0)]
        assert await bus.client.pubsub_numsub(CHANNEL) == [(CHANNEL.encode(), 1)], "subscribing by name is the demand"
        last = opened(market)
        await tick(bus, market, last.start_ms + 500)
        await publish(bus, opened(market))
        await until(lambda: len(reader.told) == 4)
        await tick(bus, market, last.start_ms + MINUTE.step_ms)
        await publish(bus, opened(market))
        await publish(bus, closed(market.ended[0]))
        await publish(bus, closed(market.ended[0], revision=1))
        await publish(bus, closed(market.ended[0], revision=1))
        await until(lambda: len(reader.told) == 7)
        assert reader.starts[3:] == [(2, False, 0), (3, False, 0), (2, True, 0), (2, True, 1)]
        assert reader.gaps == []


async def test_the_tickers_follow_the_open_candle(bus: WholeBus, server: RedisServer) -> None:
    market = await begin(bus)
    for _ in range(5):
        await tick(bus, market, now_ms())  # these are published before the reader comes, and are not in the candle yet
    async with program(server.url, tickers=True) as reader:
        await until(lambda: len(reader.told) >= 3)
        await tick(bus, market, now_ms())
        assert reader.numbers == [], "five tickers are not in the last candle, and cannot be had any more"
        await publish(bus, opened(market))
        for _ in range(20):
            await tick(bus, market, now_ms(), heard=False)
        await until(lambda: reader.numbers[-1:] == [market.seq])
        assert reader.numbers == list(range(market.seq - 19, market.seq + 1))
        [*_, last] = [one for one in reader.told if isinstance(one, Candle)]
        assert last.last_seq == reader.numbers[0] - 1
        await bus.client.client_kill_filter(_type="pubsub")
        for _ in range(3):
            await tick(bus, market, now_ms())
        await until(lambda: reader.numbers[-1] == market.seq)
        assert market.seq - last.last_seq == len(set(reader.numbers)) + sum(missed or 0 for missed in reader.gaps)


async def test_what_closed_while_the_connection_was_lost_is_read(bus: WholeBus, server: RedisServer) -> None:
    market = await begin(bus)
    async with program(server.url) as reader:
        await until(lambda: len(reader.told) == 3)
        await bus.client.config_set("maxclients", "1")  # no client can connect until more has been published
        await bus.client.client_kill_filter(_type="pubsub")
        now = opened(market)
        for number in range(1, 4):
            await tick(bus, market, now.start_ms + number * MINUTE.step_ms)
        for candle in market.ended:
            await publish(bus, closed(candle))
        await publish(bus, opened(market))
        await bus.client.config_set("maxclients", "1000")
        await until(lambda: len(reader.told) == 7)
        assert reader.starts[3:] == [(2, True, 0), (3, True, 0), (4, True, 0), (5, False, 0)]
        assert reader.gaps == []


async def test_minutes_without_a_candle_are_told(bus: WholeBus, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_pulse.client.candle_stream.GAP_PATIENCE_S", 0.5)
    market = await begin(bus)
    async with program(server.url) as reader:
        await until(lambda: len(reader.told) == 3)
        await tick(bus, market, opened(market).start_ms + 4 * MINUTE.step_ms)
        await publish(bus, opened(market))
        await until(lambda: len(reader.told) == 4)
        assert reader.gaps == [3]


@pytest.fixture
def socket_path() -> Iterator[str]:
    """The socket path of a server that starts later. Another process could take a port meanwhile."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path must be short
        yield f"{folder}/bus.sock"


async def test_a_redis_that_comes_late_and_then_loses_its_memory(socket_path: str) -> None:
    async with program(f"unix://{socket_path}", tickers=True) as reader:
        async with redis_server(None, "--unixsocket", socket_path) as server, WholeBus.open(server.url) as bus:
            market = await begin(bus)
            await until(lambda: len(reader.told) >= 3)
            await tick(bus, market, now_ms(), heard=False)
            await until(lambda: bool(reader.numbers))
            first, [*_, last] = reader.numbers[0], [one for one in reader.told if isinstance(one, Candle)]
            assert (last.last_seq or 0) + 1 == first
        market.seq += 3  # published while Redis was away
        async with redis_server(None, "--unixsocket", socket_path) as server, WholeBus.open(server.url) as bus:
            await until(lambda: _is_subscribed(bus))
            await tick(bus, market, now_ms())
            await until(lambda: reader.numbers[-1] == market.seq)
        assert reader.gaps == [3]


async def test_an_exchange_s_candles(bus: WholeBus, server: RedisServer) -> None:
    market = Market()
    for number in range(2):
        await tick(bus, market, minute(number))
    own = {"exchange": "okx", "origin": "exchange", "first_seq": None, "last_seq": None, "seen": None, "missed": None}
    await publish(bus, replace(closed(market.ended[0]), **own))
    await publish(bus, replace(opened(market), **own))
    await publish(bus, opened(market))
    async with program(server.url, exchange="okx", limit=1) as reader:
        await until(lambda: len(reader.told) == 2)
        assert reader.starts == [(0, True, 0), (1, False, 0)]
        assert {one.exchange for one in reader.told if isinstance(one, Candle)} == {"okx"}


async def test_if_no_candle_comes_it_is_said_what_is_missing(
    bus: WholeBus, server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("market_pulse.client.candle_stream.PATIENCE_S", 0.3)
    await bus.keep_bars(MINUTE, BTC, [Bar(0, 1.0, 1.0, 1.0, 1.0)])
    async with program(server.url) as reader:
        await until(lambda: len(reader.told) == 1)
        assert "no live ticker" in caplog.text
        assert reader.starts == [(0, True, 0)], "what there is, is handed out"
    await tick(bus, Market(), now_ms())
    async with program(server.url, tickers=True) as reader:
        await until(lambda: reader.numbers == [1])
        assert "the service `candles` publishes none" in caplog.text
        assert reader.gaps == [None], "what came before the first ticker is not known"


async def test_what_is_no_candle_is_passed_over(bus: WholeBus, server: RedisServer) -> None:
    await bus.client.set(f"last:{CHANNEL}", b"nonsense")
    await bus.client.zadd("bar:1m:BTC-USDT", {"nonsense": 60_000, "[61000,1,1,1,1]": 61_000})
    async with program(server.url, limit=1) as reader:
        await until(lambda: _is_subscribed(bus))
        market = Market()
        await tick(bus, market, now_ms())
        candle = opened(market)
        for wrong in (b"{}", encode(replace(candle, symbol=Symbol("ETH-USDT"))), encode(replace(candle, start_ms=7))):
            await bus.client.publish(CHANNEL, wrong)
        await publish(bus, candle)
        await until(lambda: len(reader.told) == 1)
        assert reader.told == [candle]


async def test_who_and_what_is_refused(bus: WholeBus, server: RedisServer) -> None:
    await bus.publish_listing("okx", [Symbol("ETH-USDT")])
    for source in (candles("BTC", redis_url=server.url), candles("BTC", exchange="okx", redis_url=server.url)):
        async with asyncio.timeout(PATIENCE_S), contextlib.aclosing(source) as waiting:
            with pytest.raises(UnlistedError, match="BTC-USDT"):
                await anext(waiting)
    async with asyncio.timeout(PATIENCE_S):
        with pytest.raises(RefusedError):
            await anext(candles("BTC", redis_url=server.url.replace("://", "://nobody:word@")))


@pytest.mark.parametrize(
    ("symbol", "interval", "options"),
    [
        ("B!C", "1m", {}),
        ("BTC", "5m", {}),
        ("BTC", "1h", {"exchange": "okx"}),
        ("BTC", "1m", {"exchange": "O:K"}),
        ("BTC", "1m", {"limit": -1}),
    ],
)
def test_wrong_arguments_are_refused_at_once(symbol: str, interval: str, options: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"BTC|5m|1h|O:K|-1|B!C"):
        candles(symbol, interval, **options)  # type: ignore[arg-type]


async def _is_subscribed(bus: WholeBus) -> bool:
    [(_, subscribers)] = await bus.client.pubsub_numsub(CHANNEL)
    return bool(subscribers)
