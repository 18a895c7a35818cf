"""Kraken's messages beside recorded ones, and its pairs' names in both vocabularies."""

import re

import pytest

from simulator.app import VENUES
from simulator.kraken.frames import channels, instant, message, pair_row, rest_row, ticker_row
from simulator.kraken.names import old_names
from simulator.market import Market
from simulator.wire import encode

NOW_MS = 1_788_481_280_217
EVENT_US = NOW_MS * 1000 + 476
LISTINGS = Market(1, NOW_MS, VENUES).of("kraken")
BTC = LISTINGS["BTC/USD"]

SNAPSHOT = (
    '{"channel":"ticker","type":"snapshot","data":[{"symbol":"BTC/USD","bid":81205.0,"bid_qty":0.58905885,"ask":81205.1,'
    '"ask_qty":0.69697106,"last":81205.1,"volume":4696.17832496,"vwap":80044.4,"low":76949.6,"high":82288.1,"change":4166.6,'
    '"change_pct":5.41,"trades":145275,"timestamp":"2026-09-04T00:21:20.217476Z"}]}'
)
TRADE = (
    '{"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":81205.1,"qty":0.00003630,'
    '"ord_type":"limit","trade_id":106799953,"timestamp":"2026-09-04T00:21:20.564568Z"}]}'
)


def spelling(text: str) -> str:
    """Return a message with each figure replaced by the number of its decimals. Whole numbers and times have none."""
    text = re.sub(r'"20[^"]+Z"', '"a time"', text).replace('"sell"', '"buy"')
    return re.sub(r"-?\d+(\.(\d+))?", lambda found: str(len(found[2] or "")), text)


def test_a_snapshot_and_a_trade_look_like_recorded_ones() -> None:
    snapshot = encode(message("ticker", "snapshot", ticker_row(BTC, EVENT_US, NOW_MS))).decode()
    assert spelling(snapshot) == spelling(SNAPSHOT)
    assert '"timestamp":"2026-09-04T00:21:20.217476Z"' in snapshot
    *_, trades = channels(lambda _: EVENT_US)
    assert spelling(encode(trades.build(BTC, NOW_MS)).decode()) == spelling(TRADE)


def test_the_change_is_that_of_24_hours() -> None:
    row = encode(ticker_row(BTC, EVENT_US, NOW_MS)).decode()
    (change,) = re.findall(r'"change":(-?[\d.]+)', row)
    assert float(change) == pytest.approx(BTC.last - BTC.open24h, abs=0.051)


def test_the_rest_ticker_s_open_is_that_of_the_utc_day() -> None:
    listings = Market(1, NOW_MS, VENUES).of("kraken")
    rows = [(rest_row(listing, NOW_MS), listing) for listing in listings.values() if listing.state == "trading"]
    assert any(float(row["o"]) != listing.open24h for row, listing in rows)
    assert all(float(row["v"][0]) <= float(row["v"][1]) for row, _ in rows)


@pytest.mark.parametrize(
    ("symbol", "key", "altname", "wsname", "base", "quote"),
    [
        ("BTC-USD", "XXBTZUSD", "XBTUSD", "XBT/USD", "XXBT", "ZUSD"),
        ("BTC-USDT", "XBTUSDT", "XBTUSDT", "XBT/USDT", "XXBT", "USDT"),
        ("ETH-BTC", "XETHXXBT", "ETHXBT", "ETH/XBT", "XETH", "XXBT"),
        ("DOGE-USD", "XDGUSD", "XDGUSD", "XDG/USD", "XXDG", "ZUSD"),
        ("SOL-USD", "SOLUSD", "SOLUSD", "SOL/USD", "SOL", "ZUSD"),
        ("USDT-USD", "USDTZUSD", "USDTUSD", "USDT/USD", "USDT", "ZUSD"),
    ],
)
def test_old_names(symbol: str, key: str, altname: str, wsname: str, base: str, quote: str) -> None:
    old = old_names(*symbol.split("-"))
    assert (old.key, old.altname, old.wsname, old.base, old.quote) == (key, altname, wsname, base, quote)


def test_no_two_pairs_have_one_name() -> None:
    keys = [old_names(listing.base, listing.quote).key for listing in LISTINGS.values()]
    assert len(set(keys)) == len(keys) == len(LISTINGS)


def test_a_pair_has_current_or_old_names() -> None:
    assert [pair_row(BTC, current_names=True)[name] for name in ("base", "quote", "tick_size")] == ["BTC", "USD", "0.1"]
    assert [pair_row(BTC, current_names=False)[name] for name in ("base", "quote", "pair_decimals")] == ["XXBT", "ZUSD", 1]


def test_instants() -> None:
    assert instant(0) == "1970-01-01T00:00:00.000000Z"
    assert instant(EVENT_US) == "2026-09-04T00:21:20.217476Z"
