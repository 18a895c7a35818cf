"""Rules 17 to 21: converted sources. The worked examples C1 to C8 of docs/methodology.md, and the cases between them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from aggregator.conversion import LegTicks, Rate, rate_now
from aggregator.methodology import aggregate
from aggregator.parameters import Parameters
from market_pulse.messages import Symbol, Tick, Ticker, Via

from .examples import (
    NOTHING,
    NOW_MS,
    USDT_USD,
    B,
    O,
    Y,
    by_exchange,
    last_ticker,
    leg,
    published,
    rate_ticker,
    recomputed,
    result_of,
    sources,
    states,
    tick,
)

CB, KR, CR = "coinbase", "kraken", "cryptocom"
COINBASE, KRAKEN, CRYPTOCOM = (
    tick(name, price, quote_volume24h=turnover)
    for name, price, turnover in ((CB, 64000.0, 420e6), (KR, 64004.0, 65e6), (CR, 63998.0, 206e6))
)
DIRECT = COINBASE, KRAKEN, CRYPTOCOM
TETHER = tick(B, 64020.0), tick(Y, 64030.0), tick(O, 64015.0)
RATE = rate_ticker(0.9997)


@dataclass(frozen=True, kw_only=True)
class Example:
    direct: tuple[Tick, ...] = DIRECT
    converted: tuple[Tick, ...] = TETHER
    rate: Ticker | None = RATE
    heard_s: float = 0.0
    price: float
    quality: str = "ok"
    confidence: float
    weights: Mapping[str, float] = field(default_factory=dict)
    states: dict[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str | None] = field(default_factory=dict)


EXAMPLES = {
    "C1 three direct, three converted": Example(
        price=64001.0011,
        confidence=12.9909,
        weights={CB: 0.303907, KR: 0.047033, CR: 0.149059, B: 0.321429, Y: 0.107143, O: 0.071429},
        reasons={B: None},
    ),
    "C2 a rate that is 2 % wrong": Example(
        rate=rate_ticker(1.0197),
        price=64091.7830,
        confidence=1201.4026,
        reasons={B: "USDT at 1.0197; 2.0 % from the median, counts 40%"},
    ),
    "C3 a rate that is 5 % wrong": Example(
        rate=rate_ticker(1.05), price=63999.7800, confidence=4.2200, states={B: "excluded", Y: "excluded", O: "excluded"}
    ),
    "C4 no rate": Example(
        rate=None, price=63999.7800, confidence=4.2200, states={B: "stale", Y: "stale", O: "stale"}, reasons={B: "no rate"}
    ),
    "C5 a depeg": Example(
        converted=(tick(B, 67347.9891), tick(Y, 67358.5089), tick(O, 67342.7291)),
        rate=rate_ticker(0.95, confidence=0.0004),
        price=63990.8987,
        confidence=28.7778,
        reasons=dict.fromkeys((B, Y, O), "USDT at 0.9500"),
    ),
    "C6 one direct": Example(direct=(KRAKEN,), price=64002.2625, confidence=14.7854),
    "C7 a rate that has almost faded": Example(
        rate=rate_ticker(0.9997, ages_s=(0.0, 50.0)),
        heard_s=5.0,
        price=64000.4841,
        confidence=12.1526,
        states={B: "fading"},
        reasons={B: "USDT-USD silent for 55 s, counts 10%"},
    ),
    "C8 one direct that has almost faded": Example(
        direct=(tick(KR, 64004.0, quote_volume24h=65e6, age_s=59.95),),
        converted=(tick(B, 57600.0), tick(Y, 64010.0), tick(O, 64000.0)),
        rate=rate_ticker(1.0, confidence=0.0),
        price=64005.9999,
        quality="disputed",
        confidence=5.9999,
        states={B: "excluded"},
    ),
}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_worked_example(example: Example) -> None:
    """Each figure that the example states is published, exactly as rounded."""
    made = result_of(*example.direct, legs=[leg(*example.converted, rate=example.rate, heard_s=example.heard_s)])
    ticker = published(made)
    assert (ticker.price, ticker.quality, ticker.confidence) == (example.price, example.quality, example.confidence)
    for name, weight in example.weights.items():
        assert sources(ticker)[name].weight == pytest.approx(weight, abs=5e-7)
    assert states(ticker) | example.states == states(ticker)
    assert {name: sources(ticker)[name].reason for name in example.reasons} == example.reasons
    assert recomputed(ticker) == pytest.approx(example.price, abs=1e-4)


def share(result: Ticker) -> float:
    return sum(source.weight for source in result.sources if source.via is not UNSET)


def test_the_converted_share_of_c7() -> None:
    faded = result_of(*DIRECT, legs=[leg(*TETHER, rate=rate_ticker(0.9997, ages_s=(0, 55)))])
    assert share(faded) == pytest.approx(0.2883, abs=5e-5)


def test_c8_is_as_without_the_direct_one() -> None:
    example = EXAMPLES["C8 one direct that has almost faded"]
    without = published(result_of(legs=[leg(*example.converted, rate=example.rate)]))
    assert (without.price, without.quality, without.confidence) == (64006.0, "disputed", 6.0)


def at(ticker: Ticker | None, heard_s: float = 0.0) -> tuple[float, str | None, int | None]:
    now = rate_now(leg(rate=ticker, heard_s=heard_s), NOW_MS, Parameters())
    return now.freshness, now.reason, now.via.age_ms


@pytest.mark.parametrize(
    ("ticker", "heard_s", "freshness", "reason", "age_ms"),
    [
        pytest.param(RATE, 0.0, 1.0, None, 0, id="fresh"),
        pytest.param(RATE, -5.0, 1.0, None, 0, id="received in the future"),
        pytest.param(rate_ticker(1.0, ages_s=(3, 0, 59)), 7.0, 1.0, None, 10_000, id="exactly T_soft, by the second"),
        pytest.param(RATE, 35.0, 0.5, "USDT-USD silent for 35 s, counts 50%", 35_000, id="nobody publishes it"),
        pytest.param(rate_ticker(1.0, ages_s=(0, 35)), 0.0, 0.5, "USDT-USD silent for 35 s, counts 50%", 35_000, id="one old"),
        pytest.param(RATE, 60.0, 0.0, "USDT-USD silent for 60 s", 60_000, id="exactly T_hard"),
        pytest.param(
            rate_ticker(1.0, ages_s=(0,), quality="single"), 0.0, 0.0, "USDT-USD has one source alone", None, id="single"
        ),
        pytest.param(rate_ticker(1.0, quality="stale"), 0.0, 0.0, "USDT-USD is stale", 0, id="stale"),
        pytest.param(rate_ticker(1.0, quality="disputed"), 2.0, 0.0, "USDT-USD is disputed", 2_000, id="disputed"),
        pytest.param(rate_ticker(None, quality="down", ages_s=()), 0.0, 0.0, "no rate", None, id="down"),
        pytest.param(rate_ticker(1e31), 0.0, 0.0, "no rate", 0, id="no figure"),
        pytest.param(
            rate_ticker(0.94, quality="disputed"), 0.0, 0.0, "USDT-USD is disputed; USDT at 0.9400", 0, id="off its peg"
        ),
        pytest.param(None, 0.0, 0.0, "no rate", None, id="not heard"),
    ],
)
def test_the_freshness_of_a_rate(
    ticker: Ticker | None, heard_s: float, freshness: float, reason: str | None, age_ms: int | None
) -> None:
    """Rule 17: it takes two direct markets, fades with the second, and fades when no ticker of it comes any more."""
    assert at(ticker, heard_s) == (freshness, reason, age_ms)


def test_only_used_sources_keep_a_rate_fresh() -> None:
    rate = rate_ticker(1.0, ages_s=(0, 40, 0))
    excluded = replace(rate.sources[2], weight=0.0, used_price=None, state="excluded")
    assert at(replace(rate, sources=(*rate.sources[:2], excluded)))[2] == 40_000


def test_no_chain() -> None:
    """A rate that is made of converted sources converts nothing."""
    rate = rate_ticker(1.0)
    converted = replace(rate.sources[0], via=Via(symbol=Symbol("USDC-USD"), seq=1, quality="ok"), own_price=1.0)
    assert at(replace(rate, sources=(converted, rate.sources[1])))[:2] == (0.0, "USDT-USD is itself converted")


@pytest.mark.parametrize(
    ("symbol", "price", "reason"),
    [
        ("USDT-USD", 1.005, None),
        ("USDT-USD", 1.00501, "USDT at 1.0050"),
        ("USDT-USD", 0.995, None),
        ("USDC-USD", 0.877, "USDC at 0.8770"),
        ("DAI-USD", 0.9, "DAI at 0.9000"),
        ("EUR-USD", 1.08, None),
        ("USDT-EUR", 0.92, None),
    ],
)
def test_a_currency_off_its_peg_is_told(symbol: str, price: float, reason: str | None) -> None:
    """Rule 20: and it changes nothing else."""
    assert at(rate_ticker(price, symbol=Symbol(symbol)))[:2] == (1.0, reason)


def test_the_reason_of_a_depeg_is_in_every_converted_source() -> None:
    ticks = (
        tick("used", 67347.0),
        tick("old", 67347.0, age_s=70),
        tick("fading", 67347.0, age_s=35),
        tick("late", 67347.0, lag_s=9),
        tick("wrong", 90000.0),
        tick("empty", 67347.0, quote_volume24h=0.0),
    )
    result = result_of(*DIRECT, legs=[leg(*ticks, rate=rate_ticker(0.95))])
    reasons = {source.exchange: source.reason for source in result.sources if source.via is not UNSET}
    assert reasons == {
        "used": "USDT at 0.9500",
        "old": "silent for 70 s; USDT at 0.9500",
        "fading": "silent for 35 s, counts 50%; USDT at 0.9500",
        "late": "USDT at 0.9500; exchange clock 9.0 s behind",
        "wrong": "USDT at 0.9500; 33.6 % from the median",
        "empty": "USDT at 0.9500; no turnover in 24 h",
    }
    assert states(result) | {
        "used": "used",
        "old": "stale",
        "fading": "fading",
        "late": "lagging",
        "wrong": "excluded",
    } == states(result)


@pytest.mark.parametrize(
    "rate", [None, rate_ticker(1.0, quality="disputed"), rate_ticker(1.0, ages_s=(0,), quality="single"), rate_ticker(1.0, quality="stale")],
    ids=["no rate", "disputed", "single", "stale"],
)  # fmt: skip
def test_without_a_good_rate_the_direct_sources_stay(rate: Ticker | None) -> None:
    """The price is never held at an old rate, and never made at a rate of 1."""
    direct = result_of(*DIRECT)
    both = result_of(*DIRECT, legs=[leg(*TETHER, rate=rate)])
    assert (both.price, both.quality, both.confidence, both.sources_used) == (direct.price, "ok", direct.confidence, 3)
    assert {source.state for source in both.sources if source.via is not UNSET} == {"stale"}
    alone = result_of(legs=[leg(*TETHER, rate=rate)], last=last_ticker(64010.0, age_s=30))
    assert (alone.price, alone.quality, alone.sources_used, alone.sources_total) == (64010.0, "stale", 0, 3)
    assert result_of(legs=[leg(*TETHER, rate=rate)]).quality == "down"


def test_a_source_without_a_rate_has_no_price() -> None:
    [source] = result_of(legs=[leg(tick(B, 64020.0), rate=None)]).sources
    assert (source.price, source.own_price, source.weight, source.used_price) == (None, 64020.0, 0, None)
    assert source.via == Via(symbol=USDT_USD, seq=0, quality="down")


def test_a_stale_rate_still_shows_what_its_source_would_be() -> None:
    [source] = result_of(legs=[leg(tick(B, 64000.0), rate=rate_ticker(0.5, quality="stale"))]).sources
    assert (source.price, source.state) == (32000.0, "stale")


def test_a_rate_that_lags_its_leg() -> None:
    """The age of a converted source is its leg's own. The freshness is that of both, and the older exchange time is shown."""
    rate = rate_ticker(0.9997, ages_s=(0, 35), exchange_time_ms=NOW_MS - 35_000)
    result = result_of(legs=[leg(tick(B, 64020.0, age_s=1), tick(Y, 64020.0, age_s=35), rate=rate)])
    first, second = result.sources
    assert (first.age_ms, first.state, first.reason) == (1000, "fading", "USDT-USD silent for 35 s, counts 50%")
    assert second.reason == "silent for 35 s, counts 50%; USDT-USD silent for 35 s, counts 50%"
    assert first.weight / second.weight == pytest.approx(2 * 1.8e9 / 6e8), "freshness .5 and .25"
    assert (result.received_time_ms, result.exchange_time_ms) == (NOW_MS - 1000, NOW_MS - 35_000)


@pytest.mark.parametrize(("of_leg", "of_rate"), [(None, NOW_MS), (NOW_MS, None)])
def test_an_unknown_exchange_time_stays_unknown(of_leg: int | None, of_rate: int | None) -> None:
    one = replace(tick(B, 64000.0), exchange_time_ms=of_leg)
    assert result_of(legs=[leg(one, rate=rate_ticker(1.0, exchange_time_ms=of_rate))]).exchange_time_ms is None


def test_the_open_is_converted_at_yesterdays_rate() -> None:
    """A move of the rate is a move of the price, and today's rate must not hide it."""
    ticks = tick(B, 64000.0, open24h=64000.0), tick(Y, 64000.0, open24h=64000.0)
    moved = result_of(legs=[leg(*ticks, rate=rate_ticker(0.98, open24h=1.0))])
    assert (moved.open24h, moved.price) == pytest.approx((64000.0, 62720.0))
    assert moved.change_percent24h == pytest.approx(-2.0)
    unknown = result_of(legs=[leg(*ticks, rate=rate_ticker(0.98, open24h=None))])
    assert (unknown.open24h, unknown.change24h, unknown.change_percent24h) == (None, None, None)


def test_bid_ask_and_turnover_are_converted_and_high_and_low_are_not() -> None:
    figures: dict[str, Any] = {"bid": 63999.0, "ask": 64001.0, "high24h": 70000.0, "low24h": 60000.0, "volume24h": 5.0}
    rate = rate_ticker(0.5, bid=0.4, ask=0.6)
    result = result_of(legs=[leg(tick(B, 64000.0, **figures), rate=rate)])
    assert (result.bid, result.ask) == pytest.approx((25599.6, 38400.6))
    assert (result.high24h, result.low24h, result.volume24h, result.quote_volume24h) == (None, None, None, None)
    assert (
        result_of(
            tick(CB, 32000.0, high24h=33000.0, quote_volume24h=7.0), legs=[leg(tick(B, 64000.0, **figures), rate=rate)]
        ).high24h
        == 33000.0
    )


def test_a_source_price_is_taken_before_it_is_converted() -> None:
    """Rule 1: a rate whose bid lies above its price does not move it."""
    one = tick(B, 99.0, bid=100.0, ask=100.2)
    [source] = result_of(legs=[leg(one, rate=rate_ticker(0.5, bid=0.6, ask=0.4))]).sources
    assert (source.own_price, source.price) == (100.0, 50.0)


@pytest.mark.parametrize(
    ("direct", "is_converted"),
    [
        pytest.param(tick(B, 64000.0), False, id="fresh"),
        pytest.param(tick(B, 64000.0, age_s=3600), False, id="silent for an hour"),
        pytest.param(tick(B, 64000.0, age_s=3600.001), True, id="silent for longer"),
        pytest.param(tick(B, 64000.0, lag_s=60), False, id="lagging"),
        pytest.param(tick(B, 64000.0, ended="delisted", age_s=5000), False, id="ended"),
    ],
)
def test_an_exchange_with_a_direct_market_gives_no_converted_source(direct: Tick, is_converted: bool) -> None:
    result = result_of(direct, legs=[leg(tick(B, 64020.0), rate=RATE)])
    assert any(source.via is not UNSET for source in result.sources) == is_converted


def test_five_converted_ones_do_not_outvote_one_direct() -> None:
    """They have one vote together, so the median lies between; and with it the price is disputed."""
    five = [tick(f"x{n}", 101.5, quote_volume24h=1e9) for n in range(5)]
    result = result_of(tick(CB, 100.0, quote_volume24h=1e6), legs=[leg(*five, rate=rate_ticker(1.0))])
    assert result.spread_bps == pytest.approx(1.5 / 100.75 * 1e4)
    assert result.quality == "disputed"
    agreed = result_of(tick(CB, 100.0, quote_volume24h=1e6), legs=[leg(*five[:1], rate=rate_ticker(1.0))])
    assert agreed.spread_bps == pytest.approx(result.spread_bps)


@pytest.mark.parametrize(
    ("apart", "agreed", "price"),
    [
        pytest.param(1.04, 100.0, 100.0, id="the direct one is nearer to what was agreed"),
        pytest.param(1.04, 104.0, 104.0, id="the group is"),
        pytest.param(1.5, 100.0, 100.0, id="far apart, and the direct one is nearer"),
        pytest.param(1.5, None, 150.0, id="far apart, nothing agreed: the larger turnover"),
    ],
)
def test_one_direct_against_five_converted_far_apart(apart: float, agreed: float | None, price: float) -> None:
    """Rule 7 decides between a source and a group as between two sources."""
    five = [tick(f"x{n}", 100 * apart + n / 100 - 0.02, quote_volume24h=1e9) for n in range(5)]
    last = NOTHING if agreed is None else last_ticker(agreed)
    result = result_of(tick(CB, 100.0, quote_volume24h=1e6), legs=[leg(*five, rate=rate_ticker(1.0))], last=last)
    assert result.price == pytest.approx(price)
    assert (result.quality, result.sources_used) == ("disputed", 1)


def test_a_dying_direct_source_does_not_decide_against_a_fresh_group() -> None:
    ticks = [tick(f"x{n}", 100.0, quote_volume24h=1.0) for n in range(3)]
    result = result_of(tick(CB, 150.0, age_s=59.9), legs=[leg(*ticks, rate=rate_ticker(1.0))])
    assert (result.price, result.sources_used) == (100.0, 1)


def test_the_member_nearest_to_the_vote_makes_the_price_of_a_chosen_group() -> None:
    """With an even number of members the vote may be no member's price."""
    four = [tick(name, price, quote_volume24h=1e9) for name, price in (("a", 99.0), ("b", 109.0), ("c", 111.5), ("d", 120.0))]
    result = result_of(tick(CB, 100.0, quote_volume24h=1.0), legs=[leg(*four, rate=rate_ticker(1.0))])
    assert [source.exchange for source in result.sources if source.weight] == ["b"]
    assert {source.reason for source in result.sources if source.exchange == "d"} == {"10.1 % from the price"}


def test_the_vote_of_an_even_group_is_the_direct_median_within_its_middle_two() -> None:
    pair = tick(B, 99.9, quote_volume24h=1.0), tick(Y, 100.3, quote_volume24h=1.0)

    def middle(*prices: float) -> float:
        ticks = [tick(f"d{n}", price, quote_volume24h=1.0) for n, price in enumerate(prices)]
        result = result_of(*ticks, legs=[leg(*pair, rate=rate_ticker(1.0))])
        assert result.spread_bps is not None
        lowest, highest = min(*prices, 99.9), max(*prices, 100.3)
        return (highest - lowest) / (result.spread_bps / 1e4)

    assert middle(100.0, 100.2) == pytest.approx(100.1), "their median is the direct one"
    assert middle(99.0, 99.8) == pytest.approx(99.8), "clamped to the lower of the two"
    assert middle(100.4, 100.6) == pytest.approx(100.4), "clamped to the upper of the two"


def test_where_no_source_is_near_the_middle_the_direct_ones_decide() -> None:
    """Rule 18: a group that lies on both sides of nothing but itself makes no price."""
    ticks = tick("d0", 90.0, quote_volume24h=2.0), tick("d1", 110.0, quote_volume24h=1.0)
    wide = leg(tick(B, 80.0), tick(Y, 120.0), rate=rate_ticker(1.0))
    result, alone = result_of(*ticks, legs=[wide]), result_of(*ticks)
    assert (result.price, result.quality, alone.price) == (90.0, "disputed", 90.0)
    assert (result.agreed_price, result.sources_total) == (None, 4)
    assert result.spread_bps == pytest.approx(4000.0)
    assert states(result) == {"d0": "used", "d1": "excluded", B: "excluded", Y: "excluded"}
    assert sources(result)[B].reason == "11.1 % from the price"
    away = result_of(*ticks, legs=[wide], away={"d0", B})
    assert (away.quality, sources(away)[B].reason) == ("stale", "11.1 % from the price; its feed is away")


def test_six_converted_ones_and_no_direct_have_a_vote_each() -> None:
    prices = (100.0, 100.1, 100.2, 100.3, 104.0, 80.0)
    ticks = [tick(f"x{n}", price, quote_volume24h=1.0) for n, price in enumerate(prices)]
    converted, direct = result_of(legs=[leg(*ticks, rate=rate_ticker(1.0, confidence=0.0))]), result_of(*ticks)
    for name in ("price", "quality", "confidence", "spread_bps", "sources_used", "agreed_price"):
        assert getattr(converted, name) == getattr(direct, name), name
    assert states(converted) == states(direct)


def test_one_converted_alone_is_single() -> None:
    result = result_of(legs=[leg(tick(B, 100.0), rate=RATE)])
    assert (result.quality, result.confidence) == ("single", None)
    assert result.price == pytest.approx(99.97)


def shares(ages_s: tuple[float, ...], second_price: float = 100.0) -> float:
    """Return the converted share beside direct sources of these ages, whose turnover is a hundredth of the converted one's."""
    prices = (100.0, second_price, 100.0)
    direct = [tick(f"d{n}", prices[n], quote_volume24h=1.0, age_s=age) for n, age in enumerate(ages_s)]
    return share(result_of(*direct, legs=[leg(tick(B, 100.0, quote_volume24h=100.0 * len(ages_s)), rate=rate_ticker(1.0))]))


@pytest.mark.parametrize(
    ("ages_s", "expected"),
    [
        pytest.param((0.0,), 100 / 101, id="one direct: as it is"),
        pytest.param((0.0, 0.0), 0.5, id="two: half"),
        pytest.param((0.0, 0.0, 0.0), 0.5, id="three: half"),
        pytest.param((0.0, 35.0), 0.5 * 200 / 201.5 + 0.25, id="the second has faded by half"),
        pytest.param((0.0, 35.0, 59.999), 0.5 * 300 / (301.5 + 0.00002) + 0.25, id="the second freshest decides"),
    ],
)
def test_the_most_that_converted_sources_weigh(ages_s: tuple[float, ...], expected: float) -> None:
    """Rule 19."""
    assert shares(ages_s) == pytest.approx(expected, abs=1e-6)


def test_converted_sources_with_less_turnover_are_not_scaled() -> None:
    result = result_of(*DIRECT, legs=[leg(tick(B, 64020.0, quote_volume24h=69.1e6 / 0.9997), rate=RATE)])
    assert share(result) == pytest.approx(69.1 / (691 + 69.1))


def test_beside_direct_sources_without_turnover_nothing_is_scaled() -> None:
    """D is 0, so the direct ones have their votes and no weight."""
    direct = [tick(name, 100.0, quote_volume24h=0.0) for name in (CB, KR)]
    result = result_of(*direct, legs=[leg(tick(B, 100.1), rate=rate_ticker(1.0))])
    assert (share(result), result.sources_used) == (1.0, 1)
    assert result.price == pytest.approx(100.1)


def test_an_unknown_turnover_is_the_median_of_direct_and_converted_ones() -> None:
    ticks = tick("a", 100.0, quote_volume24h=None), tick("b", 100.0, quote_volume24h=8.0)
    result = result_of(*ticks, legs=[leg(tick(B, 50.0, quote_volume24h=1.0), rate=rate_ticker(2.0, confidence=None))])
    assert sources(result)["a"].weight / sources(result)["b"].weight == pytest.approx(5 / 8)


def test_clocks_are_judged_over_direct_and_converted_sources() -> None:
    """Rule 2: one source whose clock is right, of either kind, shows that ours is right."""

    def skewed(direct: Tick, converted: Tick) -> tuple[bool, dict[str, str]]:
        legs = [leg(converted, rate=RATE)]
        result, clock_skew = aggregate(NOW_MS, by_exchange(direct), (), NOTHING, Parameters(), legs)
        return clock_skew, states(result)

    assert skewed(tick(CB, 64000.0, lag_s=9), tick(B, 64020.0, lag_s=7)) == (True, {CB: "used", B: "used"})
    assert skewed(tick(CB, 64000.0, lag_s=9), tick(B, 64020.0)) == (False, {CB: "lagging", B: "used"})
    assert skewed(tick(CB, 64000.0), tick(B, 64020.0, lag_s=9)) == (False, {CB: "used", B: "lagging"})
    assert skewed(tick(CB, 64000.0, lag_s=9), tick(B, 64020.0, lag_s=-9)) == (False, {CB: "lagging", B: "lagging"})


def test_two_rates_are_two_groups() -> None:
    """An exchange may have a source by each of them, at the same price, and each group has one vote."""
    usdc = Symbol("USDC-USD")
    legs = [
        leg(tick(B, 100.0), tick(Y, 100.0), rate=rate_ticker(1.0, confidence=0.001)),
        leg(tick(B, 100.0), tick(Y, 100.0), tick(O, 100.0), rate=rate_ticker(1.0, symbol=usdc, confidence=0.01)),
    ]
    result = result_of(tick(CB, 102.9, quote_volume24h=1.0), legs=legs)
    assert result.sources_used == 6
    assert result.spread_bps == pytest.approx(290.0), "the two groups are the majority of three"
    of_tether = sum(source.weight for source in result.sources if source.via is not UNSET and source.via.symbol == USDT_USD)
    of_usdc = share(result) - of_tether
    assert result.price is not None
    expected = 102.9 - result.price + result.price * (of_tether * 0.001 + of_usdc * 0.01)
    assert result.confidence == pytest.approx(expected)
    assert result_of(legs=legs).sources_used == 5


def test_what_is_told_of_the_rate() -> None:
    """Rule 20."""
    rate = rate_ticker(0.9997, bid=0.9996, ask=0.9998, open24h=1.0, confidence=0.0002, ages_s=(0.2, 0.1))
    result = result_of(*DIRECT, legs=[leg(*TETHER, rate=rate, heard_s=1.5)])
    [via] = {id(source.via): source.via for source in result.sources if source.via is not UNSET}.values()
    assert via == Via(
        symbol=USDT_USD,
        seq=7,
        price=0.9997,
        bid=0.9996,
        ask=0.9998,
        open24h=1.0,
        confidence=0.0002,
        quality="ok",
        age_ms=1700,
    )
    assert {source.via for source in result.sources if source.exchange in {CB, KR, CR}} == {UNSET}


@pytest.mark.parametrize("symbol", ["EUR-USD", "USDT-USD"], ids=["no reason", "off its peg"])
def test_a_price_that_is_no_figure_after_conversion_is_no_source(symbol: str) -> None:
    rate = rate_ticker(1e-8, symbol=Symbol(symbol))
    result = result_of(tick(CB, 1e-20), legs=[leg(tick(B, 1e-20), tick(Y, 1e-25), rate=rate)])
    assert [source.exchange for source in result.sources] == [CB, B]
    assert result.sources_total == 2
    late = leg(tick(B, 1e-25, lag_s=9), rate=rate)
    assert [source.exchange for source in result_of(tick(CB, 1e-20), legs=[late]).sources] == [CB]


def test_a_source_is_converted_once() -> None:
    """The ticks and the rate's ticker stay as they were received."""
    ticks, heard = by_exchange(*TETHER), Rate.of(RATE, NOW_MS)
    before = repr((ticks, heard))
    result_of(*DIRECT, legs=[LegTicks(ticks, USDT_USD, heard)])
    assert repr((ticks, heard)) == before


def test_used_sources_of_away_feeds_only() -> None:
    legs = [leg(*TETHER, rate=RATE)]
    assert result_of(legs=legs, away={B, Y, O}).quality == "stale"
    assert result_of(legs=legs, away={B, Y}).quality == "ok"
    assert result_of(KRAKEN, legs=legs, away={B, Y, O}).quality == "ok"


def test_direct_sources_are_listed_first() -> None:
    """Then each leg's follow. All are in the order of their names."""
    result = result_of(*DIRECT, legs=[leg(*reversed(TETHER), rate=RATE)])
    assert [source.exchange for source in result.sources] == [CB, CR, KR, B, Y, O]
