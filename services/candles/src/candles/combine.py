"""One candle of several: of several exchanges' candles of one interval, or of the minutes of an hour or a day. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import fsum
from typing import NamedTuple

from msgspec import Struct

from market_pulse.messages import Bar

MORE_DECIMALS = 2
"""A weighted price has this many decimals more than the prices that it is made of."""
VOLUME_DECIMALS = 8
SMALLEST = 1e-30
"""No real volume is smaller. The products of smaller ones would underflow."""


class Share(Struct, gc=False):
    """One exchange's part in a minute: its candle, and whether that is closed."""

    bar: Bar
    buy_volume: float | None
    is_closed: bool


class Volumes(NamedTuple):
    """The volumes of several exchanges together. None: not known of all of them; of the quote volume: of none of them."""

    volume: float | None
    quote_volume: float | None
    trades: int | None
    buy_volume: float | None


NO_VOLUMES = Volumes(None, None, None, None)


def volumes_of(shares: Iterable[Share]) -> Volumes:
    """Add up the volumes of the exchanges' candles of one minute."""
    found = list(shares)
    trades = _sum([share.bar.trades for share in found])
    return Volumes(
        _sum([share.bar.volume for share in found]),
        _quote_volume([share.bar for share in found]),
        None if trades is None else int(trades),
        _sum([share.buy_volume for share in found]),
    )


def weighted(bars: Mapping[str, Bar]) -> Bar:
    """Return one candle of the exchanges' closed candles of the same start.

    Each price is the mean of the exchanges', weighted by base volume; equally if no volume is known or all are 0. The high is
    then raised, and the low lowered, to open and close. Highest and lowest of all exchanges would be the wick of a single one.

    Args:
        bars: the candle of each exchange that has one, at least one.
    """
    parts = [bar for _, bar in sorted(bars.items())]
    weights = [bar.volume if bar.volume is not None and bar.volume >= SMALLEST else 0.0 for bar in parts]
    total = fsum(weights)
    if total <= 0:
        weights, total = [1.0] * len(parts), float(len(parts))
    decimals = max(map(decimals_of, parts)) + MORE_DECIMALS

    def mean(prices: Iterable[float]) -> float:
        exact = fsum(weight * price for weight, price in zip(weights, prices, strict=True)) / total
        return round(exact, decimals) or exact

    opened, closed = mean(bar.open for bar in parts), mean(bar.close for bar in parts)
    volumes = volumes_of(Share(bar, None, is_closed=True) for bar in parts)
    return Bar(
        parts[0].start_ms,
        opened,
        max(mean(bar.high for bar in parts), opened, closed),
        min(mean(bar.low for bar in parts), opened, closed),
        closed,
        volumes.volume,
        volumes.quote_volume,
        volumes.trades,
    )


def fold(start_ms: int, minutes: Sequence[Bar]) -> Bar:
    """Return the candle of a longer interval from its known minutes, at least one, in order.

    Minutes whose volume is not known count as 0 if another's is. The result is live if all of the minutes are.
    """
    sold = [minute for minute in minutes if minute.volume is not None]
    missed = [minute.missed for minute in minutes]
    trades = _sum([minute.trades for minute in sold])
    return Bar(
        start_ms,
        minutes[0].open,
        max(minute.high for minute in minutes),
        min(minute.low for minute in minutes),
        minutes[-1].close,
        _sum([minute.volume for minute in sold]),
        _quote_volume(sold),
        None if trades is None else int(trades),
        missed=None if None in missed else sum(one for one in missed if one is not None),
    )


def _quote_volume(bars: Sequence[Bar]) -> float | None:
    """Add up quote volumes. A candle without one has traded at the mean price of the others. None if that is not known."""
    told = [bar for bar in bars if bar.quote_volume is not None]
    quote_volume = _sum([bar.quote_volume for bar in told])
    if quote_volume is None or len(told) == len(bars):
        return quote_volume
    volume, told_volume = _sum([bar.volume for bar in bars]), _sum([bar.volume for bar in told])
    if volume is None:
        return None
    if volume == told_volume:
        return quote_volume
    mean = vwap(told_volume, quote_volume)
    return None if mean is None else round(mean * volume, VOLUME_DECIMALS)


def vwap(volume: float | None, quote_volume: float | None) -> float | None:
    """Return the mean price of trades, or None if it is not known or nothing was traded."""
    return quote_volume / volume if volume and quote_volume else None


def decimals_of(bar: Bar) -> int:
    """Return how many decimals a candle's open and close have."""
    return max(_decimals(bar.open), _decimals(bar.close))


def _decimals(price: float) -> int:
    text = repr(price)
    if "e" not in text:
        return len(text.partition(".")[2])
    exponent = Decimal(text).as_tuple().exponent
    return max(0, -exponent) if isinstance(exponent, int) else 0


def _sum(values: Sequence[float | None]) -> float | None:
    """Return the sum of values, rounded; None without any value, or if one is not known."""
    if not values or None in values:
        return None
    return round(fsum(value for value in values if value is not None), VOLUME_DECIMALS)
