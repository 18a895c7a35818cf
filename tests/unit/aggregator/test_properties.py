"""What holds of every price, whatever the exchanges say."""

import math
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from aggregator.methodology import aggregate, is_figure, source_price
from aggregator.result import LastGood, Parameters, Result
from aggregator.rounding import decimals, to_ticker
from market_pulse.codec import decode_ticker, encode_ticker
from market_pulse.model import Tick

from .examples import BTC, NOW_MS, B, O, Y, by_exchange, last_good, recomputed, result_of, tick

EXCHANGES = ("binance", "bybit", "okx", "kraken", "coinbase")
SENSIBLE = st.floats(min_value=1e-9, max_value=1e9)
ANY_FIGURE = st.none() | st.floats() | st.sampled_from([0.0, 5e-324, 1e-30, 1e-29, 1e29, 1e30, 1.7e308, -1.0])
ANY_TIME_MS = st.integers(min_value=0, max_value=2**53)
PARAMETERS = Parameters()


@st.composite
def wild_ticks(draw: st.DrawFn) -> dict[str, Tick]:
    """Ticks that no exchange would send."""
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
            **{field: draw(strategy) for field, strategy in figures.items()},
        )
        for name in names
    ]
    return by_exchange(*ticks)


@st.composite
def market_ticks(draw: st.DrawFn) -> dict[str, Tick]:
    """Ticks around one price, some off, some old, as exchanges send them: with few decimals."""
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


flag_sets = st.frozensets(st.sampled_from(EXCHANGES))
last_goods = st.none() | st.builds(last_good, price=SENSIBLE, age_s=st.floats(0, 70), received_time_ms=st.just(NOW_MS - 80_000))


def numbers(result: Result) -> list[float]:
    fields = ("price", "confidence", "spread_bps", "open24h", "change24h", "change_percent24h", "high24h", "low24h", "bid",
              "ask", "volume24h", "quote_volume24h")  # fmt: skip
    return [value for name in fields if (value := getattr(result, name)) is not None]


@given(wild_ticks(), flag_sets, last_goods)
def test_no_input_raises_and_all_figures_are_finite(
    ticks: dict[str, Tick], flags: frozenset[str], last: LastGood | None
) -> None:
    result = aggregate(NOW_MS, ticks, flags, last, PARAMETERS)
    ticker = to_ticker(result, BTC, 7, 2)
    assert all(math.isfinite(number) for number in numbers(result))
    assert decode_ticker(encode_ticker(ticker)) == ticker
    assert (ticker.price is None) == (ticker.quality == "down")
    assert ticker.price is None or ticker.price > 0


@given(wild_ticks() | market_ticks(), flag_sets, last_goods)
def test_price_lies_between_the_used_prices(ticks: dict[str, Tick], flags: frozenset[str], last: LastGood | None) -> None:
    result = aggregate(NOW_MS, ticks, flags, last, PARAMETERS)
    used = [source.price for source in result.sources if source.used_price is not None]
    assert len(used) == result.sources_used
    if used:
        assert result.price is not None
        assert min(used) <= result.price <= max(used)


@given(market_ticks(), flag_sets, last_goods, st.randoms(use_true_random=False))
def test_order_of_sources_does_not_matter(
    ticks: dict[str, Tick], flags: frozenset[str], last: LastGood | None, random: Any
) -> None:
    """Bit for bit."""
    shuffled = list(ticks.items())
    random.shuffle(shuffled)
    assert aggregate(NOW_MS, dict(shuffled), flags, last, PARAMETERS) == aggregate(NOW_MS, ticks, flags, last, PARAMETERS)


bad_prices = st.floats(0.9, 1.1) | st.sampled_from([0.97, 0.995, 1.005, 1.03]) | st.floats(0, 1e15)


@given(SENSIBLE, st.floats(-1e-3, 1e-3), bad_prices, st.none() | st.floats(), st.floats(0, 100))
def test_one_bad_source_pulls_no_further_than_the_clamp(
    honest: float, difference: float, bad: float, turnover: float | None, age_s: float
) -> None:
    """Whatever the third says, however heavy it is: the price stays within c of what the two honest ones say."""
    other = honest * (1 + difference)
    price = result_of(tick(B, honest * bad, quote_volume24h=turnover, age_s=age_s), tick(Y, honest), tick(O, other)).price
    assert price is not None
    low, high = min(honest, other), max(honest, other)
    assert low * (1 - PARAMETERS.clamp) * (1 - 1e-12) <= price <= high * (1 + PARAMETERS.clamp) * (1 + 1e-12)


@given(SENSIBLE, st.floats(-5e-4, 5e-4), st.floats(-5e-4, 5e-4), bad_prices, st.floats(0, 0.9))
def test_one_bad_source_moves_the_price_by_less_than_the_clamp(
    true_price: float, first: float, second: float, bad: float, share: float
) -> None:
    """Two honest sources within ±5 bps, and a bad one with up to 90 % of the turnover: under c from where they had it."""
    honest = [
        tick(Y, true_price * (1 + first), quote_volume24h=1e6),
        tick(O, true_price * (1 + second), quote_volume24h=1e6),
    ]
    turnover = 2e6 * share / (1 - share)
    without = result_of(*honest).price
    price = result_of(tick(B, true_price * bad, quote_volume24h=turnover), *honest).price
    assert price is not None
    assert without is not None
    assert abs(price / without - 1) < PARAMETERS.clamp


@given(market_ticks(), flag_sets, last_goods)
def test_published_sources_recompute_the_published_price(
    ticks: dict[str, Tick], flags: frozenset[str], last: LastGood | None
) -> None:
    """The promise: from what goes over the bus alone, anybody gets the price, to its last decimal."""
    result = aggregate(NOW_MS, ticks, flags, last, PARAMETERS)
    dp = max([decimals(source_price(one)) for one in ticks.values()], default=0)
    ticker = decode_ticker(encode_ticker(to_ticker(result, BTC, 1, dp)))
    if ticker.quality in {"ok", "single", "disputed"}:
        assert ticker.price is not None
        assert abs(recomputed(ticker) - ticker.price) <= 0.51 * 10 ** -(dp + 2) + 1e-14 * ticker.price
        assert math.isclose(sum(source.weight for source in ticker.sources), 1.0, rel_tol=1e-12)
    unused = [source for source in ticker.sources if source.state not in {"used", "fading"}]
    assert all(source.weight == 0 and source.used_price is None and source.reason for source in unused)


@given(st.integers(0, 80_000), st.integers(0, 80_000))
def test_freshness_falls_with_age(first_ms: int, second_ms: int) -> None:
    """Seen through the weight of one source beside a fresh one."""
    younger, older = sorted((first_ms, second_ms))

    def weight(age_ms: int) -> float:
        result = result_of(tick(B, 100.0), tick(Y, 100.0, age_s=age_ms / 1000))
        return next(source.weight for source in result.sources if source.exchange == Y)

    assert weight(younger) >= weight(older)


@given(wild_ticks() | market_ticks(), flag_sets, last_goods)
def test_no_fresh_time_on_an_old_price(ticks: dict[str, Tick], flags: frozenset[str], last: LastGood | None) -> None:
    """The times are those of a used tick, or of the held price, or there are none."""
    result = aggregate(NOW_MS, ticks, flags, last, PARAMETERS)
    used = [ticks[source.exchange] for source in result.sources if source.used_price is not None]
    if used:
        assert result.received_time_ms == max(one.received_time_ms for one in used)
    elif result.quality == "stale":
        assert last is not None
        assert (result.price, result.received_time_ms) == (last.price, last.received_time_ms)
    else:
        assert (result.price, result.received_time_ms, result.exchange_time_ms) == (None, None, None)


@given(market_ticks(), flag_sets)
def test_an_equal_moment_repeats_itself(ticks: dict[str, Tick], flags: frozenset[str]) -> None:
    """Aggregating again at once with the new flags comes to rest: no flapping, whatever was flagged before.

    Each step may take one source back, after which the median is another, so it takes a step for each source at most.
    """
    result = aggregate(NOW_MS, ticks, flags, None, PARAMETERS)
    for _ in ticks:
        result = aggregate(NOW_MS, ticks, result.flags, result, PARAMETERS)
    assert aggregate(NOW_MS, ticks, result.flags, result, PARAMETERS) == result
