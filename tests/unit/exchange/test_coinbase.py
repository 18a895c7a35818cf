"""The traps of Coinbase's feed and REST API."""

import json
from typing import Any

import pytest

from ingest_coinbase.adapter import ADAPTER as COINBASE
from market_pulse.exchange.adapter import Alive, Batch, Day, Event, GoingAway, Listed, Refused, Subscribed, read
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.merge import Change, Merge
from market_pulse.exchange.subscriptions import Subscriptions
from market_pulse.messages import Symbol

TICKER = {
    "type": "ticker",
    "sequence": 106614625991,
    "product_id": "BTC-USD",
    "price": "101500.01",
    "open_24h": "104867.19",
    "volume_24h": "9345.70142775",
    "low_24h": "100372.26",
    "high_24h": "105936.53",
    "best_bid": "101500.00",
    "best_ask": "101500.01",
    "side": "buy",
    "time": "2025-06-06T05:00:31.886136Z",
    "trade_id": 834270521,
    "last_size": "0.00481191",
}
BTC = Listed(Symbol("BTC-USD"), "BTC-USD", 2)


def parsed(**message: Any) -> list[Event]:
    return list(read(COINBASE.parse, json.dumps(message, separators=(",", ":")).encode()))


def day(**changes: Any) -> Day:
    (event,) = parsed(**TICKER | changes)
    assert isinstance(event, Day)
    return event


def channel(name: str, *products: str) -> dict[str, Any]:
    return {"name": name, "product_ids": list(products)}


@pytest.mark.parametrize(
    ("channels", "live"),
    [
        pytest.param(
            [channel("ticker", "B-USD", "A-USD"), channel("heartbeat", "A-USD", "B-USD")], {"A-USD", "B-USD"}, id="all"
        ),
        pytest.param([channel("ticker", "A-USD") | {"account_ids": None}, channel("heartbeat", "A-USD")], {"A-USD"}, id="2025"),
        pytest.param(
            [channel("ticker", "A-USD", "B-USD"), channel("heartbeat", "B-USD")], {"B-USD"}, id="one channel is lacking"
        ),
        pytest.param([channel("ticker", "A-USD")], set(), id="no heartbeat"),
        pytest.param([], set(), id="nothing"),
    ],
)
def test_the_state_of_a_socket(channels: list[Any], live: set[str]) -> None:
    assert parsed(type="subscriptions", channels=channels) == [Subscribed(frozenset(live))]


@pytest.mark.parametrize(
    ("message", "event"),
    [
        pytest.param(
            {"message": "Failed to subscribe", "reason": "FOO-USD is not a valid product"},
            Refused(None, "FOO-USD", "unknown", "Failed to subscribe: FOO-USD is not a valid product"),
            id="bad product",
        ),
        pytest.param(
            {"message": "Failed to subscribe", "reason": " is not a valid product"},
            Refused(None, None, "unknown", "Failed to subscribe:  is not a valid product"),
            id="an empty list of products",
        ),
        pytest.param(
            {"message": "Failed to subscribe", "reason": "No channels provided"},
            Refused(None, None, "unknown", "Failed to subscribe: No channels provided"),
            id="no channel",
        ),
        pytest.param({"message": "ErrSlowConsume"}, GoingAway("ErrSlowConsume"), id="slow reader"),
        pytest.param(
            {"message": "error", "reason": "ErrSlowRead"}, GoingAway("error: ErrSlowRead"), id="slow reader, as a reason"
        ),
        pytest.param({"message": "Message too big"}, GoingAway("Message too big"), id="a message that is too big"),
    ],
)
def test_errors(message: dict[str, str], event: Event) -> None:
    assert parsed(type="error", **message) == [event]


def test_one_bad_product_voids_a_request_and_harms_nothing_else() -> None:
    ledger = Subscriptions(COINBASE)
    ledger.want(["BTC-USD", "FOO-USD", "ETH-USD"])
    assert ledger.next_request(0.0)
    (refused,) = parsed(type="error", message="Failed to subscribe", reason="FOO-USD is not a valid product")
    assert isinstance(refused, Refused)
    assert ledger.refused_by(refused, 0.0) == "FOO-USD"
    again = ledger.next_request(0.0)
    assert again is not None
    assert again.topics == ("BTC-USD", "ETH-USD")


def test_a_request_asks_for_both_channels_and_has_no_number() -> None:
    assert json.loads(COINBASE.subscribe(["BTC-USD", "ETH-USD"], 417)) == {
        "type": "subscribe",
        "product_ids": ["BTC-USD", "ETH-USD"],
        "channels": ["ticker", "heartbeat"],
    }
    assert COINBASE.subscribe(["BTC-USD"], 1) == COINBASE.subscribe(["BTC-USD"], 2)


def test_matches_are_ordered_by_trade_whatever_the_gaps_of_the_sequence() -> None:
    merge = Merge("coinbase")
    later = {"sequence": 106614626042, "time": "2025-06-06T05:00:32.288092Z", "trade_id": 834270522, "price": "101500.02"}
    for message in (TICKER, TICKER | later):
        (event,) = parsed(**message)
        assert isinstance(event, Day)
        assert merge.apply(event, 1_749_186_033_000) is Change.NEW
    assert merge.apply(day(), 1_749_186_033_000) is Change.OUTDATED
    assert merge.apply(day(**later), 1_749_186_033_000) is Change.SAME
    tick = merge.tick(BTC)
    assert tick is not None
    assert (tick.price, tick.order) == (101500.02, (834270522, -1, -1, 834270522, 1_749_186_032_288))


def test_two_matches_in_one_millisecond() -> None:
    merge = Merge("coinbase")
    for trade_id, price in ((7, "1.5"), (8, "1.6")):
        event = day(trade_id=trade_id, price=price)
        assert merge.apply(event, 1_749_186_033_000) is Change.NEW
    assert merge.tick(BTC).price == 1.6  # type: ignore[union-attr]


def test_an_old_match_is_quiet_and_not_late() -> None:
    assert COINBASE.times_of == "event"
    assert day().sent_time_ms is None


def test_a_product_without_trades() -> None:
    bare = {name: value for name, value in TICKER.items() if name not in {"trade_id", "side", "last_size"}}
    (event,) = parsed(**bare)
    assert isinstance(event, Day)
    assert (event.trade_id, event.order) == (None, (0, 1_749_186_031_886))
    assert parsed(type="heartbeat", sequence=1, last_trade_id=0, product_id="A-USD", time="") == [Alive("A-USD", None)]


@pytest.mark.parametrize("time", ["", "2025-06-06", 1_749_186_031_886, None])
def test_a_ticker_without_a_time_is_no_ticker(time: object) -> None:
    with pytest.raises(FrameError):
        parsed(**TICKER | {"time": time})


def test_a_high_below_the_open_is_passed_on() -> None:
    event = day(open_24h="6599.00", high_24h="6598.99")
    assert (event.open24h, event.high24h) == (6599.0, 6598.99)


def test_the_turnover_is_an_estimate() -> None:
    event = day(price="2", volume_24h="10.5")
    assert (event.quote_volume24h, event.quote_volume_estimated) == (21.0, True)
    event = day(volume_24h="NaN")
    assert (event.volume24h, event.quote_volume24h, event.quote_volume_estimated) == (None, None, False)


def test_a_heartbeat_names_the_last_match() -> None:
    assert parsed(
        type="heartbeat", sequence=90, last_trade_id=20, product_id="BTC-USD", time="2014-11-07T08:19:28.464459Z"
    ) == [Alive("BTC-USD", 20)]


LAST = {"ask": "1.1", "bid": "1.0", "volume": "20", "trade_id": 5, "price": "1.05", "time": "2024-03-13T11:10:41.270099Z"}
STATS = {"open": "0.9", "high": "1.2", "low": "0.8", "last": "1.04", "volume": "21"}


def from_rest(last: Any, stats: Any) -> list[Event]:
    return list(COINBASE.parse_ticker("A-USD", [json.dumps(part).encode() for part in (last, stats)]))


def test_a_ticker_in_two_answers() -> None:
    assert COINBASE.ticker_paths("A-USD") == ("/products/A-USD/ticker", "/products/A-USD/stats")
    (event,) = from_rest(LAST, STATS)
    assert isinstance(event, Day)
    assert (event.native, event.price, event.open24h, event.trade_id, event.bid) == ("A-USD", 1.05, 0.9, 5, 1.0)


@pytest.mark.parametrize(("last", "stats"), [({"message": "NotFound"}, STATS), (LAST, {"message": "NotFound"})])
def test_an_unknown_product_has_no_ticker(last: Any, stats: Any) -> None:
    assert from_rest(last, stats) == []


def test_each_book_is_listed_once() -> None:
    """BTC-USDC is another name of BTC-USD. USDT-USDC and EURC-USDC have books of their own."""
    rows = [
        {"id": f"{base}-{quote}", "base_currency": base, "quote_currency": quote, "quote_increment": "0.01", "status": "online"}
        for base, quote in (("BTC", "USD"), ("BTC", "USDC"), ("USDT", "USD"), ("USDT", "USDC"), ("EURC", "USDC"))
    ]
    listing = COINBASE.parse_listing(json.dumps(rows).encode())
    assert [one.symbol for one in listing] == ["BTC-USD", "USDT-USD", "USDT-USDC", "EURC-USDC"]


def test_an_error_in_the_place_of_the_listing_is_no_empty_listing() -> None:
    with pytest.raises(FrameError, match="Public rate limit exceeded"):
        COINBASE.parse_listing(b'{"message":"Public rate limit exceeded"}')
    assert isinstance(COINBASE.parse_listing(b"[]"), Batch)
