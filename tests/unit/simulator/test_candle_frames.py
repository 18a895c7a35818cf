"""Each exchange's candles beside recorded ones: same keys in the same order, same types and spelling."""

import json
import re
from typing import Any

import pytest

from simulator.app import VENUES
from simulator.binance import candles as binance
from simulator.binance.frames import CHANNELS as BINANCE_CHANNELS
from simulator.bybit import candles as bybit
from simulator.candles import MINUTE_MS, Candle
from simulator.coinbase import candles as coinbase
from simulator.cryptocom import candles as cryptocom
from simulator.garble import VARIETIES, garble, row_of
from simulator.kraken import candles as kraken
from simulator.market import Listing, Market
from simulator.okx import candles as okx
from simulator.topic import Channel
from simulator.wire import encode

NOW_MS = 1_786_538_789_464
START_MS = NOW_MS - NOW_MS % MINUTE_MS
MARKET = Market(1, NOW_MS, VENUES)
BINANCE, BYBIT, OKX = MARKET.of("binance")["BTCUSDT"], MARKET.of("bybit")["BTCUSDT"], MARKET.of("okx")["BTC-USDT"]
KRAKEN, CRYPTOCOM = MARKET.of("kraken")["BTC/USD"], MARKET.of("cryptocom")["BTC_USD"]
for _each in (BINANCE, BYBIT, OKX, KRAKEN, CRYPTOCOM):
    for _number in range(7):
        MARKET.step(_each, NOW_MS + _number, traded=True)
IDLE = Candle(START_MS, 64_000.5, 64_000.5, 64_000.5, 64_000.5, 0.0, 0.0, 0, 0.0)

BINANCE_KLINE = """{"e":"kline","E":1791142274032,"s":"BTCUSDT","k":{"t":1791142260000,"T":1791142319999,"s":"BTCUSDT","i":"1m",
"f":6734731469,"L":6734731522,"o":"85462.50000000","c":"85462.50000000","h":"85462.50000000","l":"85462.49000000",
"v":"0.29537000","n":54,"x":false,"q":"25243.05602030","V":"0.03490000","Q":"2982.64125000","B":"0"}}"""
BINANCE_ROW = """[1791142140000,"85466.00000000","85466.01000000","85462.49000000","85462.50000000","0.81900000",1791142199999,
"69996.12071080",236,"0.23085000","19729.73114640","0"]"""
BYBIT_KLINE = """{"type":"snapshot","topic":"kline.1.BTCUSDT","data":[{"start":1786540380000,"end":1786540439999,"interval":"1",
"open":"63975","close":"63971.2","high":"63975","low":"63971.2","volume":"0.329","turnover":"21047.0079","confirm":false,
"timestamp":1786540381441}],"ts":1786540381441}"""
BYBIT_ROW = '["1786540380000","63975","63975.5","63971.2","63971.2","0.329","21047.0079"]'
OKX_CANDLE = """{"arg":{"channel":"candle1m","instId":"BTC-USDT"},"data":[["1786538760000","64040.2","64040.2","64025.7",
"64033.5","2.16787395","138825.265446816","138825.265446816","0"]]}"""
KRAKEN_SNAPSHOT = """{"channel":"ohlc","type":"snapshot","timestamp":"2026-08-12T19:28:43.952985558Z","data":[{"symbol":"BTC/USD",
"open":63364.9,"high":63364.9,"low":63345.1,"close":63345.1,"trades":44,"volume":0.60431785,"vwap":63361.3,
"interval_begin":"2026-08-12T19:20:00.000000000Z","interval":1,"timestamp":"2026-08-12T19:21:00.000000Z"}]}"""
KRAKEN_UPDATE = """{"channel":"ohlc","type":"update","data":[{"symbol":"BTC/USD","open":82624.1,"high":82681.9,"low":82596.6,
"close":82621.6,"trades":505,"volume":2.02938487,"vwap":82643.9,"interval_begin":"2026-10-09T17:40:00.000000000Z","interval":1,
"timestamp":"2026-10-09T17:45:00.000000Z"}]}"""
KRAKEN_ROW = '[1790208000,"84384.5","84914.8","82832.3","84380.0","84060.4","3362.85864323",139286]'
KRAKEN_IDLE_ROW = '[1762777020,"106038.2","106038.2","106038.2","106038.2","0.0","0.00000000",0]'
CRYPTOCOM_CANDLE = """{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USD",
"subscription":"candlestick.1m.BTC_USD","channel":"candlestick","interval":"1m","data":[{"o":"64349.71","h":"64356.28",
"l":"64349.71","c":"64356.28","v":"0.22838","t":1782014460000,"ut":1782014515996}]}}"""
CRYPTOCOM_ROW = '{"o":"84954.30","h":"85129.60","l":"84794.51","c":"84884.22","v":"30.51772","t":1790503200000}'
COINBASE_ROW = "[1710327600,73241.5,73402.47,73243.33,73370.65,1.56794406]"


def spelling(message: Any) -> str:
    """Return a message's text with each figure replaced by its kind: whole, so many decimals where these are fixed, or some."""
    text = message if isinstance(message, str) else encode(message).decode()
    text = re.sub(r'"20\d\d-[^"]+Z"', lambda it: re.sub(r"\d", "0", it[0]), text.replace("\n", ""))
    text = re.sub(r'"\d+\.\d{8}"', '"eight"', text)
    return re.sub(r"\d+(\.\d+)?", "n", text)


@pytest.mark.parametrize(
    ("built", "recorded"),
    [
        pytest.param(binance.CHANNEL.build(BINANCE, NOW_MS), BINANCE_KLINE, id="binance"),
        pytest.param(binance.rest_row(BINANCE.tape.newest(), MINUTE_MS), BINANCE_ROW, id="binance REST"),
        pytest.param(bybit.CHANNEL.build(BYBIT, NOW_MS), BYBIT_KLINE, id="bybit"),
        pytest.param(bybit.rest_row(BYBIT, BYBIT.tape.newest()), BYBIT_ROW, id="bybit REST"),
        pytest.param(okx.CHANNEL.build(OKX, NOW_MS), OKX_CANDLE, id="okx"),
        pytest.param(kraken.snapshot(KRAKEN, NOW_MS, [KRAKEN.tape.newest()]), KRAKEN_SNAPSHOT, id="kraken snapshot"),
        pytest.param(kraken.CHANNEL.build(KRAKEN, NOW_MS), KRAKEN_UPDATE, id="kraken update"),
        pytest.param(kraken.rest_row(KRAKEN, KRAKEN.tape.newest()), KRAKEN_ROW, id="kraken REST"),
        pytest.param(kraken.rest_row(KRAKEN, IDLE), KRAKEN_IDLE_ROW, id="kraken REST, idle"),
        pytest.param(cryptocom.CHANNEL.build(CRYPTOCOM, NOW_MS), CRYPTOCOM_CANDLE, id="cryptocom"),
        pytest.param(cryptocom.rest_row(CRYPTOCOM, CRYPTOCOM.tape.newest()), CRYPTOCOM_ROW, id="cryptocom REST"),
        pytest.param(coinbase.row(BINANCE.tape.newest()), COINBASE_ROW, id="coinbase REST"),
    ],
)
def test_a_candle_looks_like_a_recorded_one(built: Any, recorded: str) -> None:
    assert spelling(built) == spelling(recorded)


def test_binance_s_numbers_of_trades_fit_their_count() -> None:
    k = binance.CHANNEL.build(BINANCE, NOW_MS)["k"]
    assert k["L"] - k["f"] + 1 == k["n"] == 7
    assert k["L"] == BINANCE.trade_id
    assert float(k["Q"]) <= float(k["q"])


def test_coinbase_has_the_low_before_the_open() -> None:
    candle = BINANCE.tape.newest()
    assert coinbase.row(candle)[:5] == [START_MS // 1000, candle.low, candle.high, candle.open, candle.close]


@pytest.mark.parametrize(
    ("channel", "listing", "flags"),
    [
        (binance.CHANNEL, BINANCE, [True]),
        (bybit.CHANNEL, BYBIT, [True, False]),
        (okx.CHANNEL, OKX, ["1"]),
        (cryptocom.CHANNEL, CRYPTOCOM, [None, None]),
    ],
)
def test_the_message_that_closes_a_candle(channel: Channel, listing: Listing, flags: list[Any]) -> None:
    """Bybit and Crypto.com send the next candle in the same message, after the closed one."""
    assert channel.closing is not None
    candle = listing.tape.newest()
    newer = candle._replace(start_ms=candle.start_ms + MINUTE_MS) if channel.closing.joined else None
    message = channel.closing.build(listing, NOW_MS, candle, newer)
    rows = [message["k"]] if "k" in message else message.get("result", message)["data"]
    assert [row[8] if isinstance(row, list) else row.get("x", row.get("confirm")) for row in rows] == flags


def test_a_spike_multiplies_a_candle_s_prices_and_leaves_its_volume() -> None:
    spiked = Market(1, NOW_MS, VENUES).of("okx")["BTC-USDT"]
    spiked.factor = 2.0
    candle = spiked.stated(IDLE._replace(volume=1.0))
    assert (candle.high, candle.volume) == (128_001.0, 1.0)


@pytest.mark.parametrize("variety", VARIETIES)
@pytest.mark.parametrize(
    ("channel", "listing"),
    [(binance.CHANNEL, BINANCE), (bybit.CHANNEL, BYBIT), (okx.CHANNEL, OKX), (cryptocom.CHANNEL, CRYPTOCOM)],
)
def test_a_candle_is_garbled_within(channel: Channel, listing: Listing, variety: Any) -> None:
    message = channel.build(listing, NOW_MS)
    payload, _ = garble(message, channel.prices, variety, MARKET._rng)
    assert payload != encode(message)
    if variety == "zero":
        row: Any = row_of(json.loads(payload))
        assert {row[name] for name in channel.prices} == {"0"}


def test_binance_lists_the_stream_among_its_channels() -> None:
    assert binance.CHANNEL in BINANCE_CHANNELS
