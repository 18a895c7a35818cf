"""How a market in another quote becomes a source: its tick times a rate, which is our own published price (rules 17 and 20).

Pure, as methodology.py is: time is an argument. A rate is never held, never replaced by 1, and never made of converted sources.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

from msgspec import UNSET, Struct
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

    `via` is the rate as converted sources show it, with its age at publication. `fault` is why nothing may be converted by it,
    None if nothing forbids that. `peg` says where a pegged currency is, None if that is near its peg. `converted` has, for each
    exchange and symbol, the newest tick that was converted by it: as received, as converted, and with the name of its vote.
    So a tick is converted once for each of the rate's tickers.
    """

    ticker: Ticker
    received_ms: int
    via: Via
    fault: str | None
    peg: str | None
    converted: dict[tuple[str, Symbol], tuple[Tick, Tick, str]] = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def of(cls, ticker: Ticker, received_ms: int) -> "Rate":
        """Return the rate by a ticker that was received at this time, in Unix milliseconds."""
        ages_ms = sorted(source.age_ms for source in ticker.sources if source.weight > 0)
        via = Via(
            symbol=ticker.symbol,
            seq=ticker.seq,
            price=ticker.price,
            bid=ticker.bid,
            ask=ticker.ask,
            open24h=ticker.open24h,
            confidence=ticker.confidence,
            quality=ticker.quality,
            age_ms=ages_ms[1] if len(ages_ms) > 1 else None,
        )
        fault = None
        if not is_figure(ticker.price):
            fault = "no rate"
        elif ticker.quality not in USABLE:
            fault = f"{ticker.symbol} is {ticker.quality}"
        elif any(source.via is not UNSET for source in ticker.sources):
            fault = f"{ticker.symbol} is itself converted"
        elif len(ages_ms) < 2:
            fault = f"{ticker.symbol} has one source alone"
        return cls(ticker, received_ms, via, fault, _off_peg(ticker.symbol, ticker.price))

    def convert(self, tick: Tick, own_price: float) -> Tick:
        """Return a tick of the currency that the rate converts, in the rate's quote.

        Args:
            tick: an exchange's tick.
            own_price: the exchange's price in it, by rule 1. Rule 1 must not be applied to the result.
        """
        rate = self.ticker
        price = rate.price or 0.0
        bid, ask, open24h, turnover = tick.bid, tick.ask, tick.open24h, tick.quote_volume24h
        exchange_ms, rate_ms = tick.exchange_time_ms, rate.exchange_time_ms
        return replace(
            tick,
            price=own_price * price,
            bid=None if bid is None or rate.bid is None else bid * rate.bid,
            ask=None if ask is None or rate.ask is None else ask * rate.ask,
            # Today's rate would hide or fake a move, so the open is converted at the rate's own open.
            open24h=None if open24h is None or rate.open24h is None else open24h * rate.open24h,
            # The rate at the moment of the high or of the low is not known.
            high24h=None,
            low24h=None,
            quote_volume24h=None if turnover is None else turnover * price,
            exchange_time_ms=None if exchange_ms is None or rate_ms is None else min(exchange_ms, rate_ms),
        )


class LegTicks(NamedTuple):
    """The markets of one leg: the newest tick of each exchange, and the rate.

    `rate` is None if no ticker of `rate_symbol` was received. `dp` is the number of decimals of the ticks' prices.
    """

    ticks: Mapping[str, Tick]
    rate_symbol: Symbol
    rate: Rate | None
    dp: int = 0


class RateNow(Struct, gc=False):
    """A rate at one moment.

    `via` is the rate as each converted source shows it. `freshness` is from 0 to 1. `reason` is for the reason of each source.
    """

    via: Via
    freshness: float
    reason: str | None


def rate_now(leg: LegTicks, now_ms: int, parameters: Parameters) -> RateNow:
    """Judge a leg's rate (rule 17). It is as fresh as the second freshest of the markets that it was made of."""
    rate = leg.rate
    if rate is None:
        return RateNow(Via(symbol=leg.rate_symbol, seq=0, quality="down"), 0.0, "no rate")
    via = rate.via
    if via.age_ms is not None and now_ms > rate.received_ms:
        age_ms = via.age_ms + (now_ms - rate.received_ms)
        via = copy(via)
        via.age_ms = age_ms
    if rate.fault is not None or via.age_ms is None:
        return RateNow(via, 0.0, both(rate.fault, rate.peg))
    age_s = via.age_ms / 1000
    soft_s, hard_s = parameters.soft_age_s, parameters.hard_age_s
    if age_s <= soft_s:
        return RateNow(via, 1.0, rate.peg)
    silent = f"{leg.rate_symbol} silent for {age_s:.0f} s"
    if age_s >= hard_s:
        return RateNow(via, 0.0, both(silent, rate.peg))
    freshness = (hard_s - age_s) / (hard_s - soft_s)
    return RateNow(via, freshness, both(f"{silent}, counts {freshness:.0%}", rate.peg))


def gives_none(direct: Tick | None, now_ms: int) -> bool:
    """Return whether an exchange gives no converted source, because of the newest tick of its direct market."""
    return direct is not None and (direct.ended is not None or now_ms - direct.received_time_ms <= DIRECT_FOR_MS)


def both(first: str | None, second: str | None) -> str | None:
    """Join two reasons, of which either may be missing."""
    return first if second is None else second if first is None else f"{first}; {second}"


def _off_peg(symbol: Symbol, price: float | None) -> str | None:
    currency, _, quote = symbol.partition("-")
    if not is_figure(price) or PEGS.get(currency) != quote or abs(price - 1) <= PEG_SHARE + TOLERANCE:
        return None
    return f"{currency} at {price:.4f}"
