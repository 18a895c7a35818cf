"""The REST answers of the simulated exchanges about candles: their order, limits, sums and errors."""

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any

import httpx
import pytest

from simulator.app import serving
from simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS
from simulator.clock import wall_ms
from simulator.settings import Settings

BINANCE, BYBIT = {"symbol": "BTCUSDT", "interval": "1m"}, {"category": "spot", "symbol": "BTCUSDT", "interval": "1"}
CRYPTOCOM = {"instrument_name": "BTC_USD", "timeframe": "1m"}
COINBASE_PATH, CRYPTOCOM_PATH = "/products/BTC-USD/candles", "/exchange/v1/public/get-candlestick"


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a simulator in which nothing is traded, so that answers do not change."""
    async with (
        serving(Settings(port=0, rate=0.0)) as running,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=30.0) as client,
    ):
        yield client


async def ask(http: httpx.AsyncClient, path: str, **query: Any) -> Any:
    answer = await http.get(path, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def rows(http: httpx.AsyncClient, exchange: str, step_ms: int, start_ms: int, count: int) -> list[list[float]]:
    """Return the traded candles of so many intervals from a start on, by the exchange's REST API, with its own parameters.

    Each is its start, open, high, low, close and volume, the oldest first.
    """
    place, end_ms = {MINUTE_MS: 0, HOUR_MS: 1, DAY_MS: 2}[step_ms], start_ms + count * step_ms
    found: list[Any]
    match exchange:
        case "binance":
            query: dict[str, Any] = {"interval": ("1m", "1h", "1d")[place], "startTime": start_ms, "endTime": end_ms - 1}
            found = await ask(http, "/api/v3/klines", symbol="BTCUSDT", **query)
        case "bybit":
            query = {"interval": ("1", "60", "D")[place], "start": start_ms, "end": end_ms - 1}
            found = (await ask(http, "/v5/market/kline", category="spot", symbol="BTCUSDT", **query))["result"]["list"][::-1]
        case "okx":
            query = {"bar": ("1m", "1H", "1Dutc")[place], "before": start_ms - 1, "after": end_ms}
            found = (await ask(http, "/api/v5/market/history-candles", instId="BTC-USDT", **query))["data"][::-1]
        case "kraken":
            answer = await ask(http, "/0/public/OHLC", pair="XBTUSD", interval=step_ms // MINUTE_MS, since=start_ms // 1000)
            found = [[row[0] * 1000, *row[1:5], row[6]] for row in answer["result"]["XXBTZUSD"] if row[0] * 1000 < end_ms]
        case "cryptocom":
            query = {"timeframe": ("1m", "1h", "1D")[place], "start_ts": start_ms - 1, "end_ts": end_ms, "count": 300}
            answer = await ask(http, CRYPTOCOM_PATH, instrument_name="BTC_USD", **query)
            found = [[row[name] for name in "tohlcv"] for row in answer["result"]["data"]]
        case _:
            query = {"granularity": step_ms // 1000, "start": start_ms // 1000, "end": end_ms // 1000 - 1}
            answer = await ask(http, COINBASE_PATH, **query)
            found = [[row[0] * 1000, row[3], row[2], row[1], row[4], row[5]] for row in reversed(answer)]
    return [numbers for row in found if (numbers := [float(value) for value in row[:6]])[5]]


@pytest.mark.parametrize("exchange", ["binance", "bybit", "okx", "kraken", "cryptocom", "coinbase"])
async def test_minutes_make_the_hour_and_hours_the_day(http: httpx.AsyncClient, exchange: str) -> None:
    hour_ms = wall_ms() // HOUR_MS * HOUR_MS - HOUR_MS
    day_ms = wall_ms() // DAY_MS * DAY_MS - DAY_MS
    for step_ms, inner_ms, start_ms in ((HOUR_MS, MINUTE_MS, hour_ms), (DAY_MS, HOUR_MS, day_ms)):
        inner = await rows(http, exchange, inner_ms, start_ms, step_ms // inner_ms)
        ((start, *figures),) = await rows(http, exchange, step_ms, start_ms, 1)
        assert start == start_ms
        assert all(start_ms <= row[0] < start_ms + step_ms for row in inner)
        assert figures[:4] == [inner[0][1], max(row[2] for row in inner), min(row[3] for row in inner), inner[-1][4]]
        assert figures[4] == pytest.approx(sum(row[5] for row in inner))


async def test_rows_and_orders(http: httpx.AsyncClient) -> None:
    """As many rows as each exchange gives, the open one at the newer end, and no row twice."""
    now_ms = wall_ms()
    binance = await ask(http, "/api/v3/klines", **BINANCE, limit=5000)
    assert [row[6] - row[0] for row in binance] == [MINUTE_MS - 1] * 1000
    assert [row[0] for row in binance] == sorted(row[0] for row in binance)
    assert binance[-1][6] > now_ms
    assert len(await ask(http, "/api/v3/klines", **BINANCE)) == 500

    bybit = (await ask(http, "/v5/market/kline", **BYBIT))["result"]
    assert (bybit["category"], bybit["symbol"], len(bybit["list"])) == ("spot", "BTCUSDT", 200)
    starts = [int(row[0]) for row in bybit["list"]]
    assert starts == sorted(starts, reverse=True)
    forwards = await ask(http, "/v5/market/kline", **BYBIT, start=starts[100], limit=3)
    assert [int(row[0]) for row in forwards["result"]["list"]] == starts[98:101]

    okx = (await ask(http, "/api/v5/market/candles", instId="BTC-USDT", limit=999))["data"]
    assert len(okx) == 300
    assert [row[8] for row in okx[:3]] == ["0", "1", "1"]
    older = (await ask(http, "/api/v5/market/candles", instId="BTC-USDT", after=okx[-1][0]))["data"]
    assert (len(older), int(older[0][0])) == (100, int(okx[-1][0]) - MINUTE_MS)
    newer = (await ask(http, "/api/v5/market/candles", instId="BTC-USDT", before=okx[3][0]))["data"]
    assert [row[0] for row in newer] == [row[0] for row in okx[:3]]
    long_ago = now_ms - 2 * DAY_MS
    assert (await ask(http, "/api/v5/market/candles", instId="BTC-USDT", after=long_ago))["data"] == []
    assert len((await ask(http, "/api/v5/market/history-candles", instId="BTC-USDT", after=long_ago))["data"]) == 100
    (in_asia, *_) = (await ask(http, "/api/v5/market/candles", instId="BTC-USDT", bar="1D"))["data"]
    assert int(in_asia[0]) % DAY_MS == 16 * HOUR_MS

    cryptocom = (await ask(http, CRYPTOCOM_PATH, **CRYPTOCOM))["result"]
    assert (cryptocom["interval"], len(cryptocom["data"])) == ("1m", 25)
    assert len((await ask(http, CRYPTOCOM_PATH, **CRYPTOCOM, count=900))["result"]["data"]) == 300
    assert (await ask(http, CRYPTOCOM_PATH, instrument_name="BTC_USD", timeframe="D1"))["result"]["interval"] == "1D"


async def test_kraken_has_720_rows_and_the_open_one_whatever_since_is(http: httpx.AsyncClient) -> None:
    now_s = wall_ms() // 1000
    for since in ({}, {"since": 0}, {"since": now_s * 1_000_000}):
        result = (await ask(http, "/0/public/OHLC", pair="XBTUSD", **since))["result"]
        found = result["XXBTZUSD"]
        assert len(found) == 721
        assert [row[0] for row in found] == list(range(found[0][0], found[0][0] + 721 * 60, 60))
        assert result["last"] == found[-2][0]
    (last,) = (await ask(http, "/0/public/OHLC", pair="BTC/USD", since=now_s, assetVersion=1))["result"]["BTC/USD"]
    assert last[0] == found[-1][0] or last[0] == found[-1][0] + 60
    thin = (await ask(http, "/0/public/OHLC", pair="KSMUSD"))["result"]["KSMUSD"]
    idle = [(before, row) for before, row in pairwise(thin) if row[7] == 0]
    assert idle
    for before, row in idle:
        assert row[1:] == [before[4]] * 4 + ["0.0", "0.00000000", 0]


async def test_coinbase_s_ranges(http: httpx.AsyncClient) -> None:
    """The newest first; both ends of a range inclusive; 301 rows at most; without a range 350; idle minutes are left out."""
    end_s = wall_ms() // MINUTE_MS * 60 - 3600
    most = await ask(http, COINBASE_PATH, granularity=60, start=end_s - 300 * 60, end=end_s)
    assert [row[0] for row in most] == list(range(end_s, end_s - 301 * 60, -60))
    assert all(low <= min(opened, closed) <= max(opened, closed) <= high for _, low, high, opened, closed, _ in most)
    refused = await http.get(COINBASE_PATH, params={"granularity": 60, "start": end_s - 301 * 60, "end": end_s})
    reason = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
    assert (refused.status_code, refused.json()) == (400, {"message": reason})
    assert len(await ask(http, COINBASE_PATH, granularity=60)) == 350
    assert len(await ask(http, COINBASE_PATH, granularity=60, start=end_s)) == 350
    assert await ask(http, COINBASE_PATH, granularity=86400, start="2015-01-01T00:00:00Z", end="2015-02-01T00:00:00Z") == []
    thin = await ask(http, "/products/KSM-USD/candles", granularity=60)
    assert len(thin) == 350
    assert any(newer[0] - older[0] > 60 for newer, older in pairwise(thin))


@pytest.mark.parametrize(
    ("path", "query", "status", "body"),
    [
        ("/api/v3/klines", {**BINANCE, "symbol": "NOPE"}, 400, {"code": -1121, "msg": "Invalid symbol."}),
        ("/api/v3/klines", {**BINANCE, "interval": "7m"}, 400, {"code": -1120, "msg": "Invalid interval."}),
        ("/v5/market/kline", {**BYBIT, "symbol": "NOPE"}, 200, {"retCode": 10001, "retMsg": "Not supported symbols"}),
        ("/v5/market/kline", {**BYBIT, "interval": "7"}, 200, {"retCode": 10001, "retMsg": "Invalid period!"}),
        ("/v5/market/kline", {"symbol": "BTCUSDT"}, 200, {"retCode": 10001}),
        ("/api/v5/market/candles", {"instId": "NOPE-USDT"}, 200, {"code": "51001", "data": []}),
        ("/api/v5/market/candles", {"instId": "BTC-USDT", "bar": "1h"}, 400, {"code": "51000", "data": []}),
        ("/0/public/OHLC", {"pair": "NOPE"}, 200, {"error": ["EQuery:Unknown asset pair"]}),
        ("/0/public/OHLC", {"pair": "XBTUSD", "interval": "7"}, 200, {"error": ["EGeneral:Invalid arguments"]}),
        (CRYPTOCOM_PATH, {**CRYPTOCOM, "instrument_name": "NOPE"}, 400, {"code": 40004}),
        (CRYPTOCOM_PATH, {**CRYPTOCOM, "timeframe": "7m"}, 400, {"code": 40003}),
        ("/products/NOPE-USD/candles", {"granularity": "60"}, 404, {"message": "NotFound"}),
        (COINBASE_PATH, {"granularity": "14400"}, 400, {"message": "Unsupported granularity"}),
    ],
)
async def test_errors(http: httpx.AsyncClient, path: str, query: dict[str, str], status: int, body: dict[str, Any]) -> None:
    answer = await http.get(path, params=query)
    assert answer.status_code == status
    assert body.items() <= answer.json().items()
