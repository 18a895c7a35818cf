"""ccxt, an independent exchange client, works with the simulator as with the real exchanges."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from ccxt import pro

from simulator.app import Running
from simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS
from simulator.catalogue import ExchangeName
from simulator.clock import wall_ms
from support.lively import lively

PRICES = {"BTC/USDT": (50_000, 80_000), "PEPE/USDT": (0.000005, 0.00003), "ETH/BTC": (0.03, 0.07)}
IN_USD = {"BTC/USD": (50_000, 80_000)}
WITHIN_S = 20.0


@pytest.fixture
async def simulator() -> AsyncIterator[Running]:
    async with lively() as running:
        yield running


def aimed_at(running: Running, name: str) -> Any:
    """Return ccxt's client of an exchange, with the simulator's URLs in the place of all URLs that it needs."""
    rest, ws = f"http://127.0.0.1:{running.port}", f"ws://127.0.0.1:{running.port}"
    client = getattr(pro, name)({"newUpdates": True, "enableRateLimit": False})
    match name:
        case "binance":
            client.urls["api"]["public"] = f"{rest}/api/v3"
            client.urls["api"]["ws"]["spot"] = f"{ws}/ws"
            client.options |= {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}, "fetchMargins": False}
        case "coinbaseexchange":
            client.urls["api"]["public"] = rest
            client.urls["api"]["ws"] = f"{ws}/"
        case "bybit":
            client.urls["api"]["public"] = rest
            client.urls["api"]["ws"]["public"]["spot"] = f"{ws}/v5/public/spot"
            client.options |= {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}
        case "okx":
            client.urls["api"]["rest"] = rest
            client.urls["api"]["ws"] = f"{ws}/ws/v5"
            client.options |= {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}
        case "kraken":
            client.urls["api"]["public"] = rest
            client.urls["api"]["ws"]["publicV2"] = f"{ws}/v2"
            client.has["fetchCurrencies"] = False
        case "cryptocom":
            client.urls["api"]["v1"] = f"{rest}/exchange/v1"
            client.urls["api"]["ws"]["public"] = f"{ws}/exchange/v1/market"
    return client


def assert_sane(ticker: dict[str, Any], symbol: str) -> None:
    lowest, highest = (PRICES | IN_USD)[symbol]
    assert ticker["symbol"] == symbol
    assert lowest < ticker["low"] <= ticker["open"] <= ticker["high"] < highest
    assert ticker["low"] <= ticker["last"] <= ticker["high"]
    assert ticker["low"] <= ticker["quoteVolume"] / ticker["baseVolume"] <= ticker["high"]
    assert ticker["percentage"] == pytest.approx((ticker["last"] / ticker["open"] - 1) * 100, abs=0.01)


@pytest.mark.parametrize("name", ["binance", "bybit", "okx"])
async def test_ccxt_reads_an_exchange(simulator: Running, name: str) -> None:
    """Markets, tickers, trades and best quotes arrive over REST and WebSocket with the right values."""
    client = aimed_at(simulator, name)
    try:
        async with asyncio.timeout(WITHIN_S):
            markets = await client.load_markets()
            assert len(markets) >= 300
            assert markets["BTC/USDT"]["precision"]["price"] == (0.01 if name == "binance" else 0.1)

            for symbol in PRICES:
                assert_sane(await client.fetch_ticker(symbol), symbol)
            ticker = await client.watch_ticker("BTC/USDT")
            assert_sane(ticker, "BTC/USDT")
            assert abs(ticker["timestamp"] - client.milliseconds()) < 60_000

            for trade in await client.watch_trades("BTC/USDT"):
                assert trade["side"] in {"buy", "sell"}
                assert PRICES["BTC/USDT"][0] < trade["price"] < PRICES["BTC/USDT"][1]
                assert trade["amount"] > 0

            best = (await client.watch_bids_asks(["BTC/USDT"]))["BTC/USDT"]
            assert 0 < best["ask"] - best["bid"] < best["bid"] * 0.001
    finally:
        await client.close()


async def test_ccxt_reads_coinbase(simulator: Running) -> None:
    """Its REST ticker is in two parts, and has no turnover."""
    client = aimed_at(simulator, "coinbaseexchange")
    lowest, highest = PRICES["BTC/USDT"]
    try:
        async with asyncio.timeout(WITHIN_S):
            markets = await client.load_markets()
            assert len(markets) >= 300
            assert markets["BTC/USD"]["precision"]["price"] == 0.01
            assert (markets["BTC/USD"]["active"], markets["EOS/USD"]["active"]) == (True, False)

            last = await client.fetch_ticker("BTC/USD")
            assert lowest < last["bid"] < last["ask"] < highest
            client.options["fetchTickerMethod"] = "publicGetProductsIdStats"
            stats = await client.fetch_ticker("BTC/USD")
            assert lowest < stats["low"] <= stats["open"] <= stats["high"] < highest

            ticker = await client.watch_ticker("BTC/USD")
            assert lowest < ticker["low"] <= ticker["last"] <= ticker["high"] < highest
            assert ticker["low"] <= ticker["open"] <= ticker["high"]
            assert ticker["baseVolume"] > 0
            assert abs(ticker["timestamp"] - client.milliseconds()) < 60_000

            for trade in await client.watch_trades("BTC/USD"):
                assert trade["side"] in {"buy", "sell"}
                assert lowest < trade["price"] < highest
                assert trade["amount"] > 0
    finally:
        await client.close()


@pytest.mark.parametrize(("name", "levels"), [("bybit", 1), ("okx", 1), ("okx", 5)])
async def test_ccxt_follows_an_order_book(simulator: Running, name: str, levels: int) -> None:
    """A book with this number of levels arrives, sorted, with bids below asks."""
    client = aimed_at(simulator, name)
    try:
        async with asyncio.timeout(WITHIN_S):
            book = await client.watch_order_book("ETH/USDT", levels)
    finally:
        await client.close()
    assert len(book["bids"]) == len(book["asks"]) == levels
    prices = [level[0] for level in reversed(book["bids"])] + [level[0] for level in book["asks"]]
    assert prices == sorted(set(prices))


@pytest.mark.parametrize("name", ["kraken", "cryptocom"])
async def test_ccxt_reads_an_exchange_that_trades_in_usd(simulator: Running, name: str) -> None:
    """Markets, tickers, trades and best quotes of BTC-USD arrive, and the price of USDT."""
    # ccxt subscribes to Kraken's tickers once more for the best quotes, which Kraken refuses on the same socket.
    client, further = aimed_at(simulator, name), aimed_at(simulator, name)
    try:
        async with asyncio.timeout(WITHIN_S):
            markets = await client.load_markets()
            assert len(markets) >= 300
            assert {"BTC/USD", "BTC/USDT", "USDT/USD", "DOGE/USD", "ETH/BTC"} <= markets.keys()
            assert markets["BTC/USD"]["precision"]["price"] == (0.1 if name == "kraken" else 0.01)

            rest = await client.fetch_ticker("USDT/USD")
            assert 0.99 < rest["low"] <= rest["last"] <= rest["high"] < 1.01
            ticker = await client.watch_ticker("BTC/USD")
            # ccxt takes Crypto.com's change for a percentage, also in messages of the real exchange. So its open is wrong, but sane.
            assert_sane(ticker, "BTC/USD")

            for trade in await client.watch_trades("BTC/USD"):
                assert trade["side"] in {"buy", "sell"}
                assert IN_USD["BTC/USD"][0] < trade["price"] < IN_USD["BTC/USD"][1]
                assert abs(trade["timestamp"] - client.milliseconds()) < 60_000

            best = await further.watch_ticker("BTC/USD", {"event_trigger": "bbo"} if name == "kraken" else {})
            assert 0 < best["ask"] - best["bid"] < best["bid"] * 0.001
    finally:
        await client.close()
        await further.close()


def true_candles(running: Running, exchange: ExchangeName, symbol: str, step_ms: int, since_ms: int) -> dict[int, list[Any]]:
    """Return what the simulator says of its market: the candles from a moment on, by their start."""
    played = running.engine.exchanges[exchange]
    listing = next(it for it in played.listings.values() if it.symbol == symbol)
    found = [candle for block in played.history.blocks(listing, step_ms, since_ms, wall_ms() + 1) for candle in block]
    return {it.start_ms: [it.open, it.high, it.low, it.close, pytest.approx(it.volume, rel=1e-6)] for it in found}


@pytest.mark.parametrize(
    ("name", "exchange", "symbol"),
    [
        ("binance", "binance", "BTC/USDT"),
        ("bybit", "bybit", "BTC/USDT"),
        ("okx", "okx", "BTC/USDT"),
        ("kraken", "kraken", "BTC/USD"),
        ("cryptocom", "cryptocom", "BTC/USD"),
        ("coinbaseexchange", "coinbase", "BTC/USD"),
    ],
)
async def test_ccxt_reads_past_candles(simulator: Running, name: str, exchange: ExchangeName, symbol: str) -> None:
    """Minutes, hours and days of UTC equal those of the market, except the open one, which may have changed since."""
    client = aimed_at(simulator, name)
    try:
        async with asyncio.timeout(3 * WITHIN_S):
            await client.load_markets()
            for timeframe, step_ms in (("1m", MINUTE_MS), ("1h", HOUR_MS), ("1d", DAY_MS)):
                since_ms = (wall_ms() // step_ms - 20) * step_ms
                rows = await client.fetch_ohlcv(symbol, timeframe, since_ms, 25)
                true = true_candles(simulator, exchange, symbol.replace("/", "-"), step_ms, since_ms)
                closed = [row for row in rows if row[0] in true and row[0] + step_ms <= wall_ms() - 1000]
                assert len(closed) >= 15
                for start_ms, *figures in closed[:-1]:
                    assert figures == true[start_ms]
    finally:
        await client.close()


@pytest.mark.parametrize(
    ("name", "exchange", "symbol"),
    [
        ("binance", "binance", "BTC/USDT"),
        ("bybit", "bybit", "BTC/USDT"),
        ("okx", "okx", "BTC/USDT"),
        ("kraken", "kraken", "BTC/USD"),
        ("cryptocom", "cryptocom", "BTC/USD"),
    ],
)
async def test_ccxt_watches_candles(simulator: Running, name: str, exchange: ExchangeName, symbol: str) -> None:
    """The open candle of each message is a state of the market's own: the same open, and no more than is now in it."""
    client = aimed_at(simulator, name)
    try:
        async with asyncio.timeout(3 * WITHIN_S):
            await client.load_markets()
            for _ in range(3):
                (*_, (start_ms, *figures)) = await client.watch_ohlcv(symbol, "1m")
                opened, high, low, close, volume = map(float, figures)  # ccxt leaves those of Kraken as texts
                true = true_candles(simulator, exchange, symbol.replace("/", "-"), MINUTE_MS, start_ms)[start_ms]
                assert opened == true[0]
                assert true[2] <= low <= close <= high <= true[1]
                assert 0 < volume <= true[4].expected * (1 + 1e-6)
    finally:
        await client.close()
