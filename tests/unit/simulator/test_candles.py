"""Candles of the simulated markets: of their own trades, of an invented past, and the two together."""

import random
from collections.abc import Iterable
from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.app import VENUES
from simulator.candles import DAY_MS, FEW_HOURS, HOUR_MS, MANY_HOURS, MINUTE_MS, Candle, Tape, filled, fold, grouped
from simulator.history import History
from simulator.market import MAX_PREMIUM, Listing, Market

NOW_MS = 1_786_538_789_464  # 12:46:29 UTC
MARKET = Market(1, NOW_MS, VENUES)
HISTORY = History(MARKET.past)
TRADED = [listing for listing in MARKET.listings if listing.state == "trading"]
STEPS: Final = st.sampled_from([MINUTE_MS, HOUR_MS, DAY_MS])


def read(history: History, listing: Listing, step_ms: int, first_ms: int, end_ms: int) -> list[Candle]:
    return [candle for block in history.blocks(listing, step_ms, first_ms, end_ms) for candle in block]


def at(market: Market, exchange: str, symbol: str) -> Listing:
    return next(it for it in market.listings if (it.exchange, it.symbol) == (exchange, symbol))


def assert_sane(candle: Candle) -> None:
    assert 0 < candle.low <= min(candle.open, candle.close) <= max(candle.open, candle.close) <= candle.high
    assert candle.volume > 0
    assert candle.trades > 0
    assert -1e-9 <= candle.bought <= candle.volume * (1 + 1e-9)
    assert candle.low * (1 - 1e-6) <= candle.turnover / candle.volume <= candle.high * (1 + 1e-6)


def assert_same(one: Candle, other: Candle) -> None:
    assert one[:5] == other[:5]
    assert one.trades == other.trades
    for name in ("volume", "turnover", "bought"):
        assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-3 if name == "turnover" else 1e-9)


@settings(max_examples=40, deadline=None)
@given(listing=st.sampled_from(TRADED), days_ago=st.integers(1, 790), hour=st.integers(0, 23))
def test_the_minutes_of_an_hour_add_up_to_it_and_the_hours_of_a_day(listing: Listing, days_ago: int, hour: int) -> None:
    day_ms = NOW_MS - NOW_MS % DAY_MS - days_ago * DAY_MS
    hours = read(HISTORY, listing, HOUR_MS, day_ms, day_ms + DAY_MS)
    assert len(hours) == 24
    (day,) = read(HISTORY, listing, DAY_MS, day_ms, day_ms + DAY_MS)
    assert_same(day, fold(hours, day_ms))
    minutes = read(HISTORY, listing, MINUTE_MS, hours[hour].start_ms, hours[hour].start_ms + HOUR_MS)
    assert_same(hours[hour], fold(minutes, hours[hour].start_ms))
    for candle in (day, *hours, *minutes):
        assert_sane(candle)


def test_the_rolling_day_of_the_ticker_is_that_of_the_candles() -> None:
    for listing in random.Random(1).sample(TRADED, 100):
        hours = read(HISTORY, listing, HOUR_MS, NOW_MS - DAY_MS - HOUR_MS, NOW_MS)
        assert listing.high24h == max(candle.high for candle in hours)
        assert listing.low24h == min(candle.low for candle in hours)
        assert listing.last == hours[-1].close
        assert (
            sum(candle.volume for candle in hours[1:]) <= listing.volume(NOW_MS).base <= sum(candle.volume for candle in hours)
        )


def test_the_past_is_deep_and_continuous() -> None:
    listing = at(MARKET, "okx", "BTC-USDT")
    for step_ms, least, most_jump in ((MINUTE_MS, 1440, 0.02), (HOUR_MS, 720, 0.0), (DAY_MS, 365, 0.0)):
        candles = read(HISTORY, listing, step_ms, NOW_MS - (least + 5) * step_ms, NOW_MS)
        assert len(candles) >= least
        starts = [candle.start_ms for candle in candles]
        assert starts == sorted(set(starts))
        assert all(start % step_ms == 0 for start in starts)
        for before, after in pairwise(candles):
            assert after.open == pytest.approx(before.close, rel=most_jump)
    assert read(HISTORY, listing, DAY_MS, 0, MARKET.past.begin_ms) == []


def test_a_year_ago_the_price_was_another_one() -> None:
    days = read(HISTORY, at(MARKET, "okx", "BTC-USDT"), DAY_MS, NOW_MS - 365 * DAY_MS, NOW_MS)
    assert max(day.high for day in days) / min(day.low for day in days) > 1.2


def test_thin_markets_have_idle_minutes_and_thick_ones_none() -> None:
    hour_ms = NOW_MS - NOW_MS % HOUR_MS - HOUR_MS
    thin = min((it for it in TRADED if it.exchange == "kraken" and it.quote == "USD"), key=lambda it: it.turnover24h)
    assert 1 <= len(read(HISTORY, thin, MINUTE_MS, hour_ms, hour_ms + HOUR_MS)) < 30
    assert len(read(HISTORY, at(MARKET, "binance", "BTC-USDT"), MINUTE_MS, hour_ms, hour_ms + HOUR_MS)) >= 58


def test_all_exchanges_follow_one_path_each_with_its_own_volume() -> None:
    first_ms = NOW_MS - 10 * DAY_MS
    listings = [it for it in MARKET.listings if it.symbol == "ETH-USDT"]
    assert len(listings) == 6
    of_each = [{c.start_ms: c for c in read(HISTORY, it, MINUTE_MS, first_ms, first_ms + 3 * HOUR_MS)} for it in listings]
    common = set.intersection(*(set(candles) for candles in of_each))
    assert len(common) > 100
    for start_ms in common:
        closes = [candles[start_ms].close for candles in of_each]
        assert max(closes) / min(closes) < 1 + 4 * MAX_PREMIUM
    assert len({sum(c.volume for c in candles.values()) for candles in of_each}) == 6


def test_the_past_depends_on_the_seed_and_not_on_the_order_of_questions() -> None:
    other, third = Market(1, NOW_MS, VENUES), Market(2, NOW_MS, VENUES)
    history = History(other.past)
    first_ms, end_ms = NOW_MS - 400 * DAY_MS, NOW_MS - 399 * DAY_MS
    read(history, at(other, "kraken", "SOL-USD"), DAY_MS, 0, NOW_MS)
    again = read(history, at(other, "bybit", "BTC-USDT"), MINUTE_MS, first_ms, end_ms)
    assert again == read(HISTORY, at(MARKET, "bybit", "BTC-USDT"), MINUTE_MS, first_ms, end_ms)
    assert again != read(History(third.past), at(third, "bybit", "BTC-USDT"), MINUTE_MS, first_ms, end_ms)


@settings(max_examples=50, deadline=None)
@given(
    trades=st.lists(
        st.tuples(st.integers(0, 20 * MINUTE_MS), st.integers(1, 10**6), st.integers(1, 10**6), st.booleans()),
        min_size=1,
        max_size=60,
    )
)
def test_a_tape_has_the_candles_of_its_trades(trades: list[tuple[int, int, int, bool]]) -> None:
    tape, now_ms, by_minute = Tape(), NOW_MS, dict[int, list[tuple[int, int, bool]]]()
    for elapsed_ms, price, size, bought in trades:
        now_ms += elapsed_ms
        tape.trade(now_ms, price, size, bought=bought)
        by_minute.setdefault(now_ms - now_ms % MINUTE_MS, []).append((price, size, bought))
    kept = tape.minutes(0, now_ms + 1)
    assert kept == [expected(start_ms, by_minute[start_ms]) for start_ms in sorted(by_minute) if tape.keeps(start_ms)]
    assert len(tape.hours(0, now_ms + 1)) == len({start_ms // HOUR_MS for start_ms in by_minute})
    assert fold(tape.hours(0, now_ms + 1), 0) == fold([expected(start, it) for start, it in sorted(by_minute.items())], 0)


def expected(start_ms: int, trades: list[tuple[int, int, bool]]) -> Candle:
    prices = [price for price, _, _ in trades]
    return Candle(
        *(start_ms, prices[0], max(prices), min(prices), prices[-1]),
        sum(size for _, size, _ in trades),
        sum(size * price for price, size, _ in trades),
        len(trades),
        sum(size for _, size, bought in trades if bought),
    )


@pytest.mark.parametrize(("wanted", "hours"), [(False, FEW_HOURS), (True, MANY_HOURS)])
def test_a_tape_keeps_minutes_for_some_hours_and_hours_for_longer(wanted: bool, hours: int) -> None:
    tape = Tape()
    tape.wanted = wanted
    first_ms = NOW_MS - NOW_MS % HOUR_MS
    for minute in range(40 * 60):
        tape.trade(first_ms + minute * MINUTE_MS, 1.0, 1.0, bought=True)
    assert len(tape.minutes(0, first_ms + 40 * HOUR_MS)) == (hours + 1) * 60
    assert [hour.trades for hour in tape.hours(0, first_ms + 40 * HOUR_MS)] == [60] * 40


def test_minutes_that_are_no_longer_kept_still_add_up_to_their_hour() -> None:
    market = Market(3, NOW_MS, VENUES)
    history, listing = History(market.past), at(market, "okx", "ETH-USDT")
    trade_on(market, listing, range(NOW_MS, NOW_MS + 6 * HOUR_MS, 20_000))
    end_ms = NOW_MS + 6 * HOUR_MS
    assert not listing.tape.keeps(NOW_MS - NOW_MS % HOUR_MS)
    hours = read(history, listing, HOUR_MS, NOW_MS - 2 * HOUR_MS, end_ms)
    assert len(hours) == 8
    for hour in hours:
        assert_same(hour, fold(read(history, listing, MINUTE_MS, hour.start_ms, hour.start_ms + HOUR_MS), hour.start_ms))


def trade_on(market: Market, listing: Listing, times_ms: Iterable[int]) -> None:
    for time_ms in times_ms:
        market.step(listing, time_ms, traded=True)


def test_live_candles_go_on_where_the_past_ends() -> None:
    market = Market(4, NOW_MS, VENUES)
    history, listing = History(market.past), at(market, "kraken", "BTC-USD")
    trade_on(market, listing, range(NOW_MS, NOW_MS + 30 * MINUTE_MS, 3_000))
    candles = read(history, listing, MINUTE_MS, NOW_MS - HOUR_MS, NOW_MS + HOUR_MS)
    starts = [candle.start_ms for candle in candles]
    assert starts == list(range(starts[0], NOW_MS + 30 * MINUTE_MS, MINUTE_MS))
    for before, after in pairwise(candles):
        assert after.open == pytest.approx(before.close, rel=0.01)
    (day,) = read(history, listing, DAY_MS, NOW_MS - NOW_MS % DAY_MS, NOW_MS + 1)
    assert day.close == listing.last
    assert listing.high24h >= max(candle.high for candle in candles)


def test_a_corrected_candle_is_also_in_its_hour_and_day() -> None:
    market = Market(5, NOW_MS, VENUES)
    history, listing = History(market.past), at(market, "okx", "BTC-USDT")
    before = read(history, listing, MINUTE_MS, NOW_MS - HOUR_MS, NOW_MS)
    corrected = history.correct(listing, 2, NOW_MS)
    after = read(history, listing, MINUTE_MS, NOW_MS - HOUR_MS, NOW_MS)
    assert corrected is not None
    assert [new for old, new in zip(before, after, strict=True) if old != new] == [corrected]
    assert corrected.volume == pytest.approx(before[-2].volume * 1.1, rel=0.01)
    assert corrected.close == corrected.high > before[-2].high
    assert_sane(corrected)
    for step_ms, inner_ms in ((HOUR_MS, MINUTE_MS), (DAY_MS, HOUR_MS)):
        start_ms = corrected.start_ms - corrected.start_ms % step_ms
        (outer,) = read(history, listing, step_ms, start_ms, start_ms + 1)
        assert_same(outer, fold(read(history, listing, inner_ms, start_ms, start_ms + step_ms), start_ms))


def test_no_candle_to_correct() -> None:
    market = Market(5, NOW_MS, VENUES)
    assert History(market.past).correct(at(market, "okx", "BTC-USDT"), 1000, NOW_MS) is None


def test_filled_and_grouped() -> None:
    one, two = Candle(0, 1.0, 3.0, 1.0, 2.0, 5.0, 10.0, 2, 1.0), Candle(120, 4.0, 4.0, 4.0, 4.0, 1.0, 4.0, 1, 0.0)
    rows = filled([one, two], 60, range(-60, 181), 9.0)
    assert [row.close for row in rows] == [9.0, 2.0, 2.0, 4.0, 4.0]
    assert [row.trades for row in rows] == [0, 2, 0, 1, 0]
    assert grouped([one, two], 180) == [Candle(0, 1.0, 4.0, 1.0, 4.0, 6.0, 14.0, 3, 1.0)]
    assert [candle.start_ms for candle in grouped([one, two], 180, 60)] == [-60, 120]
