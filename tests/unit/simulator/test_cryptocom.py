"""Crypto.com's messages beside recorded ones."""

import json

import pytest

from simulator.app import VENUES
from simulator.cryptocom.frames import CHANNELS, instrument_row, pushed, ticker_row
from simulator.market import Market

NOW_MS = 1_786_562_995_190
LISTINGS = Market(1, NOW_MS, VENUES).of("cryptocom")
BTC = LISTINGS["BTC_USD"]

FIRST = (
    '{"id":1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USD","subscription":"ticker.BTC_USD","channel":"ticker",'
    '"data":[{"h":"64431.41","l":"63243.41","a":"63324.20","c":"0.0004","b":"63324.19","bs":"1.15361","k":"63324.20","ks":"0.61570",'
    '"i":"BTC_USD","v":"3238.6727","vv":"206288376.45","oi":"0","t":1786562995190}]}}'
)
TRADE = (
    '{"id":-1,"method":"subscribe","code":0,"result":{"instrument_name":"BTC_USD","subscription":"trade.BTC_USD","channel":"trade",'
    '"data":[{"d":"1786562974384864909","t":1786562974384,"p":"63319.42","q":"0.04699","s":"BUY","i":"BTC_USD",'
    '"m":"4611686018739617707"}]}}'
)


def shape(message: object) -> object:
    """Return the keys in their order, the types, and how many decimals each figure has."""
    match message:
        case dict():
            return [(key, shape(value)) for key, value in message.items()]
        case list():
            return [shape(value) for value in message]
        case str() if message.replace(".", "").removeprefix("-").isdecimal():
            return len(message.partition(".")[2])
        case _:
            return type(message)


def test_messages_look_like_recorded_ones() -> None:
    assert shape(pushed("ticker", BTC, ticker_row(BTC, NOW_MS), 1)) == shape(json.loads(FIRST))
    later = CHANNELS[0].build(BTC, NOW_MS)
    assert (later["id"], later["result"]["data"][0]["t"]) == (-1, NOW_MS)
    assert shape(CHANNELS[1].build(BTC, NOW_MS)) == shape(json.loads(TRADE))


@pytest.mark.parametrize(("native", "usd"), [("BTC_USD", 1.0), ("BTC_USDT", 0.9997), ("ETH_BTC", 64_000.0)])
def test_the_turnover_is_in_usd_whatever_the_quote(native: str, usd: float) -> None:
    listing = LISTINGS[native]
    row = ticker_row(listing, NOW_MS)
    assert float(row["vv"]) == pytest.approx(listing.volume(NOW_MS).quote * usd, rel=1e-6)


def test_tick_sizes() -> None:
    row = instrument_row(BTC)
    assert (row["price_tick_size"], row["qty_tick_size"], row["inst_type"]) == ("0.01", "0.00001", "CCY_PAIR")
