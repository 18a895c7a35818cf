"""Ticks and parameters in the notation of the methodology's worked examples."""

from collections.abc import Container, Mapping
from typing import Any

from msgspec.structs import replace

from aggregator.market import SymbolState
from aggregator.methodology import aggregate
from aggregator.parameters import Parameters
from aggregator.rounding import round_figures
from market_pulse.messages import Source, Symbol, Tick, Ticker

NOW_MS = 1_790_000_000_000
BTC = Symbol("BTC-USDT")
TURNOVERS = {"binance": 1.8e9, "bybit": 6e8, "okx": 4e8}
B, Y, O = "binance", "bybit", "okx"  # noqa: E741 - the examples' own letters


def tick(exchange: str, price: float, *, age_s: float = 0.0, lag_s: float | None = 0.0, **figures: Any) -> Tick:
    """Return a tick received `age_s` ago, when its exchange's clock was `lag_s` behind ours. None: no exchange time."""
    received_time_ms = NOW_MS - round(age_s * 1000)
    figures.setdefault("quote_volume24h", TURNOVERS.get(exchange))
    return Tick(
        exchange=exchange,
        symbol=BTC,
        price=price,
        exchange_time_ms=None if lag_s is None else received_time_ms - round(lag_s * 1000),
        received_time_ms=received_time_ms,
        **figures,
    )


def by_exchange(*ticks: Tick) -> dict[str, Tick]:
    return {one.exchange: one for one in ticks}


NOTHING = SymbolState(BTC).last
"""The memory before the first ticker."""


def last_ticker(price: float, *, age_s: float = 0.0, agreed: float | None = None, **figures: Any) -> Ticker:
    """Return the last published ticker: its price is `age_s` old, and its agreed price is its own unless given."""
    time_ms = NOW_MS - round(age_s * 1000)
    agreed_price = price if agreed is None else agreed
    others: dict[str, Any] = {"quality": "ok", "sources_used": 1, "aggregated_time_ms": time_ms, "priced_time_ms": time_ms}
    return replace(NOTHING, price=price, agreed_price=agreed_price, agreed_time_ms=time_ms, **others | figures)


def result_of(
    *ticks: Tick,
    away: Container[str] = (),
    last: Ticker = NOTHING,
    parameters: Parameters = Parameters(),  # noqa: B008 - frozen
) -> Ticker:
    """Make a ticker of these ticks, before rounding."""
    return aggregate(NOW_MS, by_exchange(*ticks), away, last, parameters)[0]


def published(result: Ticker, dp: int = 2) -> Ticker:
    rounded = replace(result, sources=tuple(replace(source) for source in result.sources))
    round_figures(rounded, dp)
    return rounded


def sources(result: Ticker) -> Mapping[str, Source]:
    return {source.exchange: source for source in result.sources}


def states(result: Ticker) -> dict[str, str]:
    return {source.exchange: source.state for source in result.sources}


def recomputed(ticker: Ticker) -> float:
    """Return the price as a reader recomputes it from `sources` alone."""
    return sum(source.weight * source.used_price for source in ticker.sources if source.used_price is not None)
