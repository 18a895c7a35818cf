"""The candles of the simulated exchanges over real sockets and REST: forms, closing, faults, and agreement with the trades."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import ClientConnection, connect

from simulator import clock
from simulator.app import Running, serving
from simulator.candles import HOUR_MS, MINUTE_MS, Candle
from simulator.engine import Engine
from simulator.market import Listing
from simulator.settings import Settings

WITHIN_S = 60.0
SECONDS_LEFT = 6

BINANCE = ("/ws", {"method": "SUBSCRIBE", "params": ["btcusdt@kline_1m"], "id": 1})
BYBIT = ("/v5/public/spot", {"op": "subscribe", "args": ["kline.1.BTCUSDT"]})
OKX = ("/ws/v5/business", {"op": "subscribe", "args": [{"channel": "candle1m", "instId": "BTC-USDT"}]})
KRAKEN = ("/v2", {"method": "subscribe", "params": {"channel": "ohlc", "symbol": ["BTC/USD"], "interval": 1}, "req_id": 1})
CRYPTOCOM = ("/exchange/v1/market", {"id": 1, "method": "subscribe", "params": {"channels": ["candlestick.1m.BTC_USD"]}})


@pytest.fixture
def _late_in_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a minute end by the simulator's clock some seconds after the test begins."""
    ahead_ns = (MINUTE_MS - SECONDS_LEFT * 1000 - time.time_ns() // 1_000_000 % MINUTE_MS) * 1_000_000
    monkeypatch.setattr(clock, "time", SimpleNamespace(time_ns=lambda: time.time_ns() + ahead_ns))


@pytest.fixture
async def simulator(_late_in_a_minute: None) -> AsyncIterator[Running]:
    async with serving(Settings(port=0, rate=200.0)) as running:
        running.engine.market.focus(["BTC-USDT", "BTC-USD"], evenly=True)
        yield running


@pytest.fixture
async def http(simulator: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{simulator.port}", timeout=30.0) as client:
        yield client


def listing_of(engine: Engine, exchange: Any, symbol: str) -> Listing:
    return next(it for it in engine.exchanges[exchange].listings.values() if it.symbol == symbol)


async def frames(running: Running, place: tuple[str, Any], is_last: Callable[[Any], bool]) -> list[Any]:
    """Return the messages of a subscription until one is the last."""
    path, request = place
    found: list[Any] = []
    async with asyncio.timeout(WITHIN_S), connect(f"ws://127.0.0.1:{running.port}{path}", max_size=None) as socket:
        await socket.send(json.dumps(request))
        while not found or not is_last(found[-1]):
            found.append(json.loads(await socket.recv()))
    return found


async def data(socket: ClientConnection) -> Any:
    async with asyncio.timeout(WITHIN_S):
        return json.loads(await socket.recv())


def true_minute(running: Running, exchange: Any, symbol: str, start_ms: int) -> Candle:
    engine = running.engine
    history, listing = engine.exchanges[exchange].history, listing_of(engine, exchange, symbol)
    (candle,) = [c for block in history.blocks(listing, MINUTE_MS, start_ms, start_ms + 1) for c in block]
    return candle


def figures(candle: Candle) -> list[Any]:
    return [candle.open, candle.high, candle.low, candle.close, pytest.approx(candle.volume)]


async def test_binance_closes_a_candle_before_the_next_begins(simulator: Running) -> None:
    """Frames come each two seconds, the final one 0.2 to 2 s after the minute, and no frame of the next minute before it."""
    found = await frames(simulator, BINANCE, lambda it: it.get("k", {}).get("x"))
    sent = [it for it in found if "k" in it]
    first, last = sent[0], sent[-1]
    assert [it["k"]["t"] for it in sent if not it["k"]["x"]] == [last["k"]["t"]] * (len(sent) - 1)
    assert all(later["E"] - earlier["E"] >= 1900 for earlier, later in pairwise(sent[:-1]))
    assert last["E"] - (last["k"]["T"] + 1) >= 200
    assert first["k"]["n"] <= last["k"]["n"]
    k = last["k"]
    true = true_minute(simulator, "binance", "BTC-USDT", k["t"])
    assert [float(k[name]) for name in "ohlcv"] == figures(true)
    assert k["n"] == true.trades
    assert [float(k["q"]), float(k["V"])] == pytest.approx([true.turnover, true.bought])


async def test_bybit_closes_and_goes_on_in_one_frame(simulator: Running) -> None:
    """The next minute comes with the closed one if it has a trade by then."""
    found = await frames(simulator, BYBIT, lambda it: any(item["confirm"] for item in it.get("data", [])))
    closed, *newer = found[-1]["data"]
    assert {item["start"] for it in found[:-1] for item in it.get("data", [])} == {closed["start"]}
    assert [(item["confirm"], item["start"]) for item in newer] in ([], [(False, closed["start"] + MINUTE_MS)])
    assert closed["end"] == closed["start"] + MINUTE_MS - 1
    true = true_minute(simulator, "bybit", "BTC-USDT", closed["start"])
    assert [float(closed[name]) for name in ("open", "high", "low", "close", "volume")] == figures(true)


async def test_okx_confirms_last(simulator: Running) -> None:
    found = await frames(simulator, OKX, lambda it: "data" in it and it["data"][0][8] == "1")
    row = found[-1]["data"][0]
    assert {it["data"][0][0] for it in found if "data" in it} == {row[0]}
    assert [float(value) for value in row[1:6]] == figures(true_minute(simulator, "okx", "BTC-USDT", int(row[0])))


async def test_okx_has_candles_on_the_business_socket_alone(simulator: Running) -> None:
    for path, channel in (("/ws/v5/public", "candle1m"), ("/ws/v5/business", "tickers")):
        request = {"op": "subscribe", "args": [{"channel": channel, "instId": "BTC-USDT"}]}
        (answer,) = await frames(simulator, (path, request), lambda it: "event" in it)
        assert (answer["event"], answer["code"]) == ("error", "60018")


async def test_kraken_never_sends_a_closed_candle_again(simulator: Running) -> None:
    """A snapshot of past minutes, then the current minute at each trade, until the next one begins. Nothing closes a candle."""
    begun: list[str] = []

    def is_next_minute(message: Any) -> bool:
        if message.get("channel") != "ohlc" or message["type"] != "update":
            return False
        begun.append(message["data"][0]["interval_begin"])
        return len(set(begun)) == 2

    found = await frames(simulator, KRAKEN, is_next_minute)
    (ack,) = [it for it in found if it.get("method") == "subscribe"]
    assert ack["result"]["warnings"] == ["timestamp is deprecated, use interval_begin"]
    sent = [it for it in found if it.get("channel") == "ohlc"]
    begins = [item["interval_begin"] for item in sent[0]["data"]]
    assert sent[0]["type"] == "snapshot"
    assert 2 <= len(begins) <= 10
    assert begins == sorted(set(begins))
    assert begun == sorted(begun)
    (last,) = sent[-2]["data"]
    start_ms = clock.wall_ms() // MINUTE_MS * MINUTE_MS - MINUTE_MS
    true = true_minute(simulator, "kraken", "BTC-USD", start_ms)
    assert [last[name] for name in ("open", "high", "low", "close", "volume")] == figures(true)
    assert last["trades"] == true.trades


@pytest.mark.parametrize("bare", [False, True])
async def test_cryptocom_begins_with_300_candles(simulator: Running, http: httpx.AsyncClient, bare: bool) -> None:
    if bare:
        await inject(http, exchange="cryptocom", kind="bare_ack")
    request = {"id": 7, "method": "subscribe", "params": {"channels": ["candlestick.M1.BTC_USD"]}}
    found = await frames(simulator, (CRYPTOCOM[0], request), lambda it: len(it.get("result", {}).get("data", [])) == 1)
    if bare:
        assert found.pop(0) == {"id": 7, "method": "subscribe", "code": 0, "channel": "candlestick.1m.BTC_USD"}
    first = found[0]
    assert first["id"] == (-1 if bare else 7)
    starts = [row["t"] for row in first["result"]["data"]]
    assert 290 <= len(starts) <= 300
    assert starts == sorted(set(starts))
    assert all(row["t"] <= row["ut"] < row["t"] + MINUTE_MS for row in first["result"]["data"])
    assert found[-1]["result"]["subscription"] == "candlestick.1m.BTC_USD"


async def test_cryptocom_sends_the_last_state_of_a_minute(simulator: Running) -> None:
    """The last row of a minute is complete, although nothing says so: its next row is of the next minute."""
    starts: list[int] = []

    def is_next_minute(message: Any) -> bool:
        rows = message.get("result", {}).get("data", [])
        starts.extend(row["t"] for row in rows[-2:])
        return len(starts) > 2 and starts[-1] > starts[1]

    found = await frames(simulator, CRYPTOCOM, is_next_minute)
    rows = [row for it in found if "result" in it for row in it["result"]["data"]]
    closed = [row for row in rows if row["t"] == starts[-1] - MINUTE_MS][-1]
    true = true_minute(simulator, "cryptocom", "BTC-USD", closed["t"])
    assert [float(closed[name]) for name in "ohlcv"] == figures(true)


@pytest.mark.usefixtures("_late_in_a_minute")
async def test_coinbase_s_matches_make_the_candle_that_rest_returns() -> None:
    """All trades of a minute, as sent on the socket, add up to the row of that minute."""
    request = {"type": "subscribe", "product_ids": ["BTC-USD"], "channels": ["matches"]}
    matches: list[Any] = []
    async with asyncio.timeout(WITHIN_S), serving(Settings(port=0, rate=0.0)) as running:
        running.engine.market.focus(["BTC-USD"])
        async with connect(f"ws://127.0.0.1:{running.port}/") as socket:
            await socket.send(json.dumps(request))
            while json.loads(await socket.recv())["type"] != "subscriptions":
                pass
            running.engine.rate = 200.0  # no trade happened before
            while not matches or matches[-1]["time"][:16] == matches[0]["time"][:16]:
                match = json.loads(await socket.recv())
                if match["type"] == "match":
                    matches.append(match)
        minute, prices = matches[0]["time"][:16], [float(it["price"]) for it in matches[:-1]]
        asked: dict[str, Any] = {"granularity": 60, "start": f"{minute}:00Z", "end": f"{minute}:00Z"}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=30.0) as http:
            (row,) = (await http.get("/products/BTC-USD/candles", params=asked)).json()
    assert row[1:5] == [min(prices), max(prices), prices[0], prices[-1]]
    assert row[5] == pytest.approx(sum(float(it["size"]) for it in matches[:-1]))


async def inject(http: httpx.AsyncClient, **fault: Any) -> None:
    answer = await http.post("/control/faults", json=fault)
    assert answer.status_code == 200, answer.text


async def test_a_candle_is_never_closed_or_closed_twice(simulator: Running, http: httpx.AsyncClient) -> None:
    await inject(http, exchange="okx", kind="never_closed", symbol="BTC-USDT")
    await inject(http, exchange="bybit", kind="closed_twice", symbol="BTC-USDT")

    async def unclosed() -> list[Any]:
        started_ms = clock.wall_ms()
        return await frames(
            simulator, OKX, lambda it: "data" in it and int(it["data"][0][0]) > started_ms - started_ms % MINUTE_MS
        )

    async def twice() -> list[Any]:
        closed: list[Any] = []

        def is_second(message: Any) -> bool:
            closed.extend(item for item in message.get("data", []) if item["confirm"])
            return len(closed) == 2

        await frames(simulator, BYBIT, is_second)
        return closed

    of_okx, (one, other) = await asyncio.gather(unclosed(), twice())
    assert {row[8] for it in of_okx for row in it.get("data", [])} == {"0"}
    assert {**one, "timestamp": 0} == {**other, "timestamp": 0}


async def test_a_correction_reaches_rest_and_on_demand_the_socket(simulator: Running, http: httpx.AsyncClient) -> None:
    asked = {"category": "spot", "symbol": "BTCUSDT", "interval": "1", "limit": "5"}
    async with connect(f"ws://127.0.0.1:{simulator.port}{BYBIT[0]}") as socket:
        await socket.send(json.dumps(BYBIT[1]))
        before = (await http.get("/v5/market/kline", params=asked)).json()["result"]["list"]
        await inject(http, exchange="bybit", kind="correct_candle", symbol="BTC-USDT", ago=1, push=True)
        after = (await http.get("/v5/market/kline", params=asked)).json()["result"]["list"]
        # The row of an idle minute changes too, but has no volume.
        ((was, changed),) = [
            (old, new) for old in before[1:] for new in after if old[0] == new[0] and float(old[5]) < float(new[5])
        ]
        assert float(changed[2]) > float(was[2])
        while True:
            items = (await data(socket)).get("data", [])
            if items and items[0]["confirm"]:
                break
    assert [str(items[0][name]) for name in ("start", "open", "high", "low", "close", "volume", "turnover")] == changed


@pytest.mark.parametrize("status", [403, 418, 429])
async def test_the_candles_alone_are_refused(simulator: Running, http: httpx.AsyncClient, status: int) -> None:
    del simulator
    await inject(http, exchange="binance", kind="refuse", status=status, only="candles", retry_after_s=3)
    refused = await http.get("/api/v3/klines", params={"symbol": "BTCUSDT", "interval": "1m"})
    assert (refused.status_code, refused.headers["Retry-After"]) == (status, "3")
    assert (await http.get("/api/v3/ticker/24hr", params={"symbol": "BTCUSDT"})).status_code == 200
    assert (await http.get("/products/BTC-USD/candles")).status_code == 200


async def test_rest_returns_few_or_old_candles(simulator: Running, http: httpx.AsyncClient) -> None:
    asked = {"symbol": "BTCUSDT", "interval": "1m", "limit": "10"}
    del simulator
    await inject(http, exchange="binance", kind="few_candles", rows=4)
    assert len((await http.get("/api/v3/klines", params=asked)).json()) == 4
    await http.delete("/control/faults")
    await inject(http, exchange="binance", kind="old_candles", age_s=300, symbol="BTC-USDT")
    rows = (await http.get("/api/v3/klines", params=asked)).json()
    assert rows[-1][0] <= clock.wall_ms() - 300_000
    assert 4 <= len(rows) <= 6


async def test_a_spike_is_also_in_the_candles(simulator: Running, http: httpx.AsyncClient) -> None:
    await inject(http, exchange="okx", kind="spike", factor=2.0)
    found = await frames(simulator, OKX, lambda it: "data" in it)
    assert float(found[-1]["data"][0][4]) > 100_000
    rows = (await http.get("/api/v5/market/candles", params={"instId": "BTC-USDT"})).json()["data"]
    assert float(rows[-1][4]) > 100_000


@pytest.mark.parametrize("place", [BINANCE, BYBIT, OKX, KRAKEN, CRYPTOCOM])
async def test_garbage_and_empty_figures(simulator: Running, http: httpx.AsyncClient, place: tuple[str, Any]) -> None:
    """Each variety can be made of each exchange's candles."""
    await inject(http, exchange="*", kind="garbage")
    await inject(http, exchange="*", kind="empty")
    path, request = place
    async with connect(f"ws://127.0.0.1:{simulator.port}{path}", max_size=None) as socket:
        await socket.send(json.dumps(request))
        for exchange in simulator.engine.exchanges.values():
            exchange.publisher.pacing = False
        async with asyncio.timeout(WITHIN_S):
            received = [await socket.recv() for _ in range(60)]
    assert len(set(received)) > 20


async def test_control_tells_the_true_candles(simulator: Running, http: httpx.AsyncClient) -> None:
    asked: dict[str, Any] = {"exchange": "kraken", "symbol": "BTC-USD", "limit": 10}
    answer = (await http.get("/control/candles", params=asked)).json()
    assert 5 <= len(answer["candles"]) <= 10
    for row in answer["candles"][:-1]:
        assert row["closed"]
        true = true_minute(simulator, "kraken", "BTC-USD", row["start_ms"])
        assert row == true._asdict() | {"closed": True}
    before = {**asked, "interval": "1h", "before": answer["candles"][0]["start_ms"] - HOUR_MS}
    hours = (await http.get("/control/candles", params=before)).json()["candles"]
    assert len(hours) == 10
    assert all(row["start_ms"] < before["before"] for row in hours)


@pytest.mark.parametrize(
    "wrong",
    [
        {"exchange": "nope", "symbol": "BTC-USD"},
        {"exchange": "kraken", "symbol": "NOPE-USD"},
        {"exchange": "kraken"},
        {"exchange": "kraken", "symbol": "BTC-USD", "interval": "2m"},
        {"exchange": "kraken", "symbol": "BTC-USD", "limit": "1501"},
    ],
)
async def test_control_refuses_what_has_no_candles(simulator: Running, http: httpx.AsyncClient, wrong: dict[str, str]) -> None:
    del simulator
    answer = await http.get("/control/candles", params=wrong)
    assert (answer.status_code, len(answer.json()["errors"])) == (422, 1)
