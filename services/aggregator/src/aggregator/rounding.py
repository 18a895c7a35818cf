"""Results as they are published: rounded half to even, to as many decimals as the symbol's prices have. Pure."""

from dataclasses import replace
from decimal import Decimal

from market_pulse.model import Source, Symbol, Ticker

from .result import Result

MAX_DP = 30
EXTRA_DECIMALS = 2
"""An average is finer than what it averages: prices go out with two decimals more than the exchanges quote."""
PERCENT_DECIMALS = 4
BPS_DECIMALS = 2
VOLUME_DECIMALS = 8


def decimals(price: float) -> int:
    """Return how many decimals a price needs when written out: 64000.1 has 1, 1e-05 has 5, 3.0 has none."""
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return min(max(-exponent, 0), MAX_DP) if isinstance(exponent, int) else 0


def to_ticker(result: Result, symbol: Symbol, seq: int, dp: int) -> Ticker:
    """Return the ticker that a result is published as.

    Args:
        result: the unrounded figures.
        symbol: whose they are.
        seq: the highest number of this symbol's messages known so far; the bus gives the message the next one.
        dp: decimals worth showing of this symbol's prices.
    """
    price_dp = dp + EXTRA_DECIMALS
    return Ticker(
        symbol,
        seq,
        _price(result.price, price_dp),
        dp,
        result.bid,
        result.ask,
        _rounded(result.change24h, price_dp),
        _rounded(result.change_percent24h, PERCENT_DECIMALS),
        _price(result.open24h, price_dp),
        _price(result.high24h, price_dp),
        _price(result.low24h, price_dp),
        _rounded(result.volume24h, VOLUME_DECIMALS),
        _rounded(result.quote_volume24h, VOLUME_DECIMALS),
        result.quality,
        _rounded(result.confidence, price_dp),
        _rounded(result.spread_bps, BPS_DECIMALS),
        result.sources_used,
        len(result.sources),
        tuple([_source(source) for source in result.sources]),
        result.exchange_time_ms,
        result.received_time_ms,
        result.aggregated_time_ms,
    )


def _rounded(figure: float | None, places: int) -> float | None:
    return None if figure is None else round(figure, places)


def _price(price: float | None, places: int) -> float | None:
    """Round a price, but never to zero: should an exchange state too coarse a tick size, the price goes out as it is."""
    return None if price is None else round(price, places) or price


def _source(source: Source) -> Source:
    """Rid a clamped price of the noise in its last float digit: 64320.5, not 64320.49999999999.

    Coarser than that it may not be: the published price is recomputed from it.
    """
    if source.used_price is None or source.used_price == source.price:
        return source
    return replace(source, used_price=float(f"{source.used_price:.15g}"))
