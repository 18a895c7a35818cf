"""The check of a ticker against its own sources: the aggregator's tickers pass, and every change of one is found."""

from collections import defaultdict
from itertools import islice
from typing import Any

import pytest
from msgspec import UNSET
from msgspec.structs import replace

from aggregator.market import Market, SymbolState
from aggregator.parameters import Parameters
from cli.recompute import Bounds, Memory, wrongs_of
from golden.replay import Replay
from golden.tape import read_tape
from market_pulse.conversions import parse_conversions
from market_pulse.messages import Source, Symbol, Tick, Ticker

NOW_MS = 1_790_000_000_000
BTC = Symbol("BTC-USDT")
BOUNDS = Bounds()


def ticker_of(*prices: float, turnovers: tuple[float, ...] = (), away: frozenset[str] = frozenset()) -> Ticker:
    """Return the aggregator's ticker of exchanges a, b, c …, with equal turnovers unless others are given."""
    state = SymbolState(BTC)
    for name, price, turnover in zip("abcdef", prices, turnovers or (1.0,) * len(prices), strict=False):
        tick = Tick(
            exchange=name,
            symbol=BTC,
            price=price,
            exchange_time_ms=NOW_MS,
            received_time_ms=NOW_MS,
            dp=2,
            quote_volume24h=turnover,
        )
        assert state.take(tick, Parameters()) is None
    return state.make_ticker(NOW_MS, Parameters(), away)


def changed(ticker: Ticker, nth: int, **changes: Any) -> Ticker:
    sources: list[Source] = list(ticker.sources)
    sources[nth] = replace(sources[nth], **changes)
    return replace(ticker, sources=tuple(sources))


def test_what_the_aggregator_makes_is_right() -> None:
    """It holds for twenty thousand tickers of a market with faults, over two restarts."""
    memories: dict[Symbol, Memory] = defaultdict(Memory)
    found: list[str] = []
    for ticker in islice(Replay().tickers(read_tape()), 20_000):
        found += wrongs_of(ticker, BOUNDS)
        found += memories[ticker.symbol].wrongs_of(ticker, missed=False)
    assert found == []


AGREE = ticker_of(100.0, 100.1, 100.2)
TWO_SIDES = ticker_of(100.0, 110.0)
ALONE = ticker_of(100.0)
LESS = ticker_of(100.0, 100.0, 101.0)
HEAVY = ticker_of(100.0, 100.0, 110.0, turnovers=(1.0, 1.0, 5.0))
AWAY = ticker_of(100.0, 100.1, away=frozenset("ab"))


@pytest.mark.parametrize(
    "ticker", [AGREE, TWO_SIDES, ALONE, LESS, HEAVY, AWAY], ids=["agree", "sides", "alone", "less", "heavy", "away"]
)
def test_it_passes(ticker: Ticker) -> None:
    assert list(wrongs_of(ticker, BOUNDS)) == []


@pytest.mark.parametrize(
    ("ticker", "problem"),
    [
        pytest.param(replace(AGREE, price=100.5), "the price is 100.5, but its sources make 100.1", id="price"),
        pytest.param(replace(AGREE, price=None), "the price is None", id="no price"),
        pytest.param(replace(AGREE, quality="disputed"), "is disputed, but its sources make ok", id="no source disputes it"),
        pytest.param(replace(AGREE, quality="stale"), "is stale, but its sources make ok", id="it is heard"),
        pytest.param(replace(TWO_SIDES, quality="ok"), "is ok, but its sources make disputed", id="two sides"),
        pytest.param(replace(ALONE, quality="ok"), "is ok, but its sources make single", id="one alone"),
        pytest.param(replace(AWAY, quality="ok"), "is ok, but its sources make stale", id="all feeds are away"),
        pytest.param(changed(AGREE, 0, weight=0.5), "the weights add up to", id="weights"),
        pytest.param(changed(LESS, 2, used_price=101.0), "c is used at 101.0, not at 100.4", id="not clamped"),
        pytest.param(
            replace(ticker_of(100.0, 100.0, 102.9, turnovers=(1.0, 1.0, 3.0)), quality="ok"),
            "is ok, but its sources make disputed",
            id="most of the turnover",
        ),
        pytest.param(
            replace(AGREE, sources=tuple(replace(one, state="excluded", weight=0, used_price=None) for one in AGREE.sources)),
            "there are fresh sources, but none of them is used",
            id="no source is used",
        ),
        pytest.param(
            replace(ticker_of(), quality="ok", price=5.0),
            "the quality is ok, but without a source it is stale",
            id="held, as ok",
        ),
        pytest.param(replace(ticker_of(), quality="stale"), "is stale, but without a source it is down", id="down, as held"),
    ],
)
def test_it_is_found(ticker: Ticker, problem: str) -> None:
    assert [line for line in wrongs_of(ticker, BOUNDS) if problem in line]


def test_the_outer_one_of_two_sides_is_found() -> None:
    ticker = ticker_of(99.9, 100.0, 110.0, 110.1)
    outer = replace(ticker.sources[0], state="used", used_price=99.9, weight=1.0)
    inner = replace(ticker.sources[1], state="excluded", used_price=None, weight=0.0)
    wrong = replace(ticker, price=99.9, sources=(outer, inner, *ticker.sources[2:]))
    assert list(wrongs_of(wrong, BOUNDS)) == ["a makes the price, but is not one of the middle two"]


def test_other_bounds_make_another_quality() -> None:
    assert list(wrongs_of(TWO_SIDES, Bounds(clamp=0.2, exclusion=0.3))) != []


def remembered(*tickers: Ticker, missed: bool = False) -> list[str]:
    memory = Memory()
    return [problem for ticker in tickers for problem in memory.wrongs_of(ticker, missed=missed)]


def test_what_is_remembered_was_said() -> None:
    first = replace(AGREE, publisher="x")
    later: dict[str, Any] = {"aggregated_time_ms": NOW_MS + 1000, "priced_time_ms": NOW_MS + 1000}
    second = replace(TWO_SIDES, publisher="x", agreed_price=first.price, agreed_time_ms=NOW_MS, **later)
    assert remembered(first, second) == []
    wrong = replace(second, agreed_price=109.0)
    assert remembered(first, wrong) == [f"the agreed price is 109.0 of {NOW_MS}, which no ticker had"]
    assert remembered(wrong) == [], "an earlier ticker may have had it"
    assert remembered(first, wrong, missed=True) == [], "or one that was missed"
    assert remembered(first, replace(wrong, publisher="y")) == [], "or its time may come from another clock"
    assert remembered(first, replace(second, priced_time_ms=NOW_MS)) != []
    held = replace(
        ticker_of(), price=first.price, quality="stale", priced_time_ms=NOW_MS, publisher="x", aggregated_time_ms=NOW_MS + 9
    )
    assert remembered(first, held) == []
    assert remembered(first, replace(held, price=99.0)) == [f"the last price is 99.0 of {NOW_MS}, which no ticker had"]


def test_a_ticker_of_an_earlier_release_remembers_nothing() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("agreed_price", "agreed_time_ms", "priced_time_ms", "publisher"))
    assert remembered(*[replace(AGREE, **nothing)] * 3) == []


def converted_ticker(*direct: float, converted: tuple[float, ...] = (100.0, 100.1, 100.2), rate: float = 0.999) -> Ticker:
    """Return the aggregator's ticker of direct exchanges a, b … and of x, y … in USDT, which have most of the turnover."""
    symbol = Symbol("BTC-USD")
    market = Market(Parameters(), 10, parse_conversions("USDT:USD"))
    sources = tuple(
        Source(exchange=name, price=rate, used_price=rate, weight=0.5, age_ms=age_ms, state="used")
        for name, age_ms in (("r", 100), ("s", 200))
    )
    of_rate = replace(AGREE, symbol=Symbol("USDT-USD"), seq=9, price=rate, sources=sources, confidence=0.0001)
    market.take_rate(of_rate, NOW_MS - 300)
    for names, prices, of, turnover in (("abc", direct, symbol, 1.0), ("xyz", converted, Symbol("BTC-USDT"), 9.0)):
        for name, price in zip(names, prices, strict=False):
            one = Tick(exchange=name, symbol=of, price=price, received_time_ms=NOW_MS, dp=2, quote_volume24h=turnover)
            assert market.take(one) is None
    market.want({symbol}, NOW_MS)
    state = market.get(symbol)
    assert state is not None
    return state.make_ticker(NOW_MS, Parameters(), (), market.legs(state))


BOTH = converted_ticker(100.0, 100.1)
FAR = converted_ticker(100.0, 100.1, converted=(100.0, 90.0, 110.0))
ONE = converted_ticker(100.0, converted=(110.0, 111.0, 112.0))
NONE = converted_ticker()


def with_rate(ticker: Ticker, **changes: Any) -> Ticker:
    """Change what each converted source of a ticker shows of its rate."""
    sources = [one if one.via is UNSET else replace(one, via=replace(one.via, **changes)) for one in ticker.sources]
    return replace(ticker, sources=tuple(sources))


@pytest.mark.parametrize("ticker", [BOTH, FAR, ONE, NONE], ids=["both", "far", "one direct", "no direct"])
def test_converted_sources_pass(ticker: Ticker) -> None:
    assert ticker.sources_used
    assert list(wrongs_of(ticker, BOUNDS)) == []


@pytest.mark.parametrize(
    ("ticker", "problem"),
    [
        pytest.param(
            changed(BOTH, 2, price=100.0), "x has the price 100.0, but 100.0 at 0.999 makes another", id="not converted"
        ),
        pytest.param(changed(BOTH, 2, own_price=UNSET), "x is converted, but its own price is missing", id="no own price"),
        pytest.param(with_rate(BOTH, price=1.0), "at 1.0 makes another", id="another rate"),
        pytest.param(with_rate(BOTH, price=None), "x has the price 99.9 at a rate of None", id="no rate"),
        pytest.param(with_rate(BOTH, symbol="EUR-USDT"), "no rate to the quote of BTC-USD", id="a rate to another quote"),
        pytest.param(
            with_rate(BOTH, quality="disputed"), "x is used, but its rate is disputed and 500 ms old", id="disputed rate"
        ),
        pytest.param(with_rate(BOTH, quality="stale"), "x is used, but its rate is stale", id="stale rate"),
        pytest.param(with_rate(BOTH, age_ms=None), "x is used, but its rate is ok and None ms old", id="a rate of one market"),
        pytest.param(with_rate(BOTH, age_ms=60_000), "x is used, but its rate is ok and 60000 ms old", id="old rate"),
        pytest.param(with_rate(BOTH, age_ms=10_001), "x is used, but its rate has faded: it is 10001 ms old", id="fading rate"),
        pytest.param(with_rate(BOTH, confidence=0.01), "the confidence is", id="confidence of the rate"),
        pytest.param(replace(BOTH, confidence=5.0), "the confidence is 5.0", id="confidence"),
        pytest.param(
            replace(
                BOTH,
                sources=tuple(
                    replace(one, weight=0.1 if one.via is UNSET else 0.8 / 3, used_price=one.price) for one in BOTH.sources
                ),
                price=99.9499,
            ),
            "converted sources weigh 0.8000, but beside these direct ones no more than 0.2000",
            id="too much weight",
        ),
        pytest.param(replace(ONE, quality="ok"), "is ok, but its sources make disputed", id="two sides"),
    ],
)
def test_wrong_converted_sources_are_found(ticker: Ticker, problem: str) -> None:
    assert [line for line in wrongs_of(ticker, BOUNDS) if problem in line]


def test_other_ages_make_a_rate_fade_later() -> None:
    assert list(wrongs_of(with_rate(BOTH, age_ms=30_000), Bounds(soft_age_s=40, hard_age_s=50))) == []
