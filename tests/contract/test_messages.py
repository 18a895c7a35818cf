"""Every message that messages.py can write conforms to docs/asyncapi.yaml, and the check reports one that does not."""

from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from market_pulse.bus import keys
from market_pulse.kinds import KINDS
from market_pulse.messages import (
    Candle,
    FeedState,
    FeedStatus,
    Interval,
    Origin,
    Quality,
    Source,
    SourceState,
    Symbol,
    Tick,
    Ticker,
    Via,
    decode_candle,
    encode,
    encode_tick,
)
from support.contract import document, problems_of

BTC = Symbol("BTC-USDT")
PRICES = st.floats(min_value=1e-30, max_value=1e30)
AMOUNTS = st.floats(min_value=0, max_value=1e30)
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
TIMES = st.integers(0, 2**53)
ESTIMATED = st.sampled_from([True, UNSET])


def or_none(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.none() | strategy


TICKS = st.builds(
    Tick,
    exchange=st.sampled_from(["binance", "bybit", "okx"]),
    symbol=st.just(BTC),
    price=PRICES,
    exchange_time_ms=or_none(TIMES),
    received_time_ms=TIMES,
    dp=or_none(st.integers(0, 12)),
    lag_unknown=st.booleans(),
    quote_volume_estimated=ESTIMATED,
    ended=or_none(st.just("delisted")),
    order=st.just(()) | st.lists(st.integers(-1, 2**53), min_size=5, max_size=6).map(tuple),
    **dict.fromkeys(("bid", "ask", "open24h", "high24h", "low24h"), or_none(PRICES)),
    **dict.fromkeys(("volume24h", "quote_volume24h"), or_none(AMOUNTS)),
)
VIAS = st.builds(
    Via,
    symbol=st.just(Symbol("USDT-USD")),
    seq=st.integers(0, 2**53),
    quality=st.sampled_from(get_args(Quality)),
    confidence=or_none(AMOUNTS),
    age_ms=or_none(st.integers(0, 10**9)),
    **dict.fromkeys(("price", "bid", "ask", "open24h"), or_none(PRICES)),
)
SOURCES = st.builds(
    Source,
    exchange=st.just("okx"),
    price=or_none(PRICES),
    own_price=st.just(UNSET) | PRICES,
    via=st.just(UNSET) | VIAS,
    used_price=or_none(PRICES),
    weight=st.floats(0, 1),
    age_ms=st.integers(-10_000, 10**9),
    state=st.sampled_from(get_args(SourceState)),
    reason=or_none(st.text()),
    quote_volume_estimated=ESTIMATED,
)
TICKERS = st.builds(
    Ticker,
    symbol=st.just(BTC),
    seq=st.integers(1, 2**53),
    price=PRICES,
    dp=st.integers(0, 12),
    quality=st.sampled_from([quality for quality in get_args(Quality) if quality != "down"]),
    sources=st.lists(SOURCES, max_size=4).map(tuple),
    sources_used=st.integers(0, 4),
    sources_total=st.integers(0, 4),
    aggregated_time_ms=TIMES,
    publisher=or_none(st.text(min_size=1)),
    agreed_price=or_none(PRICES),
    agreed_time_ms=or_none(TIMES),
    priced_time_ms=or_none(TIMES),
    **dict.fromkeys(("bid", "ask", "open24h", "high24h", "low24h"), or_none(PRICES)),
    **dict.fromkeys(("volume24h", "quote_volume24h", "confidence", "spread_bps"), or_none(AMOUNTS)),
    **dict.fromkeys(("change24h", "change_percent24h"), or_none(NUMBERS)),
    **dict.fromkeys(("exchange_time_ms", "received_time_ms"), or_none(TIMES)),
)
STATUSES = st.builds(
    FeedStatus,
    exchange=st.just("okx"),
    state=st.sampled_from(get_args(FeedState)),
    reason=or_none(st.text()),
    since_ms=TIMES,
    symbols=st.integers(0, 1000),
    last_tick_time_ms=or_none(TIMES),
    reconnects=st.integers(0, 10**6),
    instance=st.text(min_size=1),
    simulated=st.booleans(),
    turned_away=st.lists(st.just(BTC), max_size=100).map(tuple),
    turned_away_count=st.integers(0, 10_000),
)


CANDLES = st.builds(
    Candle,
    exchange=or_none(st.just("okx")),
    symbol=st.just(BTC),
    interval=st.sampled_from(Interval),
    start_ms=TIMES,
    end_ms=TIMES,
    closed=st.booleans(),
    revision=st.integers(0, 1000),
    origin=st.sampled_from(get_args(Origin)),
    exchanges=st.lists(st.just("okx"), max_size=2).map(tuple),
    trades=or_none(st.integers(0, 10**6)),
    vwap=or_none(PRICES),
    received_time_ms=TIMES,
    **dict.fromkeys(("open", "high", "low", "close"), PRICES),
    **dict.fromkeys(("volume", "quote_volume", "buy_volume"), or_none(AMOUNTS)),
    **dict.fromkeys(("first_seq", "last_seq", "seen", "missed"), or_none(st.integers(0, 2**53))),
    **dict.fromkeys(("exchange_time_ms", "published_time_ms"), or_none(TIMES)),
)


@given(TICKS, TIMES)
def test_ticks(tick: Tick, published_time_ms: int) -> None:
    assert problems_of("ticks:okx:BTC-USDT", encode_tick(tick, published_time_ms)) == []


@given(TICKERS)
def test_tickers(ticker: Ticker) -> None:
    assert problems_of("ticker:BTC-USDT", encode(ticker)) == []
    assert problems_of("ticker:BTC-USDT", encode(replace(ticker, quality="down", price=None))) == []


@given(STATUSES)
def test_statuses(status: FeedStatus) -> None:
    assert problems_of("status:okx", encode(status)) == []


@given(CANDLES)
def test_candles(candle: Candle) -> None:
    assert problems_of("candle:1h:BTC-USDT", encode(candle)) == []
    assert problems_of("candles:1m:okx:BTC-USDT", encode(candle)) == []
    assert decode_candle(encode(candle)) == candle


@given(TICKERS)
def test_a_price_is_missing_only_when_down(ticker: Ticker) -> None:
    assert problems_of("ticker:BTC-USDT", encode(replace(ticker, price=None))) != []
    assert problems_of("ticker:BTC-USDT", encode(replace(ticker, quality="down"))) != []


@pytest.mark.parametrize(
    "change",
    [{"price": 0}, {"price": "1"}, {"v": 2}, {"symbol": "BTCUSDT"}, {"receivedTime": None}, {"volume24h": -1}, {"new": 1}],
)
def test_what_is_not_promised_is_told(change: dict[str, Any]) -> None:
    tick = Tick(exchange="okx", symbol=BTC, price=1.0, exchange_time_ms=1, received_time_ms=1)
    message = orjson.loads(encode_tick(tick, 1)) | change
    assert problems_of("ticks:okx:BTC-USDT", orjson.dumps(message)) != []


LEFT_OUT = {"Tick": {"quoteVolumeEstimated"}, "Source": {"quoteVolumeEstimated", "ownPrice", "via"}}
"""The fields that are left out unless they say something: that a figure is an estimate, or how a price was converted."""


def test_every_documented_field_is_required_unless_it_is_left_out_at_times() -> None:
    """Within a version fields are only added, so a reader may rely on all of them."""
    for name, schema in document()["components"]["schemas"].items():
        if schema.get("type") == "object":
            assert set(schema["required"]) == schema["properties"].keys() - LEFT_OUT.get(name, set()), name


def filled(value: Any, interval: Interval) -> Any:
    """Fill an interval into a name of the document, where it has a place for one."""
    return value.replace("{interval}", interval) if isinstance(value, str) else value


def test_each_kind_is_described() -> None:
    described = {
        filled(channel["address"], interval): {name: filled(text, interval) for name, text in channel["x-redis"].items()}
        for channel in document()["channels"].values()
        for interval in Interval
    }
    assert described.keys() == {kind.address for kind in KINDS}
    for kind in KINDS:
        where = described[kind.address]
        assert where["pattern"] == kind.pattern
        assert where.get("snapshotExpirySeconds", 0) == kind.expiry_s
        assert where.get("snapshot") == (keys.last(kind.address) if kind.expiry_s else None)
