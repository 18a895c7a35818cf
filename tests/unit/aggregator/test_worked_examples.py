"""The worked examples of docs/methodology.md, as published."""

from dataclasses import dataclass, field
from typing import Any

import pytest

from aggregator.result import LastGood
from market_pulse.model import Tick

from .examples import B, O, Y, last_good, published, recomputed, result_of, sources, states, tick


@dataclass(frozen=True, kw_only=True)
class Example:
    ticks: tuple[Tick, ...]
    price: float | None
    quality: str
    confidence: float | None
    dp: int = 2
    flags: frozenset[str] = frozenset()
    last: LastGood | None = None
    also: dict[str, Any] = field(default_factory=dict)
    weights: dict[str, float] | None = None
    used_prices: dict[str, float] | None = None
    states: dict[str, str] = field(default_factory=dict)
    flagged: frozenset[str] = frozenset()


SILENT = (tick(B, 64000.0, age_s=60), tick(Y, 64010.0, age_s=75), tick(O, 64050.0, age_s=3000))
EXAMPLES = {
    "1 three agree": Example(
        ticks=(tick(B, 64000.10), tick(Y, 64001.20), tick(O, 63999.50)),
        price=64000.25,
        quality="ok",
        confidence=0.95,
        weights={B: 0.642857, Y: 0.214286, O: 0.142857},
        also={"spread_bps": 0.27, "sources_used": 3, "sources_total": 3},
    ),
    "2 one grossly wrong": Example(
        ticks=(tick(B, 57600.0), tick(Y, 64010.0), tick(O, 64000.0)),
        price=64006.0,
        quality="ok",
        confidence=6.0,
        weights={B: 0.0, Y: 0.6, O: 0.4},
        states={B: "excluded", Y: "used", O: "used"},
        flagged=frozenset({B}),
        also={"spread_bps": 1001.48, "sources_used": 2},
    ),
    "3 no majority": Example(
        ticks=(tick(B, 60000.0), tick(Y, 64000.0), tick(O, 68000.0)),
        price=64000.0,
        quality="disputed",
        confidence=4000.0,
        weights={B: 0.0, Y: 1.0, O: 0.0},
        states={B: "used", Y: "used", O: "used"},
        also={"spread_bps": 1250.0, "sources_used": 3},
    ),
    "4 one just silent": Example(
        ticks=(tick(B, 64000.0), tick(Y, 60500.0, age_s=60), tick(O, 64050.0)),
        price=64009.0909,
        quality="ok",
        confidence=40.9091,
        states={Y: "stale"},
        also={"spread_bps": 7.81, "quote_volume24h": 2_800_000_000},
    ),
    "5 one lagging": Example(
        ticks=(tick(B, 64000.0), tick(Y, 63000.0, lag_s=7), tick(O, 64050.0)),
        price=64009.0909,
        quality="ok",
        confidence=40.9091,
        states={Y: "lagging"},
    ),
    "6 two apart": Example(
        ticks=(tick(B, 64000.0), tick(Y, 64000.0, age_s=61), tick(O, 65000.0)),
        price=64294.7727,
        quality="disputed",
        confidence=705.2273,
        used_prices={B: 64177.5, O: 64822.5},
    ),
    "7 two contradict": Example(
        ticks=(tick(B, 57600.0), tick(Y, 64010.0), tick(O, 64000.0, age_s=60)),
        price=60805.0,
        quality="disputed",
        confidence=3205.0,
        weights={B: 0.5, Y: 0.5, O: 0.0},
        used_prices={B: 57600.0, Y: 64010.0},
    ),
    "8 one left": Example(
        ticks=(tick(B, 1.0, age_s=60), tick(Y, 64010.55), tick(O, 1.0, age_s=600)),
        price=64010.55,
        quality="single",
        confidence=None,
        also={"spread_bps": 0.0},
    ),
    "9 none left": Example(
        ticks=SILENT,
        last=last_good(64010.55, age_s=45),
        price=64010.55,
        quality="stale",
        confidence=None,
        also={"spread_bps": None, "sources_used": 0, "sources_total": 3},
    ),
    "10 none left for long": Example(
        ticks=SILENT, last=last_good(64010.55, age_s=61), price=None, quality="down", confidence=None
    ),
    "11 no turnover": Example(
        ticks=tuple(tick(name, price, quote_volume24h=0.0) for name, price in ((B, 2.5), (Y, 2.501), (O, 2.505))),
        dp=4,
        price=2.502,
        quality="ok",
        confidence=0.003,
        weights={B: 1 / 3, Y: 1 / 3, O: 1 / 3},
    ),
    "12 flagged stays out": Example(
        ticks=(tick(B, 64000.0), tick(Y, 62720.0), tick(O, 64010.0)),
        flags=frozenset({Y}),
        price=64001.8182,
        quality="ok",
        confidence=8.1818,
        states={Y: "excluded"},
        flagged=frozenset({Y}),
    ),
    "13 not flagged stays in": Example(
        ticks=(tick(B, 64000.0), tick(Y, 62720.0), tick(O, 64010.0)),
        price=63932.8571,
        quality="ok",
        confidence=1212.8571,
        states={Y: "used"},
    ),
    "14 a premium and its open": Example(
        ticks=(tick(B, 64000.0, open24h=62000.0), tick(Y, 64000.0, open24h=62000.0), tick(O, 64192.0, open24h=62186.0)),
        price=64027.4286,
        quality="ok",
        confidence=164.5714,
        also={"open24h": 62026.5714, "change_percent24h": 3.2258},
    ),
    "15 the premium leaves": Example(
        ticks=(
            tick(B, 64000.0, open24h=62000.0),
            tick(Y, 64000.0, open24h=62000.0),
            tick(O, 64192.0, open24h=62186.0, age_s=61),
        ),
        price=64000.0,
        quality="ok",
        confidence=0.0,
        also={"open24h": 62000.0, "change_percent24h": 3.2258},
    ),
    "16 last outside the book": Example(
        ticks=(
            tick(B, 99.0, bid=100.0, ask=100.2, quote_volume24h=5e6),
            tick(Y, 100.15, quote_volume24h=3e6),
            tick(O, 100.1, bid=100.05, ask=100.12, quote_volume24h=2e6),
        ),
        price=100.065,
        quality="ok",
        confidence=0.085,
        used_prices={B: 100.0, Y: 100.15, O: 100.1},
        also={"bid": 100.05, "ask": 100.12},
    ),
    "17 tiny prices": Example(
        ticks=(
            tick(B, 0.00001234, quote_volume24h=40e6),
            tick(Y, 0.00001235, quote_volume24h=15e6),
            tick(O, 0.00001233, quote_volume24h=25e6),
        ),
        dp=8,
        price=0.0000123388,
        quality="ok",
        confidence=0.0000000112,
    ),
}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_worked_example(example: Example) -> None:
    """Each figure that the example states is published, exactly as rounded."""
    result = result_of(*example.ticks, flags=example.flags, last=example.last)
    ticker = published(result, example.dp)
    assert (ticker.price, ticker.quality, ticker.confidence) == (example.price, example.quality, example.confidence)
    assert {name: getattr(ticker, name) for name in example.also} == example.also
    assert result.flags == example.flagged
    assert states(ticker) | example.states == states(ticker)
    for name, weight in (example.weights or {}).items():
        assert sources(ticker)[name].weight == pytest.approx(weight, abs=5e-7)
    for name, used_price in (example.used_prices or {}).items():
        assert sources(ticker)[name].used_price == used_price
    if example.quality in {"ok", "single", "disputed"}:
        assert recomputed(ticker) == pytest.approx(example.price, abs=10 ** -(example.dp + 2))
