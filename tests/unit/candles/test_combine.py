"""One candle of several: the prices of the exchanges' history, weighted by volume, and the fold of minutes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from candles.combine import Share, fold, volumes_of, vwap, weighted
from market_pulse.messages import Bar

# docs/methodology.md, the worked example of past candles.
EXAMPLE = {
    "binance": Bar(0, 100.0, 101.0, 99.0, 100.5, 6.0),
    "okx": Bar(0, 100.2, 100.8, 99.6, 100.6, 3.0),
    "bybit": Bar(0, 100.1, 104.0, 99.5, 100.4, 1.0),
}


def test_the_worked_example() -> None:
    """The wick of an exchange with a tenth of the volume does not make the market's high."""
    assert weighted(EXAMPLE) == Bar(0, 100.07, 101.24, 99.23, 100.52, 10.0)


@pytest.mark.parametrize(
    ("bars", "expected"),
    [
        pytest.param([Bar(0, 1.0, 3.0, 0.5, 2.0, 4.0, 6.0, 5)], Bar(0, 1.0, 3.0, 0.5, 2.0, 4.0, 6.0, 5), id="one is itself"),
        pytest.param(
            [Bar(0, 1.0, 1.0, 1.0, 1.0, 0.0), Bar(0, 2.0, 2.0, 2.0, 2.0, 0.0)],
            Bar(0, 1.5, 1.5, 1.5, 1.5, 0.0),
            id="equal weights if nothing was traded",
        ),
        pytest.param(
            [Bar(0, 1.0, 1.0, 1.0, 1.0), Bar(0, 2.0, 2.0, 2.0, 2.0)],
            Bar(0, 1.5, 1.5, 1.5, 1.5),
            id="equal weights if no volume is known",
        ),
        pytest.param(
            [Bar(0, 1.0, 1.0, 1.0, 1.0, None, 5.0, 5), Bar(0, 2.0, 2.0, 2.0, 2.0, 3.0, 6.0)],
            Bar(0, 2.0, 2.0, 2.0, 2.0, None, 11.0, None),
            id="an unknown volume weighs nothing, and the sum is unknown",
        ),
        pytest.param(
            [Bar(0, 1e-8, 2e-8, 1e-8, 1e-8, 1.0), Bar(0, 2e-8, 2e-8, 1e-8, 1e-8, 2.0)],
            Bar(0, 1.67e-8, 2e-8, 1e-8, 1e-8, 3.0),
            id="two decimals more than the exchanges' prices",
        ),
    ],
)
def test_weighted(bars: list[Bar], expected: Bar) -> None:
    assert weighted(dict(zip("abc", bars, strict=False))) == expected


prices = st.floats(1e-9, 1e9)
volumes = st.none() | st.floats(0, 1e12)


@st.composite
def bars(draw: st.DrawFn, start_ms: int = 0) -> Bar:
    low, one, other, high = sorted(draw(st.lists(prices, min_size=4, max_size=4)))
    opened, closed = draw(st.sampled_from([(one, other), (other, one)]))
    trades = draw(st.none() | st.integers(0, 1000))
    return Bar(start_ms, opened, high, low, closed, draw(volumes), draw(volumes), trades)


@given(st.dictionaries(st.sampled_from(["a", "b", "c", "d", "e", "f"]), bars(), min_size=1))
def test_a_weighted_candle_lies_within_its_parts(found: dict[str, Bar]) -> None:
    made = weighted(found)
    assert made.low <= min(made.open, made.close) <= max(made.open, made.close) <= made.high
    for name in ("open", "high", "low", "close"):
        parts = [getattr(bar, name) for bar in found.values()]
        if name in ("open", "close"):
            assert min(parts) * (1 - 1e-9) <= getattr(made, name) <= max(parts) * (1 + 1e-9)
    assert weighted(dict(reversed(found.items()))) == made, "no order matters"
    assert made.missed is None


@given(st.lists(bars(), min_size=1, max_size=10), st.integers(1, 9))
def test_a_fold_of_folds_is_the_fold(found: list[Bar], at: int) -> None:
    minutes = [replace(bar, missed=at_ % 3 or None) for at_, bar in enumerate(found)]
    whole = fold(0, minutes)
    assert whole.high == max(bar.high for bar in minutes)
    assert whole.low == min(bar.low for bar in minutes)
    assert (whole.open, whole.close) == (minutes[0].open, minutes[-1].close)
    first, second = minutes[:at], minutes[at:]
    if second:
        parts = fold(0, [fold(0, first), fold(0, second)])
        assert (parts.open, parts.high, parts.low, parts.close, parts.missed) == (
            whole.open,
            whole.high,
            whole.low,
            whole.close,
            whole.missed,
        )
        assert (parts.volume is None) == (whole.volume is None)
        if parts.volume is not None and whole.volume is not None:
            assert math.isclose(parts.volume, whole.volume, rel_tol=1e-9, abs_tol=1e-7)


def test_a_sum_of_volumes_is_unknown_if_one_is() -> None:
    known = Share(Bar(0, 1.0, 1.0, 1.0, 1.0, 0.1, 0.3, 4), 0.05, is_closed=True)
    unsaid = Share(Bar(0, 1.0, 1.0, 1.0, 1.0, 0.2), None, is_closed=True)
    assert volumes_of([known, known]) == (0.2, 0.6, 8, 0.1)
    assert volumes_of([Share(Bar(0, 1.0, 1.0, 1.0, 1.0), None, is_closed=True), known]) == (None, None, None, None)
    assert volumes_of([known, unsaid])[2:] == (None, None)
    assert volumes_of([]) == (None, None, None, None)
    assert vwap(0.2, 0.6) == pytest.approx(3)
    assert vwap(0.0, 0.0) is vwap(None, 1.0) is None


def test_an_exchange_without_a_quote_volume_counts_at_the_mean_price_of_the_others() -> None:
    one, two = Bar(0, 3.0, 3.0, 3.0, 3.0, 0.1, 0.3), Bar(0, 4.0, 4.0, 4.0, 4.0, 0.1, 0.4)
    unsaid, idle = Bar(0, 9.0, 9.0, 9.0, 9.0, 0.2), Bar(0, 9.0, 9.0, 9.0, 9.0, 0.0)
    for made in (weighted({"okx": one, "bybit": two, "cryptocom": unsaid}), fold(0, [one, two, unsaid, idle])):
        assert made.volume == 0.4
        assert made.quote_volume == pytest.approx(1.4)
        assert vwap(made.volume, made.quote_volume) == pytest.approx(3.5), "the mean of those that tell it"
    assert weighted({"cryptocom": unsaid}).quote_volume is None, "no exchange tells it"
    assert fold(0, [unsaid, idle]).quote_volume is None
    assert fold(0, [one, idle]).quote_volume == 0.3
