"""The verifier accepts right tickers and reports wrong ones."""

from typing import Any

import pytest
from msgspec.structs import replace

from cli.bus_tail import Message
from cli.verify import Verifier, own_price
from market_pulse.messages import Source, Symbol, Tick, Ticker, Via, encode, encode_tick
from support.samples import ticker

BTC = Symbol("BTC-USDT")
TICK = Tick(exchange="okx", symbol=BTC, price=100.0, exchange_time_ms=1, received_time_ms=1, bid=99.0, ask=101.0)


def source(exchange: str, price: float, weight: float, used_price: float | None = None) -> Source:
    used = price if used_price is None else used_price
    return Source(exchange=exchange, price=price, used_price=used, weight=weight, age_ms=1, state="used", reason=None)


TICKER = replace(
    ticker(seq=7, price=100.25, time_ms=1_000),
    sources=(source("okx", 100.0, 0.75), source("bybit", 101.0, 0.25)),
    confidence=0.75,
    agreed_price=None,
    agreed_time_ms=None,
    priced_time_ms=None,
)


def heard(*messages: Tick | Ticker, missed: int = 0) -> Verifier:
    verifier = Verifier()
    for message in messages:
        if isinstance(message, Tick):
            verifier.take(Message(f"ticks:{message.exchange}:{message.symbol}", encode_tick(message, 1)))
        else:
            verifier.take(Message(f"ticker:{message.symbol}", encode(message), missed))
    return verifier


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({}, None, id="adds up"),
        pytest.param({"price": 100.25004}, None, id="rounded to its last decimal"),
        pytest.param({"price": 100.26}, "its sources make 100.25", id="another price"),
        pytest.param({"price": None}, "the price is None", id="no price where there should be one"),
        pytest.param(
            {"sources": (source("okx", 100.0, 0.75),), "price": 75.0, "quality": "single", "confidence": None},
            "add up to 0.75",
            id="weights",
        ),
        pytest.param(
            {"quality": "stale", "price": 5.0, "sources": (), "sources_used": 0}, None, id="a held price has no sources"
        ),
    ],
)
def test_a_price_is_the_sum_of_its_sources(changes: dict[str, Any], problem: str | None) -> None:
    found = heard(replace(TICKER, **changes)).verdict.wrong
    assert [problem in line for line in found] == [True] if problem else not found


def test_a_source_says_what_its_exchange_said() -> None:
    assert not heard(TICK, TICKER).verdict.wrong
    assert not heard(TICK, replace(TICK, price=200.0, bid=None), TICKER).verdict.wrong, (
        "an earlier tick of the same source suffices"
    )
    unseen = replace(TICK, price=99.5, received_time_ms=1_000 - TICKER.sources[0].age_ms)
    assert not heard(unseen, TICKER).verdict.wrong, "it may use a tick older than those received"
    (problem,) = heard(replace(TICK, price=99.5), TICKER).verdict.wrong
    assert problem == "BTC-USDT 7: okx is listed at 100.0, but none of its last 1 ticks of BTC-USDT has that price"


def test_numbers_go_up_and_what_was_not_seen_is_counted() -> None:
    verdict = heard(TICK, TICKER, replace(TICKER, seq=8), replace(TICKER, seq=11)).verdict
    assert (verdict.missed, verdict.wrong, verdict.well) == (2, [], True)
    (problem,) = heard(TICKER, TICKER).verdict.wrong
    assert problem == "BTC-USDT 7: number 7 after 7"


def test_after_a_gap_nothing_is_expected_of_what_came_before() -> None:
    verdict = heard(replace(TICK, price=5.0), TICKER, missed=-1).verdict
    assert (verdict.wrong, verdict.gaps) == ([], 1)


def test_nothing_checked_is_not_well() -> None:
    assert not heard().verdict.well
    assert not heard(TICK).verdict.well
    assert not heard(TICKER).verdict.well, "its sources were compared with no ticks"
    assert not heard(replace(TICKER, quality="down", price=None, sources=(), sources_used=0)).verdict.well


def test_what_cannot_be_read_is_counted() -> None:
    verifier = Verifier()
    assert verifier.take(Message("ticks:okx:BTC-USDT", b"{")) != []
    assert verifier.take(Message("ticker:BTC-USDT", b"[]")) != []
    assert (verifier.verdict.unreadable, verifier.verdict.well) == (2, False)


@pytest.mark.parametrize(
    ("channel", "message", "problem"),
    [
        ("ticks:okx:BTC-USDT", encode_tick(replace(TICK, exchange="binance"), 1), "the message is about binance's BTC-USDT"),
        ("ticks:okx:BTC-USDT", encode_tick(replace(TICK, symbol=Symbol("ETH-USDT")), 1), "the message is about okx's ETH-USDT"),
        ("ticker:BTC-USDT", encode(replace(TICKER, symbol=Symbol("ETH-USDT"))), "the message is about ETH-USDT"),
    ],
)
def test_what_is_not_its_channel_s_is_told_and_not_believed(channel: str, message: bytes, problem: str) -> None:
    verifier = heard(TICKER)
    assert verifier.take(Message(channel, message)) == [f"{channel}: {problem}"]
    verdict = verifier.verdict
    assert (verdict.misplaced, verdict.ticks, verdict.tickers, verdict.well) == (1, 0, 1, False)


@pytest.mark.parametrize(
    ("bid", "ask", "price"),
    [(99.0, 101.0, 100.0), (100.5, 101.0, 100.5), (98.0, 99.0, 99.0), (101.0, 99.0, 100.0), (None, 99.0, 100.0)],
)
def test_own_price(bid: float | None, ask: float | None, price: float) -> None:
    assert own_price(replace(TICK, bid=bid, ask=ask)) == price


USDT_USD, BTC_USD = Symbol("USDT-USD"), Symbol("BTC-USD")
RATE = replace(TICKER, symbol=USDT_USD, seq=41)
VIA = Via(
    symbol=USDT_USD,
    seq=41,
    price=RATE.price,
    bid=RATE.bid,
    ask=RATE.ask,
    open24h=RATE.open24h,
    confidence=RATE.confidence,
    quality="ok",
    age_ms=1,
)


def converted(number: int = 7, **changes: Any) -> Ticker:
    """Return a ticker of two sources that are converted at a rate of 100.25, which is no rate of USDT but one that RATE has."""
    via = replace(VIA, **changes)
    price = via.price or 0.0
    sources = tuple(
        replace(one, price=(one.price or 0.0) * price, used_price=(one.price or 0.0) * price, own_price=one.price, via=via)
        for one in TICKER.sources
    )
    confidence = 0.75 * price + 100.25 * (via.confidence or 0.0)
    return replace(TICKER, symbol=BTC_USD, seq=number, sources=sources, price=100.25 * price, confidence=confidence)


def wrong_rates(*messages: Tick | Ticker, missed: int = 0) -> list[str]:
    return heard(*messages, missed=missed).verdict.wrong


def test_a_rate_was_published() -> None:
    """It is compared from the first ticker of the rate on that follows a converted price."""
    others = RATE, replace(RATE, seq=42), replace(RATE, seq=43)
    assert not wrong_rates(converted(), *others, converted(8, seq=42))
    assert not wrong_rates(converted(), *others, converted(8, seq=43, age_ms=500))
    assert not wrong_rates(converted(), *others, converted(8, seq=40)), "older than what was heard"
    assert not wrong_rates(converted(), *others, converted(8, seq=44)), "newer than what was heard"
    [wrong] = wrong_rates(converted(), *others, converted(8, seq=42, quality="single"))
    assert (
        "BTC-USD 8: USDT-USD 42 is told as [100.25, 63999.0, 64001.0, 63360.0, 0.75, 'single'], but was published as" in wrong
    )
    [wrong] = wrong_rates(converted(), *others, converted(8, seq=42, age_ms=0))
    assert wrong == "BTC-USD 8: USDT-USD 42 is told as 0 ms old, but its sources were [1, 1] ms old before"


def test_no_rate_at_all_is_not_looked_for() -> None:
    none = Source(exchange="okx", price=None, weight=0, age_ms=1, state="stale", reason="no rate", own_price=100.0,
                  via=Via(symbol=USDT_USD, seq=0, quality="down"))  # fmt: skip
    alone = replace(TICKER, symbol=BTC_USD, sources=(*TICKER.sources, none))
    assert not wrong_rates(RATE, alone)


def test_a_converted_source_says_what_its_exchange_said_in_the_other_quote() -> None:
    assert not wrong_rates(TICK, converted())
    (problem,) = wrong_rates(replace(TICK, price=99.5), converted())
    assert problem == "BTC-USD 7: okx is listed at 100.0, but none of its last 1 ticks of BTC-USDT has that price"
