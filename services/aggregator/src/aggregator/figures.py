"""Which figures count, and an exchange's price in a tick (rule 1 of docs/methodology.md)."""

from collections.abc import Sequence
from typing import TypeGuard

from market_pulse.messages import Tick

SMALLEST = 1e-30
LARGEST = 1e30
"""No real price or volume lies outside these two. Within them no product or quotient of the rules can overflow or underflow."""
TOLERANCE = 1e-12
"""Decimals like 1.03 have no exact float. So a share that exceeds a bound by no more than this counts as equal to the bound."""


def is_figure(value: float | None) -> TypeGuard[float]:
    """Return whether a price is present and makes sense: finite, above zero, and between SMALLEST and LARGEST."""
    return value is not None and SMALLEST <= value <= LARGEST


def source_price(tick: Tick) -> float:
    """Return an exchange's price (rule 1): the median of last, bid and ask, or last alone without a sound bid and ask."""
    last, bid, ask = tick.price, tick.bid, tick.ask
    if bid is not None and ask is not None and SMALLEST <= bid <= ask <= LARGEST:
        if last < bid:
            return bid
        if last > ask:
            return ask
    return last


def middle(ordered: Sequence[float]) -> float:
    """Return the median of values in rising order."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
