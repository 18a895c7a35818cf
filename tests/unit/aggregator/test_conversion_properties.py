"""Properties of every price that is made of converted sources, too, for any ticks and any rate."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from msgspec.structs import replace

from aggregator.conversion import LegTicks, Rate
from aggregator.methodology import aggregate
from aggregator.parameters import Parameters
from aggregator.rounding import decimals
from cli.recompute import Bounds, wrongs_of
from market_pulse.messages import Symbol, Tick, Ticker, decode_ticker, encode

from .examples import BTC_USD, NOTHING, NOW_MS, USDT_USD, by_exchange, leg, published, rate_ticker, recomputed, result_of, tick
from .test_properties import ANY_FIGURE, BY_A_HAIR, HAIR, SENSIBLE, is_undisputed, last_tickers, numbers, wild_ticks

PARAMETERS = Parameters()
CLAMP = PARAMETERS.clamp
QUALITIES = ("ok", "single", "disputed", "stale", "down")


@dataclass(frozen=True)
class Moment:
    direct: dict[str, Tick]
    legs: tuple[LegTicks, ...]
    away: frozenset[str] = frozenset()
    last: Ticker = NOTHING

    def ticker(self) -> Ticker:
        return aggregate(NOW_MS, self.direct, self.away, self.last, PARAMETERS, self.legs)[0]


@st.composite
def wild_moments(draw: st.DrawFn) -> Moment:
    """Draw ticks and rates that nobody would send."""
    legs = []
    for symbol in draw(st.lists(st.sampled_from(["USDT-USD", "USDC-USD", "DAI-USD"]), max_size=3, unique=True)):
        ages_s = draw(st.lists(st.floats(0, 70), max_size=3))
        figures: dict[str, Any] = {name: draw(ANY_FIGURE) for name in ("bid", "ask", "open24h", "confidence")}
        price = draw(st.none() | st.floats() | st.just(1.0))
        rate = rate_ticker(price, ages_s=ages_s, symbol=Symbol(symbol), quality=draw(st.sampled_from(QUALITIES)), **figures)
        heard = draw(st.none() | st.just(Rate.of(rate, NOW_MS - draw(st.integers(-1000, 70_000)))))
        legs.append(LegTicks(draw(wild_ticks()), Symbol(symbol), heard))
    names = st.frozensets(st.sampled_from(["binance", "bybit", "okx", "kraken", "coinbase"]))
    return Moment(draw(wild_ticks()), tuple(legs), draw(names), draw(last_tickers))


@st.composite
def market_moments(draw: st.DrawFn) -> Moment:
    """Draw direct and converted markets around one price, some of them wrong or old, and a rate that may be so, too."""
    middle = draw(SENSIBLE)
    ages = st.just(0.0) | st.floats(0, 70)
    places = st.floats(0.93, 1.07) | st.floats(0.999, 1.001)

    def markets(prefix: str, most: int, unit: float) -> dict[str, Tick]:
        count = draw(st.integers(0, most))
        ticks = [
            tick(
                f"{prefix}{n}",
                middle * draw(places) / unit,
                age_s=draw(ages),
                quote_volume24h=draw(st.none() | st.floats(0, 1e12)),
                open24h=draw(st.none() | SENSIBLE),
            )
            for n in range(count)
        ]
        return by_exchange(*ticks)

    legs = []
    for symbol in ("USDT-USD", "USDC-USD")[: draw(st.integers(1, 2))]:
        price = draw(st.floats(0.9, 1.1))
        rate = rate_ticker(price * draw(st.just(1.0) | places), ages_s=(0, draw(ages)), symbol=Symbol(symbol))
        ticks = markets(symbol[3].lower(), 4, price)
        legs.append(leg(*ticks.values(), rate=rate))
    return Moment(markets("d", 4, 1.0), tuple(legs), last=draw(last_tickers))


moments = wild_moments() | market_moments()


@given(moments)
def test_no_input_raises_and_all_figures_are_finite(moment: Moment) -> None:
    ticker = published(moment.ticker())
    assert all(math.isfinite(number) for number in numbers(ticker))
    assert (ticker.price is None) == (ticker.quality == "down")
    assert ticker.price is None or ticker.price > 0


@given(moments)
def test_the_price_lies_within_the_used_prices_and_near_the_median_or_at_a_source(moment: Moment) -> None:
    result = moment.ticker()
    used = [source for source in result.sources if source.used_price is not None]
    assert len(used) == result.sources_used
    if result.price is None or not used:
        return
    used_prices = [source.used_price for source in used if source.used_price is not None]
    assert min(used_prices) <= result.price <= max(used_prices)
    middle = statistics.median(votes(result))
    is_near = abs(result.price / middle - 1) <= CLAMP + 1e-9
    is_of_direct_alone = result.quality in {"disputed", "stale"} and all(source.via is UNSET for source in used)
    assert is_near or result.price in [source.price for source in used] or is_of_direct_alone


def votes(result: Ticker) -> list[float]:
    """Return the prices of the votes by rule 18, from the published sources alone."""
    fresh = [source for source in result.sources if source.state in {"used", "fading", "excluded"}]
    direct = [source.price for source in fresh if source.via is UNSET and source.price]
    if not direct:
        return [source.price for source in fresh if source.price]
    groups: dict[str, list[float]] = {}
    for source in fresh:
        if source.via is not UNSET and source.price:
            groups.setdefault(source.via.symbol, []).append(source.price)
    typical = statistics.median(direct)
    return direct + [
        min(max(typical, statistics.median_low(group)), statistics.median_high(group)) for group in groups.values()
    ]


@given(moments)
def test_states_say_what_counts(moment: Moment) -> None:
    result = moment.ticker()
    for source in result.sources:
        assert (source.weight > 0) == (source.used_price is not None) == (source.state in {"used", "fading"})
        assert source.weight > 0 or source.reason
        assert (source.via is UNSET) == (source.own_price is UNSET)
        assert source.price is not None or source.state == "stale"
    if result.sources_used:
        assert math.isclose(math.fsum(source.weight for source in result.sources), 1.0, rel_tol=1e-12)
    assert (result.confidence is not None) == (result.sources_used > 1)


@given(moments, st.randoms(use_true_random=False))
def test_order_of_sources_does_not_matter(moment: Moment, random: Any) -> None:
    """The results are equal bit for bit."""

    def shuffled(ticks: Any) -> dict[str, Tick]:
        items = list(ticks.items())
        random.shuffle(items)
        return dict(items)

    legs = tuple(LegTicks(shuffled(one.ticks), one.rate_symbol, one.rate) for one in moment.legs)
    other = Moment(shuffled(moment.direct), legs, moment.away, moment.last)
    assert repr(other.ticker()) == repr(moment.ticker())


@given(market_moments())
def test_published_sources_recompute_the_published_price(moment: Moment) -> None:
    ticks = [*moment.direct.values(), *(one for leg in moment.legs for one in leg.ticks.values())]
    dp = max([decimals(one.price) for one in ticks], default=0)
    ticker = decode_ticker(encode(published(moment.ticker(), dp)))
    for source in ticker.sources:
        if source.via is not UNSET and source.own_price is not UNSET and source.via.price is not None:
            assert source.price == source.own_price * source.via.price
    if ticker.sources_used:
        assert ticker.price is not None
        assert abs(recomputed(ticker) - ticker.price) <= 0.51 * 10 ** -(dp + 2) + 1e-14 * ticker.price


@given(market_moments())
@settings(max_examples=300)
def test_the_command_line_recomputes_every_ticker(moment: Moment) -> None:
    """It shares no code with the aggregator."""
    ticker = replace(published(moment.ticker(), 12), symbol=BTC_USD)
    assert list(wrongs_of(ticker, Bounds())) == []


@given(market_moments())
def test_without_a_rate_the_price_is_that_of_the_direct_sources(moment: Moment) -> None:
    legs = tuple(LegTicks(one.ticks, one.rate_symbol, None) for one in moment.legs)
    without, direct = Moment(moment.direct, legs).ticker(), Moment(moment.direct, ()).ticker()
    for name in ("price", "quality", "confidence", "open24h", "sources_used", "volume24h", "agreed_price", "spread_bps"):
        assert getattr(without, name) == getattr(direct, name), name
    assert without.sources[: len(direct.sources)] == direct.sources


turnovers = st.floats(1, 1e12)
near = st.floats(0.9976, 1.0024)


@st.composite
def agreeing(
    draw: st.DrawFn,
    direct: int,
    converted: int,
    true_rate: float = 1.0,
    turnovers: st.SearchStrategy[float] = st.floats(1, 1e12),  # noqa: B008 - a strategy never changes
) -> tuple[list[Tick], list[Tick]]:
    """Draw direct and converted markets within c of each other at a true rate, whose turnovers are known."""

    def ticks(prefix: str, least: int, unit: float) -> list[Tick]:
        prices = draw(st.lists(near, min_size=least, max_size=5))
        return [tick(f"{prefix}{n}", 100 * price / unit, quote_volume24h=draw(turnovers)) for n, price in enumerate(prices)]

    return ticks("d", direct, 1.0), ticks("t", converted, true_rate)


def spread(direct: Sequence[Tick], converted: Sequence[Tick], rate: float) -> float:
    prices = [one.price for one in direct] + [one.price * rate for one in converted]
    return max(prices) - min(prices)


@given(agreeing(2, 1, 0.9997), st.floats(0.5, 2) | st.floats(0.95, 1.05) | SENSIBLE, st.floats(0, 70))
@example(
    (
        [tick("d0", 100.0, quote_volume24h=1.0), tick("d1", 100.0, quote_volume24h=1.0)],
        [tick("t0", 100.0, quote_volume24h=1e12)],
    ),
    1.03,
    0.0,
)
def test_a_wrong_rate_moves_the_price_by_less_than_the_clamp(
    markets: tuple[list[Tick], list[Tick]], wrong: float, age_s: float
) -> None:
    """The bound is the clamp plus the sources' spread at the right rate, if two or more direct markets agree within c."""
    direct, converted = markets
    at_right = result_of(*direct, legs=[leg(*converted, rate=rate_ticker(0.9997))]).price
    at_wrong = result_of(*direct, legs=[leg(*converted, rate=rate_ticker(wrong, ages_s=(age_s, age_s)))]).price
    assert at_right is not None
    assert at_wrong is not None
    assert abs(at_wrong - at_right) <= CLAMP * 100.25 + spread(direct, converted, 0.9997) + 1e-9


@given(market_moments(), st.floats(0.5, 2))
def test_a_rate_that_moves_with_its_legs_moves_nothing(moment: Moment, factor: float) -> None:
    def moved(one: LegTicks) -> LegTicks:
        rate = one.rate
        assert rate is not None
        assert rate.ticker.price is not None
        ticker = replace(rate.ticker, price=rate.ticker.price * factor)
        ticks = {
            name: replace(
                each,
                price=each.price / factor,
                quote_volume24h=None if each.quote_volume24h is None else each.quote_volume24h / factor,
            )
            for name, each in one.ticks.items()
        }
        return LegTicks(ticks, one.rate_symbol, Rate.of(ticker, rate.received_ms))

    before, after = Moment(moment.direct, moment.legs).ticker(), Moment(moment.direct, tuple(map(moved, moment.legs))).ticker()
    if is_undisputed(before, after) and before.price and after.price:
        assert abs(after.price / before.price - 1) < 1e-9


@given(agreeing(1, 1), st.floats(0.9, 1.1) | st.floats(0, 1e12), turnovers, st.floats(0, 59))
def test_one_bad_direct_source_moves_the_price_by_less_than_the_clamp(
    markets: tuple[list[Tick], list[Tick]], bad: float, turnover: float, age_s: float
) -> None:
    """The bound is the clamp plus the others' own spread, from the price of the others alone, if these lie within c."""
    direct, converted = markets
    assume(100 * bad > 1e-20)
    legs = [leg(*converted, rate=rate_ticker(1.0))]
    without = result_of(*direct, legs=legs).price
    price = result_of(tick("bad", 100 * bad, quote_volume24h=turnover, age_s=age_s), *direct, legs=legs).price
    assert price is not None
    assert without is not None
    assert abs(price - without) <= CLAMP * 100.25 + spread(direct, converted, 1.0) + 1e-9


@given(market_moments(), st.data(), st.floats(-HAIR, HAIR))
def test_a_price_or_a_rate_that_changes_by_a_hair_changes_the_price_by_a_hair(
    moment: Moment, data: st.DataObject, change: float
) -> None:
    index = data.draw(st.integers(0, len(moment.legs) - 1))
    one = moment.legs[index]
    assert one.rate is not None
    assert one.rate.ticker.price is not None
    moved = one._replace(rate=Rate.of(replace(one.rate.ticker, price=one.rate.ticker.price * (1 + change)), NOW_MS))
    name = data.draw(st.sampled_from(sorted(one.ticks)) | st.none()) if one.ticks else None
    if name is not None:
        moved = one._replace(ticks={**one.ticks, name: replace(one.ticks[name], price=one.ticks[name].price * (1 + change))})
    others = (*moment.legs[:index], moved, *moment.legs[index + 1 :])
    before, after = Moment(moment.direct, moment.legs).ticker(), Moment(moment.direct, others).ticker()
    if is_undisputed(before, after) and before.price and after.price:
        assert abs(after.price / before.price - 1) < BY_A_HAIR


@given(market_moments())
def test_a_rate_s_freshness_that_changes_by_a_hair_changes_the_price_by_a_hair(moment: Moment) -> None:
    """The hair is one millisecond, which is tiny in the time over which a rate fades here."""
    parameters = Parameters(hard_age_s=10_000.0, soft_age_s=0.0)
    legs = moment.legs
    later = [one._replace(rate=Rate.of(one.rate.ticker, NOW_MS - 1)) for one in legs if one.rate is not None]
    before, after = (aggregate(NOW_MS, moment.direct, (), NOTHING, parameters, one)[0] for one in (legs, later))
    if is_undisputed(before, after) and before.price and after.price:
        assert abs(after.price / before.price - 1) < BY_A_HAIR


@given(agreeing(1, 1, turnovers=st.floats(1e3, 1e6)), st.integers(0, 2))
@settings(max_examples=200)
def test_no_cliff_where_a_source_or_a_rate_fades_out_or_joins(markets: tuple[list[Tick], list[Tick]], which: int) -> None:
    """It holds for f near 0, if all prices lie within c of each other and all turnovers are known and above 0.

    A direct source fades out, or a converted one, or the rate and with it all converted ones.
    """
    direct, converted = markets
    barely = Parameters(soft_age_s=0.0, hard_age_s=100_000.0)
    gone_ms = NOW_MS - 100_000_000
    made = []
    for at_ms in (gone_ms + 1, gone_ms):
        ones, others = list(direct), list(converted)
        if which == 0:
            ones[0] = replace(ones[0], received_time_ms=at_ms, exchange_time_ms=None)
        elif which == 1:
            others[0] = replace(others[0], received_time_ms=at_ms, exchange_time_ms=None)
        heard = Rate.of(rate_ticker(1.0), at_ms if which == 2 else NOW_MS)
        legs = [LegTicks(by_exchange(*others), USDT_USD, heard)]
        made.append(result_of(*ones, legs=legs, parameters=barely))
    almost, gone = made
    assert gone.sources_used == almost.sources_used - (len(converted) if which == 2 else 1)
    if almost.price is not None and gone.sources_used:
        assert gone.price is not None
        assert abs(gone.price / almost.price - 1) < BY_A_HAIR


@given(agreeing(2, 1))
def test_beside_two_fresh_direct_markets_converted_ones_have_at_most_half_of_the_weight(
    markets: tuple[list[Tick], list[Tick]],
) -> None:
    direct, converted = markets
    result = result_of(*direct, legs=[leg(*converted, rate=rate_ticker(1.0))])
    assert sum(source.weight for source in result.sources if source.via is not UNSET) <= 0.5 + 1e-9
