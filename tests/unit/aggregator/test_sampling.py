"""The point that is added to a symbol's history, and its time, in milliseconds after a full minute."""

import pytest
from msgspec.structs import replace

from aggregator.sampling import point_due
from market_pulse.messages import Point, Resolution, Ticker

from .examples import NOTHING, NOW_MS, B, O, Y, published, result_of, tick

SECOND = Resolution.SECOND
MINUTE_MS = NOW_MS - NOW_MS % 60_000


def ticker_at(time_ms: int) -> Ticker:
    result = result_of(tick(B, 64000.11), tick(Y, 64000.22, age_s=30), tick(O, 70000.0))
    return replace(published(result), aggregated_time_ms=MINUTE_MS + time_ms)


@pytest.mark.parametrize(
    ("recorded_ms", "now_ms", "expected"),
    [
        pytest.param(None, 20_300, 20_000, id="the first time"),
        pytest.param(20_300, 20_999, None, id="the same second"),
        pytest.param(20_999, 21_000, 21_000, id="the next second"),
        pytest.param(20_300, 25_700, 25_000, id="seconds passed over"),
        pytest.param(60_500, 59_500, 59_000, id="a clock set back"),
    ],
)
def test_steps(recorded_ms: int | None, now_ms: int, expected: int | None) -> None:
    """A point is due once in each second, and has the time at which the second began."""
    point = point_due(ticker_at(now_ms), None if recorded_ms is None else MINUTE_MS + recorded_ms, MINUTE_MS + now_ms)
    assert (point and point.time_ms - MINUTE_MS) == expected


@pytest.mark.parametrize(
    ("change", "is_known"),
    [
        pytest.param({"quality": "ok"}, True, id="ok"),
        pytest.param({"quality": "single"}, True, id="single"),
        pytest.param({"quality": "disputed"}, True, id="disputed"),
        pytest.param({"quality": "stale"}, False, id="held"),
        pytest.param({"quality": "down", "price": None}, False, id="down"),
        pytest.param({"aggregated_time_ms": MINUTE_MS + 3_000}, True, id="published two seconds ago"),
        pytest.param({"aggregated_time_ms": MINUTE_MS + 2_999}, False, id="published longer ago"),
    ],
)
def test_only_what_is_known_now_is_recorded(change: dict[str, object], is_known: bool) -> None:
    ticker = replace(ticker_at(4_500), **change)
    assert (point_due(ticker, None, MINUTE_MS + 5_000) is not None) == is_known


def test_nothing_was_published_yet() -> None:
    assert point_due(NOTHING, None, NOW_MS) is None


def test_a_point_is_the_price_as_published_and_what_each_source_said() -> None:
    """The point has the prices of fading and excluded sources, but not of stale and lagging ones."""
    ticks = tick(B, 64000.11), tick(Y, 64000.22, age_s=30), tick("kraken", 64000.33), tick(O, 70000.0)
    ticker = published(result_of(*ticks, tick("late", 63000.0, lag_s=9.0), tick("silent", 63000.0, age_s=99)))
    assert {source.state for source in ticker.sources} == {"used", "fading", "excluded", "lagging", "stale"}
    assert ticker.price is not None
    sources = {B: 64000.11, Y: 64000.22, "kraken": 64000.33, O: 70000.0}
    assert point_due(ticker, None, NOW_MS) == Point(time_ms=SECOND.step_of(NOW_MS), price=ticker.price, sources=sources)
