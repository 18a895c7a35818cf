"""The running candle maker on a real server: copies, restarts, and a Redis that loses its memory. The minutes are played."""

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec.structs import replace
from pydantic import SecretStr

from candles.redis_time import RedisTime
from candles.series import PATIENCE_MS
from candles.service import Service
from candles.settings import CandlesSettings
from market_pulse.bus import CandlesBus, keys
from market_pulse.exchange.adapter import candle
from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE
from market_pulse.messages import Bar, Candle, CodecError, Interval, Symbol, bar_of, decode_candle, encode
from market_pulse.process.clock import now_ms
from support.listening import Ear, listening
from support.redis_server import RedisServer
from support.samples import ticker
from support.waiting import until
from support.whole_bus import WholeBus

from .aggregator_fixtures import running

MINUTE, HOUR, DAY = Interval
BTC, PEPE, WIF = Symbol("BTC-USDT"), Symbol("PEPE-USDT"), Symbol("WIF-USDT")
STEP = MINUTE.step_ms
ALL = tuple(kind.pattern for kind in CANDLES.values())


class PlayedTime(RedisTime):
    """A clock that a test sets. It begins two hours ago, at the beginning of an hour: Redis knows no candle from the future."""

    def __init__(self) -> None:
        super().__init__()
        self.began_ms = HOUR.start_of(now_ms()) - 2 * HOUR.step_ms
        self.ms = self.began_ms

    def now_ms(self) -> int:
        return self.ms


@contextlib.asynccontextmanager
async def candles(url: str, time: PlayedTime, **others: Any) -> AsyncIterator[Service]:
    """Run a candle maker in this process. It has subscribed, and has read what Redis kept, when the context starts."""
    variables: dict[str, Any] = {"symbols": "BTC", "symbol_grace_s": 0, "redis_url": SecretStr(url)} | others
    async with CandlesBus.open(url) as bus:
        service = Service(bus, CandlesSettings(**variables), time)
        async with running(service.follow(), service.look(), service.load(), service.publish(), service.renew()):
            await until(lambda: not any(check() for check in service.ready().values()))
            await until(lambda: service.has_resumed(BTC))
            yield service


@pytest.fixture
def time() -> PlayedTime:
    return PlayedTime()


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(redis_url) as opened:
        yield opened


async def price(bus: WholeBus, time: PlayedTime, value: float, symbol: Symbol = BTC, *, late_ms: int = 0) -> int:
    """Publish a ticker now; return its number."""
    [published] = await bus.publish_tickers([ticker(symbol, seq=0, price=value, time_ms=time.ms - late_ms)])
    return published.seq


async def exchange_says(
    bus: WholeBus, time: PlayedTime, volume: float, *, start: int, closed: bool = True, revision: int = 0
) -> Candle:
    made = candle(MINUTE, start, 90.0, 90.0, 90.0, 90.0, volume, 90.0 * volume, closed=closed)
    made = replace(made, exchange="okx", symbol=BTC, received_time_ms=time.ms, revision=revision)
    await bus.publish([(EXCHANGE_CANDLE.channel("okx", BTC), encode(made))])
    return made


async def last(bus: WholeBus, interval: Interval = MINUTE, symbol: Symbol = BTC) -> Candle | None:
    [message] = await bus.last(CANDLES[interval].channel(symbol))
    try:
        return None if message is None else decode_candle(message)
    except CodecError:
        return None


async def is_last(bus: WholeBus, seq: int, interval: Interval = MINUTE, symbol: Symbol = BTC) -> bool:
    found = await last(bus, interval, symbol)
    return found is not None and found.last_seq == seq


async def until_last(bus: WholeBus, seq: int, interval: Interval = MINUTE, symbol: Symbol = BTC) -> None:
    await until(lambda: is_last(bus, seq, interval, symbol))


async def until_closed(ear: Ear, number: int) -> None:
    await until(lambda: len(closed_in(ear)) == number)


def closed_in(ear: Ear, interval: Interval = MINUTE) -> list[Candle]:
    heard = [decode_candle(message) for channel, message in ear.heard if channel.startswith(CANDLES[interval].prefix)]
    return [one for one in heard if one.closed]


async def test_candles_of_all_intervals_and_no_gap_between_two(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    async with listening(bus, patterns=ALL) as ear, candles(redis_url, time):
        seq = [await price(bus, time, value) for value in (100.0, 103.0, 101.0)][-1]
        time.ms += PATIENCE_MS  # nobody knows how the day began
        for interval in Interval:
            await until_last(bus, seq, interval)
            made = await last(bus, interval)
            assert made is not None
            assert (made.open, made.high, made.low, made.close, made.closed) == (100.0, 103.0, 100.0, 101.0, False)
        await exchange_says(bus, time, 2.0, start=time.began_ms, closed=False)
        time.ms = time.began_ms + STEP
        seq = await price(bus, time, 102.0)
        await until_last(bus, seq)
        assert closed_in(ear) == []
        await exchange_says(bus, time, 2.5, start=time.began_ms)
        await until(lambda: closed_in(ear))
        await until(lambda: bus.bars(MINUTE, BTC))
        following = await last(bus)
    [first] = closed_in(ear)
    assert following is not None
    assert first.last_seq is not None
    assert following.first_seq == first.last_seq + 1
    assert (first.volume, first.exchanges, first.missed, first.origin) == (2.5, ("okx",), 0, "live")


async def test_late_and_corrected_volumes(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    async with listening(bus, patterns=ALL) as ear, candles(redis_url, time):
        seq = await price(bus, time, 100.0)
        await until_last(bus, seq)
        time.ms += STEP + 3_000
        await until_closed(ear, 1)
        for number, (volume, revision) in enumerate([(2.0, 0), (1.5, 1)], 2):
            await exchange_says(bus, time, volume, start=time.began_ms, revision=revision)
            await until_closed(ear, number)
    assert [(one.volume, one.revision) for one in closed_in(ear)] == [(None, 0), (2.0, 1), (1.5, 2)]
    assert await bus.bars(MINUTE, BTC) == [bar_of(closed_in(ear)[-1])]


async def test_a_restart_in_an_open_minute(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    async with candles(redis_url, time):
        first = await price(bus, time, 100.0)
        await until_last(bus, first)
    await price(bus, time, 150.0)  # nobody hears it
    time.ms += 20_000
    async with candles(redis_url, time), listening(bus, patterns=ALL) as ear:
        seq = await price(bus, time, 99.0)
        await until_last(bus, seq)
        made = await last(bus)
        assert made is not None
        assert (made.open, made.high, made.low, made.close) == (100.0, 100.0, 99.0, 99.0)
        assert (made.first_seq, made.last_seq, made.seen, made.missed) == (first, seq, 2, 1)
        time.ms += STEP
        await until(lambda: closed_in(ear))
        assert closed_in(ear)[0].first_seq == first


async def test_two_copies_and_the_end_of_one(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    """They publish each candle once, and the second goes on alone."""
    async with candles(redis_url, time), listening(bus, patterns=ALL) as ear:
        async with candles(redis_url, time):
            for value in (100.0, 103.0, 101.0):
                seq = await price(bus, time, value)
            await until_last(bus, seq)
            time.ms += STEP
            seq = await price(bus, time, 105.0)
            await until_last(bus, seq)
            time.ms += 3_000
            await until(lambda: closed_in(ear))
        seq = await price(bus, time, 106.0)
        await until_last(bus, seq)
        made = await last(bus)
        assert made is not None
        assert (made.open, made.missed) == (105.0, 0)
    [only] = closed_in(ear)
    assert (only.revision, only.missed, only.seen) == (0, 0, 3)
    starts = [decode_candle(message) for channel, message in ear.heard if channel == CANDLES[MINUTE].channel(BTC)]
    told = [(one.start_ms, one.last_seq or 0) for one in starts if not one.closed]
    assert told == sorted(told), "nothing goes back"


async def test_a_fast_and_a_slow_publisher(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    async with candles(redis_url, time):
        time.ms += 57_000
        await price(bus, time, 100.0, late_ms=-4_000)
        await price(bus, time, 101.0, late_ms=4_000)
        seq = await price(bus, time, 102.0, late_ms=600_000)
        await until_last(bus, seq)
        made = await last(bus)
        assert made is not None
        assert (made.start_ms, made.open, made.close, made.missed) == (time.began_ms + STEP, 100.0, 102.0, 0)


async def test_the_past_comes_from_the_exchanges(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    past = [Bar(time.began_ms - back * STEP, 90.0, 90.0, 90.0, 90.0, 1.0) for back in (3, 2, 1)]
    days = [Bar(DAY.start_of(time.began_ms) - DAY.step_ms, 80.0, 80.0, 80.0, 80.0, 1.0)]
    await bus.publish_listing("okx", [BTC])
    await bus.keep_bars(MINUTE, BTC, past, "okx")
    await bus.keep_bars(DAY, BTC, days, "okx")
    async with candles(redis_url, time):

        async def are_there() -> bool:
            return await bus.bars(MINUTE, BTC) == past and await bus.bars(DAY, BTC) == days

        await until(are_there)
        late = [Bar(time.began_ms - 4 * STEP, 95.0, 95.0, 95.0, 95.0, 1.0)]
        await bus.keep_bars(MINUTE, BTC, [*late, replace(past[0], volume=2.0, revision=1)], "okx")

        async def are_corrected() -> bool:
            return await bus.bars(MINUTE, BTC) == [*late, replace(past[0], volume=2.0, revision=1), *past[1:]]

        await until(are_corrected)


async def test_what_redis_loses_comes_back(server: RedisServer, time: PlayedTime) -> None:
    past = [Bar(time.began_ms - back * STEP, 90.0, 90.0, 90.0, 90.0, 1.0) for back in (3, 2, 1)]
    async with WholeBus.open(server.url) as bus:
        await bus.publish_listing("okx", [BTC])
        await bus.keep_bars(MINUTE, BTC, past, "okx")
        async with candles(server.url, time):
            await until(lambda: is_all(bus, past))
            first = await price(bus, time, 100.0)
            await until_last(bus, first)
            await server.kill()
            await server.start()

            async def is_back() -> bool:
                found = await last(bus)
                return found is not None and found.first_seq == first and await is_all(bus, past)

            await until(is_back)


async def is_all(bus: WholeBus, past: list[Bar]) -> bool:
    return await bus.bars(MINUTE, BTC) == past


async def test_symbols_have_candles_while_they_are_wanted(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    async with candles(redis_url, time, max_candle_symbols=2) as service:
        async with listening(bus, CANDLES[HOUR].channel(PEPE)):
            await until(lambda: service.has_resumed(PEPE))
            seq = await price(bus, time, 1.0, PEPE)
            await until_last(bus, seq, symbol=PEPE)
            async with listening(bus, CANDLES[MINUTE].channel(WIF)):
                await until(lambda: service.turned_away == (WIF,))
                await price(bus, time, 1.0, WIF)
                assert await last(bus, symbol=WIF) is None
        await until(lambda: not service.has_resumed(PEPE))
        assert service.turned_away == ()


async def test_messages_that_are_none_are_skipped(redis_url: str, bus: WholeBus, time: PlayedTime) -> None:
    await bus.client.set(keys.last(CANDLES[MINUTE].channel(BTC)), "nonsense")
    await bus.client.set(keys.bars(HOUR, BTC), "nonsense")
    async with candles(redis_url, time):
        for channel in ("ticker:BTC-USDT", "candles:1m:okx:BTC-USDT", "candles:1m:okx", "candles:1m:a:b:c"):
            await bus.client.publish(channel, b"nonsense")
        await bus.client.publish("ticker:BTC-USDT", encode(ticker("ETH-USDT", price=1.0, time_ms=time.ms)))
        seq = await price(bus, time, 100.0)
        await until_last(bus, seq)
