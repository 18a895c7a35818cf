"""All candles of one symbol: their tickers, their closing, and their corrections."""

import pytest

from candles.series import PATIENCE_MS
from market_pulse.messages import Interval

from .playing import MINUTE_MS, T0, Played, bar, heard, ohlc, share

MINUTE, HOUR, DAY = Interval
SECOND_MS = 1000


@pytest.fixture
def played() -> Played:
    """A symbol at the beginning of an hour, of which 10 tickers were published before."""
    return Played(seq=10)


def test_the_worked_example_of_live_prices(played: Played) -> None:
    for price in (100.05, 101.1, 99.3, 100.5):
        played.hear(price, after_ms=10_000)
    made = played.open()
    assert made is not None
    assert ohlc(made) == (100.05, 101.1, 99.3, 100.5)
    assert (made.start_ms, made.end_ms, made.closed, made.origin) == (T0, T0 + MINUTE_MS, False, "live")
    assert (made.first_seq, made.last_seq, made.seen, made.missed) == (11, 14, 4, 0)
    assert made.received_time_ms == played.now_ms - 5


@pytest.mark.parametrize(
    ("quality", "counts"), [("ok", True), ("single", True), ("disputed", True), ("stale", False), ("down", False)]
)
def test_only_current_prices_make_a_candle(played: Played, quality: str, counts: bool) -> None:
    played.hear(None if quality == "down" else 100.0, quality=quality)
    assert (played.open() is not None) == counts


def test_tickers_without_a_current_price_are_seen_but_in_no_candle(played: Played) -> None:
    played.hear(100.0)
    played.hear(200.0, after_ms=1000, quality="stale")
    played.hear(101.0, after_ms=1000)
    played.hear(300.0, after_ms=1000, quality="stale")
    made = played.open()
    assert made is not None
    assert ohlc(made) == (100.0, 101.0, 100.0, 101.0)
    assert (made.first_seq, made.last_seq, made.seen, made.missed) == (11, 13, 3, 0)


def test_a_ticker_that_is_heard_twice_or_too_late_counts_once(played: Played) -> None:
    played.hear(100.0)
    played.hear(101.0)
    played.seq -= 2
    played.hear(100.0)
    made = played.open()
    assert made is not None
    assert (made.seen, made.missed, made.close) == (2, 0, 101.0)


def test_lost_tickers_are_told(played: Played) -> None:
    played.hear(100.0)
    played.hear(101.0, lost=3)
    made = played.open()
    assert made is not None
    assert (made.first_seq, made.last_seq, made.seen, made.missed) == (11, 15, 2, 3)


def test_a_ticker_of_the_next_minute_ends_the_candle_and_nothing_is_lost_between(played: Played) -> None:
    played.hear(100.0)
    played.hear(101.0, after_ms=59_999)
    played.hear(102.0, after_ms=1)
    assert played.closed == [], "it waits for volumes"
    made = played.open()
    assert made is not None
    assert (made.start_ms, made.first_seq) == (T0 + MINUTE_MS, 13)
    played.at(T0 + MINUTE_MS + 2_999)
    assert played.closed == []
    played.at(T0 + MINUTE_MS + 3_000)
    [one] = played.closed
    assert (ohlc(one), one.closed, one.revision, one.last_seq) == ((100.0, 101.0, 100.0, 101.0), True, 0, 12)
    assert (one.volume, one.exchanges) == (None, ())


def test_the_clock_ends_a_candle_without_a_later_ticker_and_none_comes_after(played: Played) -> None:
    played.hear(100.0)
    played.at(T0 + MINUTE_MS + 3_000)
    assert [one.closed for one in played.closed] == [True]
    assert played.open() is None
    played.hear(105.0, late_ms=4_000)
    assert played.open() is not None, "a ticker that is dated before belongs to the open minute"
    assert played.open().start_ms == T0 + MINUTE_MS  # type: ignore[union-attr]
    played.at(T0 + 10 * MINUTE_MS)
    assert [one.start_ms for one in played.of(MINUTE)] == [T0, T0 + MINUTE_MS], "a minute in which nothing was heard has none"


@pytest.mark.parametrize(
    ("late_ms", "start_ms"),
    [
        pytest.param(0, T0, id="a right clock"),
        pytest.param(-5_000, T0 + MINUTE_MS, id="a publisher that is ahead"),
        pytest.param(5_000, T0, id="a publisher that is behind"),
        pytest.param(-600_000, T0, id="too far ahead: dated by Redis's clock"),
        pytest.param(600_000, T0, id="too far behind: dated by Redis's clock"),
    ],
)
def test_the_publishers_clock(played: Played, late_ms: int, start_ms: int) -> None:
    played.hear(after_ms=57_000, late_ms=late_ms)
    made = played.open()
    assert made is not None
    assert made.start_ms == start_ms


def test_tickers_that_waited_while_the_process_stood_still_belong_to_their_own_minutes(played: Played) -> None:
    played.hear(100.0, after_ms=50_000)
    for price, date_ms in ((101.0, 51_000), (103.0, 59_000), (102.0, 61_000)):
        played.seq += 1
        played.series.hear(heard(played.seq, T0 + date_ms, price, "ok"), T0 + 70_000, since_ms=T0 + 50_000)
    played.at(T0 + 70_000)
    assert [ohlc(one) for one in played.of(MINUTE)] == [(100.0, 103.0, 100.0, 103.0)]
    made = played.open()
    assert made is not None
    assert (made.start_ms, made.open) == (T0 + MINUTE_MS, 102.0)


def test_a_minute_that_lacks_its_end_is_replaced_by_the_exchanges(played: Played) -> None:
    played.hear(100.0)
    played.hear(101.0, after_ms=50_000)
    played.now_ms = T0 + 70_000  # the process stood still, and has subscribed anew
    played.series.listening_ms = played.now_ms
    played.seq += 1 + 5
    played.series.hear(heard(played.seq, played.now_ms, 102.0, "ok"), played.now_ms, since_ms=T0 + 50_000)
    played.at(played.now_ms)
    played.learn(MINUTE, okx=[bar(T0, 110.0)])
    [made] = [one for one in played.of(MINUTE) if one.origin == "exchanges"]
    assert ohlc(made) == (110.0, 110.0, 110.0, 110.0)


def test_a_slow_publisher_after_a_fast_one_goes_on_with_the_open_candle(played: Played) -> None:
    played.hear(100.0, after_ms=57_000, late_ms=-4_000)
    played.hear(101.0, after_ms=100, late_ms=4_000)
    made = played.open()
    assert made is not None
    assert (made.start_ms, made.seen, made.close) == (T0 + MINUTE_MS, 2, 101.0)


def test_redis_clock_set_back_does_not_stop_the_candles(played: Played) -> None:
    played.hear(after_ms=600_000)
    played.now_ms = T0
    played.hear(101.0)
    made = played.open()
    assert made is not None
    assert (made.start_ms, made.open) == (T0, 101.0)
    played.at(T0 + 700_000)
    assert [one.start_ms for one in played.of(MINUTE)] == [T0], "the minute from the future is forgotten"


def test_volumes_are_the_sums_of_the_exchanges(played: Played) -> None:
    played.hear()
    played.hear_exchange(share("okx", T0, 1.5, closed=False))
    played.hear_exchange(share("binance", T0, 2.0, closed=False))
    made = played.open()
    assert made is not None
    assert (made.volume, made.quote_volume, made.trades, made.buy_volume) == (3.5, 350.0, 6, 1.75)
    assert made.vwap == pytest.approx(100)
    assert made.exchanges == ("binance", "okx")


def test_a_minute_closes_as_soon_as_all_its_exchanges_have(played: Played) -> None:
    played.hear()
    played.hear_exchange(share("okx", T0, 1.0, closed=False))
    played.hear_exchange(share("bybit", T0, 1.0, closed=False))
    played.hear(after_ms=MINUTE_MS)
    played.hear_exchange(share("okx", T0, 2.0))
    assert played.closed == []
    played.hear_exchange(share("bybit", T0, 1.5))
    assert [(one.volume, one.revision) for one in played.closed] == [(3.5, 0)]


def test_late_and_corrected_volumes_are_revisions(played: Played) -> None:
    played.hear()
    played.hear_exchange(share("okx", T0, 1.0, closed=False))
    played.hear_exchange(share("bybit", T0, 1.0, closed=False))
    played.at(T0 + MINUTE_MS + 3_000)
    played.hear_exchange(share("okx", T0, 2.0))
    played.hear_exchange(share("okx", T0, 1.9, closed=False))
    played.hear_exchange(share("bybit", T0, 1.0))
    played.hear_exchange(share("bybit", T0, 0.5, revision=1))
    played.hear_exchange(share("bybit", T0, 1.0))
    assert [(one.volume, one.revision) for one in played.closed] == [(2.0, 0), (3.0, 1), (2.5, 2)]
    assert {ohlc(one) for one in played.closed} == {(100.0, 100.0, 100.0, 100.0)}
    assert {(one.origin, one.missed) for one in played.closed} == {("live", 0)}


def test_a_minute_that_lacks_its_beginning_is_replaced_by_the_exchanges() -> None:
    played = Played(T0 + 30_000, seq=10)
    played.hear(105.0)
    played.hear_exchange(share("okx", T0, 2.0, closed=False, close=99.0))
    played.at(T0 + MINUTE_MS + 3_000)
    assert [(one.open, one.origin, one.revision) for one in played.closed] == [(105.0, "live", 0)]
    played.hear_exchange(share("okx", T0, 3.0, close=99.0))
    one = played.closed[-1]
    assert (one.open, one.origin, one.revision, one.volume) == (99.0, "exchanges", 1, 3.0)
    assert (one.first_seq, one.missed, one.exchanges) == (None, None, ("okx",))
    played.learn(MINUTE, okx=[bar(T0, 99.0, 3.0)], bybit=[bar(T0, 102.0, 1.0)])
    one = played.closed[-1]
    assert (one.open, one.revision, one.volume) == (99.75, 2, 4.0)


def test_a_known_last_ticker_proves_that_nothing_is_missing() -> None:
    earlier = Played(T0 - MINUTE_MS, seq=5)
    earlier.hear()
    earlier.at(T0 + 3_000)
    later = Played(T0 + 30_000, seq=6)
    later.series.resume(MINUTE, [], earlier.closed)
    later.hear(105.0)
    later.at(T0 + MINUTE_MS + 3_000)
    later.learn(MINUTE, okx=[bar(T0, 99.0)])
    assert [(one.open, one.volume, one.revision, one.origin) for one in later.of(MINUTE)] == [
        (105.0, None, 0, "live"),
        (105.0, 1.0, 1, "live"),
    ], "history adds the volumes and leaves the prices"


def test_a_restart_in_an_open_minute_goes_on(played: Played) -> None:
    played.hear(100.0)
    played.hear(103.0)
    played.hear(101.0)
    kept = played.open()
    assert kept is not None
    restarted = Played(T0 + 20_000, seq=13)
    restarted.hear(102.0, lost=2)
    restarted.series.resume(MINUTE, [], [kept])
    restarted.hear(99.0)
    made = restarted.open()
    assert made is not None
    assert ohlc(made) == (100.0, 103.0, 99.0, 99.0)
    assert (made.first_seq, made.last_seq, made.seen, made.missed) == (11, 17, 5, 2)


def test_a_minute_says_that_it_lacks_its_beginning() -> None:
    played = Played(T0 + 30_000, seq=10)
    played.hear()
    made = played.open()
    assert made is not None
    assert (made.seen, made.missed) == (1, 1), "how many is not known: at least one"
    played.hear(after_ms=25_000)
    played.series.listening_ms = T0 + MINUTE_MS + 5_000  # the connection was lost until then
    played.now_ms = T0 + MINUTE_MS + 6_000
    played.hear(lost=7)
    made = played.open()
    assert made is not None
    assert (made.first_seq, made.missed) == (20, 7), "they may have been in this minute"
    assert [(one.last_seq, one.missed) for one in played.of(MINUTE)] == [(12, 8)], "or in the one before"


def test_what_an_open_minute_lacks_is_known_after_a_restart() -> None:
    played = Played(T0 + 30_000, seq=10)
    played.hear()
    kept = played.open()
    assert kept is not None
    restarted = Played(T0 + 40_000, seq=11)
    restarted.series.resume(MINUTE, [], [kept])
    restarted.hear()
    restarted.at(T0 + MINUTE_MS + 3_000)
    restarted.hear_exchange(share("okx", T0, 3.0, close=99.0))
    assert [(one.open, one.missed, one.origin) for one in restarted.closed] == [(100.0, 1, "live"), (99.0, None, "exchanges")]


@pytest.mark.parametrize("is_heard_first", [False, True], ids=["read, then heard", "heard, then read"])
def test_a_minute_that_ended_while_nobody_listened_lacks_its_end(played: Played, is_heard_first: bool) -> None:
    played.hear(100.0, after_ms=50_000)
    kept = played.open()
    assert kept is not None
    restarted = Played(T0 + MINUTE_MS + 10_000, seq=11)
    if is_heard_first:
        restarted.hear(102.0, lost=40)
    restarted.series.resume(MINUTE, [], [kept])
    if not is_heard_first:
        restarted.at(restarted.now_ms)
        restarted.hear(102.0, after_ms=900, lost=40)
    restarted.at(restarted.now_ms)
    assert [(one.start_ms, one.last_seq, one.missed) for one in restarted.of(MINUTE)] == [(T0, 11, 40)]
    restarted.learn(MINUTE, okx=[bar(T0, 99.0)])
    assert [(one.open, one.origin) for one in restarted.of(MINUTE)[1:]] == [(99.0, "exchanges")]


def test_tickers_that_were_heard_before_and_after_the_kept_candle_was_read_count(played: Played) -> None:
    played.hear(100.0)
    played.hear(103.0)
    restarted = Played(T0 + 20_000, seq=11)
    restarted.hear(103.0)
    restarted.hear(101.0)
    for interval in (MINUTE, HOUR):
        kept = played.open(interval)
        assert kept is not None
        restarted.series.resume(interval, [], [kept])
        made = restarted.open(interval)
        assert made is not None
        assert (made.first_seq, made.last_seq, made.seen, made.missed) == (11, 13, 3, 0)


def test_a_candle_that_nobody_closed_is_closed_after_a_restart(played: Played) -> None:
    played.hear(100.0)
    kept = played.open()
    assert kept is not None
    restarted = Played(T0 + 5 * MINUTE_MS, seq=300)
    restarted.hear(102.0)
    restarted.series.resume(MINUTE, [], [kept])
    restarted.at(restarted.now_ms)
    assert [(one.start_ms, one.closed) for one in restarted.of(MINUTE)] == [(T0, True)]


def test_history_fills_what_is_not_there_and_may_come_late_in_pieces_twice_and_corrected(played: Played) -> None:
    before = [bar(T0 - back * MINUTE_MS, 90.0 + back, 1.0) for back in (3, 2, 1)]
    played.learn(MINUTE, okx=before[:1])
    assert played.series.past.take_added(MINUTE) == before[:1]
    played.learn(MINUTE, okx=before)
    played.learn(MINUTE, okx=before)
    assert played.series.past.take_added(MINUTE) == before[1:]
    played.learn(MINUTE, okx=before, bybit=[bar(T0 - MINUTE_MS, 93.0, 1.0)])
    assert [(one.open, one.revision) for one in played.series.past.take_added(MINUTE)] == [(92.0, 1)]
    played.learn(MINUTE, okx=before)
    assert played.series.past.take_added(MINUTE) == [], "fewer exchanges are no correction"
    assert played.closed == [], "and none of it is news"


def test_history_leaves_the_open_minute_and_complete_live_ones(played: Played) -> None:
    played.hear(100.0)
    played.hear(101.0, after_ms=MINUTE_MS)
    played.at(T0 + MINUTE_MS + 3_000)
    played.now_ms = T0 + 3 * MINUTE_MS
    played.series.learn(MINUTE, {"okx": [bar(T0, 50.0), bar(T0 + MINUTE_MS, 50.0)]}, played.now_ms)
    assert ohlc(played.series.past.get(MINUTE, T0)) == (100.0,) * 4
    assert played.series.past.get(MINUTE, T0 + MINUTE_MS) is None
    played.at(played.now_ms)
    assert ohlc(played.series.past.get(MINUTE, T0 + MINUTE_MS)) == (101.0,) * 4


def play_minutes(played: Played, count: int) -> None:
    for _ in range(count):
        played.hear(100.0 + played.seq)
        played.at(played.now_ms + MINUTE_MS)


def test_an_hour_is_the_fold_of_its_minutes(played: Played) -> None:
    play_minutes(played, 5)
    made = played.open(HOUR)
    assert made is not None
    assert ohlc(made) == (110.0, 114.0, 110.0, 114.0)
    assert (made.first_seq, made.last_seq, made.missed, made.origin) == (11, 15, 0, "live")
    play_minutes(played, 55)
    played.at(T0 + HOUR.step_ms + 3_000)
    [one] = played.of(HOUR)
    assert ohlc(one) == (110.0, 169.0, 110.0, 169.0)
    assert (one.origin, one.missed, one.revision, one.closed) == ("live", 0, 0, True)
    played.learn(HOUR, okx=[bar(T0, 50.0)])
    assert len(played.of(HOUR)) == 1, "history leaves a complete hour"
    played.hear_exchange(share("okx", T0 + 59 * MINUTE_MS, 4.0))
    assert [(one.volume, one.revision) for one in played.of(HOUR)] == [(None, 0), (4.0, 1)], "a late volume corrects the hour"


def test_an_hour_of_which_a_minute_is_not_known_comes_from_the_exchanges(played: Played) -> None:
    play_minutes(played, 59)
    played.at(T0 + HOUR.step_ms + 3_000)
    assert [(one.origin, one.revision) for one in played.of(HOUR)] == [("live", 0)]
    played.learn(HOUR, okx=[bar(T0, 50.0)])
    assert [(one.open, one.origin, one.revision) for one in played.of(HOUR)[1:]] == [(50.0, "exchanges", 1)]
    played.learn(MINUTE, okx=[bar(T0 + 59 * MINUTE_MS, 99.0)])
    assert [(one.open, one.revision) for one in played.of(HOUR)[2:]] == [(110.0, 2)], "then the minute came: all are known"


def test_an_hour_that_we_have_heard_a_part_of_has_the_rest_from_history() -> None:
    played = Played(T0 + 30 * MINUTE_MS, seq=10)
    played.hear(105.0)
    assert played.open(HOUR) is None, "its open is not known yet"
    played.learn(MINUTE, okx=[bar(T0 + at * MINUTE_MS, 90.0 + at) for at in range(30)])
    made = played.open(HOUR)
    assert made is not None
    assert (ohlc(made), made.origin, made.exchanges) == ((90.0, 119.0, 90.0, 105.0), "exchanges", ("okx",))
    assert (made.first_seq, made.last_seq, made.missed) == (11, 11, 0), "where its tickers end, readers go on"


def test_an_hour_whose_beginning_nobody_knows_is_published_all_the_same() -> None:
    played = Played(T0 + 30 * MINUTE_MS, seq=10)
    played.hear(105.0, after_ms=PATIENCE_MS)
    assert ohlc(played.open(HOUR)) == (105.0,) * 4


def test_closed_candles_that_could_not_be_published_come_again(played: Played) -> None:
    played.hear()
    played.series.advance(T0 + MINUTE_MS + 3_000)
    closed = played.series.take_closed()
    assert len(closed) == 1
    played.series.put_back(closed)
    assert played.series.take_closed() == closed
    assert played.series.take_closed() == []
