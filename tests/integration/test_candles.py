"""An ingest carries candles: from a socket of their own, by REST alone, with their past, and with several copies."""

import asyncio
import contextlib
import json
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import SecretStr

from market_pulse import kinds
from market_pulse.exchange import asked, candle_keeper, feed, history, socket
from market_pulse.exchange.adapter import Adapter
from market_pulse.exchange.main import serve
from market_pulse.exchange.settings import IngestSettings
from market_pulse.messages import Candle, Interval, Symbol, decode_candle
from market_pulse.process.way_out import STRAIGHT
from support.exchanges import ADAPTERS
from support.invented import Invented, invented
from support.redis_server import RedisServer
from support.waiting import free_port, until
from support.whole_bus import WholeBus

TOY, TERSE = ADAPTERS["toy-exchange"], ADAPTERS["terse-exchange"]
BTC, ETH, NOPE = Symbol("BTC-USDT"), Symbol("ETH-USDT"), Symbol("NOPE-USDT")
MINUTE = 60_000
M0 = 1_800_000_000_000  # when the tests begin: the start of a minute


class Clock:
    """The clock of the ingest: it begins ten seconds into a minute, and can be set."""

    def __init__(self) -> None:
        self._ahead_s = M0 / 1000 + 10 - time.time()

    def __call__(self) -> int:
        return int((time.time() + self._ahead_s) * 1000)

    def forward_to(self, time_ms: int) -> None:
        self._ahead_s = time_ms / 1000 - time.time()


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    played = Clock()
    for module in (candle_keeper, socket, feed):
        monkeypatch.setattr(module, "now_ms", played)
    monkeypatch.setattr(feed, "backoff_s", lambda *_, **__: 0.1)
    monkeypatch.setattr(asked, "SETTLE_S", 0.5)
    return played


@dataclass
class Listener:
    """All that a subscriber hears."""

    bus: WholeBus
    candles: list[Candle] = field(default_factory=list)

    def closed(self, symbol: str = BTC) -> list[tuple[int, int, float | None]]:
        """Return of each closed candle: its minute, its revision, and its volume."""
        found = (one for one in self.candles if one.closed and one.symbol == symbol)
        return [((one.start_ms - M0) // MINUTE, one.revision, one.volume) for one in found]

    def hears(self, *volumes: float, symbol: str = BTC) -> bool:
        heard = [one.volume for one in self.candles if not one.closed and one.symbol == symbol]
        return set(volumes) <= set(heard)

    async def bars(self, exchange: str, symbol: str = BTC, interval: Interval = Interval.MINUTE) -> dict[int, float | None]:
        """Return the volumes of the past candles in Redis, by start."""
        return {bar.start_ms: bar.volume for bar in await self.bus.bars(interval, Symbol(symbol), exchange, limit=2000)}


@contextlib.asynccontextmanager
async def listener(server: RedisServer, *channels: str) -> AsyncIterator[Listener]:
    async with WholeBus.open(server.url) as bus:
        heard = Listener(bus)

        async def subscribed(_: bool) -> None:
            return

        subscriber = bus.subscriber(lambda _, data: heard.candles.append(decode_candle(data)), subscribed)
        listening = asyncio.create_task(subscriber.run())
        try:
            await subscriber.subscribe(*channels)
            yield heard
        finally:
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)


@contextlib.asynccontextmanager
async def ingest(server: RedisServer, exchange: Invented, *symbols: Symbol, **settings_of: Any) -> AsyncIterator[None]:
    url = f"127.0.0.1:{exchange.port}"
    settings = IngestSettings(
        redis_url=SecretStr(server.url), symbols=symbols or (BTC,), health_port=free_port(), ws_url=f"ws://{url}", rest_url=f"http://{url}"
    )  # fmt: skip
    settings = settings.model_copy(update={"symbol_grace_s": 0.0} | settings_of)
    running = asyncio.create_task(serve(exchange.adapter, settings, STRAIGHT))
    try:
        yield
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


def channel(adapter: Adapter, symbol: Symbol = BTC) -> str:
    return kinds.EXCHANGE_CANDLE.channel(adapter.exchange, symbol)


async def status_of(bus: WholeBus, exchange: str) -> dict[str, Any]:
    kept = await bus.client.get(f"last:status:{exchange}")
    return json.loads(kept) if kept else {"state": None, "reason": None}


async def test_candles_are_published_and_kept(server: RedisServer, clock: Clock) -> None:
    async with invented(TOY) as toy, listener(server, channel(TOY)) as heard, ingest(server, toy):
        await until(lambda: "c:BTC/USDT" in toy.topics("/candles") and "t:BTC/USDT" in toy.topics("/stream"))
        await toy.candle(BTC, M0, 1.0)
        await until(lambda: heard.hears(1.0))
        await toy.candle(BTC, M0, 2.0, final=True)
        await until(heard.closed)
        clock.forward_to(M0 + MINUTE)
        await toy.candle(BTC, M0, 2.0, final=True)
        await toy.candle(BTC, M0 + MINUTE, 3.0)
        await until(lambda: heard.hears(3.0))
        assert heard.closed() == [(0, 0, 2.0)]
        first = heard.candles[0]
        assert (first.exchange, first.exchanges, first.origin, first.interval) == ("toy", ("toy",), "exchange", "1m")
        assert first.published_time_ms
        assert M0 <= first.received_time_ms < M0 + MINUTE
        assert await heard.bars("toy") == {M0: 2.0}
        last: Any = await heard.bus.client.get(f"last:{channel(TOY)}")
        assert decode_candle(last).volume == 3.0
        clock.forward_to(M0 + 2 * MINUTE + 3000)
        await until(lambda: heard.closed() == [(0, 0, 2.0), (1, 0, 3.0)])


async def test_a_subscriber_of_our_candle_makes_an_ingest_carry_ticker_and_candles(server: RedisServer) -> None:
    """SYMBOLS are not listed here, so nothing else is wanted. Then neither socket is open."""
    async with invented(TOY) as toy, ingest(server, toy, NOPE):
        async with listener(server, kinds.CANDLES[Interval.MINUTE].channel(ETH)):
            await until(lambda: toy.topics("/candles") == {"c:ETH/USDT"} and toy.topics("/stream") == {"t:ETH/USDT"})
        await until(lambda: not toy.connections)
        async with listener(server, channel(TOY, ETH)) as heard:
            await until(lambda: toy.topics("/candles") == {"c:ETH/USDT"})
            assert not toy.sockets("/stream"), "nobody wants its ticker"
            await toy.candle(ETH, M0, 1.0)
            await until(lambda: heard.hears(1.0, symbol=ETH))
        await until(lambda: not toy.connections)


async def test_candles_have_room_of_their_own(server: RedisServer) -> None:
    candles = [kinds.CANDLES[Interval.MINUTE].channel(symbol) for symbol in (ETH, Symbol("SOL-USDT"), Symbol("DOGE-USDT"))]
    async with invented(TOY) as toy, ingest(server, toy, max_candle_symbols=2), listener(server, *candles) as heard:
        await until(lambda: len(toy.topics("/stream")) == 4)
        await until(lambda: len(toy.topics("/candles")) == 2)
        await until(lambda: _is(heard.bus, "toy", "connected"))
        assert (await status_of(heard.bus, "toy"))["turnedAway"] == []


async def _is(bus: WholeBus, exchange: str, state: str) -> bool:
    return bool((await status_of(bus, exchange))["state"] == state)


async def test_a_lost_socket_of_candles_leaves_the_ticker_connected(server: RedisServer, clock: Clock) -> None:
    async with invented(TOY) as toy, listener(server, channel(TOY)) as heard, ingest(server, toy):
        await until(lambda: toy.topics("/candles") and toy.topics("/stream"))
        await toy.candle(BTC, M0, 1.0, final=True)
        await until(heard.closed)
        await until(lambda: _is(heard.bus, "toy", "connected"))
        toy.cut = {"/candles"}
        await toy.drop("/candles")
        await until(lambda: _lacks(heard.bus, True))
        await until(lambda: _is(heard.bus, "toy", "connected"))

        # The last candles are asked for again when the socket is back. One was corrected, and one was missed.
        toy.rows[BTC, "1m", M0] = (10.0, 12.0, 9.0, 11.0, 1.5)
        toy.rows[BTC, "1m", M0 + MINUTE] = (10.0, 12.0, 9.0, 11.0, 7.0)
        clock.forward_to(M0 + 2 * MINUTE + 10_000)
        toy.cut = set()
        await until(lambda: toy.topics("/candles"))
        await until(lambda: _lacks(heard.bus, False))
        await until(lambda: heard.closed() == [(0, 0, 1.0), (0, 1, 1.5), (1, 0, 7.0)])
        assert (await status_of(heard.bus, "toy"))["reconnects"] == 0
        assert await heard.bars("toy") == {M0: 1.5, M0 + MINUTE: 7.0}


async def test_a_socket_of_candles_that_opens_late_leaves_no_gap(server: RedisServer, clock: Clock) -> None:
    async with invented(TOY) as toy, listener(server, channel(TOY)) as heard:
        toy.cut = {"/candles"}
        async with ingest(server, toy):
            await until(lambda: _lacks(heard.bus, True))
            await until(lambda: len(toy.asked) == 6)  # all of the past
            for at in range(9):
                toy.rows[BTC, "1m", M0 + at * MINUTE] = (10.0, 12.0, 9.0, 11.0, 1.0 + at)
            clock.forward_to(M0 + MINUTE + 10_000)
            await until(lambda: len(toy.asked) == 7)
            clock.forward_to(M0 + 9 * MINUTE + 10_000)
            toy.cut = set()
            await until(lambda: heard.closed() == [(at, 0, 1.0 + at) for at in range(9)])


async def _lacks(bus: WholeBus, lacks: bool) -> bool:
    return ("candles:1m missing" in ((await status_of(bus, "toy"))["reason"] or "")) is lacks


async def test_a_second_socket_takes_over_without_a_second_closing(server: RedisServer, clock: Clock) -> None:
    async with invented(TOY) as toy, listener(server, channel(TOY)) as heard, ingest(server, toy, max_connection_age_s=1.0):
        at, together = 0, 0
        while together < 3:
            clock.forward_to(M0 + at * MINUTE + 30_000)
            await until(lambda: toy.topics("/candles"))
            carrying = len(toy.sockets("/candles"))
            await toy.candle(BTC, M0 + at * MINUTE, 1.0, nth=0)
            await toy.candle(BTC, M0 + at * MINUTE, 2.0, final=True, nth=carrying - 1)
            await toy.candle(BTC, M0 + at * MINUTE, 2.0, final=True)
            together += carrying > 1
            at += 1
            await asyncio.sleep(0.05)
        await until(lambda: len(heard.closed()) >= at - 1)
        counts = Counter(minute for minute, _, _ in heard.closed())
        assert set(counts.values()) == {1}
        assert {revision for _, revision, _ in heard.closed()} == {0}


async def test_two_copies_close_each_candle_once(server: RedisServer, clock: Clock) -> None:
    async with invented(TOY) as toy, listener(server, channel(TOY)) as heard, ingest(server, toy), ingest(server, toy):
        await until(lambda: len(toy.sockets("/candles")) == 2 and all(toy.connections.values()))
        for at in range(5):
            clock.forward_to(M0 + at * MINUTE + 30_000)
            await toy.candle(BTC, M0 + at * MINUTE, 1.0 + at)
            await toy.candle(BTC, M0 + at * MINUTE, 2.0 + at, final=True, nth=at % 2)
            await toy.candle(BTC, M0 + at * MINUTE, 2.0 + at, final=True)
        await until(lambda: len(heard.closed()) == 5)
        clock.forward_to(M0 + 5 * MINUTE)
        await toy.candle(BTC, M0 + 5 * MINUTE, 1.0)
        await until(lambda: heard.candles[-1].start_ms == M0 + 5 * MINUTE)
        assert heard.closed() == [(at, 0, 2.0 + at) for at in range(5)]


async def test_history_is_kept_when_candles_become_wanted(server: RedisServer) -> None:
    async with invented(TOY) as toy, listener(server) as heard:
        for symbol in (BTC, ETH):
            for interval in Interval:
                toy.fill(symbol, interval, M0 + interval.step_ms, 1500)  # the newest is still open
        toy.rows[BTC, "1m", M0 - MINUTE] = (10.0, 10.0, 10.0, 10.0, 0.0)  # filled by the exchange: nothing was traded
        async with ingest(server, toy):
            await until(lambda: _count(heard, BTC, Interval.DAY, 365))
            assert await _count(heard, BTC, Interval.MINUTE, 1439)
            assert await _count(heard, BTC, Interval.HOUR, 720)
            assert max(await heard.bars("toy", BTC, Interval.DAY)) == Interval.DAY.start_of(M0) - Interval.DAY.step_ms
            assert not heard.candles, "the past is not published"
            intervals = [one["every"] for one in toy.asked]
            assert intervals == ["1m", "1m", "1m", "1h", "1h", "1d"]
            assert [int(one["until"]) for one in toy.asked[:3]] == sorted(
                (int(one["until"]) for one in toy.asked[:3]), reverse=True
            )
            async with listener(server, kinds.CANDLES[Interval.HOUR].channel(ETH)):
                await until(lambda: _count(heard, ETH, Interval.DAY, 365))
            assert len(toy.asked) == 12


async def _count(heard: Listener, symbol: Symbol, interval: Interval, count: int, exchange: str = "toy") -> bool:
    return len(await heard.bars(exchange, symbol, interval)) == count


async def test_short_answers_are_completed(server: RedisServer) -> None:
    async with invented(TOY) as toy, listener(server) as heard:
        toy.fill(BTC, Interval.MINUTE, M0, 1500)
        toy.most_rows = 90
        async with ingest(server, toy):
            await until(lambda: _has_at_least(heard, 1400))


async def _has_at_least(heard: Listener, count: int) -> bool:
    return len(await heard.bars("toy")) >= count


@pytest.mark.parametrize(("status", "after"), [(429, "1"), (418, "1"), (403, "1"), (503, "")])
async def test_a_refusal_pauses_all_requests_and_loses_none(server: RedisServer, status: int, after: str) -> None:
    async with invented(TOY) as toy, listener(server) as heard:
        for symbol in (BTC, ETH):
            for interval in Interval:
                toy.fill(symbol, interval, M0, 1500)
        toy.refuses = status, after
        async with ingest(server, toy, BTC, ETH):
            await until(lambda: toy.refused)
            await until(lambda: toy.topics("/candles"))
            await toy.candle(BTC, M0, 1.0)
            await until(lambda: _has_last(heard.bus))
            assert toy.refused <= 3, "one request after the other, and each waits"
            toy.refuses = None
            await until(lambda: _count(heard, ETH, Interval.DAY, 365))
            assert await _count(heard, BTC, Interval.MINUTE, 1440)
            assert len(toy.asked) == 12


async def test_an_answer_that_cannot_be_read_is_asked_for_again(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "RETRY_S", (0.2, 0.2))
    async with invented(TOY) as toy, listener(server) as heard:
        for interval in Interval:
            toy.fill(BTC, interval, M0, 1500)
        toy.refuses = 200, ""  # an empty answer
        async with ingest(server, toy):
            await until(lambda: toy.refused >= 3)
            toy.refuses = None
            await until(lambda: _count(heard, BTC, Interval.MINUTE, 1440))
            await until(lambda: _count(heard, BTC, Interval.DAY, 365))


async def _has_last(bus: WholeBus) -> bool:
    return await bus.client.get(f"last:{channel(TOY)}") is not None


async def test_a_redis_that_lost_its_data_gets_the_past_again(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candle_keeper, "RENEW_S", 0.2)
    async with invented(TOY) as toy, listener(server) as heard:
        toy.fill(BTC, Interval.MINUTE, M0, 1500)
        async with ingest(server, toy):
            await until(lambda: _count(heard, BTC, Interval.MINUTE, 1440))
            await heard.bus.client.flushall()
            await until(lambda: _count(heard, BTC, Interval.MINUTE, 1440))


async def test_hours_and_days_are_there_as_long_as_their_symbol_is_wanted(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A candle maker that starts long after the ingest finds them. Nobody has subscribed to the symbol."""
    monkeypatch.setattr(candle_keeper, "RENEW_S", 0.2)
    async with invented(TOY) as toy, listener(server) as heard:
        for interval in Interval:
            toy.fill(BTC, interval, M0, 1500)
        async with ingest(server, toy):
            await until(lambda: _count(heard, BTC, Interval.DAY, 365))
            names = [f"bars:{interval}:toy:{BTC}" for interval in (Interval.HOUR, Interval.DAY)]
            await heard.bus.client.delete(*names)
            await until(lambda: _count(heard, BTC, Interval.HOUR, 720))
            await until(lambda: _count(heard, BTC, Interval.DAY, 365))
            assert len(toy.asked) == 6 + 3, "only the hours and days"


async def test_without_a_socket_rest_gives_each_minute_and_what_comes_late(server: RedisServer, clock: Clock) -> None:
    row = (10.0, 12.0, 9.0, 11.0)
    async with invented(TERSE) as terse, listener(server, channel(TERSE)) as heard:
        terse.fill(BTC, Interval.MINUTE, M0, 200)
        async with ingest(server, terse):
            await until(lambda: _count(heard, BTC, Interval.MINUTE, 200, "terse"))
            terse.rows[BTC, "1m", M0] = (*row, 1.0)
            terse.rows[BTC, "1m", M0 + MINUTE] = (*row, 0.5)  # open
            clock.forward_to(M0 + MINUTE + 2500)
            await until(lambda: (0, 0, 1.0) in heard.closed())
            seen = len(heard.closed())
            clock.forward_to(M0 + 2 * MINUTE + 2500)  # the row is late
            del terse.rows[BTC, "1m", M0 + MINUTE]
            count = len(terse.asked)
            await until(lambda: len(terse.asked) > count)
            terse.rows[BTC, "1m", M0 + MINUTE] = (*row, 2.0)
            terse.rows[BTC, "1m", M0 + 2 * MINUTE] = (*row, 3.0)
            terse.rows[BTC, "1m", M0] = (*row, 1.25)
            clock.forward_to(M0 + 3 * MINUTE + 2500)
            await until(lambda: len(heard.closed()) == seen + 3)
            assert heard.closed()[seen:] == [(0, 1, 1.25), (1, 0, 2.0), (2, 0, 3.0)]
            minutes = await heard.bars("terse")
            assert [minutes[M0 + at * MINUTE] for at in range(3)] == [1.25, 2.0, 3.0]
            assert terse.topics("/stream") == {BTC}
