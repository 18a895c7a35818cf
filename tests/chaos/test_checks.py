"""Tests of the schedule and of the checks: the same seed makes the same chaos, and the checks find each kind of error."""

from typing import Any

import pytest

from .checks import HARD_AGE_MS, LIE_LINGERS_MS, LIVE_FOR_MS, MIXED_S, RESTAMPED_MS, Lie, Line, Numbers, wrongs_of
from .schedule import EXCHANGE_FAULTS, INGESTS, KINDS_OF_SIMULATOR, PART_FAULTS, REDIS_FAULTS, pairs, schedule, seconds_of

COPIES = {**dict.fromkeys(INGESTS, 2), "aggregator": 3, "gateway": 3}
NOW_MS = 1_800_000_000_000


def source(exchange: str, price: float, weight: float = 1 / 3, **changes: Any) -> dict[str, Any]:
    known = {"exchange": exchange, "price": price, "usedPrice": price, "weight": weight, "ageMs": 100, "state": "used"}
    return known | changes


def ticker(*sources: dict[str, Any], **changes: Any) -> dict[str, Any]:
    known = {"symbol": "BTC-USDT", "seq": 7, "price": 100.0, "dp": 2, "quality": "ok", "aggregatedTime": NOW_MS}
    return known | {"sources": sources or tuple(source(name, 100.0) for name in ("binance", "bybit", "okx"))} | changes


def test_the_same_seed_is_the_same_chaos() -> None:
    assert schedule(1, 600, COPIES) == schedule(1, 600, COPIES) != schedule(2, 600, COPIES)


def test_every_fault_has_its_turn() -> None:
    assert set(EXCHANGE_FAULTS) == KINDS_OF_SIMULATOR
    kinds = {fault.kind for episode in schedule(1, 300, COPIES) for fault in episode}
    assert kinds == {*PART_FAULTS, *REDIS_FAULTS, *EXCHANGE_FAULTS}


def test_pairs_are_all_there_are() -> None:
    found = [frozenset(fault.kind for fault in episode) for episode in pairs()]
    count = len(EXCHANGE_FAULTS)
    assert len(set(found)) == len(found) == count * (count + 1) // 2
    assert all(seconds_of(episode) > 0 for episode in pairs())


@pytest.mark.parametrize(
    ("wrong", "lies", "complaint"),
    [
        pytest.param(ticker(), [], None, id="all is well"),
        pytest.param(ticker(price=None), [], "price None of quality ok", id="no price"),
        pytest.param(ticker(quality="down"), [], "price 100.0 of quality down", id="a price of nothing"),
        pytest.param(ticker(aggregatedTime=NOW_MS - LIVE_FOR_MS - 1), [], "made 7001 ms ago", id="old"),
        pytest.param(ticker(quality="stale", aggregatedTime=NOW_MS - 60_000), [], None, id="old and said so"),
        pytest.param(
            ticker(source("okx", 100.0, 1.0, ageMs=HARD_AGE_MS), quality="single"), [], "silent for", id="of a silent source"
        ),
        pytest.param(ticker(price=100.01), [], "not that of its sources", id="no such mean"),
        pytest.param(
            ticker(source("okx", 120.0, 0.0, usedPrice=None), source("bybit", 100.0, 1.0), price=100.0, quality="single"),
            [Lie("okx", None, NOW_MS - 1000)],
            None,
            id="a lie that is left out",
        ),
        pytest.param(
            ticker(source("okx", 104.0, 0.5), source("bybit", 100.0, 0.5), source("binance", 100.0, 0), price=102.0),
            [Lie("okx", None, NOW_MS - 1000)],
            "beyond 100.0 to 100.0",
            id="a lie that is believed",
        ),
        pytest.param(
            ticker(source("okx", 120.0, 0.5), source("bybit", 100.0, 0.5), price=110.0),
            [Lie("*", "BTC-USDT", NOW_MS - 9000, NOW_MS - LIE_LINGERS_MS), Lie("bybit", None, NOW_MS)],
            None,
            id="an honest one alone, after lies",
        ),
        pytest.param(
            ticker(source("okx", 98.0, usedPrice=99.5), source("bybit", 100.0), source("binance", 100.1), price=299.6 / 3),
            [Lie("okx", None, NOW_MS - 3000), Lie("binance", None, NOW_MS - 9000, NOW_MS - 3000)],
            None,
            id="one lies, another has ceased to",
        ),
        pytest.param(
            ticker(source("okx", 120.0, 0.5), source("bybit", 100.0, 0.5), price=110.0),
            [Lie("okx", None, NOW_MS - 1000)],
            "as many exchanges say 120.0",
            id="certain without a majority",
        ),
        pytest.param(
            ticker(source("okx", 98.0, 0.5), source("bybit", 98.0, 0.5), source("binance", 100.0, 0.0), price=98.0),
            [
                Lie("*", None, NOW_MS - 9000, NOW_MS - LIE_LINGERS_MS - 101),
                Lie("okx", None, NOW_MS - 200),
                Lie("bybit", None, NOW_MS - 200),
            ],
            None,
            id="a majority that lies",
        ),
    ],
)
def test_wrongs_of_a_ticker(wrong: dict[str, Any], lies: list[Lie], complaint: str | None) -> None:
    found = list(wrongs_of(wrong, NOW_MS, lies))
    assert (complaint in "; ".join(found)) if complaint else (found == [])


@pytest.mark.parametrize(
    ("contiguous", "told", "wrong"),
    [
        pytest.param(True, [1, 2, 3], None, id="one after the other"),
        pytest.param(True, [1, 3], "3 after 1", id="one missing"),
        pytest.param(True, [1, "interrupted", 3], None, id="one missing, as told"),
        pytest.param(True, [2, "interrupted", 1], "1 after 2", id="back, whatever was told"),
        pytest.param(True, [2, 2], "2 twice", id="one twice"),
        pytest.param(False, [1, 3], None, id="the newest only"),
        pytest.param(False, [3, 1], "1 after 3", id="back on a stream"),
        pytest.param(False, [3, 3], "3 twice", id="no news on a stream"),
        pytest.param(False, [3, "interrupted", 3], None, id="a snapshot after a resync"),
        pytest.param(False, [3, "stale"], None, id="old by now"),
    ],
)
def test_numbers(contiguous: bool, told: list[Any], wrong: str | None) -> None:
    numbers = Numbers(contiguous=contiguous)
    found: list[str] = []
    for one in told:
        if one == "interrupted":
            numbers.interrupted()
        else:
            changes = {"seq": 3, "quality": "stale"} if one == "stale" else {"seq": one}
            found += filter(None, [numbers.wrong(ticker(**changes))])
    assert (wrong in found[0]) if wrong else not found


def test_a_ticker_that_was_made_before_the_last_one_is_seen() -> None:
    numbers = Numbers(contiguous=True)
    assert numbers.wrong(ticker(seq=1)) is None
    assert numbers.wrong(ticker(seq=2, aggregatedTime=NOW_MS - 4000)) == "number 2 was made 4000 ms before the one before it"
    assert numbers.wrong(ticker(seq=3)) is None


def tick(price: float, *order: int, received_ms: int = NOW_MS) -> dict[str, Any]:
    return {"price": price, "order": list(order), "receivedTime": received_ms, "publishedTime": received_ms}


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        pytest.param([(tick(1.0, 1, 1), 0), (tick(1.1, 2, 1), 1)], None, id="one after the other"),
        pytest.param([(tick(1.0, 1, 1), 0), (tick(1.0, 1, 1, received_ms=NOW_MS + 9), 1)], "twice", id="twice"),
        pytest.param([(tick(1.0, 1), 0), (tick(1.1, 2), 1), (tick(1.0, 1), 2)], "[1] after [2]", id="a copy that is late"),
        pytest.param([(tick(1.0, 3, 1), 0), (tick(1.1, 2, 2), 1)], "[2, 2] after [3, 1]", id="ahead and behind"),
        pytest.param([(tick(1.0, 3, 1), 0), (tick(1.1, 2, 2), MIXED_S)], None, id="after a silence"),
        pytest.param([(tick(1.0), 0), (tick(1.1), 1)], None, id="without an order"),
        pytest.param([(tick(1.0, 1, 9, 1, 9, 1), 0), (tick(1.1, 1, 9, 1, 2, 5000), 1)], "2, 5000] after", id="not long after"),
        pytest.param([(tick(1.0, 1, 9, 1, 9, 1), 0), (tick(1.1, 1, 9, 1, 2, 5002), 1)], None, id="numbers that began anew"),
        pytest.param([(tick(1.0, 1, 9, 1, 9, 1), 0), (tick(1.1, 1, 2, 1, 9, 1, 7), 1)], None, id="as the ingest says"),
        pytest.param([(tick(1.0, 3), 0), "interrupted", (tick(1.0, 2), 1)], None, id="when some may be missing"),
    ],
)
def test_a_line_of_ticks(told: list[Any], wrong: str | None) -> None:
    line = Line(["BTC-USDT"])
    found: list[str] = []
    for one in told:
        if one == "interrupted":
            line.interrupted()
        else:
            found += filter(None, [line.wrong("ticks:okx:BTC-USDT", *one)])
    assert (wrong in found[0]) if wrong else not found


def test_a_line_that_ended_may_begin_anew() -> None:
    line = Line(["BTC-USDT"])
    assert [line.wrong("ticks:okx:DOGE-USDT", tick(1.0, order), order) for order in (2, 1)] == [None, None]


def test_a_source_that_is_younger_than_its_ticks_is_seen() -> None:
    line = Line([])
    line.wrong("ticks:okx:BTC-USDT", tick(100.0, 1, received_ms=NOW_MS - 5000), 0)
    honest, other = source("okx", 100.0, ageMs=5000 - RESTAMPED_MS), source("bybit", 100.0)
    assert list(line.unheard(ticker(honest, other))) == []
    [wrong] = line.unheard(ticker(source("okx", 100.0, ageMs=100), other))
    assert "okx" in wrong
    assert "4900 ms younger" in wrong
