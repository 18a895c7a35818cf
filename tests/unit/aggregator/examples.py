"""Ticks and parameters in the notation of the methodology's worked examples."""

from collections.abc import Container, Mapping, Sequence
from typing import Any

from msgspec.structs import replace

from aggregator.conversion import LegTicks, Rate
from aggregator.market import SymbolState
from aggregator.methodology import aggregate
from aggregator.parameters import Parameters
from aggregator.rounding import round_figures
from market_pulse.messages import Source, Symbol, Tick, Ticker

NOW_MS = 1_790_000_000_000
BTC = Symbol("BTC-USDT")
TURNOVERS = {"binance": 1.8e9, "bybit": 6e8, "okx": 4e8}
BTC_USD, USDT_USD = Symbol("BTC-USD"), Symbol("USDT-USD")
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
    legs: Sequence[LegTicks] = (),
) -> Ticker:
    """Make a ticker of these ticks, before rounding."""
    return aggregate(NOW_MS, by_exchange(*ticks), away, last, parameters, legs)[0]


def rate_ticker(price: float | None, *, ages_s: Sequence[float] = (0, 0), symbol: Symbol = USDT_USD, **others: Any) -> Ticker:
    """Return a rate's ticker, whose used sources had these ages when it was published."""
    sources = tuple(
        Source(exchange=f"r{at}", price=price, used_price=price, weight=1 / len(ages_s), age_ms=round(age * 1000), state="used")
        for at, age in enumerate(ages_s)
    )
    figures: dict[str, Any] = {"bid": price, "ask": price, "open24h": price, "confidence": 0.0001, "exchange_time_ms": NOW_MS}
    ticker = Ticker(
        symbol=symbol, seq=7, dp=4, price=price, quality="ok", sources_used=len(sources), sources_total=len(sources),
        sources=sources, aggregated_time_ms=NOW_MS,
    )  # fmt: skip
    return replace(ticker, **figures | others)


def leg(*ticks: Tick, rate: Ticker | None, heard_s: float = 0.0) -> LegTicks:
    """Return markets in USDT. Their rate's ticker was received `heard_s` ago."""
    symbol = USDT_USD if rate is None else rate.symbol
    heard = None if rate is None else Rate.of(rate, NOW_MS - round(heard_s * 1000))
    return LegTicks(by_exchange(*ticks), symbol, heard)


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
