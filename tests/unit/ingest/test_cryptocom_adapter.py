"""Crypto.com's adapter: heartbeats to answer, acknowledgements merged with data, and figures in other units than usual."""

import json
from typing import Any

import pytest

from ingest_cryptocom.adapter import ADAPTER, native, parse_listing, parse_ticker, subscribe
from market_pulse.exchange.adapter import Acknowledged, Batch, Day, Event, Refused, Reply, read
from market_pulse.exchange.errors import FrameError
from market_pulse.messages import Symbol

ROW = {
    "h": "64431.41",
    "l": "63243.41",
    "a": "63324.20",
    "c": "0.0004",
    "b": "63324.19",
    "bs": "1.15361",
    "k": "63324.20",
    "ks": "0.61570",
    "i": "BTC_USD",
    "v": "3238.6727",
    "vv": "206288376.45",
    "oi": "0",
    "t": 1786562995190,
}


def frame(number: int = -1, **members: Any) -> bytes:
    row = ROW | members
    result = {"instrument_name": row["i"], "subscription": f"ticker.{row['i']}", "channel": "ticker", "data": [row]}
    return json.dumps({"id": number, "method": "subscribe", "code": 0, "result": result}, separators=(",", ":")).encode()


def day(**members: Any) -> Day:
    (event,) = read(ADAPTER.parse, frame(**members))
    assert isinstance(event, Day)
    return event


@pytest.mark.parametrize(
    ("text", "events"),
    [
        pytest.param(
            '{"id":1790114291578,"method":"public/heartbeat","code":0}',
            [Reply('{"id":1790114291578,"method":"public/respond-heartbeat"}')],
            id="heartbeat",
        ),
        pytest.param(
            '{"id":11,"method":"subscribe","code":40003,"channel":"ticker.NOPE_USD","message":"Unknown symbol"}',
            [Refused("11", "ticker.NOPE_USD", "unknown", "40003: Unknown symbol")],
            id="unknown symbol",
        ),
        pytest.param(
            '{"id":11,"method":"subscribe","code":40107,"channel":"ticker.BTC_USD","message":"Maximum subscriptions exceeded"}',
            [Refused("11", "ticker.BTC_USD", "later", "40107: Maximum subscriptions exceeded")],
            id="too many channels",
        ),
        pytest.param(
            '{"id":12,"method":"subscribe","code":42901,"message":"TOO_MANY_REQUESTS"}',
            [Refused("12", None, "later", "42901: TOO_MANY_REQUESTS")],
            id="too many requests",
        ),
        pytest.param('{"id":13,"method":"unsubscribe","code":0}', [Acknowledged("13")], id="unsubscribed"),
    ],
)
def test_answers(text: str, events: list[Event]) -> None:
    assert list(read(ADAPTER.parse, text.encode())) == events


def test_the_first_data_with_the_number_of_a_request_acknowledge_it() -> None:
    accepted, event = read(ADAPTER.parse, frame(11))
    assert accepted == Acknowledged("11", "ticker.BTC_USD")
    assert isinstance(event, Day)


@pytest.mark.parametrize("number", [-1, -(2**63)])
def test_other_data_acknowledge_nothing(number: int) -> None:
    (event,) = read(ADAPTER.parse, frame(number))
    assert isinstance(event, Day)


@pytest.mark.parametrize(
    ("change", "opened"),
    [
        pytest.param("0.0004", 63324.2 / 1.0004, id="risen"),
        pytest.param("-0.0022", 63324.2 / 0.9978, id="fallen"),
        pytest.param("0.0000", 63324.2, id="unchanged"),
        pytest.param("-1.0000", None, id="from nothing"),
        pytest.param("-1.5", None, id="below zero"),
        pytest.param(None, None, id="no trades"),
        pytest.param("", None, id="empty"),
    ],
)
def test_the_change_is_a_fraction(change: Any, opened: float | None) -> None:
    assert day(c=change).open24h == opened


@pytest.mark.parametrize(
    ("instrument", "quote_volume", "is_estimated"),
    [("BTC_USD", 206288376.45, False), ("BTC_USDT", 3238.6727 * 63324.2, True), ("ETH_BTC", 3238.6727 * 63324.2, True)],
)
def test_the_turnover_is_in_usd_whatever_the_quote(instrument: str, quote_volume: float, is_estimated: bool) -> None:
    event = day(i=instrument)
    assert (event.quote_volume24h, event.quote_volume_estimated) == (quote_volume, is_estimated)


def test_without_a_volume_nothing_is_estimated() -> None:
    event = day(i="BTC_USDT", v=None)
    assert (event.quote_volume24h, event.quote_volume_estimated) == (None, False)


def test_the_last_price_the_bid_and_the_ask_are_a_b_and_k() -> None:
    event = day(a="3", b="1", k="2")
    assert (event.price, event.bid, event.ask) == (3.0, 1.0, 2.0)


def test_a_market_without_trades_makes_no_tick_and_is_no_fault() -> None:
    never = {"h": None, "l": None, "a": None, "c": None, "b": None, "bs": None, "k": None, "ks": None}
    events = read(ADAPTER.parse, frame(11, **never))
    assert list(events) == [Acknowledged("11", "ticker.BTC_USD")]
    assert isinstance(events, Batch)
    assert not events.skipped


def rest(code: int, **members: Any) -> list[bytes]:
    return [json.dumps({"id": -1, "method": "public/get-tickers", "code": code} | members).encode()]


def test_an_unknown_instrument_has_no_ticker() -> None:
    assert not parse_ticker("NOPE_USD", rest(40004, message="Invalid instrument_name"))


def test_another_error_is_not_an_unknown_instrument() -> None:
    with pytest.raises(FrameError, match="42901"):
        parse_ticker("BTC_USD", rest(42901, message="TOO_MANY_REQUESTS"))
    with pytest.raises(FrameError, match="40004"):
        parse_listing(rest(40004)[0])


def test_requests_need_no_time() -> None:
    topics = ADAPTER.topics(native(Symbol("BTC-USD")))
    assert json.loads(subscribe(topics, 1)) == {"id": 1, "method": "subscribe", "params": {"channels": ["ticker.BTC_USD"]}}


@pytest.mark.parametrize("factor", [1000, 1_000_000])
def test_a_time_in_another_unit_is_no_time(factor: int) -> None:
    events = read(ADAPTER.parse, frame(t=1786562995190 * factor))
    assert not events
    assert isinstance(events, Batch)
    assert [one.native for one in events.skipped] == ["BTC_USD"]
