"""Ticks are complete, the newest message of each channel wins, and the state never goes back in time."""

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from market_pulse.exchange import merge as merging
from market_pulse.exchange.adapter import Day, Listed, Quote, Trade
from market_pulse.exchange.merge import Change, Merge
from market_pulse.exchange.pace import Pace
from market_pulse.messages import Symbol

BTC = Listed(Symbol("BTC-USDT"), "BTCUSDT", 2)
DAY = Day("BTCUSDT", 64000.0, 62000.0, 65000.0, 61000.0, 10.0, 640000.0, (0, 1000), 1000, trade_id=5, bid=63999.0, ask=64001.0)
QUOTE = Quote("BTCUSDT", 63999.5, 64000.5, (7, 0))
TRADE = Trade("BTCUSDT", 64010.0, 6, 1500)


@pytest.fixture
def merge() -> Merge:
    return Merge("binance")


def test_no_tick_before_the_day_is_known(merge: Merge) -> None:
    assert merge.apply(TRADE, 1) is Change.NEW
    assert merge.apply(QUOTE, 1) is Change.NEW
    assert merge.tick(BTC) is None


def test_a_tick_is_the_whole_state(merge: Merge) -> None:
    for event in (DAY, QUOTE, TRADE):
        merge.apply(event, 2000)
    tick = merge.tick(BTC)
    assert tick is not None
    assert (tick.symbol, tick.price, tick.bid, tick.ask, tick.open24h, tick.dp) == (
        "BTC-USDT",
        64010.0,
        63999.5,
        64000.5,
        62000.0,
        2,
    )
    assert (tick.exchange_time_ms, tick.received_time_ms) == (1500, 2000)


def test_a_day_that_lags_behind_the_trades_keeps_the_newer_price(merge: Merge) -> None:
    merge.apply(DAY, 1)
    merge.apply(TRADE, 2)
    assert merge.apply(replace(DAY, order=(0, 2000), open24h=1.0), 3) is Change.NEW
    tick = merge.tick(BTC)
    assert tick is not None
    assert (tick.price, tick.open24h) == (64010.0, 1.0)


def test_quotes_of_the_day_count_only_where_there_are_no_others(merge: Merge) -> None:
    merge.apply(DAY, 1)
    tick = merge.tick(BTC)
    assert tick is not None
    assert tick.bid == 63999.0
    merge.apply(replace(QUOTE, bid=None), 2)
    tick = merge.tick(BTC)
    assert tick is not None
    assert tick.bid is None


@pytest.mark.parametrize(
    ("bid", "ask", "bound_ms"),
    [
        pytest.param(64009.0, 64011.0, merging.SETTLED_MS, id="the day has quotes"),
        pytest.param(None, None, merging.QUIET_QUOTE_MS, id="the day has no quote"),
    ],
)
def test_a_quote_of_a_channel_gone_deaf_is_dropped(merge: Merge, bid: float | None, ask: float | None, bound_ms: int) -> None:
    def quotes_after(ms: int) -> tuple[float | None, float | None]:
        merge.apply(replace(DAY, order=(0, 1000 + ms), trade_id=6, price=64010.0, bid=bid, ask=ask), 1000 + ms)
        tick = merge.tick(BTC)
        assert tick is not None
        return tick.bid, tick.ask

    merge.apply(QUOTE, 0)
    merge.apply(QUOTE, 1000)  # a repeated message shows that the feed is alive
    assert quotes_after(bound_ms) == (QUOTE.bid, QUOTE.ask)
    assert quotes_after(bound_ms + 1) == (bid, ask)
    assert merge.apply(replace(QUOTE, order=(6, 9)), 1001 + bound_ms) is Change.OUTDATED, "it is older than the dropped message"
    assert merge.apply(replace(QUOTE, order=(8, 0)), 1002 + bound_ms) is Change.NEW
    assert quotes_after(bound_ms + 3) == (QUOTE.bid, QUOTE.ask)


@pytest.mark.parametrize(
    ("known", "late"),
    [
        pytest.param(DAY, replace(DAY, order=(0, 999)), id="day"),
        pytest.param(QUOTE, replace(QUOTE, order=(6, 9)), id="quote"),
        pytest.param(TRADE, replace(TRADE, trade_id=5), id="trade"),
    ],
)
def test_what_is_older_is_outdated(merge: Merge, known: Day, late: Day) -> None:
    merge.apply(known, 1)
    before = merge.tick(BTC)
    assert merge.apply(late, 2) is Change.OUTDATED
    assert merge.tick(BTC) == before


def test_quotes_alone_are_not_a_symbol_heard(merge: Merge) -> None:
    merge.apply(QUOTE, 1)
    assert merge.heard("BTCUSDT") is None
    merge.apply(DAY, 2)
    merge.apply(replace(QUOTE, order=(9, 0)), 3)
    assert merge.heard("BTCUSDT") == 2


def test_one_wild_trade_number_does_not_freeze_the_price(merge: Merge) -> None:
    merge.apply(DAY, 1000)
    merge.apply(replace(TRADE, trade_id=10**15, price=1.0), 1000)
    merge.apply(replace(DAY, order=(0, 2000), exchange_time_ms=2000, trade_id=7), 1500)
    assert merge.tick(BTC).price == 1.0  # type: ignore[union-attr]
    merge.apply(replace(DAY, order=(0, 6000), exchange_time_ms=6000, trade_id=8), 5000)
    assert merge.tick(BTC).price == 64000.0  # type: ignore[union-attr]


def test_one_wild_time_does_not_freeze_the_feed(merge: Merge) -> None:
    merge.apply(replace(DAY, order=(0, 10**12), exchange_time_ms=10**12), 1000)
    assert merge.apply(DAY, 1100) is Change.NEW
    assert merge.tick(BTC).exchange_time_ms == 1000  # type: ignore[union-attr]


@pytest.mark.parametrize("event", [DAY, QUOTE, TRADE], ids=["day", "quote", "trade"])
def test_a_second_socket_says_the_same(merge: Merge, event: Day) -> None:
    merge.apply(event, 1)
    assert merge.apply(event, 2) is Change.SAME


def test_numbers_that_restart_overwrite(merge: Merge) -> None:
    merge.apply(QUOTE, 1)
    assert merge.apply(Quote("BTCUSDT", 1.0, 2.0, (1, 0), restarted=True), 2) is Change.NEW


def test_a_side_that_a_message_leaves_out_is_kept(merge: Merge) -> None:
    merge.apply(DAY, 1)
    merge.apply(QUOTE, 1)
    merge.apply(Quote("BTCUSDT", None, 64002.0, (8, 0), bid_kept=True), 2)
    tick = merge.tick(BTC)
    assert tick is not None
    assert (tick.bid, tick.ask) == (63999.5, 64002.0)


def test_released_symbols_are_forgotten(merge: Merge) -> None:
    merge.apply(DAY, 1)
    merge.keep({"ETHUSDT": BTC})
    assert merge.tick(BTC) is None
    assert merge.heard("BTCUSDT") is None


def test_the_pace_of_several_symbols_adds_up_and_outlives_the_merge() -> None:
    paces: dict[str, Pace] = {}
    merge = Merge("binance", paces)
    assert merge.silence_limit_s() is None
    for second in range(0, 64, 2):
        for native in ("BTCUSDT", "ETHUSDT"):
            merge.apply(replace(DAY, native=native, order=(0, 1000 + second)), 1000 + second * 1000)
    assert merge.silence_limit_s() == pytest.approx(10.0), (
        "each channel pauses for 2 s; a silence of ten times that is suspicious, of both channels half of that"
    )
    after = Merge("binance", paces)
    assert after.silence_limit_s() is None
    after.apply(DAY, 10**6)
    assert after.silence_limit_s() == pytest.approx(20.0)
    after.keep({})
    assert not paces


NAMELESS = replace(DAY, order=None, exchange_time_ms=None, trade_id=None)


def test_figures_without_number_and_time_are_ordered_by_their_arrival(merge: Merge) -> None:
    orders = []
    for second, price in enumerate((1.0, 2.0, 3.0, 3.0, 2.0)):
        assert merge.apply(replace(NAMELESS, price=price), 1000 * second) is Change.NEW
        tick = merge.tick(BTC)
        assert tick is not None
        assert (tick.price, tick.exchange_time_ms) == (price, None)
        orders.append(tick.order)
    assert orders == sorted(set(orders))


def test_figures_without_number_and_time_survive_a_clock_that_is_put_back(merge: Merge) -> None:
    first = order_after(merge, NAMELESS, received_time_ms=3_600_000)
    second = order_after(merge, replace(NAMELESS, price=1.0), received_time_ms=1000)
    assert second > first
    assert merge.tick(BTC).price == 1.0  # type: ignore[union-attr]
    assert merge.apply(replace(NAMELESS, price=1.0), 1000) is Change.SAME


def test_figures_without_a_time_follow_a_trade_by_our_clock(merge: Merge) -> None:
    merge.apply(TRADE, 1000)
    merge.apply(NAMELESS, 1000 + merging.SETTLED_MS)
    assert merge.tick(BTC).price == TRADE.price  # type: ignore[union-attr]
    merge.apply(NAMELESS, 1001 + merging.SETTLED_MS)
    assert merge.tick(BTC).price == DAY.price  # type: ignore[union-attr]


@pytest.mark.parametrize(("known", "answer"), [(NAMELESS, DAY), (DAY, NAMELESS), (NAMELESS, NAMELESS)])
def test_is_behind_without_a_time(merge: Merge, known: Day, answer: Day) -> None:
    merge.apply(replace(known, trade_id=None), 1000)
    answer = replace(answer, trade_id=None, price=1.0)
    assert not merge.is_behind(answer, 1000 + merging.NEWER_BY_MS)
    assert merge.is_behind(answer, 1001 + merging.NEWER_BY_MS)
    assert not merge.is_behind(replace(answer, price=DAY.price), 1001 + merging.NEWER_BY_MS)


def test_the_time_of_sending_is_the_newest_time(merge: Merge) -> None:
    merge.apply(replace(DAY, sent_time_ms=90_000), 90_100)
    assert merge.tick(BTC).exchange_time_ms == 90_000  # type: ignore[union-attr]


def test_an_estimated_quote_volume_is_marked(merge: Merge) -> None:
    merge.apply(replace(DAY, quote_volume_estimated=True), 1)
    assert merge.tick(BTC).quote_volume_estimated is True  # type: ignore[union-attr]
    merge.apply(replace(DAY, order=(0, 1001)), 2)
    assert merge.tick(BTC).quote_volume_estimated is UNSET  # type: ignore[union-attr]


MATCH = replace(DAY, order=(5, 1000))


def test_a_proof_that_the_price_is_the_last_one_renews_its_age(merge: Merge) -> None:
    before = order_after(merge, MATCH, received_time_ms=1000)
    assert merge.renew("BTCUSDT", 5, 4000)
    tick = merge.tick(BTC)
    assert tick is not None
    assert (tick.price, tick.received_time_ms, tick.exchange_time_ms, tick.bid) == (DAY.price, 4000, 1000, DAY.bid)
    assert tick.order > before, "so that the bus takes it"
    assert merge.heard("BTCUSDT") == 4000
    assert not merge.renew("BTCUSDT", 4, 5000)
    assert not merge.renew("BTCUSDT", 6, 5000)
    assert not merge.renew("ETHUSDT", 5, 5000)
    assert merge.tick(BTC) == tick


@pytest.mark.parametrize("quotes", [[], [QUOTE]], ids=["quote of the figures", "quote of a channel"])
def test_a_renewed_price_does_not_keep_an_old_quote(merge: Merge, quotes: list[Quote]) -> None:
    merge.apply(MATCH, 1000)
    for quote in quotes:
        merge.apply(quote, 1000)
    merge.renew("BTCUSDT", 5, 1000 + merging.QUIET_QUOTE_MS)
    assert merge.tick(BTC).bid is not None  # type: ignore[union-attr]
    merge.renew("BTCUSDT", 5, 1001 + merging.QUIET_QUOTE_MS)
    tick = merge.tick(BTC)
    assert tick is not None
    assert (tick.bid, tick.ask) == (None, None)
    merge.apply(replace(MATCH, order=(6, 12_000), trade_id=6, exchange_time_ms=12_000), 12_000)
    assert merge.tick(BTC).bid == DAY.bid  # type: ignore[union-attr]


@pytest.mark.parametrize("order", [(5, 1000), (5, 0), (0, 1000), None], ids=str)
def test_the_order_of_a_renewed_price_is_the_same_in_each_copy_and_below_the_next_match(order: tuple[int, int] | None) -> None:
    one, other = Merge("binance"), Merge("binance")
    match = replace(MATCH, order=order)
    orders = [order_after(one, match, received_time_ms=1000)]
    for second in range(1, 3000, 7):
        one.renew("BTCUSDT", 5, 1000 + 1000 * second)
        tick = one.tick(BTC)
        assert tick is not None
        orders.append(tick.order)
    other.apply(match, 1000)
    other.renew("BTCUSDT", 5, 1000 + 1000 * second)
    assert other.tick(BTC) == one.tick(BTC)
    following = replace(match, order=order and (order[0] and 6, order[1] and 3_001_000), trade_id=6, exchange_time_ms=3_001_000)
    orders.append(order_after(one, following, received_time_ms=3_001_000))
    assert orders == sorted(orders)
    assert orders[0] < orders[1]
    assert orders[-2] < orders[-1]


def test_a_match_is_missed_if_a_later_proof_still_finds_it_lacking(merge: Merge) -> None:
    merge.apply(MATCH, 1000)
    assert not merge.misses("BTCUSDT", 6), "it may be on its way"
    assert merge.misses("BTCUSDT", 6)
    merge.apply(replace(MATCH, order=(8, 2000), trade_id=8), 2000)
    assert not merge.misses("BTCUSDT", 9)
    merge.apply(replace(MATCH, order=(9, 3000), trade_id=9), 3000)
    assert not merge.misses("BTCUSDT", 10), "a lively symbol always has a match on its way"
    assert not merge.misses("BTCUSDT", 4)
    assert not merge.misses("ETHUSDT", 4)


def test_without_trade_numbers_no_match_is_missed(merge: Merge) -> None:
    merge.apply(replace(MATCH, trade_id=None), 1000)
    assert not merge.misses("BTCUSDT", 6)
    assert not merge.misses("BTCUSDT", 7)


def test_is_behind(merge: Merge) -> None:
    assert merge.is_behind(DAY, 2)
    merge.apply(DAY, 1)
    assert not merge.is_behind(DAY, 2)
    assert merge.is_behind(replace(DAY, trade_id=6), 2)
    assert merge.is_behind(replace(DAY, trade_id=None, exchange_time_ms=9000, price=1.0), 2)
    assert not merge.is_behind(replace(DAY, trade_id=None, exchange_time_ms=9000), 2)


@pytest.mark.parametrize(
    ("live", "day", "elsewhere"),
    [
        pytest.param(replace(TRADE, trade_id=9), DAY, replace(DAY, trade_id=8), id="trades live"),
        pytest.param(
            replace(QUOTE, exchange_time_ms=90_000),
            replace(DAY, trade_id=None),
            replace(DAY, trade_id=None, exchange_time_ms=91_000, price=1.0),
            id="quotes live",
        ),
    ],
)
def test_figures_gone_deaf_are_noticed_while_other_channels_live(
    merge: Merge, live: Quote | Trade, day: Day, elsewhere: Day
) -> None:
    merge.apply(day, 1000)
    merge.apply(live, 90_000)
    assert not merge.is_behind(day, 90_000)
    assert merge.is_behind(elsewhere, 90_000)


def order_after(merge: Merge, *events: Day | Quote | Trade, received_time_ms: int = 2000) -> tuple[float, ...]:
    for event in events:
        merge.apply(event, received_time_ms)
    tick = merge.tick(BTC)
    assert tick is not None
    return tick.order


def test_the_order_of_a_tick_is_that_of_its_parts(merge: Merge) -> None:
    assert order_after(merge, DAY) == (5, -1, -1, 0, 1000)
    assert order_after(merge, QUOTE) == (5, 7, 0, 0, 1000)
    assert order_after(merge, TRADE) == (6, 7, 0, 0, 1000)


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(replace(DAY, order=(0, 1001)), id="day"),
        pytest.param(replace(QUOTE, order=(8, 0)), id="quote"),
        pytest.param(replace(TRADE, trade_id=7), id="trade"),
        pytest.param(replace(DAY, open24h=1.0), id="day of the same order"),
        pytest.param(replace(QUOTE, bid=1.0), id="quote of the same order"),
    ],
)
def test_whatever_is_new_puts_a_tick_ahead(merge: Merge, event: Day) -> None:
    before = order_after(merge, DAY, QUOTE, TRADE)
    after = order_after(merge, event)
    assert after != before
    assert all(new >= old for new, old in zip(after, before, strict=True))


def test_two_merges_that_hear_the_same_agree_on_its_order(merge: Merge) -> None:
    events: list[Day | Quote | Trade]
    events = [DAY, QUOTE, replace(DAY, open24h=1.0), replace(DAY, open24h=2.0), replace(QUOTE, bid=1.0), TRADE]
    orders = [order_after(merge, event) for event in events]
    other = Merge("binance")
    assert [order_after(other, event) for event in events] == orders
    assert len(set(orders)) == len(orders)
    assert order_after(merge, replace(DAY, order=(0, 1001))) > orders[-1], "the next number is ahead of any tie"


def test_a_time_far_ahead_of_our_clock_is_no_yardstick(merge: Merge) -> None:
    assert order_after(merge, replace(DAY, order=(0, 10**12), exchange_time_ms=10**12)) == (5, -1, -1, 0, 10**12)
    assert order_after(merge, DAY) == (5, -1, -1, 0, 1000, 2000), "and the order tells the bus since when the numbers are right"
