"""Compares every message with a recorded one of the real exchange: same keys in the same order, same types and spelling."""

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from simulator.app import VENUES
from simulator.binance import frames as binance
from simulator.bybit import frames as bybit
from simulator.coinbase import frames as coinbase
from simulator.market import Listing, Market
from simulator.okx import frames as okx

NOW_MS = 1_786_538_789_464
MARKET = Market(1, NOW_MS, VENUES)

BINANCE_TICKER = """{"e":"24hrTicker","E":1653812650349,"s":"ETHUSDT","p":"28.23000000","P":"1.600","w":"1781.16275609",
"x":"1764.61000000","c":"1792.84000000","Q":"0.55720000","b":"1792.83000000","B":"1.62740000","a":"1792.84000000",
"A":"20.29140000","o":"1764.61000000","h":"1808.98000000","l":"1748.94000000","v":"471703.53110000",
"q":"840180761.51358100","O":1653726250344,"C":1653812650344,"F":841094172,"L":841646650,"n":552479}"""
BINANCE_BOOK = """{"u":98494969448,"s":"BTCUSDT","b":"63704.00000000","B":"4.77471000","a":"63704.01000000",
"A":"11.33198000"}"""
BYBIT_TICKER = """{"topic":"tickers.BTCUSDT","ts":1786538729776,"type":"snapshot","cs":112571857121,"data":{
"symbol":"BTCUSDT","lastPrice":"64057.7","highPrice24h":"64500","lowPrice24h":"63232.1","prevPrice24h":"64326.9",
"volume24h":"7217.990977","turnover24h":"460629823.77866687","price24hPcnt":"-0.0042","usdIndexPrice":"63989.741059"}}"""
BYBIT_BOOK = """{"topic":"orderbook.1.BTCUSDT","ts":1786613159749,"type":"snapshot","data":{"s":"BTCUSDT",
"b":[["63705.3","2.045546"]],"a":[["63705.4","2.334566"]],"u":72212457,"seq":112603120278},"cts":1786613159748}"""
BYBIT_TRADE = """{"topic":"publicTrade.BTCUSDT","ts":1786538700835,"type":"snapshot","data":[{"i":"2290000001190010739",
"T":1786538700833,"p":"64104.5","v":"0.00325","S":"Sell","seq":112571834644,"s":"BTCUSDT","BT":false,"RPI":false}]}"""
OKX_TICKER = """{"arg":{"channel":"tickers","instId":"BTC-USDT"},"data":[{"instType":"SPOT","instId":"BTC-USDT",
"last":"64028.6","lastSz":"0.0011553","askPx":"64028.7","askSz":"2.31126955","bidPx":"64028.6","bidSz":"0.00503393",
"open24h":"64324","high24h":"64496.9","low24h":"63237.6","sodUtc0":"63589.4","sodUtc8":"63606.7",
"volCcy24h":"374703695.177360964","vol24h":"5874.19398956","ts":"1786538789464"}]}"""
OKX_TRADE = """{"arg":{"channel":"trades","instId":"BTC-USDT"},"data":[{"instId":"BTC-USDT","tradeId":"1040968613",
"px":"64040.2","sz":"0.00240857","side":"buy","ts":"1786538760218","count":"2","source":"0","seqId":79706765242}]}"""
COINBASE_TICKER = """{"type":"ticker","sequence":135557035414,"product_id":"BTC-USD","price":"81228.94",
"open_24h":"77026.99","volume_24h":"10973.39542777","low_24h":"76929.29","high_24h":"82283","volume_30d":"210811.57557364",
"best_bid":"81222.50","best_bid_size":"0.00000091","best_ask":"81228.97","best_ask_size":"0.16229192","side":"sell",
"time":"2026-09-04T00:21:02.905270Z","trade_id":1088490716,"last_size":"0.013388"}"""
COINBASE_HEARTBEAT = """{"type":"heartbeat","sequence":90,"last_trade_id":20,"product_id":"BTC-USD",
"time":"2014-11-07T08:19:28.464459Z"}"""
COINBASE_PRODUCT = """{"id":"DOGE-BTC","base_currency":"DOGE","quote_currency":"BTC","quote_increment":"0.00000001",
"base_increment":"0.1","display_name":"DOGE-BTC","min_market_funds":"0.000016","margin_enabled":false,"post_only":false,
"limit_only":false,"cancel_only":false,"status":"online","status_message":"","trading_disabled":false,"fx_stablecoin":false,
"max_slippage_percentage":"0.03000000","auction_mode":false,"high_bid_limit_percentage":""}"""
COINBASE_LAST = """{"ask":"73369.19","bid":"73360.34","volume":"1207.50668151","trade_id":18502105,"price":"73367.8",
"size":"0.00730812","time":"2024-03-13T11:10:41.270099Z","rfq_volume":"7.669923"}"""
COINBASE_STATS = """{"open":"84927.78","high":"85562.07","low":"83217.26","last":"83233.97","volume":"8043.06336134",
"volume_30day":"336320.45431582","rfq_volume_24hour":"40.724795","rfq_volume_30day":"3146.264482"}"""
OKX_BEST = """{"arg":{"channel":"bbo-tbt","instId":"BTC-USDT"},"data":[{"asks":[["111.06","55154","0","2"]],
"bids":[["111.05","57745","0","2"]],"ts":"1670324386802","seqId":363996337}]}"""


def shape(value: Any) -> Any:
    """Return the shape of a message: keys in order, types, and the spelling of numbers in strings."""
    match value:
        case dict():
            return [(key, shape(inner)) for key, inner in value.items()]
        case list():
            return [shape(inner) for inner in value]
        case str() if re.fullmatch(r"-?\d+\.\d{8}", value):
            return "a number"
        case str() if re.fullmatch(r"-?\d+(\.\d*[1-9])?|-?\d+\.\d{3}", value):
            return "a number"
        case _:
            return type(value).__name__


@pytest.mark.parametrize(
    ("build", "listing", "recorded"),
    [
        pytest.param(binance.ticker, MARKET.of("binance")["BTCUSDT"], BINANCE_TICKER, id="binance @ticker"),
        pytest.param(binance.book_ticker, MARKET.of("binance")["BTCUSDT"], BINANCE_BOOK, id="binance @bookTicker"),
        pytest.param(bybit.ticker, MARKET.of("bybit")["BTCUSDT"], BYBIT_TICKER, id="bybit tickers"),
        pytest.param(bybit.level1, MARKET.of("bybit")["BTCUSDT"], BYBIT_BOOK, id="bybit orderbook.1"),
        pytest.param(bybit.trade, MARKET.of("bybit")["BTCUSDT"], BYBIT_TRADE, id="bybit publicTrade"),
        pytest.param(okx.CHANNELS[0].build, MARKET.of("okx")["BTC-USDT"], OKX_TICKER, id="okx tickers"),
        pytest.param(okx.CHANNELS[1].build, MARKET.of("okx")["BTC-USDT"], OKX_TRADE, id="okx trades"),
        pytest.param(okx.CHANNELS[2].build, MARKET.of("okx")["BTC-USDT"], OKX_BEST, id="okx bbo-tbt"),
    ],
)
def test_a_message_looks_like_a_recorded_one(
    build: Callable[[Listing, int], dict[str, Any]], listing: Listing, recorded: str
) -> None:
    assert shape(build(listing, NOW_MS)) == shape(json.loads(recorded))


@pytest.mark.parametrize(
    ("built", "recorded"),
    [
        pytest.param(coinbase.ticker(MARKET.of("coinbase")["BTC-USD"], 0), COINBASE_TICKER, id="ticker"),
        pytest.param(coinbase.heartbeat(MARKET.of("coinbase")["BTC-USD"], NOW_MS), COINBASE_HEARTBEAT, id="heartbeat"),
        pytest.param(coinbase.product_row(MARKET.of("coinbase")["ETH-BTC"], "ETH-BTC", "BTC"), COINBASE_PRODUCT, id="product"),
        pytest.param(coinbase.ticker_row(MARKET.of("coinbase")["BTC-USD"], 0), COINBASE_LAST, id="REST ticker"),
        pytest.param(coinbase.stats_row(MARKET.of("coinbase")["BTC-USD"]), COINBASE_STATS, id="stats"),
    ],
)
def test_a_message_of_coinbase_looks_like_a_recorded_one(built: dict[str, Any], recorded: str) -> None:
    def kinds(message: dict[str, Any]) -> list[tuple[str, str]]:
        """Return the members in order, with their types. Some figures have trailing zeros, others have not."""
        return [
            (name, "a number" if re.fullmatch(r"\d+(\.\d+)?", str(value)) and type(value) is str else type(value).__name__)
            for name, value in message.items()
        ]

    assert kinds(built) == kinds(json.loads(recorded))


def test_binance_change_is_in_percent_and_bybit_s_is_a_fraction() -> None:
    event = binance.ticker(MARKET.of("binance")["BTCUSDT"], NOW_MS)
    opened, last = float(event["o"]), float(event["c"])
    assert float(event["P"]) == pytest.approx((last - opened) / opened * 100, abs=0.0006)
    assert float(event["p"]) == pytest.approx(last - opened, abs=1e-7)
    assert event["C"] - event["O"] == 86_400_000
    assert event["L"] - event["F"] + 1 == event["n"]
    data = bybit.ticker(MARKET.of("bybit")["BTCUSDT"], NOW_MS)["data"]
    opened, last = float(data["prevPrice24h"]), float(data["lastPrice"])
    assert float(data["price24hPcnt"]) == pytest.approx((last - opened) / opened, abs=0.00006)


def test_only_collateral_has_an_index_on_bybit() -> None:
    listings = MARKET.of("bybit")
    assert bybit.ticker(listings["PEPEUSDT"], NOW_MS)["data"]["usdIndexPrice"] == ""
    assert bybit.ticker(listings["BTCUSDT"], NOW_MS)["data"]["usdIndexPrice"] != ""


@pytest.mark.parametrize(
    ("row", "listing", "tick"),
    [
        (binance.symbol_row, MARKET.of("binance")["BTCUSDT"], "0.01000000"),
        (binance.symbol_row, MARKET.of("binance")["PEPEUSDT"], "0.00000001"),
        (bybit.instrument_row, MARKET.of("bybit")["BTCUSDT"], "0.1"),
        (bybit.instrument_row, MARKET.of("bybit")["PEPEUSDT"], "0.000000001"),
        (okx.instrument_row, MARKET.of("okx")["BTC-USDT"], "0.1"),
        pytest.param(okx.instrument_row, MARKET.of("okx")["VANA-USDT"], "", id="not open yet"),
    ],
)
def test_tick_sizes(row: Callable[[Listing], dict[str, Any]], listing: Listing, tick: str) -> None:
    found = row(listing)
    match listing.exchange:
        case "binance":
            assert found["filters"][0]["tickSize"] == tick
        case "bybit":
            assert found["priceFilter"]["tickSize"] == tick
        case _:
            assert found["tickSz"] == tick


def test_rest_rows_of_binance() -> None:
    full = binance.full_row(MARKET.of("binance")["BTCUSDT"], NOW_MS)
    assert list(full) == [
        "symbol",
        "priceChange",
        "priceChangePercent",
        "weightedAvgPrice",
        "prevClosePrice",
        "lastPrice",
        "lastQty",
        "bidPrice",
        "bidQty",
        "askPrice",
        "askQty",
        "openPrice",
        "highPrice",
        "lowPrice",
        "volume",
        "quoteVolume",
        "openTime",
        "closeTime",
        "firstId",
        "lastId",
        "count",
    ]
    mini = binance.mini_row(MARKET.of("binance")["BTCUSDT"], NOW_MS)
    assert set(full) - set(mini) == {
        *("priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastQty"),
        *("bidPrice", "bidQty", "askPrice", "askQty"),
    }
