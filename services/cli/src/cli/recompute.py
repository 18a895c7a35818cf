"""Recomputes a ticker's price and quality from the sources in it, and reports each difference. Pure.

It is written from docs/methodology.md, whose rule numbers stand beside the code, and shares no code with the aggregator:
a mistake in one of the two shows as a difference.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from math import fsum, inf, isclose
from statistics import median

from market_pulse.messages import Source, Ticker

NOISE = 1e-9
REMEMBERED_TICKERS = 500
AWAY = "its feed is away"


@dataclass(frozen=True, slots=True)
class Bounds:
    """Distances from the median, as shares of it: up to `clamp` a price counts in full, from `exclusion` on not at all."""

    clamp: float = 0.005
    exclusion: float = 0.03


def wrongs_of(ticker: Ticker, bounds: Bounds) -> Iterator[str]:
    """Find each error in a ticker that the ticker alone shows."""
    votes = sorted(
        (source for source in ticker.sources if source.state in {"used", "fading", "excluded"}),
        key=lambda source: (source.price, source.exchange),
    )
    used = [source for source in votes if source.weight > 0]
    if not used:
        yield from _without_source(ticker, votes)
        return
    middle = median(source.price for source in votes)
    half = len(votes) // 2
    gap = 0.0 if len(votes) % 2 else (votes[half].price - votes[half - 1].price) / middle
    yield from _sum_of(ticker, used)
    if gap > bounds.exclusion + NOISE and used[0] not in votes[half - 1 : half + 1]:
        yield f"{used[0].exchange} makes the price, but is not one of the middle two"
    elif gap <= bounds.exclusion - NOISE:
        yield from _clamped(used, middle, bounds)
    expected = _qualities(votes, middle, gap, bounds)
    if all(AWAY in (source.reason or "") for source in used):
        expected = {"stale"}
    if ticker.quality not in expected:
        yield f"the quality is {ticker.quality}, but its sources make {' or '.join(sorted(expected))}"


def _without_source(ticker: Ticker, votes: list[Source]) -> Iterator[str]:
    """Check a ticker without a used source: it holds its last price or has no price (rule 8)."""
    if votes:
        yield "there are fresh sources, but none of them is used"
    expected = "down" if ticker.price is None else "stale"
    if ticker.quality != expected:
        yield f"the quality is {ticker.quality}, but without a source it is {expected}"


def _sum_of(ticker: Ticker, used: list[Source]) -> Iterator[str]:
    """Check that the price is the sum of weight times used price (rule 6)."""
    weight = fsum(source.weight for source in used)
    if not isclose(weight, 1, rel_tol=NOISE):
        yield f"the weights add up to {weight!r}"
    price = fsum(source.weight * (source.used_price or 0) for source in used)
    last_decimal = 0.5 * 10.0 ** -(ticker.dp + 2)
    if ticker.price is None or not isclose(price, ticker.price, rel_tol=1e-12, abs_tol=last_decimal * (1 + 1e-6)):
        yield f"the price is {ticker.price!r}, but its sources make {price!r}"


def _clamped(used: list[Source], middle: float, bounds: Bounds) -> Iterator[str]:
    """Check that no source is used at a price further from the median than c (rule 6)."""
    low, high = middle * (1 - bounds.clamp), middle * (1 + bounds.clamp)
    for source in used:
        expected = min(max(source.price, low), high)
        if not isclose(source.used_price or 0, expected, rel_tol=NOISE):
            yield f"{source.exchange} is used at {source.used_price!r}, not at {expected!r}"


def _qualities(votes: list[Source], middle: float, gap: float, bounds: Bounds) -> set[str]:
    """Return the qualities that are right (rules 7 to 9).

    Only one is right, unless the decision depends on the turnover of a source whose weight is 0. The ticker does not state that
    turnover, so two qualities are possible.
    """
    if len(votes) == 1:
        return {"single"}
    distances = [abs(source.price / middle - 1) for source in votes]
    within = sum(distance < bounds.exclusion - NOISE for distance in distances)
    if gap > 2 * bounds.clamp + NOISE or gap > bounds.exclusion + NOISE or 2 * within <= len(votes):
        return {"disputed"}
    least, most = _far_share(votes, distances, bounds)
    if least > 0.5 + NOISE:
        return {"disputed"}
    return {"ok"} if most < 0.5 - NOISE else {"ok", "disputed"}


def _far_share(votes: list[Source], distances: list[float], bounds: Bounds) -> tuple[float, float]:
    """Return bounds of the share of the turnover that lies further than c from the median.

    A weight is a turnover times a factor that depends on the distance.
    """
    near = far = 0.0
    is_known = True
    for source, distance in zip(votes, distances, strict=True):
        if distance <= bounds.clamp + NOISE:
            near += source.weight
        elif source.weight > 0:
            far += source.weight * (bounds.exclusion - bounds.clamp) / (bounds.exclusion - distance)
        else:  # without a weight its turnover is unknown
            is_known = False
    if near + far == 0:
        return 0.0, 1.0
    return far / (near + far), far / (near + far) if is_known else inf


class Memory:
    """One symbol's tickers since the last gap. A price that a later ticker quotes from the past must be in one of them."""

    def __init__(self) -> None:
        self._prices: deque[tuple[int, float | None]] = deque(maxlen=REMEMBERED_TICKERS)
        self._publisher: str | None = None

    def wrongs_of(self, ticker: Ticker, *, missed: bool) -> Iterator[str]:
        """Take the next ticker, and report each past price in it that no ticker before it had."""
        if missed or ticker.publisher != self._publisher:  # times of two publishers cannot be compared
            self._prices.clear()
        self._publisher = ticker.publisher
        self._prices.append((ticker.aggregated_time_ms, ticker.price))
        if ticker.sources_used and ticker.priced_time_ms not in {None, ticker.aggregated_time_ms}:
            yield f"pricedTime is {ticker.priced_time_ms}, but the ticker has a new price of its own"
        for name, time_ms, price in (
            ("agreed", ticker.agreed_time_ms, ticker.agreed_price),
            ("last", ticker.priced_time_ms, ticker.price),
        ):
            if time_ms is None or price is None or time_ms < self._prices[0][0]:
                continue
            if (time_ms, price) not in self._prices:
                yield f"the {name} price is {price!r} of {time_ms}, which no ticker had"
