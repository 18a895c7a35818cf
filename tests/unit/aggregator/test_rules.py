"""The methodology's rules where the worked examples do not reach, and every boundary."""

import math
from dataclasses import replace

import pytest

from aggregator.methodology import source_price
from aggregator.result import Parameters
from market_pulse.model import Tick

from .examples import NOW_MS, B, O, Y, last_good, published, result_of, sources, states, tick

FIGURES = {"open24h": 62000.0, "high24h": 65000.0, "low24h": 61000.0, "volume24h": 10.0}


@pytest.mark.parametrize(
    ("last", "bid", "ask", "price"),
    [
        pytest.param(99.0, 100.0, 100.2, 100.0, id="last below the book"),
        pytest.param(101.0, 100.0, 100.2, 100.2, id="last above the book"),
        pytest.param(100.1, 100.0, 100.2, 100.1, id="last within the book"),
        pytest.param(99.0, 100.0, 100.0, 100.0, id="bid equals ask"),
        pytest.param(99.0, 100.2, 100.0, 99.0, id="crossed book"),
        pytest.param(99.0, None, 100.0, 99.0, id="no bid"),
        pytest.param(99.0, 100.0, None, 99.0, id="no ask"),
        pytest.param(99.0, 0.0, 100.0, 99.0, id="bid of zero"),
        pytest.param(99.0, -1.0, 100.0, 99.0, id="bid below zero"),
        pytest.param(99.0, 100.0, math.inf, 99.0, id="ask not finite"),
        pytest.param(99.0, math.nan, 100.0, 99.0, id="bid no number"),
    ],
)
def test_source_price(last: float, bid: float | None, ask: float | None, price: float) -> None:
    assert source_price(tick(B, last, bid=bid, ask=ask)) == price


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf, -math.inf, 1e-30, 1e30, 5e-324, 1.7e308])
def test_a_tick_without_a_sensible_price_is_no_tick(price: float) -> None:
    result = result_of(tick(B, price, volume24h=5.0), tick(Y, 64000.0))
    assert states(result) == {Y: "used"}
    assert result.volume24h is None


@pytest.mark.parametrize(
    ("age_s", "state", "weight"),
    [
        pytest.param(-3.0, "used", 0.5, id="from the future"),
        pytest.param(10.0, "used", 0.5, id="exactly T_soft"),
        pytest.param(10.001, "fading", 0.499995, id="just over T_soft"),
        pytest.param(35.0, "fading", 1 / 3, id="half faded"),
        pytest.param(59.999, "fading", 0.00002, id="just under T_hard"),
        pytest.param(60.0, "stale", 0.0, id="exactly T_hard"),
    ],
)
def test_ageing(age_s: float, state: str, weight: float) -> None:
    """Rule 3: a source of equal turnover loses weight in step with its age."""
    result = result_of(tick(B, 64000.0, quote_volume24h=1e6), tick(Y, 64001.0, quote_volume24h=1e6, age_s=age_s))
    assert states(result)[Y] == state
    assert sources(result)[Y].weight == pytest.approx(weight, abs=1e-6)
    assert sources(result)[Y].age_ms == max(0, round(age_s * 1000))


@pytest.mark.parametrize(
    ("lag_s", "state"),
    [
        pytest.param(5.0, "used", id="exactly L behind"),
        pytest.param(-5.0, "used", id="exactly L ahead"),
        pytest.param(5.001, "lagging", id="over L behind"),
        pytest.param(-5.001, "lagging", id="over L ahead"),
        pytest.param(None, "used", id="no exchange time"),
    ],
)
def test_lag(lag_s: float | None, state: str) -> None:
    result = result_of(tick(B, 64000.0), tick(Y, 64001.0, lag_s=lag_s))
    assert states(result) == {B: "used", Y: state}
    assert not result.clock_skew


@pytest.mark.parametrize(
    ("ticks", "clock_skew", "expected"),
    [
        pytest.param((tick(B, 1.0, lag_s=6), tick(Y, 1.0, lag_s=7)), True, ["used", "used"], id="all behind"),
        pytest.param((tick(B, 1.0, lag_s=-6), tick(Y, 1.0, lag_s=-60)), True, ["used", "used"], id="all ahead"),
        pytest.param((tick(B, 1.0, lag_s=6), tick(Y, 1.0, lag_s=-6)), False, ["lagging", "lagging"], id="both ways"),
        pytest.param((tick(B, 1.0, lag_s=6), tick(Y, 1.0, lag_s=None)), False, ["lagging", "used"], id="one without a time"),
        pytest.param((tick(B, 1.0, lag_s=6), tick(Y, 1.0, age_s=60)), True, ["used", "stale"], id="only the fresh count"),
        pytest.param((tick(B, 1.0, age_s=60, lag_s=6),), False, ["stale"], id="no fresh source"),
    ],
)
def test_clock_skew(ticks: tuple[Tick, ...], clock_skew: bool, expected: list[str]) -> None:
    """Rule 2: all fresh sources off the same way is our own clock's fault, and they count."""
    result = result_of(*ticks)
    assert result.clock_skew == clock_skew
    assert list(states(result).values()) == expected


@pytest.mark.parametrize(
    ("price", "state"),
    [
        pytest.param(103.0, "used", id="exactly e above"),
        pytest.param(97.0, "used", id="exactly e below"),
        pytest.param(103.0001, "excluded", id="over e above"),
        pytest.param(96.9999, "excluded", id="over e below"),
    ],
)
@pytest.mark.parametrize("scale", [1.0, 0.01, 1e-8, 641.0, 1e9])
def test_exclusion_boundary(price: float, state: str, scale: float) -> None:
    """Rule 15: exactly e stays in, whatever floats make of it."""
    result = result_of(tick(B, price * scale), tick(Y, 100.0 * scale), tick(O, 100.0 * scale))
    assert states(result)[B] == state
    assert result.flags == (frozenset({B}) if state == "excluded" else frozenset())


@pytest.mark.parametrize(
    ("price", "state"),
    [
        pytest.param(101.5, "used", id="exactly r above"),
        pytest.param(98.5, "used", id="exactly r below"),
        pytest.param(101.5001, "excluded", id="over r above"),
        pytest.param(98.4999, "excluded", id="over r below"),
    ],
)
def test_readmission_boundary(price: float, state: str) -> None:
    """Rules 4 and 15: exactly r comes back, and its flag is cleared."""
    result = result_of(tick(B, price), tick(Y, 100.0), tick(O, 100.0), flags=frozenset({B}))
    assert states(result)[B] == state
    assert result.flags == (frozenset({B}) if state == "excluded" else frozenset())


def test_flag_stays_through_a_stale_spell() -> None:
    result = result_of(tick(B, 100.0, age_s=61), tick(Y, 100.0), tick(O, 100.0), flags=frozenset({B, "gone"}))
    assert result.flags == {B, "gone"}
    assert states(result)[B] == "stale"


def test_only_flagged_sources_left_are_used_again() -> None:
    result = result_of(tick(B, 100.0), tick(Y, 100.0, age_s=60), flags=frozenset({B}))
    assert (result.quality, result.price, result.flags) == ("single", 100.0, frozenset())


def test_flags_outlast_a_time_without_sources() -> None:
    assert result_of(tick(B, 100.0, age_s=61), flags=frozenset({B})).flags == {B}


def test_no_majority_among_four() -> None:
    """Rule 5: the two middle ones carry the price by half, unclamped, and nothing is flagged."""
    result = result_of(tick("a", 100.0), tick("b", 101.0), tick("c", 110.0), tick("d", 120.0))
    assert (result.quality, result.price, result.flags) == ("disputed", 105.5, frozenset())
    assert [source.weight for source in result.sources] == [0, 0.5, 0.5, 0]
    assert [source.used_price for source in result.sources] == [100.0, 101.0, 110.0, 120.0]
    assert set(states(result).values()) == {"used"}


def test_majority_of_five_outvotes_two() -> None:
    result = result_of(*(tick(name, price) for name, price in zip("abcde", (100.0, 100.1, 100.2, 120.0, 80.0), strict=True)))
    assert result.flags == {"d", "e"}
    assert result.quality == "ok"


def test_clamp_bounds_the_pull_of_a_heavy_source() -> None:
    """Rule 6: a source within e pulls from no further than c."""
    result = result_of(tick(B, 102.0, quote_volume24h=1e12), tick(Y, 100.0), tick(O, 100.0))
    assert sources(result)[B].used_price == pytest.approx(100.5)
    assert result.price is not None
    assert 100.49 < result.price <= 100.5


@pytest.mark.parametrize("turnover", [None, 0.0, -5.0, math.nan, math.inf, 1e31])
def test_turnover_that_makes_no_sense_counts_nothing(turnover: float | None) -> None:
    """Rule 6: without turnover a source is used with weight 0, and its price still guards the median."""
    result = result_of(tick(B, 100.0, quote_volume24h=turnover), tick(Y, 100.1), tick(O, 100.2))
    assert (sources(result)[B].weight, states(result)[B], result.sources_used) == (0, "used", 3)


@pytest.mark.parametrize(
    ("other", "quality"),
    [pytest.param(1.005, "ok", id="exactly 2c"), pytest.param(1.0051, "disputed", id="over 2c")],
)
def test_two_sources_apart(other: float, quality: str) -> None:
    """Rule 7: more than twice the clamp apart, neither is to be believed alone. Mid is 1, so the shares are exact."""
    result = result_of(tick(B, 2 - other), tick(Y, other))
    assert result.quality == quality
    assert result.price != 1.0  # by turnover


@pytest.mark.parametrize(
    ("last", "age_s", "price", "weights"),
    [
        pytest.param(64000.0, 0.0, 64010.0, [0, 1], id="nearer to the second"),
        pytest.param(57000.0, 60.0, 57600.0, [1, 0], id="nearer to the first, exactly H old"),
        pytest.param(57000.0, 60.001, 60805.0, [0.5, 0.5], id="last good too old"),
        pytest.param(60805.0, 0.0, 57600.0, [1, 0], id="a tie goes by name"),
    ],
)
def test_two_sources_contradict(last: float, age_s: float, price: float, weights: list[float]) -> None:
    result = result_of(tick(B, 57600.0), tick(Y, 64010.0), last=last_good(last, age_s=age_s))
    assert (result.price, result.quality, result.sources_used) == (price, "disputed", 2)
    assert [source.weight for source in result.sources] == weights
    assert [source.used_price for source in result.sources] == [57600.0, 64010.0]


def test_exactly_e_apart_is_still_averaged() -> None:
    result = result_of(tick(B, 98.5), tick(Y, 101.5), last=last_good(98.0))
    assert [source.used_price for source in result.sources] == [pytest.approx(99.5), pytest.approx(100.5)]


@pytest.mark.parametrize(
    ("age_s", "quality"),
    [
        pytest.param(60.0, "stale", id="exactly H"),
        pytest.param(60.001, "down", id="over H"),
        pytest.param(-61.0, "down", id="our clock was set back"),
    ],
)
def test_hold(age_s: float, quality: str) -> None:
    last = last_good(100.0, age_s=age_s, open24h=90.0, received_time_ms=NOW_MS - 99_000, exchange_time_ms=5)
    result = result_of(tick(B, 100.0, age_s=99, volume24h=3.0), last=last)
    assert result.quality == quality
    assert result.volume24h == 3.0
    held = quality == "stale"
    assert (result.price, result.open24h, result.received_time_ms, result.exchange_time_ms) == (
        (100.0, 90.0, NOW_MS - 99_000, 5) if held else (None, None, None, None)
    )


def test_held_price_keeps_its_figures() -> None:
    """Rule 8: unchanged, with all that belongs to it and with its own times."""
    good = result_of(tick(B, 64000.0, bid=63999.0, ask=64001.0, **FIGURES))
    later = result_of(tick(B, 64000.0, age_s=61, **FIGURES), last=good)
    for name in (
        "price", "open24h", "change24h", "change_percent24h", "high24h", "low24h", "exchange_time_ms", "received_time_ms",
    ):  # fmt: skip
        assert getattr(later, name) == getattr(good, name) is not None
    assert (later.bid, later.ask, later.confidence, later.spread_bps) == (None, None, None, None)


def test_nothing_known() -> None:
    ticker = published(result_of())
    assert (ticker.quality, ticker.price, ticker.sources, ticker.sources_total) == ("down", None, (), 0)
    assert (ticker.volume24h, ticker.quote_volume24h, ticker.received_time_ms) == (None, None, None)


def test_open_is_compared_with_the_same_sources() -> None:
    """Rule 11: the percentage is that of the sources that have an open; the change is from the price."""
    result = result_of(
        tick(B, 100.0, open24h=50.0, quote_volume24h=1.0), tick(Y, 100.4, quote_volume24h=1.0), tick(O, 100.0, age_s=61)
    )
    assert result.price == pytest.approx(100.2)
    assert result.open24h == pytest.approx(50.0)
    assert result.change24h == pytest.approx(50.2)
    assert result.change_percent24h == pytest.approx(100.0)


@pytest.mark.parametrize("open24h", [None, 0.0, -1.0, math.nan])
def test_no_open(open24h: float | None) -> None:
    result = result_of(tick(B, 100.0, open24h=open24h), tick(Y, 100.0, open24h=90.0, age_s=60))
    assert (result.open24h, result.change24h, result.change_percent24h) == (None, None, None)


def test_open_of_the_source_that_carries_the_price() -> None:
    """Rules 7 and 11: price and open are the same source's."""
    result = result_of(tick(B, 50.0, open24h=40.0), tick(Y, 100.0, open24h=200.0), last=last_good(101.0))
    assert (result.price, result.open24h, result.change_percent24h) == (100.0, 200.0, -50.0)


def test_high_and_low_are_clamped_around_their_medians() -> None:
    """Rule 12: one exchange's spike does not make the day."""
    result = result_of(
        tick(B, 100.0, high24h=150.0, low24h=10.0), tick(Y, 100.0, high24h=110.0, low24h=90.0), tick(O, 100.0, high24h=109.0)
    )
    assert result.high24h == pytest.approx(110.0 * 1.03)
    assert result.low24h == pytest.approx(50.0 * 0.97)


def test_high_and_low_include_the_price_and_leave_out_the_unused() -> None:
    result = result_of(
        tick(B, 100.0, high24h=99.0, low24h=101.0), tick(Y, 100.0), tick(O, 100.0, high24h=500.0, low24h=1.0, age_s=60)
    )
    assert (result.high24h, result.low24h) == (100.0, 100.0)


def test_volumes_of_all_that_were_heard_lately() -> None:
    """Rule 13: flagged, stale and lagging ones count; exactly T_vol still does; no trade at all is a known zero."""
    result = result_of(
        tick("a", 100.0, volume24h=0.0, quote_volume24h=1.0),
        tick("b", 100.0, volume24h=2.0, quote_volume24h=None),
        tick("c", 200.0, volume24h=4.0, quote_volume24h=10.0),
        tick("d", 100.0, volume24h=8.0, quote_volume24h=100.0, age_s=900),
        tick("e", 100.0, volume24h=16.0, quote_volume24h=1000.0, age_s=900.001),
        tick("f", 100.0, volume24h=32.0, quote_volume24h=-7.0, lag_s=9),
    )
    assert (result.volume24h, result.quote_volume24h) == (46.0, 111.0)
    assert result_of(tick(B, 1.0, volume24h=0.0, quote_volume24h=0.0)).quote_volume24h == 0.0


def test_bid_and_ask_are_the_best_of_the_used_and_may_cross() -> None:
    result = result_of(
        tick(B, 100.0, bid=99.9, ask=100.1), tick(Y, 100.3, bid=100.2, ask=100.4), tick(O, 90.0, bid=200.0, ask=1.0)
    )
    assert (result.bid, result.ask) == (100.2, 100.1)


def test_spread_covers_the_flagged_ones() -> None:
    result = result_of(tick(B, 110.0), tick(Y, 100.0), tick(O, 100.0), flags=frozenset({B}))
    assert result.spread_bps == pytest.approx(1000.0)
    assert result.confidence == 0.0


def test_times_are_those_of_the_newest_used_tick() -> None:
    result = result_of(tick(B, 100.0, age_s=3, lag_s=1), tick(Y, 100.0, age_s=2, lag_s=None), tick(O, 200.0, age_s=0))
    assert (result.received_time_ms, result.exchange_time_ms) == (NOW_MS - 2000, None)
    assert result.aggregated_time_ms == NOW_MS


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        pytest.param(tick(B, 64000.0), None, id="used"),
        pytest.param(tick(B, 64000.0, age_s=35), "silent for 35 s, counts 50%", id="fading"),
        pytest.param(tick(B, 64000.0, age_s=61), "silent for 61 s", id="stale"),
        pytest.param(tick(B, 62720.0), "2.0 % from the median", id="excluded"),
        pytest.param(tick(B, 64000.0, lag_s=7), "exchange clock 7.0 s behind", id="behind"),
        pytest.param(tick(B, 64000.0, lag_s=-5.5), "exchange clock 5.5 s ahead", id="ahead"),
    ],
)
def test_reason(one: Tick, reason: str | None) -> None:
    result = result_of(one, tick(Y, 64000.0), tick(O, 64000.0), flags=frozenset({B}))
    assert sources(result)[B].reason == reason


def test_short_ages_are_told_with_a_decimal() -> None:
    parameters = Parameters(soft_age_s=0.5, hard_age_s=1.5)
    result = result_of(tick(B, 1.0, age_s=1.5), parameters=parameters)
    assert result.sources[0].reason == "silent for 1.5 s"


def test_no_cliff_when_a_source_fades_out() -> None:
    """The last step of fading moves the price by next to nothing."""
    others = (tick(Y, 64010.0), tick(O, 64020.0))
    before = result_of(tick(B, 64000.0, age_s=59.999), *others)
    parameters = replace(Parameters(), hard_age_s=59.999)
    after = result_of(tick(B, 64000.0, age_s=59.999), *others, parameters=parameters)
    assert before.price == pytest.approx(after.price, abs=0.01)
    assert after.sources_used == 2
