"""Kraken's adapter: its two vocabularies, its answers about single symbols, its notices, and the gaps of its REST API."""

import json
from typing import Any

import pytest

from ingest_kraken.adapter import ADAPTER, native, parse_listing, parse_ticker, subscribe, unsubscribe
from market_pulse.exchange.adapter import Acknowledged, Alive, Batch, Day, Event, Halted, Pong, Refused, Skipped, read
from market_pulse.exchange.errors import FrameError
from market_pulse.messages import Symbol

ROW = {
    "symbol": "BTC/USD",
    "bid": 81205.0,
    "bid_qty": 0.58905885,
    "ask": 81205.1,
    "ask_qty": 0.69697106,
    "last": 81205.1,
    "volume": 4696.17832496,
    "vwap": 80044.4,
    "low": 76949.6,
    "high": 82288.1,
    "change": 4166.6,
    "change_pct": 5.41,
    "trades": 145275,
    "timestamp": "2026-09-04T00:21:20.217476Z",
}
REST = {
    "a": ["0.99967000", "1923929", "1923929.000"],
    "b": ["0.99966000", "322231", "322231.000"],
    "c": ["0.99967000", "584.25689800"],
    "v": ["85221528.19729484", "255050800.45003680"],
    "p": ["0.99971343", "0.99978489"],
    "t": [11698, 34958],
    "l": ["0.99959000", "0.99944000"],
    "h": ["0.99992000", "1.00010000"],
    "o": "0.99987000",
}
PAIR = {"aclass_base": "currency", "base": "BTC", "quote": "USD", "wsname": "XBT/USD", "tick_size": "0.1", "status": "online"}
TIMES = '"time_in":"2026-08-12T19:29:00.962486Z","time_out":"2026-08-12T19:29:00.962534Z"'


def frame(kind: str = "update", **members: Any) -> bytes:
    return json.dumps({"channel": "ticker", "type": kind, "data": [ROW | members]}, separators=(",", ":")).encode()


def day(frame: bytes) -> Day:
    (event,) = read(ADAPTER.parse, frame)
    assert isinstance(event, Day)
    return event


@pytest.mark.parametrize(
    ("text", "events"),
    [
        pytest.param('{"channel":"heartbeat"}', [Alive()], id="heartbeat"),
        pytest.param('{"method":"pong","req_id":101,' + TIMES + "}", [Pong()], id="pong"),
        pytest.param(
            '{"method":"subscribe","req_id":1,"result":{"channel":"ticker","event_trigger":"bbo","snapshot":true,'
            '"symbol":"BTC/USD","warnings":["a deprecated member"]},"success":true,' + TIMES + "}",
            [Acknowledged("1", "BTC/USD")],
            id="one acknowledgement per symbol",
        ),
        pytest.param(
            '{"error":"Currency pair not supported XBT/USD","method":"subscribe","req_id":1,"success":false,"symbol":"XBT/USD",'
            + TIMES
            + "}",
            [Refused("1", "XBT/USD", "unknown", "Currency pair not supported XBT/USD")],
            id="unknown symbol",
        ),
        pytest.param(
            '{"error":"Already subscribed","method":"subscribe","req_id":2,"success":false,"symbol":"BTC/USD",' + TIMES + "}",
            [Refused("2", "BTC/USD", "already", "Already subscribed")],
            id="already subscribed",
        ),
        pytest.param(
            '{"error":"Exceeded msg rate","method":"subscribe","req_id":3,"success":false,' + TIMES + "}",
            [Refused("3", None, "later", "Exceeded msg rate")],
            id="too many messages",
        ),
        pytest.param(
            '{"Error":"Exceeded msg rate"}', [Refused(None, None, "later", "Exceeded msg rate")], id="too many messages, flat"
        ),
    ],
)
def test_answers(text: str, events: list[Event]) -> None:
    assert list(read(ADAPTER.parse, text.encode())) == events


@pytest.mark.parametrize("number", ["7974620515126709019", "15527282728335292000", "9" * 40, "-1", "null"])
@pytest.mark.parametrize(
    ("system", "events"),
    [("online", []), ("maintenance", [Halted("status maintenance")]), ("cancel_only", [Halted("status cancel_only")])],
)
def test_the_state_of_the_exchange_beside_a_number_of_any_size(system: str, number: str, events: list[Event]) -> None:
    state = f'{{"version":"2.0.10","system":"{system}","api_version":"v2","connection_id":{number}}}'
    assert list(read(ADAPTER.parse, f'{{"channel":"status","type":"update","data":[{state}]}}'.encode())) == events


@pytest.mark.parametrize(
    ("last", "change", "opened"),
    [
        pytest.param(81205.1, 4166.6, 77038.5, id="risen"),
        pytest.param(63297.8, -2679.9, 65977.7, id="fallen"),
        pytest.param(63297, 0, 63297.0, id="unchanged"),
        pytest.param(0.0000361, 0.0000001, 0.000036, id="without the decimals that subtracting adds"),
        pytest.param(1.0, 1.0, None, id="from zero"),
        pytest.param(1.0, 2.0, None, id="from below zero"),
        pytest.param(1.0, None, None, id="no change"),
        pytest.param(1.0, "x", None, id="a wrong change"),
    ],
)
def test_the_price_24_h_ago_is_the_last_price_less_the_change(last: float, change: Any, opened: float | None) -> None:
    assert day(frame(last=last, change=change, change_pct=99.99)).open24h == opened


@pytest.mark.parametrize("figure", ["81205", "81205.0", "8.12050e4"])
def test_json_numbers_of_any_spelling(figure: str) -> None:
    assert day(frame().replace(b'"last":81205.1', f'"last":{figure}'.encode())).price == 81205.0


def test_a_side_without_orders_is_zero() -> None:
    event = day(frame(bid=0.0, bid_qty=0.0))
    assert (event.bid, event.ask) == (None, 81205.1)


def test_the_time_orders_messages_within_a_millisecond() -> None:
    first, second = day(frame()), day(frame(timestamp="2026-09-04T00:21:20.217477Z"))
    assert first.exchange_time_ms == second.exchange_time_ms == 1_788_481_280_217
    assert first.order == (1_788_481_280_217_476, 1_788_481_280_217)
    assert second.order == (1_788_481_280_217_477, 1_788_481_280_217)


@pytest.mark.parametrize("last", [0.0, 1.5])
def test_a_pair_that_never_traded_makes_no_tick_and_is_no_fault(last: float) -> None:
    never = {
        "bid": 0.0,
        "bid_qty": 0.0,
        "ask": 0.0,
        "ask_qty": 0.0,
        "volume": 0.0,
        "vwap": 0.0,
        "low": 0.0,
        "high": 0.0,
        "trades": 0,
    }
    events = read(ADAPTER.parse, frame("snapshot", **never, last=last, timestamp="1970-01-01T00:00:00.000000Z"))
    assert not events
    assert not getattr(events, "skipped", ())


def test_a_frame_without_a_price_is_counted() -> None:
    events = read(ADAPTER.parse, frame(last=0.0))
    assert isinstance(events, Batch)
    assert [(one.kind, one.native) for one in events.skipped] == [("bad_price", "BTC/USD")]


def answer(**result: Any) -> bytes:
    return json.dumps({"error": [], "result": result}).encode()


def test_the_rest_ticker_has_neither_a_time_nor_the_price_24_h_ago() -> None:
    (event,) = parse_ticker("USDT/USD", [answer(USDTZUSD=REST)])
    assert isinstance(event, Day)
    assert (event.native, event.price, event.bid, event.ask) == ("USDT/USD", 0.99967, 0.99966, 0.99967)
    assert (event.open24h, event.order, event.exchange_time_ms) == (None, None, None), "`o` is today's open"
    assert (event.high24h, event.low24h, event.volume24h) == (1.0001, 0.99944, 255050800.4500368), "of 24 h, not of today"
    assert event.quote_volume_estimated


@pytest.mark.parametrize("errors", [["EQuery:Unknown asset pair"], ["EQuery:Unknown asset pair", "EGeneral:Another"]])
def test_an_unknown_pair_has_no_ticker(errors: list[str]) -> None:
    assert not parse_ticker("NOPE/USD", [json.dumps({"error": errors}).encode()])


@pytest.mark.parametrize("error", ["EGeneral:Too many requests", "EService:Unavailable", "EService: Throttled: 1788481280"])
def test_an_error_without_a_result_is_not_an_unknown_pair(error: str) -> None:
    for read_answer in (parse_listing, lambda text: parse_ticker("BTC/USD", [text])):
        with pytest.raises(FrameError, match=error):
            read_answer(json.dumps({"error": [error]}).encode())


def test_errors_beside_a_result_are_told_and_the_result_is_used() -> None:
    errors = ["EGeneral:Temporary"]
    told = [Skipped("refused", "EGeneral:Temporary")]
    events = parse_ticker("USDT/USD", [json.dumps({"error": errors, "result": {"USDTZUSD": REST}}).encode()])
    assert isinstance(events, Batch)
    assert (len(events), events.skipped) == (1, told)
    listing = parse_listing(json.dumps({"error": errors, "result": {"BTC/USD": PAIR}}).encode())
    assert ([one.native for one in listing], listing.skipped) == (["BTC/USD"], told)


@pytest.mark.parametrize(
    ("key", "entry", "found"),
    [
        pytest.param("BTC/USD", {}, "BTC-USD BTC/USD", id="current names"),
        pytest.param("XXBTZUSD", {"base": "XXBT", "quote": "ZUSD"}, "BTC-USD BTC/USD", id="old names"),
        pytest.param("XDGUSD", {"base": "XXDG", "quote": "ZUSD", "wsname": "XDG/USD"}, "DOGE-USD DOGE/USD", id="old Dogecoin"),
        pytest.param("AAPLx/USD", {"aclass_base": "tokenized_asset", "base": "AAPLx"}, "", id="a share of a company"),
        *(
            pytest.param("BTC/USD", {"status": status}, "", id=status)
            for status in ("cancel_only", "post_only", "limit_only", "reduce_only")
        ),
    ],
)
def test_pairs(key: str, entry: dict[str, str], found: str) -> None:
    listing = parse_listing(answer(**{key: PAIR | entry}))
    assert " ".join(f"{one.symbol} {one.native}" for one in listing) == found
    assert not listing.skipped


@pytest.mark.parametrize("odd", [None, 7, [], {}, {"status": "online"}, PAIR | {"base": None}, PAIR | {"status": 1}])
def test_an_odd_pair_leaves_the_others(odd: Any) -> None:
    listing = parse_listing(answer(**{"ODD/USD": odd, "BTC/USD": PAIR}))
    assert [one.symbol for one in listing] == ["BTC-USD"]
    assert [one.native for one in listing.skipped] == ["ODD/USD" if isinstance(odd, dict) else None]


def test_requests() -> None:
    symbols = [native(Symbol("BTC-USD")), native(Symbol("USDT-USD"))]
    assert json.loads(subscribe(symbols, 1)) == {
        "method": "subscribe",
        "params": {"channel": "ticker", "symbol": ["BTC/USD", "USDT/USD"], "event_trigger": "bbo", "snapshot": True},
        "req_id": 1,
    }
    assert json.loads(unsubscribe(symbols, 2))["method"] == "unsubscribe"


@pytest.mark.parametrize("wrong", ["", "2026-09-04", "2026-09-04T00:21:20+02:00", "2200-01-01T00:00:00Z", 1788481280, None])
def test_another_notation_of_a_time_is_no_time(wrong: object) -> None:
    events = read(ADAPTER.parse, frame(timestamp=wrong))
    assert not events
    assert isinstance(events, Batch)
    assert [one.native for one in events.skipped] == ["BTC/USD"]
