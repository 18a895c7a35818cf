"""Candles from a real bus, over REST and streams. The test plays the parts that make them."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from gateway.api import models
from market_pulse.messages import Bar, Interval, Symbol
from market_pulse.process.clock import now_ms
from support.played_candles import MINUTE_MS, candle
from support.redis_server import RedisServer
from support.waiting import until
from support.whole_bus import WholeBus

from .gateway_fixtures import BTC, DOGE, ETH, SOL, Market, Running, reading, running_gateway
from .test_gateway_rest import problem


@pytest.fixture
async def market(server: RedisServer) -> AsyncIterator[Market]:
    async with WholeBus.open(server.url) as bus:
        yield Market(bus)


@pytest.fixture
async def running(server: RedisServer, market: Market) -> AsyncIterator[Running]:
    await market.list_symbols(BTC, ETH, SOL, DOGE)
    async with running_gateway(server.url) as running:
        await until(lambda: running.gateway.listings.known)
        yield running


def minute(ago: int = 0) -> int:
    return Interval.MINUTE.start_of(now_ms()) - ago * MINUTE_MS


async def past(
    market: Market, symbol: Symbol, count: int, *, interval: Interval = Interval.MINUTE, exchange: str | None = None
) -> None:
    """Keep the closed candles before the present one."""
    open_ms = interval.start_of(now_ms())
    bars = [
        Bar(open_ms - ago * interval.step_ms, 100.0 + ago, 999.0, 1.0, 100.5, 7.5, None, 3, 0, None)
        for ago in range(1, count + 1)
    ]
    assert await market.bus.keep_bars(interval, symbol, bars, exchange) == count


async def starts(running: Running, path: str) -> list[int]:
    answer = await running.http.get(path)
    assert answer.status_code == 200, answer.text
    models.Candles.model_validate(answer.json())
    return [one["start"] for one in answer.json()["candles"]]


async def test_past_candles_and_then_the_open_one(running: Running, market: Market) -> None:
    await past(market, SOL, 1440)
    start = minute()
    published = await market.play(candle(start, symbol=SOL, last_seq=7))
    answer = await running.http.get("/api/candles/sol")
    body = answer.json()
    models.Candles.model_validate(body)
    assert (body["symbol"], body["interval"], body["exchange"]) == (SOL, "1m", None)
    assert [one["start"] for one in body["candles"]] == [start - ago * MINUTE_MS for ago in range(499, -1, -1)]
    assert published in answer.content
    assert body["candles"][-2] == {
        "start": start - MINUTE_MS, "end": start, "open": 101.0, "high": 999.0, "low": 1.0, "close": 100.5, "volume": 7.5,
        "quoteVolume": None, "trades": 3, "revision": 0, "missed": None, "origin": "exchanges", "closed": True,
    }  # fmt: skip
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert answer.headers["content-encoding"] == "gzip"
    assert int(answer.headers["content-length"]) < len(answer.content) / 3
    assert len(await starts(running, "/api/candles/SOL?limit=1500")) == 1441
    assert await starts(running, f"/api/candles/SOL?before={start - MINUTE_MS}&limit=2") == [
        start - 3 * MINUTE_MS,
        start - 2 * MINUTE_MS,
    ]
    assert await starts(running, f"/api/candles/SOL?at={start - 1}") == [start - MINUTE_MS]
    assert await starts(running, f"/api/candles/SOL?at={start}") == [start]
    assert await starts(running, "/api/candles/SOL?at=0") == []


async def test_hours_and_an_exchanges_minutes(running: Running, market: Market) -> None:
    await past(market, ETH, 5, interval=Interval.HOUR)
    await past(market, ETH, 2, exchange="okx")
    await market.play(candle(Interval.HOUR.start_of(now_ms()), symbol=ETH, interval=Interval.HOUR))
    await market.play(candle(minute(), symbol=ETH, exchange="okx", origin="exchange", first_seq=None, last_seq=None))
    assert len(await starts(running, "/api/candles/ETH?interval=1h")) == 6
    body = (await running.http.get("/api/candles/ETH?exchange=okx")).json()
    assert (body["exchange"], [one["origin"] for one in body["candles"]]) == ("okx", ["exchange"] * 3)
    assert {"candle:1h:ETH-USDT", "candles:1m:okx:ETH-USDT"} <= running.gateway.hub.topics.wanted


async def test_asking_makes_them_come(running: Running, market: Market) -> None:
    """The request subscribes to the candles, and waits for the past ones."""

    async def make() -> None:
        await until(lambda: _has_subscriber(market, "candle:1m:DOGE-USDT"))
        await market.play(candle(minute(), symbol=DOGE))
        await asyncio.sleep(0.3)
        await past(market, DOGE, 3)

    making = asyncio.create_task(make())
    assert len(await starts(running, "/api/candles/DOGE")) == 4
    await making


async def _has_subscriber(market: Market, channel: str) -> bool:
    [(_, count)] = await market.bus.client.pubsub_numsub(channel)
    return bool(count)


async def test_where_there_are_none_the_list_is_empty(running: Running, market: Market) -> None:
    await market.bus.client.set("bar:1m:DOGE-USDT", "not a sorted set")
    assert await starts(running, "/api/candles/DOGE") == []


@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        ("/api/candles/SOL?interval=5m", 422, "invalid_request"),
        ("/api/candles/SOL?limit=0", 422, "invalid_request"),
        ("/api/candles/SOL?limit=1501", 422, "invalid_request"),
        ("/api/candles/SOL?before=-1", 422, "invalid_request"),
        ("/api/candles/SOL?before=1&at=1", 400, "two_moments"),
        ("/api/candles/SOL?before=1&before=2", 400, "repeated_parameter"),
        ("/api/candles/SOL?interval=1h&exchange=okx", 400, "interval_not_kept"),
        ("/api/candles/SOL?exchange=nobody", 404, "unknown_exchange"),
        ("/api/candles/SOLL", 404, "unknown_symbol"),
        ("/api/candles/S!", 400, "malformed_symbol"),
        ("/api/realtime/SOL?kinds=candle:5m", 400, "unknown_kind"),
        ("/api/realtime/SOL?kinds=", 400, "unknown_kind"),
        ("/api/realtime/SOL?kinds=candle:1m:BTC", 400, "foreign_symbol"),
        ("/api/realtime/SOL?kinds=candle:1m:S!", 400, "malformed_symbol"),
        ("/api/realtime/SOL?fields=changePercent1h", 400, "unknown_field"),
    ],
)
async def test_refusals(running: Running, path: str, status: int, code: str) -> None:
    answer = await running.http.get(path)
    assert (answer.status_code, problem(answer)["code"]) == (status, code)


async def test_an_exchange_that_does_not_list_the_symbol(running: Running, market: Market) -> None:
    await market.bus.publish_listing("bybit", [BTC])
    await running.gateway.listings.refresh()
    await until(lambda: _lists(running, "bybit"))
    refused = problem(await running.http.get("/api/candles/SOL?exchange=bybit"))
    assert (refused["code"], "okx" in refused["detail"]) == ("not_listed_there", True)


async def _lists(running: Running, exchange: str) -> bool:
    await running.gateway.listings.refresh()
    return exchange in running.gateway.listings.exchanges(BTC)


async def test_no_candles_while_the_bus_is_away(running: Running, server: RedisServer) -> None:
    await server.kill()
    answer = await running.http.get("/api/candles/SOL")
    assert (answer.status_code, problem(answer)["code"]) == (503, "bus_unavailable")


async def test_a_stream_of_candles(running: Running, market: Market) -> None:
    start = minute()
    await market.play(candle(start, symbol=SOL, last_seq=1))
    async with reading(running.http, "/api/realtime?symbols=SOL,ETH&kinds=ticker,candle:1m:SOL&kinds=candle:1h") as stream:
        assert (await stream.next("connected"))["kinds"] == ["ticker", "candle:1m:SOL-USDT", "candle:1h"]
        assert (await stream.next("candle"))["lastSeq"] == 1, "the last one, at once"
        closed = candle(start, symbol=SOL, last_seq=2, closed=True)
        for one in (closed, candle(start + MINUTE_MS, symbol=SOL, last_seq=3)):
            published = await market.play(one)
            assert await stream.next("candle") == orjson.loads(published)
        await market.play(candle(Interval.HOUR.start_of(start), symbol=ETH, interval=Interval.HOUR))
        assert (await stream.next("candle"))["interval"] == "1h"
        await market.publish(ETH, 3000.0)
        assert (await stream.next("ticker"))["price"] == 3000.0
        wanted = {"candle:1m:SOL-USDT", "candle:1h:SOL-USDT", "candle:1h:ETH-USDT", "ticker:SOL-USDT", "ticker:ETH-USDT"}
        assert wanted <= running.gateway.hub.topics.wanted
        status: dict[str, Any] = (await running.http.get("/api/status")).json()["gateway"]
        models.GatewayStatus.model_validate(status)
        assert status["channels"] == {"ticker": 3, "candle:1m": 1, "candle:1h": 2}
        metrics = (await running.http.get("/metrics")).text
        assert 'market_pulse_gateway_channels{kind="candle:1h"} 2.0' in metrics
        assert 'market_pulse_gateway_messages_received_total{kind="candle:1h"} 1.0' in metrics
        assert 'market_pulse_gateway_messages_received_total{kind="candle:1d"} 0.0' in metrics


async def test_the_open_candle_of_an_answer_and_of_a_stream_are_one_state(running: Running, market: Market) -> None:
    await past(market, SOL, 1)
    async with reading(running.http, "/api/realtime/SOL?kinds=candle:1m") as stream:
        for last_seq in range(1, 6):
            await market.play(candle(minute(), symbol=SOL, last_seq=last_seq))
            streamed = await stream.next("candle")
            answered = (await running.http.get("/api/candles/SOL")).json()["candles"][-1]
            assert answered == streamed


async def test_a_history_of_minutes(running: Running, market: Market) -> None:
    await past(market, SOL, 3)
    await past(market, SOL, 2, exchange="okx")
    start = minute()
    await market.play(candle(start, symbol=SOL, open=77.0))
    answer = await running.http.get("/api/history/sol")
    models.History.model_validate(answer.json())
    assert answer.json() == {
        "symbol": "SOL-USDT",
        "resolution": "1m",
        "stepMs": 60_000,
        "times": [start - ago * MINUTE_MS for ago in (3, 2, 1, 0)],
        "prices": [103.0, 102.0, 101.0, 77.0],
        "sources": {"okx": [None, 102.0, 101.0, None]},
    }
    assert (await running.http.get("/api/history/sol?resolution=1m")).json() == answer.json()
    assert "candle:1m:SOL-USDT" in running.gateway.hub.topics.wanted


async def test_tickers_in_answers_have_the_changes_of_hours_and_weeks(running: Running, market: Market) -> None:
    now, hour, day = now_ms(), Interval.HOUR.step_ms, Interval.DAY.step_ms
    await market.bus.keep_bars(Interval.MINUTE, BTC, [Bar(Interval.MINUTE.start_of(now - hour), 100.0, 1.0, 1.0, 1.0)])
    await market.bus.keep_bars(Interval.HOUR, BTC, [Bar(Interval.HOUR.start_of(now - 7 * day), 50.0, 1.0, 1.0, 1.0)])
    await market.publish(BTC, 110.0)
    await until(lambda: running.gateway.hub.newest("ticker:BTC-USDT") is not None)
    body = (await running.http.get("/api/ticker/BTC")).json()
    assert (body["changePercent1h"], body["changePercent7d"], body["changePercent30d"]) == (10.0, 120.0, None)
    some = (await running.http.get("/api/ticker?symbols=BTC,ETH&fields=price,changePercent7d")).json()
    assert [(one["price"], one["changePercent7d"], "changePercent1h" in one) for one in some["tickers"]] == [
        (110.0, 120.0, False)
    ]
    async with reading(running.http, "/api/realtime/BTC") as stream:
        assert "changePercent7d" not in await stream.next("ticker")
