"""Which of an exchange's candles are published: each start closed once, corrections numbered, nothing going back."""

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from market_pulse.exchange.adapter import candle
from market_pulse.exchange.candles import KEPT, MOST_WAITING, Candles, Clock, newest_of_each
from market_pulse.messages import Candle, Interval, Symbol

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
MINUTE = 60_000
M0 = 1_800_000_000_000  # the start of a minute
SETTLED = 3000


def frame(start: int = M0, volume: float = 1.0, close: float = 10.0, **more: Any) -> Candle:
    return candle(Interval.MINUTE, start, 10.0, max(10.0, close), min(10.0, close), close, volume, **more)


def brief(candles: list[Candle]) -> list[tuple[int, bool, int, float | None]]:
    """Return of each candle: its minute, whether it is closed, its revision, and its volume."""
    return [((one.start_ms - M0) // MINUTE, one.closed, one.revision, one.volume) for one in candles]


def told(candles: Candles, at: int, *frames: Candle, symbol: Symbol = BTC) -> list[tuple[int, bool, int, float | None]]:
    return brief([message for one in frames for message in candles.told(symbol, one, M0 + at)])


def test_names_and_times_are_filled_in() -> None:
    (message,) = Candles("toy").told(BTC, frame(exchange_time_ms=M0 + 5), M0 + 7)
    assert (message.exchange, message.symbol, message.exchanges) == ("toy", BTC, ("toy",))
    assert (message.received_time_ms, message.exchange_time_ms, message.closed) == (M0 + 7, M0 + 5, False)


def test_an_open_candle_is_published_once_a_second_and_its_newest_state_is_not_lost() -> None:
    candles = Candles("toy")
    assert told(candles, 0, frame(volume=1)) == [(0, False, 0, 1)]
    assert told(candles, 400, frame(volume=2), frame(volume=3)) == []
    assert brief(candles.tick(M0 + 900, M0)) == []
    assert brief(candles.tick(M0 + 1000, M0)) == [(0, False, 0, 3)]
    assert brief(candles.tick(M0 + 3000, M0)) == [], "nothing has changed"
    assert told(candles, 3100, frame(volume=4)) == [(0, False, 0, 4)]
    assert told(candles, 3200, frame(volume=9), symbol=ETH) == [(0, False, 0, 9)], "each symbol has a second of its own"


def test_a_clock_that_is_set_back_delays_nothing() -> None:
    candles = Candles("toy")
    told(candles, 5000, frame(volume=1))
    assert told(candles, 1000, frame(volume=2)) == [(0, False, 0, 2)]


def test_a_closed_candle_is_published_at_once_and_once() -> None:
    candles = Candles("toy")
    told(candles, 59_900, frame(volume=1))
    assert told(candles, 60_000, frame(volume=2, closed=True)) == [(0, True, 0, 2)]
    assert told(candles, 60_001, frame(volume=2, closed=True), frame(volume=2), frame(volume=1)) == []
    assert brief(candles.tick(M0 + 70_000, M0)) == []


def test_a_newer_start_closes_the_one_before() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(volume=1))
    assert told(candles, 60_000, frame(M0 + MINUTE)) == [(0, True, 0, 1), (1, False, 0, 1)]


def test_an_idle_candle_of_a_newer_start_closes_and_is_not_published() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(volume=1))
    assert told(candles, 60_000, frame(M0 + MINUTE, volume=0)) == [(0, True, 0, 1)]
    assert told(candles, 120_000, frame(M0 + 2 * MINUTE, volume=5, trades=0)) == []
    assert candles.skipped == {"idle": 2}


@pytest.mark.parametrize(
    ("now", "since", "closes"),
    [
        pytest.param(62_900, 0, False, id="before end + 3 s"),
        pytest.param(63_000, 0, True, id="end + 3 s"),
        pytest.param(63_000, None, False, id="no socket is open"),
        pytest.param(63_000, 61_000, False, id="the socket was lost since the last frame"),
        pytest.param(120_000, None, True, id="no row of REST came for a minute"),
    ],
)
def test_the_clock_closes_a_candle_whose_frames_stop(now: int, since: int | None, closes: bool) -> None:
    candles = Candles("toy")
    told(candles, 1000, frame(volume=1))
    messages = brief(candles.tick(M0 + now, None if since is None else M0 + since))
    assert messages == ([(0, True, 0, 1)] if closes else [])


@pytest.mark.parametrize("ahead", [-20_000, 20_000])
def test_the_exchanges_clock_counts_if_it_is_known(ahead: int) -> None:
    """Our clock differs by 20 s from the exchange's."""
    candles = Candles("toy")
    told(candles, 58_000 + ahead, frame(exchange_time_ms=M0 + 58_000))
    assert brief(candles.tick(M0 + 62_000 + ahead, 0)) == []
    assert brief(candles.tick(M0 + 63_000 + ahead, 0)) == [(0, True, 0, 1)]


def test_the_shortest_recent_way_tells_the_exchanges_time() -> None:
    clock = Clock()
    assert clock.now_ms(M0) == M0
    for took in (300, 100, 900):
        clock.heard(M0, M0 + took)
    assert clock.now_ms(M0 + 1000) == M0 + 900
    clock.heard(M0 + MINUTE, M0 + MINUTE + 500)
    assert clock.now_ms(M0 + MINUTE + 500) == M0 + MINUTE + 400, "the minute before still counts"
    clock.heard(M0 + 2 * MINUTE, M0 + 2 * MINUTE + 500)
    assert clock.now_ms(M0 + 2 * MINUTE + 500) == M0 + 2 * MINUTE, "and the one before that does not"


def test_late_trades_are_a_revision_and_late_frames_are_not() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(volume=2))
    candles.tick(M0 + 64_000, M0)
    assert told(candles, 64_100, frame(volume=1.5)) == []
    assert told(candles, 64_200, frame(volume=3)) == [(0, True, 1, 3)]
    assert told(candles, 64_300, frame(volume=2.5, closed=True)) == [(0, True, 2, 2.5)], "the exchange calls this one final"
    assert told(candles, 64_400, frame(volume=3), frame(volume=2.5, closed=True)) == [], "both are known"


def test_less_of_an_open_candle_is_skipped() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(volume=5, trades=7))
    assert told(candles, 2000, frame(volume=4, trades=7), frame(volume=5, trades=6)) == []
    assert candles.skipped == {"outdated": 2}
    assert told(candles, 60_000, frame(volume=4, closed=True)) == [(0, True, 0, 4)], "the exchange has the last word"


def test_starts_that_cannot_be_are_skipped() -> None:
    candles = Candles("toy")
    assert told(candles, 30_000, frame(M0 + MINUTE), frame(M0 + 60 * MINUTE), frame(M0 - 11 * MINUTE), frame(0)) == []
    assert candles.skipped == {"future": 2, "old": 2}
    assert told(candles, 55_000, frame(M0 + MINUTE)) == [(1, False, 0, 1)], "our clock may be a little behind"


def test_a_socket_that_begins_with_its_past_closes_each_minute() -> None:
    candles = Candles("toy")
    past = [frame(M0 + at * MINUTE, volume=1 - at) for at in (-3, -2, -1, 0)]
    assert told(candles, 5000, *past) == [(-3, False, 0, 4), (-3, True, 0, 4), (-2, True, 0, 3), (-1, True, 0, 2)]
    assert brief(candles.tick(M0 + 6000, M0)) == [(0, False, 0, 1)]
    assert told(candles, 5000, *past) == []


def test_history_is_kept_and_not_published() -> None:
    candles = Candles("toy")
    rows = [frame(M0 + at * MINUTE) for at in range(-3, 1)]
    messages, bars = candles.rows(BTC, rows, M0 + 1000, SETTLED, history=True)
    assert messages == []
    assert [bar.start_ms for bar in bars] == [M0 - 3 * MINUTE, M0 - 2 * MINUTE], "the last minute is not settled yet"


def test_history_keeps_the_minutes_that_were_published_too_because_redis_may_have_lost_them() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(M0 - MINUTE, volume=2, closed=True), frame(M0 - MINUTE, volume=3, closed=True))
    rows = [frame(M0 - 2 * MINUTE, volume=1), frame(M0 - MINUTE, volume=3)]
    messages, bars = candles.rows(BTC, rows, M0 + 5000, SETTLED, history=True)
    assert messages == []
    assert [(bar.start_ms, bar.volume, bar.revision) for bar in bars] == [(M0 - 2 * MINUTE, 1, 0), (M0 - MINUTE, 3, 1)]


def test_a_row_of_the_open_minute_closes_it_when_it_is_settled() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(volume=1))
    messages, bars = candles.rows(BTC, [frame(volume=2)], M0 + MINUTE + 2999, SETTLED, history=False)
    assert (messages, bars) == ([], [])
    messages, bars = candles.rows(BTC, [frame(volume=2)], M0 + MINUTE + 3000, SETTLED, history=True)
    assert (brief(messages), bars) == ([(0, True, 0, 2)], [])


def test_a_cached_row_takes_nothing_back() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(volume=3))
    messages, _ = candles.rows(BTC, [frame(volume=2)], M0 + MINUTE + 3000, SETTLED, history=False)
    assert brief(messages) == [(0, True, 0, 3)]
    messages, _ = candles.rows(BTC, [frame(volume=1)], M0 + MINUTE + 9000, SETTLED, history=False)
    assert messages == []
    messages, _ = candles.rows(BTC, [frame(volume=4)], M0 + MINUTE + 9000, SETTLED, history=False)
    assert brief(messages) == [(0, True, 1, 4)]


def test_a_row_that_comes_late_is_published_then() -> None:
    candles = Candles("toy")
    rows = {at: frame(M0 + at * MINUTE) for at in range(3)}
    messages, _ = candles.rows(BTC, [rows[0], rows[2]], M0 + 4 * MINUTE, SETTLED, history=False)
    assert [one.start_ms for one in messages] == [M0, M0 + 2 * MINUTE]
    messages, _ = candles.rows(BTC, list(rows.values()), M0 + 5 * MINUTE, SETTLED, history=False)
    assert brief(messages) == [(1, True, 0, 1)]


def test_figures_that_are_missing_or_rounded_are_no_correction() -> None:
    candles = Candles("toy")
    told(candles, 0, frame(volume=4.7275, trades=7, closed=True))
    row = frame(volume=4.727500000000001, quote_volume=47.1)
    assert candles.rows(BTC, [row], M0 + 2 * MINUTE, SETTLED, history=False) == ([], [])


def test_memory_is_bounded() -> None:
    candles = Candles("toy")
    for at in range(100):
        told(candles, at * MINUTE, frame(M0 + at * MINUTE, closed=True))
    assert len(candles._symbols[BTC].closed) == len(candles._symbols[BTC].versions) == KEPT
    messages, bars = candles.rows(BTC, [frame(M0)], M0 + 100 * MINUTE, SETTLED, history=False)
    assert (messages, [bar.start_ms for bar in bars]) == ([], [M0]), "too old to know whether it was published"
    for at in range(1, 100):
        told(candles, 99 * MINUTE, frame(M0 + 99 * MINUTE, volume=at, closed=True))
    assert len(candles._symbols[BTC].versions[M0 + 99 * MINUTE]) < 10
    candles.keep([ETH])
    assert candles.newest_closed_ms(BTC) is None


def test_what_waits_while_redis_is_away_is_one_of_each_start() -> None:
    waiting: tuple[Candle, ...] = ()
    for at in range(200):
        waiting = newest_of_each(waiting, (frame(M0 + at * MINUTE, volume=1),))
        waiting = newest_of_each(waiting, (frame(M0 + at * MINUTE, volume=2, closed=True),))
    assert len(waiting) == MOST_WAITING
    assert {one.volume for one in waiting} == {2}
    assert [one.start_ms for one in waiting] == sorted(one.start_ms for one in waiting)


@st.composite
def minutes(draw: st.DrawFn) -> dict[int, list[Candle]]:
    """Return what one exchange says of some minutes: each grows, is closed, and may be corrected."""
    flagged = draw(st.booleans())
    found = {}
    for at in range(draw(st.integers(1, 4))):
        volumes = sorted(draw(st.sets(st.integers(0, 9), min_size=1, max_size=4)))
        frames = [frame(M0 + at * MINUTE, float(volume), close=10 + volume) for volume in volumes]
        if flagged:
            frames[-1] = replace(frames[-1], closed=True)
        found[at] = frames
    return found


@given(data=st.data(), of=minutes())
def test_any_order_of_two_sockets_and_rest_gives_each_start_one_closing(
    data: st.DataObject, of: dict[int, list[Candle]]
) -> None:
    everything = [one for frames in of.values() for one in frames]
    order = data.draw(st.lists(st.tuples(st.sampled_from(everything), st.sampled_from(["socket", "row", "tick"])), max_size=60))
    # Whatever came before: at the end both sockets have sent all, and REST has answered.
    order += [(one, "socket") for one in everything] + [(one, "row") for one in everything]
    candles = Candles("toy")
    messages: list[Candle] = []
    now = M0 + 5 * MINUTE
    for one, way in order:
        now += 100
        if way == "socket":
            messages += candles.told(BTC, one, now)
        elif way == "row":
            messages += candles.rows(BTC, [one], now, SETTLED, history=data.draw(st.booleans()))[0]
        else:
            messages += candles.tick(now, M0)
    messages += candles.tick(now + 10 * MINUTE, M0)

    by_start = defaultdict(list)
    newest_open = -1
    for message in messages:
        by_start[message.start_ms].append(message)
        if not message.closed:
            assert message.start_ms >= newest_open, "an open candle is of the newest start"
            newest_open = message.start_ms
    for frames in by_start.values():
        closed = [one for one in frames if one.closed]
        assert [one.revision for one in closed] == list(range(len(closed))), "one closing, then its corrections in order"
        assert frames[len(frames) - len(closed) :] == closed, "never open again"
        volumes = [one.volume or 0.0 for one in frames if not one.closed]
        assert volumes == sorted(volumes)
        contents = [(one.volume, one.close) for one in closed]
        assert len(set(contents)) == len(contents), "a correction is another content"
    traded = {frames[0].start_ms for frames in of.values() if any(one.volume for one in frames)}
    assert by_start.keys() == traded
