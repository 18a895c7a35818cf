"""The worked examples of docs/methodology.md, with the figures printed there."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest

from market_pulse.messages import Tick, Ticker

from .examples import NOTHING, B, O, Y, last_ticker, published, recomputed, result_of, sources, states, tick


@dataclass(frozen=True, kw_only=True)
class Example:
    ticks: tuple[Tick, ...]
    price: float | None
    quality: str
    confidence: float | None
    dp: int = 2
    last: Ticker = field(default_factory=lambda: NOTHING)
    also: Mapping[str, Any] = field(default_factory=dict)
    weights: Mapping[str, float] | None = None
    used_prices: Mapping[str, float] | None = None
    states: dict[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)


TWO_SIDES = (tick(B, 57600.0), tick(Y, 64010.0), tick(O, 64000.0, age_s=60))
SILENT = (tick(B, 64000.0, age_s=60), tick(Y, 64010.0, age_s=75), tick(O, 64050.0, age_s=3000))
EXAMPLES = {
    "1 three agree": Example(
        ticks=(tick(B, 64000.10), tick(Y, 64001.20), tick(O, 63999.50)),
        price=64000.25,
        quality="ok",
        confidence=0.95,
        weights={B: 0.642857, Y: 0.214286, O: 0.142857},
        also={"spread_bps": 0.27, "sources_used": 3, "sources_total": 3},
        states={B: "used", Y: "used", O: "used"},
    ),
    "2 one grossly wrong, and larger than the others": Example(
        ticks=(tick(B, 57600.0), tick(Y, 64010.0), tick(O, 64000.0)),
        price=64006.0,
        quality="disputed",
        confidence=6.0,
        weights={B: 0.0, Y: 0.6, O: 0.4},
        states={B: "excluded", Y: "used", O: "used"},
        reasons={B: "10.0 % from the median"},
        also={"spread_bps": 1001.56, "sources_used": 2},
    ),
    "3 no majority": Example(
        ticks=(tick(B, 60000.0), tick(Y, 64000.0), tick(O, 68000.0)),
        price=64000.0,
        quality="disputed",
        confidence=None,
        weights={B: 0.0, Y: 1.0, O: 0.0},
        states={B: "excluded", Y: "used", O: "excluded"},
        also={"spread_bps": 1250.0, "sources_used": 1},
    ),
    "4 one just silent": Example(
        ticks=(tick(B, 64000.0), tick(Y, 60500.0, age_s=60), tick(O, 64050.0)),
        price=64009.0909,
        quality="ok",
        confidence=40.9091,
        states={Y: "stale"},
        also={"spread_bps": 7.81, "quote_volume24h": 2_800_000_000},
    ),
    "5 one fading": Example(
        ticks=(tick(B, 64000.0), tick(Y, 64100.0, age_s=35), tick(O, 64050.0)),
        price=64020.0,
        quality="ok",
        confidence=80.0,
        weights={B: 0.72, Y: 0.12, O: 0.16},
        states={Y: "fading"},
        reasons={Y: "silent for 35 s, counts 50%"},
    ),
    "6 two apart": Example(
        ticks=(tick(B, 64000.0), tick(Y, 64000.0, age_s=61), tick(O, 65000.0)),
        price=64294.7727,
        quality="disputed",
        confidence=705.2273,
        used_prices={B: 64177.5, O: 64822.5},
        weights={B: 18 / 22, Y: 0.0, O: 4 / 22},
        reasons={B: "0.8 % from the median, counts 89%", O: "0.8 % from the median, counts 89%"},
    ),
    "7 two sides": Example(
        ticks=TWO_SIDES,
        price=57600.0,
        quality="disputed",
        confidence=None,
        weights={B: 1.0, Y: 0.0, O: 0.0},
        used_prices={B: 57600.0},
        states={B: "used", Y: "excluded", O: "stale"},
        reasons={Y: "11.1 % from the price"},
        also={"sources_used": 1},
    ),
    "7a the nearer to what was agreed": Example(
        ticks=TWO_SIDES,
        last=last_ticker(60000.0, agreed=64009.0, age_s=2),
        price=64010.0,
        quality="disputed",
        confidence=None,
        weights={B: 0.0, Y: 1.0, O: 0.0},
        reasons={B: "10.0 % from the price"},
    ),
    "7b agreed too long ago": Example(
        ticks=TWO_SIDES, last=last_ticker(60000.0, agreed=64009.0, age_s=61), price=57600.0, quality="disputed", confidence=None
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
        last=last_ticker(64010.55, age_s=45),
        price=64010.55,
        quality="stale",
        confidence=None,
        also={"spread_bps": None, "sources_used": 0, "sources_total": 3},
    ),
    "10 none left for long": Example(
        ticks=SILENT, last=last_ticker(64010.55, age_s=61), price=None, quality="down", confidence=None
    ),
    "11 no turnover": Example(
        ticks=tuple(tick(name, price, quote_volume24h=0.0) for name, price in ((B, 2.5), (Y, 2.501), (O, 2.505))),
        dp=4,
        price=2.502,
        quality="ok",
        confidence=0.003,
        weights={B: 1 / 3, Y: 1 / 3, O: 1 / 3},
    ),
    "12 one 2 % off": Example(
        ticks=(tick(B, 64000.0), tick(Y, 62720.0), tick(O, 64010.0)),
        price=63970.1639,
        quality="ok",
        confidence=1250.1639,
        weights={B: 0.737705, Y: 0.098361, O: 0.163934},
        states={Y: "used"},
        reasons={Y: "2.0 % from the median, counts 40%"},
    ),
    "13 one exactly e off": Example(
        ticks=(tick(B, 64000.0), tick(Y, 62080.0), tick(O, 64010.0)),
        price=64001.8182,
        quality="ok",
        confidence=8.1818,
        states={Y: "excluded"},
        reasons={Y: "3.0 % from the median"},
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
    "18 two moved, and a third repeats itself": Example(
        ticks=tuple(tick(name, price, quote_volume24h=1.0) for name, price in (("a", 96.0), ("b", 96.0), ("c", 100.0))),
        price=96.0,
        quality="ok",
        confidence=0.0,
        states={"a": "used", "b": "used", "c": "excluded"},
        reasons={"c": "4.2 % from the median"},
    ),
    "19 two against two": Example(
        ticks=tuple(
            tick(name, price, quote_volume24h=turnover)
            for name, price, turnover in (("a", 100.0, 9.0), ("b", 100.0, 1.0), ("c", 110.0, 1.0), ("d", 110.0, 1.0))
        ),
        price=100.0,
        quality="disputed",
        confidence=None,
        weights={"a": 0.0, "b": 1.0, "c": 0.0, "d": 0.0},
    ),
    "20 two of unknown turnover": Example(
        ticks=(
            tick("a", 1.0, quote_volume24h=None),
            tick("b", 1.0, quote_volume24h=None),
            tick("c", 1.004, quote_volume24h=5.0),
        ),
        dp=4,
        price=1.001333,
        quality="ok",
        confidence=0.002667,
        weights={"a": 1 / 3, "b": 1 / 3, "c": 1 / 3},
    ),
    "21 most of the turnover contradicts": Example(
        ticks=(tick(B, 63400.0), tick(Y, 64985.0), tick(O, 64985.0)),
        price=64891.5191,
        quality="disputed",
        confidence=1491.5191,
    ),
    "22 one 1 % off": Example(
        ticks=(tick(B, 64000.0), tick(Y, 64010.0), tick(O, 64700.0)),
        price=64039.7039,
        quality="ok",
        confidence=660.2961,
        used_prices={B: 64000.0, Y: 64010.0, O: 64330.05},
        reasons={O: "1.1 % from the median, counts 77%"},
        also={"spread_bps": 109.36},
    ),
}


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_worked_example(example: Example) -> None:
    """Each figure that the example states is published, exactly as rounded."""
    ticker = published(result_of(*example.ticks, last=example.last), example.dp)
    assert (ticker.price, ticker.quality, ticker.confidence) == (example.price, example.quality, example.confidence)
    assert {name: getattr(ticker, name) for name in example.also} == example.also
    assert states(ticker) | example.states == states(ticker)
    for name, weight in (example.weights or {}).items():
        assert sources(ticker)[name].weight == pytest.approx(weight, abs=5e-7)
    for name, used_price in (example.used_prices or {}).items():
        assert sources(ticker)[name].used_price == used_price
    assert {name: sources(ticker)[name].reason for name in example.reasons} == example.reasons
    if example.quality in {"ok", "single", "disputed"}:
        assert recomputed(ticker) == pytest.approx(example.price, abs=10 ** -(example.dp + 2))


@pytest.mark.parametrize("example", EXAMPLES.values(), ids=EXAMPLES)
def test_history_makes_no_difference(example: Example) -> None:
    """Earlier exclusions do not matter, since only an agreed price and a held price are remembered."""
    before = published(result_of(tick(B, 60000.0), tick(Y, 50000.0), tick(O, 60001.0)))
    remembered = {name: getattr(example.last, name) for name in ("price", "agreed_price", "agreed_time_ms", "priced_time_ms")}
    for name, value in remembered.items():
        setattr(before, name, value)
    assert (
        published(result_of(*example.ticks, last=before)).sources
        == published(result_of(*example.ticks, last=example.last)).sources
    )
