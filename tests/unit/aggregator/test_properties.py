"""Properties of every price, for any ticks of the exchanges."""

import math
import statistics
from typing import Any

from hypothesis import assume, example, given
from hypothesis import strategies as st
from msgspec.structs import replace

from aggregator.figures import is_figure, source_price
from aggregator.methodology import aggregate
from aggregator.parameters import Parameters
from aggregator.rounding import decimals
from market_pulse.messages import Tick, Ticker, decode_ticker, encode

from .examples import BTC, NOTHING, NOW_MS, B, Y, by_exchange, last_ticker, published, recomputed, result_of, tick

EXCHANGES = ("binance", "bybit", "okx", "kraken", "coinbase")
SENSIBLE = st.floats(min_value=1e-9, max_value=1e9)
ANY_FIGURE = st.none() | st.floats() | st.sampled_from([0.0, 5e-324, 1e-30, 1e-29, 1e29, 1e30, 1.7e308, -1.0])
ANY_TIME_MS = st.integers(min_value=0, max_value=2**53)
PARAMETERS = Parameters()


@st.composite
def wild_ticks(draw: st.DrawFn) -> dict[str, Tick]:
    """Draw ticks that no exchange would send."""
    names = draw(st.lists(st.sampled_from(EXCHANGES), unique=True))
    figures: dict[str, Any] = dict.fromkeys(
        ("bid", "ask", "open24h", "high24h", "low24h", "volume24h", "quote_volume24h"), ANY_FIGURE
    )
    ticks = [
        Tick(
            exchange=name,
            symbol=BTC,
            price=draw(st.floats() | st.sampled_from([1e-29, 1e29, 64000.0])),
            exchange_time_ms=draw(st.none() | ANY_TIME_MS),
            received_time_ms=draw(st.integers(NOW_MS - 100_000, NOW_MS + 1000) | ANY_TIME_MS),
            lag_unknown=draw(st.booleans()),
            ended=draw(st.none() | st.none() | st.text(max_size=300)),
            **{field: draw(strategy) for field, strategy in figures.items()},
        )
        for name in names
    ]
    return by_exchange(*ticks)


@st.composite
def market_ticks(draw: st.DrawFn) -> dict[str, Tick]:
    """Draw ticks as exchanges send them: around one price, with few decimals, some of them wrong or old."""
    middle = draw(SENSIBLE)
    names = draw(st.lists(st.sampled_from(EXCHANGES), min_size=1, unique=True))
    places = draw(st.integers(0, 12))
    ticks = []
    for name in names:
        price = round(middle * draw(st.floats(0.93, 1.07) | st.floats(0.999, 1.001)), places)
        if is_figure(price):
            turnover = draw(st.none() | st.floats(0, 1e12))
            open24h = draw(st.none() | SENSIBLE)
            age_s = draw(st.floats(0, 70))
            ticks.append(tick(name, price, age_s=age_s, quote_volume24h=turnover, open24h=open24h, high24h=open24h))
    return by_exchange(*ticks)


exchange_sets = st.frozensets(st.sampled_from(EXCHANGES))
last_tickers = st.just(NOTHING) | st.builds(
    last_ticker,
    price=SENSIBLE,
    age_s=st.floats(0, 70),
    agreed=st.none() | st.floats() | SENSIBLE,
    received_time_ms=st.just(NOW_MS - 80_000),
    priced_time_ms=st.none() | st.integers(NOW_MS - 70_000, NOW_MS),
)
moments = st.tuples(wild_ticks() | market_ticks(), exchange_sets, last_tickers)
Moment = tuple[dict[str, Tick], frozenset[str], Ticker]


def at(moment: Moment) -> Ticker:
    ticks, away, last = moment
    return aggregate(NOW_MS, ticks, away, last, PARAMETERS)[0]


def numbers(result: Ticker) -> list[float]:
    fields = ("price", "confidence", "spread_bps", "open24h", "change24h", "change_percent24h", "high24h", "low24h", "bid",
              "ask", "volume24h", "quote_volume24h")  # fmt: skip
    return [value for name in fields if (value := getattr(result, name)) is not None]


@given(moments)
def test_no_input_raises_and_all_figures_are_finite(moment: Moment) -> None:
    ticker = published(at(moment))
    assert all(math.isfinite(number) for number in numbers(ticker))
    assert (ticker.price is None) == (ticker.quality == "down")
    assert ticker.price is None or ticker.price > 0
    if moment[2] is NOTHING:
        assert decode_ticker(encode(ticker)) == ticker


@given(moments)
def test_the_price_lies_within_the_used_prices_and_near_the_median_or_at_a_source(moment: Moment) -> None:
    result = at(moment)
    used = [source for source in result.sources if source.used_price is not None]
    assert len(used) == result.sources_used
    if used:
        price = result.price
        assert price is not None
        used_prices = [source.used_price for source in used if source.used_price is not None]
        assert min(used_prices) <= price <= max(used_prices)
        votes = [source.price or 0.0 for source in result.sources if source.state in {"used", "fading", "excluded"}]
        middle = statistics.median(votes)
        is_near = abs(price / middle - 1) <= PARAMETERS.clamp + 1e-9
        assert is_near or price in [source.price for source in used]


@given(moments)
def test_states_say_what_counts(moment: Moment) -> None:
    """Sources that count are used or fading, and their weights add up to 1. All others state a reason."""
    result = at(moment)
    for source in result.sources:
        assert (source.weight > 0) == (source.used_price is not None) == (source.state in {"used", "fading"})
        assert source.weight > 0 or source.reason
    if result.sources_used:
        assert math.isclose(math.fsum(source.weight for source in result.sources), 1.0, rel_tol=1e-12)
    assert result.quality != "single" or result.sources_used == 1
    assert (result.confidence is not None) == (result.sources_used > 1)


@given(moments, st.randoms(use_true_random=False))
def test_order_of_sources_does_not_matter(moment: Moment, random: Any) -> None:
    """The results are equal bit for bit."""
    shuffled = list(moment[0].items())
    random.shuffle(shuffled)
    assert repr(at((dict(shuffled), *moment[1:]))) == repr(at(moment))


@given(market_ticks(), st.lists(market_ticks(), max_size=3))
def test_history_does_not_matter(ticks: dict[str, Tick], earlier: list[dict[str, Tick]]) -> None:
    """Exceptions are an agreed price, which decides between two sides, and a held price, which needs no source."""
    last = NOTHING
    for before in earlier:
        last = published(at((before, frozenset(), last)))
    after, fresh = at((ticks, frozenset(), last)), at((ticks, frozenset(), NOTHING))
    one_alone = any("from the price" in (source.reason or "") for source in fresh.sources)
    assume(fresh.sources_used and not one_alone)
    assert (after.price, after.quality, after.sources) == (fresh.price, fresh.quality, fresh.sources)


bad_prices = st.floats(0.9, 1.1) | st.sampled_from([0.97, 0.995, 1.005, 1.03]) | st.floats(0, 1e15)
turnovers = st.none() | st.floats() | st.floats(0, 1e12)


@given(st.lists(st.floats(0.995, 1.0), min_size=2, max_size=6), st.lists(bad_prices, max_size=5), st.data())
def test_a_majority_keeps_the_price_in_its_own_range(honest: list[float], bad: list[float], data: st.DataObject) -> None:
    """If more than half of three or more votes lie within c of each other, the price is in their range widened by c."""
    prices = [100 * one for one in honest] + [100 * one for one in bad[: len(honest) - 1] if is_figure(100 * one)]
    assume(len(prices) >= 3 and 1.005 * min(honest) >= max(honest))
    ticks = [
        tick(f"x{n}", price, quote_volume24h=data.draw(turnovers), age_s=data.draw(st.floats(0, 59)))
        for n, price in enumerate(prices)
    ]
    price = result_of(*ticks).price
    assert price is not None
    low, high = 100 * min(honest), 100 * max(honest)
    assert low * (1 - PARAMETERS.clamp) * (1 - 1e-9) <= price <= high * (1 + PARAMETERS.clamp) * (1 + 1e-9)


@given(st.lists(st.floats(0.995, 1.0), min_size=2, max_size=5), bad_prices, turnovers, st.floats(0, 59), st.data())
@example([1.0, 1.0], 1.03, 1e12, 0.0, None)
@example([1.0, 0.996], 0.5, 1e12, 0.0, None)
def test_one_bad_source_moves_the_price_by_less_than_the_clamp(
    honest: list[float], bad: float, turnover: float | None, age_s: float, data: st.DataObject | None
) -> None:
    """The bound is the clamp plus the others' own spread, from the price of the others alone, if these lie within c."""
    assume(1.005 * min(honest) >= max(honest) and is_figure(100 * bad))
    ticks = [
        tick(f"x{n}", 100 * price, quote_volume24h=data.draw(st.floats(1, 1e12)) if data else 1e6)
        for n, price in enumerate(honest)
    ]
    without = result_of(*ticks).price
    price = result_of(tick(B, 100 * bad, quote_volume24h=turnover, age_s=age_s), *ticks).price
    assert price is not None
    assert without is not None
    spread = 100 * (max(honest) - min(honest))
    assert abs(price - without) <= PARAMETERS.clamp * 100 * max(honest) + spread + 1e-9


HAIR = 1e-7
BY_A_HAIR = 0.1e-4


def is_undisputed(*results: Ticker) -> bool:
    return all(result.quality in {"ok", "single"} for result in results)


@given(market_ticks(), st.sampled_from(EXCHANGES), st.floats(-HAIR, HAIR))
def test_a_price_that_changes_by_a_hair_changes_the_price_by_a_hair(ticks: dict[str, Tick], name: str, change: float) -> None:
    assume(name in ticks)
    moved = ticks | {name: replace(ticks[name], price=ticks[name].price * (1 + change))}
    before, after = (at((one, frozenset(), NOTHING)) for one in (ticks, moved))
    if is_undisputed(before, after) and before.sources_used:
        assert before.price is not None
        assert after.price is not None
        assert abs(after.price / before.price - 1) < BY_A_HAIR


@given(market_ticks(), st.sampled_from(EXCHANGES))
def test_a_freshness_that_changes_by_a_hair_changes_the_price_by_a_hair(ticks: dict[str, Tick], name: str) -> None:
    """The hair is one millisecond, the step of a clock, which is tiny in the time over which a source fades."""
    parameters = Parameters(hard_age_s=10_000.0, soft_age_s=0.0)
    assume(name in ticks)
    older = ticks | {name: replace(ticks[name], received_time_ms=ticks[name].received_time_ms - 1)}
    before, after = (aggregate(NOW_MS, one, (), NOTHING, parameters)[0] for one in (ticks, older))
    lag_changes = [source.state for source in before.sources] != [source.state for source in after.sources]
    if is_undisputed(before, after) and before.sources_used and not lag_changes:
        assert before.price is not None
        assert after.price is not None
        assert abs(after.price / before.price - 1) < BY_A_HAIR


@given(st.lists(st.floats(0.9975, 1.0025), min_size=2, max_size=6), st.data())
def test_no_cliff_where_a_source_fades_out_or_joins(prices: list[float], data: st.DataObject) -> None:
    """It holds for f near 0, if all prices lie within c of each other and all turnovers are known and above 0."""
    ticks = [tick(f"x{n}", 64000.0 * price, quote_volume24h=data.draw(st.floats(1e3, 1e6))) for n, price in enumerate(prices)]
    barely = Parameters(soft_age_s=0.0, hard_age_s=100_000.0)
    gone = replace(ticks[0], received_time_ms=NOW_MS - 100_000_000, exchange_time_ms=None)
    almost = replace(gone, received_time_ms=gone.received_time_ms + 1)
    before = result_of(almost, *ticks[1:], parameters=barely)
    after = result_of(gone, *ticks[1:], parameters=barely)
    assert (before.sources_used, after.sources_used) == (len(ticks), len(ticks) - 1)
    assert before.price is not None
    assert after.price is not None
    assert abs(after.price / before.price - 1) < BY_A_HAIR


@given(market_ticks(), last_tickers)
def test_published_sources_recompute_the_published_price(ticks: dict[str, Tick], last: Ticker) -> None:
    """This is the documented promise: the messages on the bus are enough to recompute the price to its last decimal."""
    dp = max([decimals(source_price(one)) for one in ticks.values()], default=0)
    ticker = decode_ticker(encode(published(at((ticks, frozenset(), replace(last, agreed_price=None))), dp)))
    if ticker.sources_used:
        assert ticker.price is not None
        assert abs(recomputed(ticker) - ticker.price) <= 0.51 * 10 ** -(dp + 2) + 1e-14 * ticker.price
        assert math.isclose(sum(source.weight for source in ticker.sources), 1.0, rel_tol=1e-12)


@given(st.integers(0, 80_000), st.integers(0, 80_000))
def test_freshness_falls_with_age(first_ms: int, second_ms: int) -> None:
    """The test observes it by the weight of one source beside a fresh one."""
    younger, older = sorted((first_ms, second_ms))

    def weight(age_ms: int) -> float:
        result = result_of(tick(B, 100.0), tick(Y, 100.0, age_s=age_ms / 1000))
        return next(source.weight for source in result.sources if source.exchange == Y)

    assert weight(younger) >= weight(older)


@given(moments)
def test_no_fresh_time_on_an_old_price(moment: Moment) -> None:
    """The times are those of a used tick or of the held price, or they are missing."""
    ticks, _, last = moment
    result = at(moment)
    used = [ticks[source.exchange] for source in result.sources if source.used_price is not None]
    if used:
        assert result.received_time_ms == max(one.received_time_ms for one in used)
        assert result.priced_time_ms == NOW_MS
    elif result.quality == "stale":
        assert (result.price, result.received_time_ms) == (last.price, last.received_time_ms)
        assert result.priced_time_ms == last.priced_time_ms
    else:
        assert (result.price, result.received_time_ms, result.exchange_time_ms) == (None, None, None)


@given(market_ticks(), last_tickers)
def test_an_equal_moment_repeats_itself(ticks: dict[str, Tick], last: Ticker) -> None:
    """If the agreed price is of this moment, aggregating again at once changes nothing, so results do not flap."""
    first = at((ticks, frozenset(), last))
    second = at((ticks, frozenset(), first))
    assert second == at((ticks, frozenset(), second))
