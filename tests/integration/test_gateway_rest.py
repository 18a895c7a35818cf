"""The responses and refusals of REST: always in bounded time, never with a 500."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.api import models
from market_pulse import kinds
from market_pulse.conversions import parse_conversions
from market_pulse.messages import Resolution, Symbol, decode_ticker
from market_pulse.process.clock import now_ms
from support.redis_server import RedisServer
from support.samples import ticker_bytes
from support.waiting import until
from support.whole_bus import WholeBus

from .gateway_fixtures import BTC, DOGE, ETH, SOL, Market, Running, reading, running_gateway


@pytest.fixture
async def market(server: RedisServer) -> AsyncIterator[Market]:
    async with WholeBus.open(server.url) as bus:
        yield Market(bus)


@pytest.fixture
async def running(server: RedisServer, market: Market) -> AsyncIterator[Running]:
    await market.list_symbols(BTC, ETH, SOL, DOGE, Symbol("BTC-USDC"))
    async with running_gateway(server.url) as running:
        yield running


def problem(answer: httpx.Response) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert body["status"] == answer.status_code
    models.Problem.model_validate(body)
    return body


async def test_the_last_ticker(running: Running, market: Market) -> None:
    seq = await market.publish(BTC, 64000.0)
    await until(lambda: running.gateway.hub.newest(kinds.TICKER.channel(BTC)) is not None)
    answer = await running.http.get("/api/ticker/btc")
    assert answer.headers["cache-control"] == "no-store"
    assert (answer.json()["seq"], answer.json()["price"]) == (seq, 64000.0)
    decode_ticker(answer.content)
    head = await running.http.head("/api/ticker/btc")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", answer.headers["content-length"])


async def test_asking_for_a_cold_symbol_makes_it_stream(running: Running, market: Market) -> None:
    """The request itself makes the symbol stream, and waits for the first ticker."""

    async def ingest() -> None:
        await until(lambda: demanded(market, SOL))
        await market.publish(SOL, 150.0)

    publishing = asyncio.create_task(ingest())
    answer = await running.http.get("/api/ticker/SOL")
    await publishing
    assert (answer.status_code, answer.json()["price"]) == (200, 150.0)


async def demanded(market: Market, symbol: Symbol) -> bool:
    return symbol in await market.bus.demanded()


async def test_no_price_in_time(running: Running) -> None:
    answer = await running.http.get("/api/ticker/DOGE")
    assert (answer.status_code, problem(answer)["code"]) == (503, "no_price_yet")
    assert int(answer.headers["retry-after"]) > 0


async def test_many_tickers_and_what_is_missing(running: Running, market: Market) -> None:
    await market.publish(BTC, 1.0)
    await market.publish(ETH, 2.0)
    answer = await running.http.get("/api/ticker", params={"symbols": "ETH,BTC,DOGE"})
    body = models.Tickers.model_validate(answer.json())
    assert [(ticker.root["symbol"], ticker.root["price"]) for ticker in body.tickers] == [(ETH, 2.0), (BTC, 1.0)]
    assert body.missing == [DOGE]


@pytest.mark.parametrize(
    "path",
    [
        "/api/ticker/BTCC",
        "/api/ticker?symbols=ETH,BTCC",
        "/api/realtime/BTCC",
        "/api/realtime?symbols=btcc",
        "/api/history/BTCC",
    ],
)
async def test_unknown_symbols_come_with_near_matches(running: Running, path: str) -> None:
    body = problem(await running.http.get(path))
    assert (body["status"], body["code"]) == (404, "unknown_symbol")
    assert body["suggestions"] == {"BTCC-USDT": ["BTC-USDT", "BTC-USDC"]}


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/ticker/B!", 400),
        ("/api/ticker/a-b-c", 400),
        ("/api/realtime/%F0%9F%92%A9", 400),
        ("/api/realtime?symbols=,", 400),
        ("/api/ticker?symbols=" + ",".join(f"A{number}" for number in range(101)), 400),
        ("/api/realtime", 422),
        ("/api/ticker", 422),
        ("/api/realtime/BTC?max_hz=0", 422),
        ("/api/realtime/BTC?max_hz=nan", 422),
        ("/api/realtime/BTC?max_hz=fast", 422),
        ("/api/history/B!", 400),
        ("/api/history/BTC?resolution=1h", 422),
        ("/api/history/BTC?max_points=1", 422),
        ("/api/history/BTC?max_points=1441", 422),
        ("/api/history/BTC?max_points=all", 422),
        ("/api/history", 404),
        ("/api/nothing", 404),
    ],
)
async def test_malformed_requests(running: Running, path: str, status: int) -> None:
    assert problem(await running.http.get(path))["status"] == status


async def test_wrong_methods(running: Running) -> None:
    answer = await running.http.post("/api/ticker/BTC")
    assert problem(answer)["status"] == 405
    assert answer.headers["allow"] == "GET"
    assert (await running.http.head("/api/realtime/BTC")).status_code == 405


async def test_a_new_listing_is_found_at_once(running: Running, market: Market) -> None:
    new = Symbol("NEW-USDT")
    await asyncio.sleep(1.1)  # the gateway last read the listings at the start
    await market.bus.publish_listing("bybit", [new, BTC])
    await market.publish(new, 3.0)
    assert (await running.http.get("/api/ticker/NEW")).json()["price"] == 3.0


UNLISTED_PATHS = ["/api/ticker/BTCC", "/api/realtime/BTCC", "/api/history/BTCC"]


@pytest.mark.parametrize("path", UNLISTED_PATHS)
async def test_what_an_exchange_has_not_said_yet_is_not_known(running: Running, market: Market, path: str) -> None:
    """The exchange's ingest runs, but its listing is missing, as after a restart of Redis or before the first listing."""
    await market.say(exchange="okx")
    await market.say(exchange="bybit")
    await market.say(exchange="kraken", state="blocked")
    await until(lambda: running.gateway.hub.statuses.current(now_ms()).keys() == {"okx", "bybit", "kraken"})
    body = problem(await running.http.get(path))
    assert (body["status"], body["code"]) == (503, "listing_unknown")
    assert "bybit" in body["detail"]
    assert not {"okx", "kraken"} & set(body["detail"].replace(",", " ").split())
    await market.bus.publish_listing("bybit", [BTC])
    await until(lambda: says(running, path, 404))


async def says(running: Running, path: str, status: int) -> bool:
    return (await running.http.get(path)).status_code == status


@pytest.mark.parametrize("path", UNLISTED_PATHS)
async def test_nobody_says_no_while_the_listings_cannot_be_read(server: RedisServer, market: Market, path: str) -> None:
    await market.list_symbols(BTC, ETH, SOL)
    async with running_gateway(server.url) as running:
        await until(lambda: says(running, path, 404))
        await server.kill()
        await until(lambda: says(running, path, 503))
        body = problem(await running.http.get(path))
        assert body["code"] == "listing_unknown"
        assert body["suggestions"] == {"BTCC-USDT": ["BTC-USDT"]}
        await server.start()
        await market.list_symbols(BTC, ETH, SOL)
        await until(lambda: says(running, path, 404))


async def test_the_listing(running: Running) -> None:
    answer = await running.http.get("/api/symbols")
    body = models.SymbolListing.model_validate(answer.json())
    assert (body.featured, body.quote) == ([BTC, ETH], "USDT")
    assert [listed.symbol for listed in body.symbols] == ["BTC-USDC", "BTC-USDT", "DOGE-USDT", "ETH-USDT", "SOL-USDT"]
    assert body.symbols[0].exchanges == ["okx"]
    again = await running.http.get("/api/symbols", headers={"If-None-Match": answer.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", answer.headers["etag"])
    filtered = (await running.http.get("/api/symbols", params={"q": "btc"})).json()
    assert [listed["symbol"] for listed in filtered["symbols"]] == ["BTC-USDC", "BTC-USDT"]


async def test_a_gateway_in_dollars(server: RedisServer, market: Market) -> None:
    """BTC means BTC-USD, and symbols exist that are only converted from USDT."""
    bitcoin, doge = Symbol("BTC-USD"), Symbol("DOGE-USD")
    await market.list_symbols(bitcoin, Symbol("USDT-USD"), Symbol("DOGE-USDT"))
    async with running_gateway(server.url, symbols=(bitcoin,), quote="USD") as running:
        await market.publish(bitcoin, 64000.0)
        await market.publish(doge, 0.12)
        await until(lambda: running.gateway.listings.known)
        assert (await running.http.get("/api/ticker/btc")).json()["symbol"] == bitcoin
        listed = {one["symbol"]: one for one in (await running.http.get("/api/symbols")).json()["symbols"]}
        assert listed[doge] == {"symbol": doge, "exchanges": listed["DOGE-USDT"]["exchanges"], "via": "USDT-USD"}
        assert "via" not in listed[bitcoin]
        assert doge in [one["symbol"] for one in (await running.http.get("/api/symbols?q=doge")).json()["symbols"]]
        async with reading(running.http, "/api/realtime?symbols=BTC,DOGE,DOGE-USDT") as stream:
            assert (await stream.next("connected"))["symbols"] == [bitcoin, doge, "DOGE-USDT"]
        assert problem(await running.http.get("/api/ticker/BTCC"))["suggestions"] == {"BTCC-USD": [bitcoin]}
    async with running_gateway(server.url, quote="USD", conversions=parse_conversions("off")) as running:
        await until(lambda: running.gateway.listings.known)
        assert problem(await running.http.get("/api/ticker/DOGE"))["code"] == "unknown_symbol"


async def test_before_any_listing_only_featured_symbols_are_taken(server: RedisServer, market: Market) -> None:
    async with running_gateway(server.url) as running:
        await market.publish(BTC, 1.0)
        assert (await running.http.get("/api/ticker/BTC")).status_code == 200
        refused = await running.http.get("/api/realtime/SOL")
        assert (refused.status_code, problem(refused)["code"]) == (503, "listing_unknown")
        assert int(refused.headers["retry-after"]) > 0


async def test_history(running: Running, market: Market) -> None:
    points = await market.record(Resolution.SECOND, SOL, 5)
    answer = await running.http.get("/api/history/sol?resolution=1s")
    models.History.model_validate(answer.json())
    assert answer.json() == {
        "symbol": "SOL-USDT",
        "resolution": "1s",
        "stepMs": 1000,
        "times": [point.time_ms for point in points],
        "prices": [104.0, 103.0, 102.0, 101.0, 100.0],
        "sources": {"okx": [100.0] * 5},
    }
    assert answer.headers["cache-control"] == "public, max-age=1"
    assert SOL not in running.gateway.hub.topics.symbols


async def test_history_is_thinned_to_what_is_asked_for(running: Running, market: Market) -> None:
    points = await market.record(Resolution.SECOND, BTC, 95)
    body = (await running.http.get("/api/history/BTC?resolution=1s&max_points=11")).json()
    *others, newest = body["times"]
    assert (newest, body["stepMs"], body["prices"][-1]) == (points[-1].time_ms, 10_000, 100.0)
    assert 8 <= len(others) <= 10
    assert {time_ms % 10_000 for time_ms in others} == {0}
    assert len(body["prices"]) == len(body["sources"]["okx"]) == len(body["times"])


async def test_history_ends_with_its_span_and_passes_over_what_is_none(running: Running, market: Market) -> None:
    key, time_ms = "history:1s:BTC-USDT", now_ms()
    for entry_id, price in (
        (time_ms - 600_000, "1"),
        (time_ms - 500_000, "2"),
        (time_ms - 400_000, "?"),
        (time_ms + 60_000, "4"),
    ):
        await market.bus.client.xadd(key, {"price": price}, id=f"{entry_id}-0")
    await market.bus.client.set("history:1s:ETH-USDT", "not a stream")
    assert (await running.http.get("/api/history/BTC?resolution=1s")).json()["prices"] == [2.0]
    for path in ("/api/history/ETH?resolution=1s", "/api/history/DOGE?resolution=1s"):
        body = (await running.http.get(path)).json()
        assert (body["times"], body["prices"], body["sources"]) == ([], [], {})


async def test_no_history_while_the_bus_is_away(running: Running, server: RedisServer) -> None:
    await server.kill()
    answer = await running.http.get("/api/history/BTC")
    assert (answer.status_code, problem(answer)["code"]) == (503, "bus_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_status(running: Running, market: Market) -> None:
    before = models.Status.model_validate((await running.http.get("/api/status")).json())
    assert (before.simulated, before.exchanges) == (False, {})
    await market.say(simulated=True)
    await until(lambda: running.gateway.hub.statuses.simulated)
    async with reading(running.http, "/api/realtime/SOL") as reader:
        await reader.next("connected")
        answer = await running.http.get("/api/status")
    status = models.Status.model_validate(answer.json())
    assert answer.headers["x-market-pulse-simulated"] == "true"
    assert status.simulated
    assert status.exchanges["okx"].root["state"] == "connected"
    assert (status.gateway.streams, status.gateway.symbols) == (1, [BTC, ETH, SOL])
    assert status.gateway.bus_connected
    assert before.gateway.time <= status.gateway.time <= now_ms()
    assert not status.gateway.draining


async def test_probes(running: Running) -> None:
    for path in ("/livez", "/healthz", "/readyz"):
        assert (await running.http.get(path)).status_code == 200
    running.gateway.draining = True
    answer = await running.http.get("/readyz")
    assert (answer.status_code, answer.json()["checks"]["bus"]) == (503, "ok")
    assert answer.json()["checks"]["draining"] != "ok"
    assert (await running.http.get("/livez")).status_code == 200


async def test_metrics_have_one_name(running: Running) -> None:
    """A proxy that blocks /metrics may compare the path before decoding, so no other spelling may work."""
    assert (await running.http.get("/%6detrics")).status_code == 404


async def test_metrics(running: Running, market: Market) -> None:
    async with reading(running.http, "/api/realtime/BTC") as reader:
        time_ms = now_ms()
        await market.publish(BTC, 1.0, time_ms)
        await reader.next("ticker")
        text = (await running.http.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    values = {sample.name: sample.value for sample in samples if not sample.labels}
    labelled = {(sample.name, *sample.labels.values()): sample.value for sample in samples if sample.labels}
    assert labelled["market_pulse_ready", "bus"] == 1
    assert labelled["market_pulse_gateway_streams_closed_total", "slow"] == 0
    assert labelled["market_pulse_gateway_price_quality", "ok", "BTC-USDT"] == 1
    assert labelled["market_pulse_gateway_price_quality", "down", "ETH-USDT"] == 1  # no ticker of it has come
    # The time at which its newest tick was received.
    assert labelled["market_pulse_gateway_price_timestamp_seconds", "BTC-USDT"] == (time_ms - 100) / 1000
    assert ("market_pulse_gateway_price_timestamp_seconds", "ETH-USDT") not in labelled
    assert values["market_pulse_gateway_streams_limit"] == running.gateway.settings.max_streams
    assert values["market_pulse_gateway_streams"] == 1
    assert values["market_pulse_gateway_streams_opened_total"] == 1
    assert values["market_pulse_gateway_publish_to_write_seconds_count"] >= 1
    assert values["market_pulse_gateway_sent_bytes_total"] > 500


async def test_openapi_describes_each_route_and_defines_what_it_refers_to(running: Running) -> None:
    text = (await running.http.get("/openapi.json")).text
    description = orjson.loads(text)
    assert set(description["paths"]) == {
        "/api/realtime/{symbol}", "/api/realtime", "/api/ticker/{symbol}", "/api/ticker", "/api/history/{symbol}", "/api/symbols",
        "/api/status", "/api/candles/{symbol}",
    }  # fmt: skip
    referred = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert referred <= set(description["components"]["schemas"])
    fields = description["components"]["schemas"]["Ticker"]["properties"]
    assert set(fields) == set(orjson.loads(ticker_bytes()))
