"""How a market in another quote becomes a source: its tick times a rate, which is our own published price (rules 17 and 20).

Pure, as methodology.py is: time is an argument. A rate is never held, never replaced by 1, and never made of converted sources.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from msgspec import UNSET
from msgspec.structs import replace

from market_pulse.messages import Symbol, Tick, Ticker, Via

from .figures import TOLERANCE, is_figure
from .parameters import Parameters

DIRECT_FOR_MS = 3_600_000
"""An exchange's market in the quote itself rules out its converted ones for this long after its newest tick.

Redis keeps a last tick for as long. So a copy that has just started knows the same direct markets as the other copies.
"""
PEGS = {"USDT": "USD", "USDC": "USD", "DAI": "USD"}
"""The quote to which each currency is pegged."""
USABLE = frozenset({"ok", "single"})
"""The qualities of a rate that may be used."""
PEG_SHARE = 0.005
"""A pegged currency's rate that is further from 1 than this is a reason in each source that it converts."""


@dataclass(frozen=True, slots=True)
class Rate:
    """A rate as one process knows it: the newest published ticker of the rate's symbol, and when this process received it.

    `second_age_ms` is the second smallest age of its used sources when it was published, None if fewer than two were used.
    `fault` is why nothing may be converted by it, None if nothing forbids it.
    """

    ticker: Ticker
    received_ms: int
    second_age_ms: int | None
    fault: str | None

    @classmethod
    def of(cls, ticker: Ticker, received_ms: int) -> "Rate":
        """Return the rate by a ticker that was received at this time, in Unix milliseconds."""
        ages_ms = sorted(source.age_ms for source in ticker.sources if source.weight > 0)
        fault = None
        if not is_figure(ticker.price):
            fault = "no rate"
        elif ticker.quality not in USABLE:
            fault = f"{ticker.symbol} is {ticker.quality}"
        elif any(source.via is not UNSET for source in ticker.sources):
            fault = f"{ticker.symbol} is itself converted"
        elif len(ages_ms) < 2:
            fault = f"{ticker.symbol} has one source alone"
        return cls(ticker, received_ms, ages_ms[1] if len(ages_ms) > 1 else None, fault)


class LegTicks(NamedTuple):
    """The markets of one leg: the newest tick of each exchange, the rate's symbol, and the rate; None if it was not heard."""

    ticks: Mapping[str, Tick]
    rate_symbol: Symbol
    rate: Rate | None


class RateNow(NamedTuple):
    """A rate at one moment: as each converted source tells it, its freshness from 0 to 1, and what is to be said about it."""

    via: Via
    freshness: float
    reason: str | None


def rate_now(leg: LegTicks, now_ms: int, parameters: Parameters) -> RateNow:
    """Judge a leg's rate (rule 17). It is fresh as long as two of the markets that it was made of would be."""
    rate = leg.rate
    if rate is None:
        return RateNow(Via(symbol=leg.rate_symbol, seq=0, quality="down"), 0.0, "no rate")
    ticker = rate.ticker
    age_ms = None if rate.second_age_ms is None else rate.second_age_ms + max(0, now_ms - rate.received_ms)
    via = Via(
        symbol=leg.rate_symbol,
        seq=ticker.seq,
        price=ticker.price,
        bid=ticker.bid,
        ask=ticker.ask,
        open24h=ticker.open24h,
        confidence=ticker.confidence,
        quality=ticker.quality,
        age_ms=age_ms,
    )
    freshness, reason = (0.0, rate.fault) if rate.fault else _freshness(leg.rate_symbol, age_ms or 0, parameters)
    peg = _off_peg(leg.rate_symbol, ticker.price)
    return RateNow(via, freshness, peg if reason is None else reason if peg is None else f"{reason}; {peg}")


def gives_none(direct: Tick | None, now_ms: int) -> bool:
    """Return whether an exchange gives no converted source, because of the newest tick of its direct market."""
    return direct is not None and (direct.ended is not None or now_ms - direct.received_time_ms <= DIRECT_FOR_MS)


def convert(tick: Tick, own_price: float, rate: Ticker) -> Tick:
    """Return a tick in the rate's quote. Its `price` is the source's price, so rule 1 must not be applied again.

    Args:
        tick: an exchange's tick in the currency that the rate converts.
        own_price: the exchange's price in it, by rule 1.
        rate: the rate's ticker, with a price.
    """
    exchange_times_ms = tick.exchange_time_ms, rate.exchange_time_ms
    older_ms = None if None in exchange_times_ms else min(exchange_times_ms)  # type: ignore[type-var]
    price = rate.price
    return replace(
        tick,
        price=own_price * (price or 0.0),
        bid=_times(tick.bid, rate.bid),
        ask=_times(tick.ask, rate.ask),
        # Today's rate would hide or fake a move, so the open is converted at the rate's own open.
        open24h=_times(tick.open24h, rate.open24h),
        # The rate at the moment of the high or of the low is not known.
        high24h=None,
        low24h=None,
        quote_volume24h=_times(tick.quote_volume24h, price),
        exchange_time_ms=older_ms,
    )


def _freshness(symbol: Symbol, age_ms: int, parameters: Parameters) -> tuple[float, str | None]:
    """Return a rate's freshness by rule 3, and why it is below 1."""
    soft_s, hard_s = parameters.soft_age_s, parameters.hard_age_s
    age_s = age_ms / 1000
    if age_s <= soft_s:
        return 1.0, None
    if age_s >= hard_s:
        return 0.0, f"{symbol} silent for {age_s:.0f} s"
    freshness = (hard_s - age_s) / (hard_s - soft_s)
    return freshness, f"{symbol} silent for {age_s:.0f} s, counts {freshness:.0%}"


def _off_peg(symbol: Symbol, price: float | None) -> str | None:
    currency, _, quote = symbol.partition("-")
    if price is None or PEGS.get(currency) != quote or abs(price - 1) <= PEG_SHARE + TOLERANCE:
        return None
    return f"{currency} at {price:.4f}"


def _times(figure: float | None, rate: float | None) -> float | None:
    return None if figure is None or rate is None else figure * rate
