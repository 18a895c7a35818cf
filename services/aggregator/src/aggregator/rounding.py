"""Rounding of a ticker's figures before it is published: half to even, by the number of decimals of the symbol's prices."""

from decimal import Decimal

from market_pulse.messages import Ticker

MAX_DP = 30
EXTRA_DECIMALS = 2
"""An average is more precise than its terms, so prices are published with this many decimals more than exchanges quote."""
PERCENT_DECIMALS = 4
BPS_DECIMALS = 2
VOLUME_DECIMALS = 8


def decimals(price: float) -> int:
    """Return how many decimals a price has when written out: 64000.1 has 1, 1e-05 has 5, 3.0 has 0. At most MAX_DP."""
    exponent = Decimal(repr(price)).normalize().as_tuple().exponent
    return min(max(-exponent, 0), MAX_DP) if isinstance(exponent, int) else 0


def round_figures(ticker: Ticker, dp: int) -> None:
    """Round a ticker's figures in place.

    Args:
        ticker: the ticker, not published yet.
        dp: the number of decimals of this symbol's prices.
    """
    price_dp = dp + EXTRA_DECIMALS
    ticker.dp = dp
    ticker.price = _price(ticker.price, price_dp)
    ticker.agreed_price = _price(ticker.agreed_price, price_dp)
    ticker.open24h = _price(ticker.open24h, price_dp)
    ticker.high24h = _price(ticker.high24h, price_dp)
    ticker.low24h = _price(ticker.low24h, price_dp)
    ticker.change24h = _rounded(ticker.change24h, price_dp)
    ticker.change_percent24h = _rounded(ticker.change_percent24h, PERCENT_DECIMALS)
    ticker.confidence = _rounded(ticker.confidence, price_dp)
    ticker.spread_bps = _rounded(ticker.spread_bps, BPS_DECIMALS)
    ticker.volume24h = _rounded(ticker.volume24h, VOLUME_DECIMALS)
    ticker.quote_volume24h = _rounded(ticker.quote_volume24h, VOLUME_DECIMALS)
    for source in ticker.sources:
        # Remove the noise in the last float digit of a clamped price: 64320.5, not 64320.49999999999. It must not be rounded
        # further, because readers recompute the published price from it.
        if source.used_price is not None and source.used_price != source.price:
            source.used_price = float(f"{source.used_price:.15g}")


def _rounded(figure: float | None, places: int) -> float | None:
    return None if figure is None else round(figure, places) + 0.0  # adding 0.0 turns -0.0 into 0.0


def _price(price: float | None, places: int) -> float | None:
    """Round a price, but not to zero: if an exchange states too coarse a tick size, the price stays unrounded."""
    return None if price is None else round(price, places) or price
