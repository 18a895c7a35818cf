"""Candles on the bus: several copies of an ingest publish the same ones, and readers see each once."""

from typing import Any

from msgspec.structs import replace

from market_pulse import kinds
from market_pulse.exchange.adapter import candle
from market_pulse.messages import Candle, Interval, Symbol, bar_of, decode_candle
from support.listening import listening
from support.redis_server import RedisServer
from support.waiting import until
from support.whole_bus import WholeBus

BTC = Symbol("BTC-USDT")
CHANNEL = kinds.EXCHANGE_CANDLE.channel("toy", BTC)


def minute(at: int, volume: float | None, *, closed: bool = False, revision: int = 0) -> Candle:
    found = candle(Interval.MINUTE, at * 60_000, 10.0, 12.0, 9.0, 11.0, volume, closed=closed)
    return replace(found, exchange="toy", symbol=BTC, revision=revision, received_time_ms=1)


async def published(bus: WholeBus, *candles: Candle) -> list[bool]:
    """Publish candles one by one, and return of each whether it was published."""
    return [bool(await bus.publish_exchange_candles("toy", [one])) for one in candles]


async def last(bus: WholeBus) -> Candle:
    kept: Any = await bus.client.get(f"last:{CHANNEL}")
    return decode_candle(kept)


async def test_an_open_candle_grows(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus:
        frames = (
            minute(1, 1e-7),
            minute(1, 1e-7),
            minute(1, 2.0),
            minute(1, 1.5),
            minute(0, 9.0),
            minute(2, 0.5),
            minute(1, 3.0),
        )
        assert await published(bus, *frames) == [True, False, True, False, False, True, False]
        assert (await last(bus)).start_ms == 120_000
        assert await bus.bars(Interval.MINUTE, BTC, "toy") == [], "an open candle is no past one"


async def test_a_candle_is_closed_once_and_corrected_in_order(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus, listening(bus, CHANNEL) as heard:
        frames = (
            minute(1, 1.0),
            minute(1, 2.0, closed=True),
            minute(1, 2.0, closed=True),  # another copy
            minute(1, 3.0),
            minute(2, 1.0),
            minute(1, 3.0, closed=True, revision=1),
            minute(1, 3.0, closed=True, revision=1),
            minute(1, 2.0, closed=True),
        )
        assert await published(bus, *frames) == [True, True, False, False, True, True, False, False]
        await until(lambda: len(heard.heard) == 4)
        assert (await last(bus)).start_ms == 120_000, "a correction of an earlier minute is not the last candle"
        (bar,) = await bus.bars(Interval.MINUTE, BTC, "toy")
        assert (bar.volume, bar.revision) == (3.0, 1)
        assert await published(bus, minute(2, 1.0, closed=True), minute(2, 5.0)) == [True, False]
        assert 0 < await bus.client.ttl(f"last:{CHANNEL}") <= 3600
        assert 0 < await bus.client.ttl("bars:1m:toy:BTC-USDT") <= 3600


async def test_candles_without_a_volume_and_keys_of_others_do_no_harm(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus:
        assert await published(bus, minute(1, None), minute(1, None), minute(1, None, closed=True)) == [True, True, True]
        await bus.client.set(f"last:{CHANNEL}", "nonsense")
        await bus.client.set("bars:1m:toy:BTC-USDT", "not a set")
        assert await published(bus, minute(2, 1.0), minute(2, 1.0, closed=True)) == [True, True]
        assert await bus.publish_exchange_candles("toy", []) == 0


async def test_past_candles_are_renewed_while_they_are_there(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus:
        await published(bus, minute(1, 1.0, closed=True))
        await bus.client.expire("bars:1m:toy:BTC-USDT", 5)
        assert await bus.renew_exchange_bars("toy", [BTC, Symbol("ETH-USDT")]) == {"ETH-USDT"}
        assert await bus.client.ttl("bars:1m:toy:BTC-USDT") > 3000


async def test_an_exchanges_hours_and_days_are_missed_before_they_expire(server: RedisServer) -> None:
    eth = Symbol("ETH-USDT")
    async with WholeBus.open(server.url) as bus:
        for symbol, intervals in {BTC: (Interval.HOUR, Interval.DAY), eth: (Interval.HOUR,)}.items():
            for interval in intervals:
                await bus.keep_bars(interval, symbol, [bar_of(minute(0, 1.0, closed=True))], "toy")
        assert await bus.expiring_exchange_bars("toy", [eth, BTC], 60.0) == [eth], "it has no days"
        await bus.client.expire(f"bars:1h:toy:{BTC}", 59)
        assert await bus.expiring_exchange_bars("toy", [eth, BTC], 60.0) == [eth, BTC]
        assert await bus.expiring_exchange_bars("toy", [], 60.0) == []
