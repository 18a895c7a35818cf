"""For any tickers, whichever are lost: candles have no seam that they do not tell, and nothing is counted twice."""

from itertools import pairwise
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from market_pulse.messages import Candle, Interval

from .playing import T0, Played, bar

MINUTE, HOUR, _ = Interval
LIVE, STALE, LOST = "live", "stale", "lost"

events = st.lists(
    st.tuples(
        st.sampled_from([LIVE, LIVE, LIVE, STALE, LOST]), st.integers(0, 20_000), st.floats(1, 100), st.integers(-5000, 5000)
    ),
    min_size=1,
    max_size=60,
)


def play(found: list[tuple[str, int, float, int]]) -> tuple[Played, dict[int, tuple[str, float]]]:
    """Play tickers to a series. Return it, after all has closed, and the fate and price of each ticker by its number."""
    played, fates, lost = Played(T0, seq=10), {}, 0
    for fate, after_ms, price, late_ms in found:
        if fate is LOST:
            played.now_ms += after_ms
            lost += 1
            fates[played.seq + lost] = (fate, price)
            continue
        played.hear(price, after_ms=after_ms, quality="ok" if fate is LIVE else "stale", lost=lost, late_ms=late_ms)
        fates[played.seq], lost = (fate, price), 0
    played.at(played.now_ms + 2 * MINUTE.step_ms)
    return played, fates


def firsts(candles: list[Candle]) -> list[tuple[int, int]]:
    return [(one.first_seq or 0, one.last_seq or 0) for one in candles]


@given(events)
def test_each_live_ticker_is_in_one_candle_and_each_gap_is_told(found: list[tuple[str, int, float, int]]) -> None:
    played, fates = play(found)
    minutes = played.of(MINUTE)
    live = [seq for seq, (fate, _) in fates.items() if fate is LIVE]
    assert [sum(first <= seq <= last for first, last in firsts(minutes)) for seq in live] == [1] * len(live)
    for one, (first, last), (following, _) in zip(minutes, firsts(minutes), [*firsts(minutes)[1:], (0, 0)], strict=False):
        inside = {seq: fates[seq] for seq in range(first, last + 1)}
        prices = [price for fate, price in inside.values() if fate is LIVE]
        assert (one.open, one.high, one.low, one.close) == (prices[0], max(prices), min(prices), prices[-1])
        lost = sum(fate is LOST for fate, _ in inside.values())
        assert (one.seen or 0) + lost == last - first + 1
        at_end = sum(fates[seq][0] is LOST for seq in range(last + 1, following))
        if one.start_ms >= T0:
            assert one.missed in {lost + at_end, lost}, "those at its end may belong to it, unless the clock closed it before"
        else:
            assert (one.missed or 0) > lost, "nobody listened when it began"
    for (_, last), (first, _) in pairwise(firsts(minutes)):
        assert first > last
        assert all(fates[seq][0] is not LIVE for seq in range(last + 1, first)), "only tickers without a live price lie between"
    assert [one.start_ms for one in minutes] == sorted({one.start_ms for one in minutes})


@given(events)
def test_an_hour_has_the_extremes_of_its_minutes(found: list[tuple[str, int, float, int]]) -> None:
    played, fates = play(found)
    played.at(played.now_ms + HOUR.step_ms)
    prices = [price for fate, price in fates.values() if fate is LIVE]
    hours = played.of(HOUR)
    assert bool(hours) == bool(prices)
    if prices:
        assert max(one.high for one in hours) == max(prices)
        assert min(one.low for one in hours) == min(prices)
        assert (hours[0].open, hours[-1].close) == (prices[0], prices[-1])


pieces = st.lists(
    st.tuples(st.sampled_from(["okx", "bybit", "binance"]), st.integers(1, 5), st.floats(1, 100), st.floats(0.1, 9)),
    max_size=12,
)


@given(pieces, st.randoms(use_true_random=False))
def test_history_in_any_pieces_and_order_ends_alike(found: list[tuple[str, int, float, float]], random: Random) -> None:
    """Each exchange says one thing of a start. The last reading has all of it."""
    said = {(exchange, back): bar(T0 - back * MINUTE.step_ms, price, volume) for exchange, back, price, volume in found}
    whole = {name: [one for (exchange, _), one in said.items() if exchange == name] for name, _ in said}
    shuffled = list(said.items())
    random.shuffle(shuffled)
    played, at_once = Played(), Played()
    for (exchange, _), one in shuffled:
        played.series.learn(MINUTE, {exchange: [one]}, T0)
    for _ in range(2):
        played.series.learn(MINUTE, whole, T0)
        at_once.series.learn(MINUTE, whole, T0)
    assert [one.open for one in played.series.past.newest(MINUTE)] == [one.open for one in at_once.series.past.newest(MINUTE)]
    assert [one.volume for one in played.series.past.newest(MINUTE)] == [
        one.volume for one in at_once.series.past.newest(MINUTE)
    ]
    before = played.series.past.newest(MINUTE)
    played.series.learn(MINUTE, whole, T0)
    assert played.series.past.newest(MINUTE) == before
