"""The methodology's rules beyond the worked examples, and all their boundaries."""

import math
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from aggregator.figures import source_price
from aggregator.methodology import aggregate
from aggregator.parameters import Parameters
from market_pulse.messages import Tick

from .examples import NOTHING, NOW_MS, B, O, Y, by_exchange, last_ticker, published, result_of, sources, states, tick

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


@pytest.mark.parametrize("price", [0.0, -1.0, math.nan, math.inf, -math.inf, 0.99e-30, 1.01e30, 5e-324, 1.7e308])
def test_a_tick_without_a_sensible_price_is_no_tick(price: float) -> None:
    result = result_of(tick(B, price, volume24h=5.0), tick(Y, 64000.0))
    assert states(result) == {Y: "used"}
    assert result.volume24h is None


@pytest.mark.parametrize("price", [1e-30, 1e30])
def test_the_outermost_figures_count(price: float) -> None:
    """Rule 1: a figure counts as missing only outside these bounds."""
    figures = dict.fromkeys(("bid", "ask", "open24h", "high24h", "low24h", "volume24h"), price)
    result = result_of(tick(B, price, quote_volume24h=price, **figures), tick(Y, price, quote_volume24h=price))
    assert (result.price, result.quality, result.high24h, result.bid) == (price, "ok", price, price)
    assert result.open24h == pytest.approx(price)
    assert (result.volume24h, result.quote_volume24h) == (price, 2 * price)


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


@pytest.mark.parametrize("lag_s", [7.0, -7.0, 86_400.0])
def test_a_lag_that_is_unknown_is_not_judged(lag_s: float) -> None:
    """Rule 2: an answer to a subscription may contain an old trade, so it also proves nothing about our clock."""
    result, clock_skew = aggregate(
        NOW_MS,
        by_exchange(tick(B, 64000.0, lag_s=lag_s, lag_unknown=True), tick(Y, 64001.0, lag_s=lag_s)),
        (),
        NOTHING,
        Parameters(),
    )
    assert (states(result), clock_skew) == ({B: "used", Y: "lagging"}, False)


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
    """Rule 2: if all fresh sources are off in the same direction, our own clock is wrong, and they count."""
    result, is_skewed = aggregate(NOW_MS, by_exchange(*ticks), (), NOTHING, Parameters())
    assert is_skewed == clock_skew
    assert list(states(result).values()) == expected


SCALES = pytest.mark.parametrize("scale", [1.0, 0.01, 1e-8, 641.0, 1e9])
"""Scales of prices, at which the float arithmetic rounds decimal bounds differently."""


@pytest.mark.parametrize(
    ("price", "factor"),
    [
        pytest.param(100.5, 1.0, id="exactly c above"),
        pytest.param(99.5, 1.0, id="exactly c below"),
        pytest.param(100.5025, 0.999, id="over c above"),
        pytest.param(99.4975, 0.999, id="over c below"),
        pytest.param(101.75, 0.5, id="half way above"),
        pytest.param(98.25, 0.5, id="half way below"),
        pytest.param(102.9975, 0.001, id="under e above"),
        pytest.param(97.0025, 0.001, id="under e below"),
        pytest.param(103.0, 0.0, id="exactly e above"),
        pytest.param(97.0, 0.0, id="exactly e below"),
        pytest.param(103.0001, 0.0, id="over e above"),
        pytest.param(1e6, 0.0, id="far over e"),
    ],
)
@SCALES
def test_weight_falls_with_the_distance_from_the_median(price: float, factor: float, scale: float) -> None:
    """Rules 6 and 15: the factor is 1 up to c, 0 from e on, and linear between, for any turnover."""
    result = result_of(*(tick(name, one * scale, quote_volume24h=1.0) for name, one in ((B, price), (Y, 100.0), (O, 100.0))))
    assert sources(result)[B].weight == pytest.approx(factor / (2 + factor), abs=1e-12)
    assert states(result)[B] == ("used" if factor else "excluded")
    if factor:
        assert sources(result)[B].used_price == pytest.approx(min(max(price, 99.5), 100.5) * scale)


def test_the_order_of_moves_does_not_matter() -> None:
    """Two exchanges that agree are never outvoted by a third that repeats itself, in any order of their moves."""
    for first, second in ((B, Y), (Y, B)):
        last = NOTHING
        prices = {B: 100.0, Y: 100.0, O: 100.0}
        for moved in (None, first, second):
            prices |= {moved: 96.0} if moved else {}
            last = result_of(*(tick(name, price, quote_volume24h=1.0) for name, price in prices.items()), last=last)
        assert (last.price, last.quality, states(last)) == (96.0, "ok", {B: "used", O: "excluded", Y: "used"})


def test_no_majority_among_four() -> None:
    """Rules 7 and 9: with an even number of votes far apart in the middle, one of the middle two makes the price."""
    result = result_of(
        *(tick(name, price, quote_volume24h=1.0) for name, price in zip("abcd", (100.0, 101.0, 110.0, 120.0), strict=True))
    )
    assert (result.quality, result.price, result.confidence) == ("disputed", 101.0, None)
    assert [source.weight for source in result.sources] == [0, 1, 0, 0]
    assert [source.used_price for source in result.sources] == [None, 101.0, None, None]
    assert states(result) == {"a": "excluded", "b": "used", "c": "excluded", "d": "excluded"}
    assert sources(result)["c"].reason == "8.9 % from the price"


def test_majority_of_five_outvotes_two() -> None:
    prices = zip("abcde", (100.0, 100.1, 100.2, 120.0, 80.0), strict=True)
    result = result_of(*(tick(name, price, quote_volume24h=1.0) for name, price in prices))
    assert [name for name, state in states(result).items() if state == "excluded"] == ["d", "e"]
    assert result.quality == "ok"


@pytest.mark.parametrize(
    ("turnover", "quality"),
    [pytest.param(2.0, "ok", id="exactly half"), pytest.param(2.000001, "disputed", id="over half")],
)
@pytest.mark.parametrize("price", [102.0, 200.0])
def test_most_of_the_turnover_may_contradict(turnover: float, quality: str, price: float) -> None:
    """Rules 9 and 15: if a source with over half of the turnover contradicts two small ones, the quality is `disputed`."""
    result = result_of(
        tick(B, price, quote_volume24h=turnover), tick(Y, 100.0, quote_volume24h=1.0), tick(O, 100.0, quote_volume24h=1.0)
    )
    assert (result.quality, result.agreed_price) == (quality, result.price)


def test_most_of_the_turnover_is_weighed_by_freshness() -> None:
    """Rule 9 uses Q times f, so a fading source contradicts less and less."""
    others = tick(Y, 100.0, quote_volume24h=1.0), tick(O, 100.0, quote_volume24h=1.0)
    assert result_of(tick(B, 102.0, quote_volume24h=3.0), *others).quality == "disputed"
    assert result_of(tick(B, 102.0, quote_volume24h=3.0, age_s=35), *others).quality == "ok"


def test_clamp_bounds_the_pull_of_a_heavy_source() -> None:
    """Rule 6: a source within e pulls as if it were no further away than c."""
    result = result_of(tick(B, 102.0, quote_volume24h=1e12), tick(Y, 100.0), tick(O, 100.0))
    assert sources(result)[B].used_price == pytest.approx(100.5)
    assert result.price is not None
    assert 100.49 < result.price <= 100.5
    assert result.quality == "disputed"


@pytest.mark.parametrize("turnover", [None, -5.0, math.nan, math.inf, 1e31, 1e-31])
def test_an_unknown_turnover_is_the_median_of_the_known(turnover: float | None) -> None:
    """Rule 6: stale and lagging sources are included if they were received within T_vol; ended ones are not."""
    result = result_of(
        tick("a", 100.0, quote_volume24h=turnover),
        tick("b", 100.0, quote_volume24h=2.0),
        tick("c", 100.0, quote_volume24h=7.0, age_s=900),
        tick("d", 100.0, quote_volume24h=9.0, lag_s=60),
        tick("e", 100.0, quote_volume24h=1e9, age_s=900.001),
        tick("f", 100.0, quote_volume24h=1e9, ended="delisted"),
    )
    assert sources(result)["a"].weight == pytest.approx(7 / 9)


@pytest.mark.parametrize("age_s", [0.0, 800.0], ids=["used", "stale"])
def test_a_source_says_that_its_turnover_is_estimated(age_s: float) -> None:
    """Rule 6: an estimated turnover counts like a known one."""
    result = result_of(tick(B, 100.0), tick(Y, 100.1, quote_volume_estimated=True, age_s=age_s))
    known = result_of(tick(B, 100.0), tick(Y, 100.1, age_s=age_s))
    assert {name: source.quote_volume_estimated for name, source in sources(result).items()} == {B: UNSET, Y: True}
    assert result.price == known.price


def test_no_turnover_beside_others_with_some() -> None:
    """Rule 6: a known turnover of 0 is 0. The source has no weight, and states that as its reason, but has its vote."""
    result = result_of(tick(B, 100.0, quote_volume24h=0.0), tick(Y, 100.1), tick(O, 100.2))
    assert (sources(result)[B].weight, states(result)[B], result.sources_used) == (0, "excluded", 2)
    assert sources(result)[B].reason == "no turnover in 24 h"
    assert result.spread_bps == pytest.approx(0.2 / 100.1 * 1e4)


def test_all_weights_zero_leaves_freshness_and_distance() -> None:
    """Rule 6: if the sources with turnover are excluded, the sources without turnover make the price."""
    ticks = [
        tick(name, price, quote_volume24h=turnover)
        for name, price, turnover in (("a", 90.0, 5.0), ("b", 100.0, 0.0), ("c", 100.2, 0.0))
    ]
    result = result_of(*ticks)
    assert states(result) == {"a": "excluded", "b": "used", "c": "used"}
    assert result.price == pytest.approx(100.1)
    assert (result.quality, sources(result)["a"].reason) == ("disputed", "10.0 % from the median")


@pytest.mark.parametrize(
    ("other", "quality"),
    [pytest.param(1.005, "ok", id="exactly 2c"), pytest.param(1.0051, "disputed", id="over 2c")],
)
def test_two_sources_apart(other: float, quality: str) -> None:
    """Rule 7: two sources more than twice the clamp apart are `disputed`. The middle is 1, so the shares are exact."""
    result = result_of(tick(B, 2 - other), tick(Y, other))
    assert result.quality == quality
    assert result.price != 1.0  # the larger turnover decided


@pytest.mark.parametrize(
    ("agreed", "age_s", "price"),
    [
        pytest.param(64000.0, 0.0, 64010.0, id="nearer to the upper"),
        pytest.param(64000.0, 60.0, 64010.0, id="nearer to the upper, exactly H old"),
        pytest.param(64000.0, 60.001, 57600.0, id="too old: by turnover"),
        pytest.param(64000.0, -60.001, 57600.0, id="our clock was set back: by turnover"),
        pytest.param(57000.0, 0.0, 57600.0, id="nearer to the lower"),
        pytest.param(60805.0, 0.0, 57600.0, id="a tie goes by name"),
        pytest.param(math.nan, 0.0, 57600.0, id="no figure: by turnover"),
        pytest.param(None, 0.0, 57600.0, id="no agreed price: by turnover"),
    ],
)
def test_two_sides(agreed: float | None, age_s: float, price: float) -> None:
    """Rule 7: the side nearer to the last agreed price makes the price; without one, the side of larger turnover."""
    last = replace(last_ticker(1.0, age_s=age_s), agreed_price=agreed)
    result = result_of(tick(B, 57600.0), tick(Y, 64010.0), last=last)
    assert (result.price, result.quality, result.sources_used, result.confidence) == (price, "disputed", 1, None)
    assert result.agreed_price == pytest.approx(agreed, nan_ok=True)
    assert result.agreed_time_ms == last.agreed_time_ms


@pytest.mark.parametrize(
    ("ages_s", "agreed", "price"),
    [
        pytest.param((36.0, 0.0), 57600.0, 64010.0, id="the lower is old, though it is agreed"),
        pytest.param((0.0, 36.0), 64010.0, 57600.0, id="the upper is old, though it is agreed"),
        pytest.param((35.0, 0.0), 57600.0, 57600.0, id="exactly half fresh is not old"),
        pytest.param((59.0, 36.0), 57600.0, 57600.0, id="both are old: the agreed"),
        pytest.param((36.0, 59.0), 64010.0, 64010.0, id="both are old: the agreed, and older"),
    ],
)
def test_of_two_sides_the_younger(ages_s: tuple[float, float], agreed: float, price: float) -> None:
    """Rule 7: a source that has more than half faded does not decide beside one that has not."""
    ticks = tick(B, 57600.0, age_s=ages_s[0]), tick(Y, 64010.0, age_s=ages_s[1])
    assert result_of(*ticks, last=last_ticker(agreed)).price == price


def test_sides_are_compared_in_all_their_turnover() -> None:
    """Rule 7: the turnover of a side is that of all its votes, each weighted by freshness. Ties go by name."""

    def price_of(*turnovers: float, age_s: float = 0.0) -> float | None:
        prices = (100.0, 101.0, 110.0, 111.0)
        names = "dcab"
        ages_s = (age_s, 0.0, 0.0, 0.0)
        return result_of(
            *(
                tick(name, price, quote_volume24h=turnover, age_s=age)
                for name, price, turnover, age in zip(names, prices, turnovers, ages_s, strict=True)
            )
        ).price

    assert price_of(5.0, 1.0, 3.0, 2.0) == 101.0
    assert price_of(4.0, 1.0, 4.0, 2.0) == 110.0
    assert price_of(6.0, 1.0, 4.0, 2.0, age_s=35) == 110.0
    assert price_of(0.1, 0.2, 0.3, 0.0) == 110.0, "a tie within float precision, so a comes before c"
    assert price_of(0.0, 0.0, 0.0, 0.0) == 110.0, "no turnover on either side: a tie"


def test_the_middle_two_of_equal_prices_go_by_name() -> None:
    """Rule 7: votes are sorted by price, then by name."""
    ticks = [tick(name, price, quote_volume24h=1.0) for name, price in (("x", 110.0), ("b", 100.0), ("c", 110.0), ("a", 100.0))]
    result = result_of(*ticks, last=last_ticker(109.0))
    assert sources(result)["c"].weight == 1
    result = result_of(*ticks, last=last_ticker(101.0))
    assert sources(result)["b"].weight == 1


@SCALES
def test_exactly_e_apart_is_still_averaged(scale: float) -> None:
    result = result_of(tick(B, 98.5 * scale), tick(Y, 101.5 * scale), last=last_ticker(98.0))
    assert [source.used_price for source in result.sources] == [pytest.approx(99.5 * scale), pytest.approx(100.5 * scale)]
    result = result_of(tick(B, 98.4999 * scale), tick(Y, 101.5001 * scale), last=last_ticker(98.0 * scale))
    assert (result.price, result.sources_used) == (98.4999 * scale, 1)


@pytest.mark.parametrize(
    ("prices", "agrees"),
    [
        pytest.param((100.0,), True, id="one"),
        pytest.param((99.5, 100.5), True, id="two, exactly c from their middle"),
        pytest.param((99.4999, 100.5001), False, id="two, over c"),
        pytest.param((99.5, 100.0, 200.0), True, id="two of three, exactly c"),
        pytest.param((99.4999, 100.0, 100.5001), False, id="one of three"),
        pytest.param((100.0, 100.0, 90.0, 110.0), False, id="two of four is not more than half"),
        pytest.param((100.0, 100.0, 100.0, 110.0), True, id="three of four"),
    ],
)
def test_agreed(prices: tuple[float, ...], agrees: bool) -> None:
    """Rule 9: the agreed price is set if more than half of the votes lie within c of the median; else the last one stays."""
    before = last_ticker(77.0, age_s=3)
    result = result_of(*(tick(f"x{n}", price, quote_volume24h=1.0) for n, price in enumerate(prices)), last=before)
    own, kept = (result.price, NOW_MS), (before.agreed_price, before.agreed_time_ms)
    assert (result.agreed_price, result.agreed_time_ms) == (own if agrees else kept)
    assert result.priced_time_ms == NOW_MS


@pytest.mark.parametrize(
    ("prices", "quality"),
    [
        pytest.param((97.0001, 100.0, 102.9999), "ok", id="all within e"),
        pytest.param((97.0, 100.0, 102.9), "ok", id="two of three"),
        pytest.param((97.0, 100.0, 103.0), "disputed", id="one of three"),
        pytest.param((90.0, 100.0, 100.0, 120.0), "disputed", id="two of four is not more than half"),
        pytest.param((100.0, 100.0, 100.0, 120.0), "ok", id="three of four"),
    ],
)
def test_more_than_half_of_the_votes_lie_within_e(prices: tuple[float, ...], quality: str) -> None:
    """Rule 9. The outer sources have little turnover, so that it does not contradict."""
    middle = sorted(prices)[len(prices) // 2]
    ticks = [tick(f"x{n}", price, quote_volume24h=1.0 if price == middle else 0.01) for n, price in enumerate(prices)]
    assert result_of(*ticks).quality == quality


@pytest.mark.parametrize(
    ("away", "quality"),
    [
        pytest.param({B, Y}, "stale", id="all that are used"),
        pytest.param({B, Y, O}, "stale", id="all"),
        pytest.param({B}, "ok", id="one of those that are used"),
        pytest.param({O}, "ok", id="only one that is not used"),
    ],
)
def test_a_market_that_nobody_hears_is_stale(away: set[str], quality: str) -> None:
    """Rule 9 applies at any age. The price is still made of the newest ticks, and adds up."""
    ticks = tick(B, 64000.0), tick(Y, 64010.0, age_s=8), tick(O, 90000.0)
    result = result_of(*ticks, away=away)
    assert result.quality == quality
    assert (result.price, result.sources_used) == (result_of(*ticks).price, 2)
    assert {name for name, source in sources(result).items() if "its feed is away" in (source.reason or "")} == away


@pytest.mark.parametrize("prices", [(64000.0,), (57600.0, 64010.0)], ids=["single", "disputed"])
def test_stale_outranks_all(prices: tuple[float, ...]) -> None:
    ticks = [tick(f"x{n}", price) for n, price in enumerate(prices)]
    assert result_of(*ticks).quality != "stale"
    assert result_of(*ticks, away={"x0", "x1"}).quality == "stale"


def test_a_delisted_source_leaves_at_once() -> None:
    """It has no vote and no volume any more, and states the reason."""
    figures: dict[str, Any] = {"volume24h": 3.0, "quote_volume24h": 5.0, "high24h": 70000.0}
    result = result_of(tick(B, 60000.0, ended="delisted", **figures), tick(Y, 64010.0, volume24h=1.0))
    assert (result.price, result.quality, result.sources_total) == (64010.0, "single", 2)
    assert (result.volume24h, result.quote_volume24h, result.spread_bps, result.high24h) == (1.0, 6e8, 0.0, None)
    assert (states(result)[B], sources(result)[B].reason, sources(result)[B].weight) == ("stale", "delisted", 0)


@pytest.mark.parametrize(("age_s", "listed"), [(900.0, True), (900.001, False)])
def test_a_delisted_source_stays_listed_for_a_while(age_s: float, listed: bool) -> None:
    result = result_of(tick(B, 60000.0, ended="delisted", age_s=age_s), tick(Y, 64010.0))
    assert (B in states(result), result.sources_total) == (listed, 1 + listed)


def test_a_market_that_is_delisted_everywhere_is_held_like_a_silent_one() -> None:
    ticks = tick(B, 60000.0, ended="delisted"), tick(Y, 64010.0, ended="delisted")
    assert result_of(*ticks, last=last_ticker(64000.0, age_s=60)).quality == "stale"
    assert result_of(*ticks, last=last_ticker(64000.0, age_s=60.001)).quality == "down"


@pytest.mark.parametrize(
    ("age_s", "quality"),
    [
        pytest.param(60.0, "stale", id="exactly H"),
        pytest.param(60.001, "down", id="over H"),
        pytest.param(-61.0, "down", id="our clock was set back"),
    ],
)
def test_hold(age_s: float, quality: str) -> None:
    last = last_ticker(100.0, age_s=age_s, open24h=90.0, received_time_ms=NOW_MS - 99_000, exchange_time_ms=5)
    result = result_of(tick(B, 100.0, age_s=99, volume24h=3.0), last=last)
    assert result.quality == quality
    assert result.volume24h == 3.0
    held = quality == "stale"
    assert (result.price, result.open24h, result.received_time_ms, result.exchange_time_ms) == (
        (100.0, 90.0, NOW_MS - 99_000, 5) if held else (None, None, None, None)
    )
    for name in ("agreed_price", "agreed_time_ms", "priced_time_ms"):
        assert getattr(result, name) == getattr(last, name)


def test_a_price_of_unknown_time_is_not_held() -> None:
    """A ticker of an earlier release does not state when its price was made."""
    assert result_of(last=replace(last_ticker(100.0), priced_time_ms=None)).quality == "down"


def test_held_price_keeps_its_figures() -> None:
    """Rule 8: the held price keeps its related figures and its own times."""
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
    """Rule 11: the percentage comes from the sources that have an open. The change is computed back from the price."""
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
    """Rules 7 and 11: price and open come from the same source."""
    result = result_of(tick(B, 50.0, open24h=40.0), tick(Y, 100.0, open24h=200.0), last=last_ticker(101.0))
    assert (result.price, result.open24h, result.change_percent24h) == (100.0, 200.0, -50.0)


def test_high_and_low_are_clamped_around_their_medians() -> None:
    """Rule 12: the spike of one exchange does not become the high or low of the day."""
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


def test_no_high_and_no_low_where_no_used_source_has_one() -> None:
    result = result_of(tick(B, 100.0, high24h=0.0), tick(Y, 100.0, low24h=90.0), tick(O, 200.0, high24h=210.0))
    assert (result.high24h, result.low24h) == (None, 90.0)


def test_volumes_of_all_that_were_heard_lately() -> None:
    """Rule 13: excluded, stale and lagging sources count, at an age of exactly T_vol too. No trades are a known zero."""
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


def test_spread_covers_the_excluded_ones() -> None:
    result = result_of(tick(B, 110.0), tick(Y, 100.0), tick(O, 100.0))
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
        pytest.param(tick(B, 57600.0), "10.0 % from the median", id="excluded"),
        pytest.param(tick(B, 62720.0), "2.0 % from the median, counts 40%", id="used less"),
        pytest.param(
            tick(B, 62720.0, age_s=35),
            "silent for 35 s, counts 50%; 2.0 % from the median, counts 40%",
            id="fading, and used less",
        ),
        pytest.param(tick(B, 64000.0, quote_volume24h=0.0), "no turnover in 24 h", id="no turnover"),
        pytest.param(tick(B, 64000.0, ended="delisted"), "delisted", id="ended"),
        pytest.param(tick(B, 64000.0, lag_s=7), "exchange clock 7.0 s behind", id="behind"),
        pytest.param(tick(B, 64000.0, lag_s=-5.5), "exchange clock 5.5 s ahead", id="ahead"),
    ],
)
def test_reason(one: Tick, reason: str | None) -> None:
    result = result_of(one, tick(Y, 64000.0), tick(O, 64000.0))
    assert sources(result)[B].reason == reason


def test_short_ages_are_told_with_a_decimal() -> None:
    parameters = Parameters(soft_age_s=0.5, hard_age_s=1.5)
    result = result_of(tick(B, 1.0, age_s=1.5), parameters=parameters)
    assert result.sources[0].reason == "silent for 1.5 s"


def test_no_cliff_when_a_source_fades_out() -> None:
    """The last step of fading moves the price by almost nothing."""
    others = (tick(Y, 64010.0), tick(O, 64020.0))
    before = result_of(tick(B, 64000.0, age_s=59.999), *others)
    parameters = Parameters(hard_age_s=59.999)
    after = result_of(tick(B, 64000.0, age_s=59.999), *others, parameters=parameters)
    assert before.price == pytest.approx(after.price, abs=0.01)
    assert after.sources_used == 2
