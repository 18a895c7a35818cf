"""Which past candles are asked for, in which order, and how often."""

from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pulse.exchange.adapter import Batch, CandleHistory, Listed, Rate, candle
from market_pulse.exchange.history import (
    MOST_REMAINDERS,
    MOST_TRIES,
    POLLED,
    SHARE,
    Budget,
    History,
    Request,
    remainder,
    windows,
)
from market_pulse.messages import Candle, Interval, Symbol

MINUTE = 60_000
NOW = 1_800_000_000_000 + 30_000  # half past a minute
BTC, ETH = Listed(Symbol("BTC-USDT"), "btc", None), Listed(Symbol("ETH-USDT"), "eth", None)
NOBODY: frozenset[Symbol] = frozenset()


def of(rows: int = 1000, **more: Any) -> CandleHistory:
    return CandleHistory(path=lambda *_: "/", parse=lambda *_: Batch(), rows=rows, rate=Rate(10, 1.0), **more)


def row(start: int) -> Candle:
    return candle(Interval.MINUTE, start, 1.0, 1.0, 1.0, 1.0, 1.0)


@given(
    interval=st.sampled_from(Interval),
    now=st.integers(10**12, 4 * 10**12),
    rows=st.integers(1, 1500),
    reach=st.none() | st.integers(1, 2000),
    settled=st.floats(0, 59),
)
def test_windows_cover_what_is_kept_and_reached_without_an_overlap(
    interval: Interval, now: int, rows: int, reach: int | None, settled: float
) -> None:
    found = list(windows(interval, now, of(rows, reach=reach, settled_s=settled)))
    for since, until in found:
        assert since == interval.start_of(since) < until
        assert until - since <= rows * interval.step_ms
    assert [since for since, _ in found[:-1]] == [until for _, until in found[1:]], "the newest first"
    assert found[0][1] <= now - settled * 1000 + 1, "the open candle is left out"
    assert now - found[0][1] < interval.step_ms + settled * 1000 + 1
    assert found[0][1] - found[-1][0] == min(interval.kept, reach or interval.kept) * interval.step_ms


@given(messages=st.integers(1, 5000), window=st.floats(0.5, 600), steps=st.lists(st.floats(0, 100), min_size=1, max_size=200))
def test_candles_take_a_fifth_of_the_rate(messages: int, window: float, steps: list[float]) -> None:
    budget = Budget(Rate(messages, window))
    now, sent = 0.0, []
    for step in steps:
        now += step
        if budget.delay_s(now) == 0:
            budget.spend(now)
            sent.append(now)
    for at in sent:
        in_window = sum(at <= other < at + window * (1 - 1e-9) for other in sent)
        assert in_window <= messages / SHARE + 1


def test_a_refusal_pauses_all() -> None:
    budget = Budget(Rate(10, 1.0))
    budget.spend(0.0)
    budget.pause(0.0, 30.0)
    budget.spend(1.0)
    assert budget.delay_s(2.0) == 28.0
    assert budget.delay_s(30.0) == 0


def asked(history: History, seconds: float = 0.0, now: int = NOW) -> list[tuple[str, str]]:
    """Answer all requests that are due, and return their symbols and intervals."""
    found = []
    while request := history.next(seconds, now):
        found.append((request.native, request.interval.value))
    return found


def test_the_order_is_by_symbol_and_interval_and_newest_first() -> None:
    history = History(of(rows=720), 60, polls=False)
    history.want(0, NOW, [BTC, ETH], NOBODY)
    requests = [request for _ in range(20) if (request := history.next(0, NOW))]
    assert [(one.native, one.interval) for one in requests] == [
        (native, interval) for native in ("btc", "eth") for interval in ("1m", "1m", "1h", "1d")
    ]
    assert requests[0].since_ms == requests[1].until_ms > requests[1].since_ms
    assert all(one.history for one in requests)


def test_a_symbol_costs_its_history_once_in_a_grace_period() -> None:
    history = History(of(), 60, polls=False)
    once = [("eth", "1m"), ("eth", "1m"), ("eth", "1h"), ("eth", "1d")]
    history.want(0, NOW, [ETH], {ETH.symbol})
    assert asked(history) == once
    history.want(1, NOW, [], NOBODY)
    history.want(50, NOW, [ETH], {ETH.symbol})
    assert asked(history, 50) == [], "it came back within the grace period"
    history.want(51, NOW, [ETH], NOBODY)
    history.want(109, NOW, [ETH], {ETH.symbol})
    assert asked(history, 109) == [], "it only lingered"
    history.want(110, NOW, [], NOBODY)
    history.want(200, NOW, [], NOBODY)
    assert not history._symbols
    history.want(201, NOW, [ETH], {ETH.symbol})
    assert asked(history, 201) == once


def test_a_featured_symbol_is_asked_for_anew_when_somebody_comes_after_a_grace_period() -> None:
    history = History(of(), 60, polls=False)
    history.want(0, NOW, [BTC], NOBODY)
    assert len(asked(history)) == 4
    history.want(1000, NOW, [BTC], NOBODY)
    assert asked(history, 1000) == []
    history.want(1001, NOW, [BTC], {BTC.symbol})
    assert len(asked(history, 1001)) == 4
    history.want(2000, NOW, [BTC], {BTC.symbol})
    assert asked(history, 2000) == [], "nobody left meanwhile"
    history.want(2001, NOW, [BTC], NOBODY)
    history.want(3000, NOW, [BTC], {BTC.symbol})
    assert len(asked(history, 3000)) == 4
    history.want(3001, NOW, [BTC], {BTC.symbol})
    assert asked(history, 3001) == []


@pytest.mark.parametrize("featured", [True, False])
def test_a_grace_period_shorter_than_a_look_begins_nothing_anew_while_somebody_is_there(featured: bool) -> None:
    history = History(of(), 0.5, polls=False)
    history.want(0, NOW, [BTC], NOBODY if featured else {BTC.symbol})
    history.want(1, NOW, [BTC], {BTC.symbol})
    requests = [history.next(1, NOW)]
    for second in range(2, 10):
        history.want(second, NOW, [BTC], {BTC.symbol})
        requests.append(history.next(second, NOW))
    assert sum(request is not None for request in requests) == 4


def test_a_released_symbol_is_asked_for_no_more_and_goes_on_when_it_comes_back() -> None:
    history = History(of(), 60, polls=False)
    history.want(0, NOW, [ETH], {ETH.symbol})
    history.next(0, NOW)
    history.want(1, NOW, [], NOBODY)
    assert asked(history, 1) == []
    history.want(2, NOW, [ETH], {ETH.symbol})
    assert asked(history, 2) == [("eth", "1m"), ("eth", "1h"), ("eth", "1d")]


def test_the_minute_in_which_a_symbol_becomes_wanted_is_asked_for_when_it_has_ended() -> None:
    history = History(of(), 60, polls=False)
    history.want(0, NOW, [ETH], {ETH.symbol})
    asked(history)
    start = NOW - 30_000
    assert history.next(33, start + MINUTE + 2999) is None
    request = history.next(33, start + MINUTE + 3000)
    assert request
    assert (request.since_ms, request.until_ms, request.history) == (start, start + MINUTE, False)
    assert history.next(40, start + MINUTE + 9000) is None


@pytest.mark.parametrize(
    ("newest", "first"),
    [
        pytest.param(-1, -3, id="a short gap"),
        pytest.param(-30, -32, id="a long gap"),
        pytest.param(None, -3, id="nothing was known"),
    ],
)
def test_after_a_lost_socket_the_gap_and_the_last_candles_before_it_come_first(newest: int | None, first: int) -> None:
    history = History(of(), 60, polls=False)
    start = NOW - 30_000
    history.want(0, NOW - 3600_000, [BTC, ETH], NOBODY)
    history.reopened(BTC.symbol, None if newest is None else start + newest * MINUTE, NOW)
    request = history.next(0, NOW)
    assert request
    assert (request.native, request.interval, request.history) == ("btc", "1m", False)
    if newest is not None:
        assert (request.since_ms, request.until_ms) == (min(start + first * MINUTE, request.since_ms), start)


def test_a_socket_that_opens_late_leaves_no_gap_after_the_history() -> None:
    history = History(of(), 60, polls=False)
    start = NOW - 30_000
    history.want(0, NOW, [BTC], NOBODY)
    asked(history)
    first = history.next(0, NOW + MINUTE)
    assert first
    history.answered(first, [])
    history.reopened(BTC.symbol, None, NOW + 20 * MINUTE)
    request = history.next(0, NOW + 20 * MINUTE)
    assert request
    assert request.since_ms <= first.until_ms
    assert request.until_ms == start + 20 * MINUTE


@pytest.mark.parametrize("minutes", [20, 200])
def test_without_a_socket_the_minutes_in_which_rest_was_away_are_asked_for(minutes: int) -> None:
    history = History(of(rows=100, settled_s=15.0), 60, polls=True)
    history.want(0, NOW, [BTC], NOBODY)
    start = NOW - 30_000
    first = history.next(0, NOW)
    assert first
    history.answered(first, [])
    asked(history)
    for minute in range(1, minutes):
        lost = history.next(0, NOW + minute * MINUTE)
        assert lost
        history.not_sent(lost)
    request = history.next(0, NOW + minutes * MINUTE)
    assert request
    assert request.until_ms == start + minutes * MINUTE
    assert request.since_ms == max(start - (POLLED - 1) * MINUTE, request.until_ms - 100 * MINUTE)


def test_without_a_socket_each_minute_is_asked_for_when_it_is_settled() -> None:
    history = History(of(settled_s=15.0), 60, polls=True)
    history.want(0, NOW, [BTC, ETH], NOBODY)
    start = NOW - 30_000
    first = history.next(0, NOW)
    assert first
    assert (first.native, first.since_ms, first.until_ms, first.history) == ("btc", start - POLLED * MINUTE, start, False)
    assert len(asked(history)) == 1 + 2 * 4
    assert asked(history, 44, start + MINUTE + 14_999) == []
    assert asked(history, 45, start + MINUTE + 15_000) == [("btc", "1m"), ("eth", "1m")]
    assert asked(history, 46, start + MINUTE + 16_000) == []
    assert asked(history, 47, start - 3600_000 + 20_000) == [("btc", "1m"), ("eth", "1m")], "our clock was set back"


def test_hours_and_days_are_asked_for_again_only_when_the_history_is_complete() -> None:
    history = History(of(), 60, polls=False)
    history.want(0, NOW, [BTC], NOBODY)
    assert not history.refresh(BTC.symbol, NOW)
    assert not history.refresh(ETH.symbol, NOW)
    assert asked(history) == [("btc", "1m"), ("btc", "1m"), ("btc", "1h"), ("btc", "1d")]
    assert history.refresh(BTC.symbol, NOW)
    assert asked(history) == [("btc", "1h"), ("btc", "1d")]


def test_answers_that_cannot_be_used_are_asked_for_again_later_and_not_for_ever() -> None:
    history = History(of(), 60, polls=False)
    history.want(0, NOW, [BTC, ETH], NOBODY)
    first = history.next(0, NOW)
    assert first
    assert history.failed(first, 0)
    assert [native for native, _ in asked(history)] == ["eth"] * 4, "others need not wait"
    assert history.next(4.9, NOW) is None
    assert asked(history, 5)[-1] == ("btc", "1m"), "the other requests of the symbol come first"
    again, tries = first, 1
    while history.failed(again, 0):
        found = history.next(1000, NOW)
        assert found
        again, tries = found, tries + 1
    assert tries == MOST_TRIES
    assert history.next(1000, NOW) is None


@pytest.mark.parametrize("polls", [False, True])
def test_a_request_that_was_refused_is_not_lost(polls: bool) -> None:
    history = History(of(), 60, polls=polls)
    history.want(0, NOW, [BTC], NOBODY)
    before = []
    while request := history.next(0, NOW):
        before.append(request)
        if len(before) % 2:
            history.not_sent(request)
    assert len(before) == 2 * (4 + polls)
    assert before[::2] == before[1::2]


def answer(starts: Iterable[int]) -> list[Candle]:
    return [row(start) for start in starts]


@pytest.mark.parametrize(
    ("rows", "more"),
    [
        pytest.param(range(100), None, id="complete"),
        pytest.param([], None, id="empty: the market may be younger"),
        pytest.param(range(50, 100), (0, 50), id="half"),
        pytest.param(range(5, 100), None, id="nearly all"),
        pytest.param(range(50, 100, 5), None, id="half, rarely traded"),
        pytest.param(range(60, 100), (0, 60), id="the newest only"),
        pytest.param(range(40), (40, 100), id="the oldest only"),
        pytest.param([0, 50, 99], None, id="rarely traded"),
        pytest.param([-5, 200], None, id="others"),
    ],
)
def test_the_rest_of_a_short_answer_is_asked_for(rows: Iterable[int], more: tuple[int, int] | None) -> None:
    request = Request(BTC.symbol, "btc", Interval.MINUTE, 0, 100 * MINUTE, history=True)
    found = remainder(request, answer(at * MINUTE for at in rows if at >= 0))
    assert (found and (found.since_ms // MINUTE, found.until_ms // MINUTE)) == more


def test_short_answers_end() -> None:
    request: Request | None = Request(BTC.symbol, "btc", Interval.MINUTE, 0, 1000 * MINUTE, history=True)
    count = 0
    while request is not None:
        request = remainder(request, answer([request.until_ms - MINUTE]))
        count += 1
    assert count == MOST_REMAINDERS + 1
