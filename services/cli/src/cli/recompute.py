"""Recomputes a ticker's price and quality from the sources in it, and reports each difference. Pure.

It is written from docs/methodology.md, whose rule numbers stand beside the code, and shares no code with the aggregator:
a mistake in one of the two shows as a difference.
"""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import fsum, inf, isclose
from statistics import median

from msgspec import UNSET

from market_pulse.messages import Source, Ticker, Via

NOISE = 1e-9
REMEMBERED_TICKERS = 500
AWAY = "its feed is away"
FRESH = frozenset({"used", "fading", "excluded"})


@dataclass(frozen=True, slots=True)
class Bounds:
    """Distances from the median, as shares of it: up to `clamp` a price counts in full, from `exclusion` on not at all.

    And ages in seconds: up to `soft_age_s` a source counts in full, from `hard_age_s` on not at all.
    """

    clamp: float = 0.005
    exclusion: float = 0.03
    soft_age_s: float = 10.0
    hard_age_s: float = 60.0

    def nearness(self, price: float, middle: float) -> float:
        """Return how much a price at this distance from the median counts, from 0 to 1 (rule 6: g)."""
        width = max(self.exclusion - self.clamp, NOISE)
        return min(max((self.exclusion - abs(price / middle - 1)) / width, 0.0), 1.0)

    def freshness(self, age_ms: float | None) -> float:
        """Return how much a source or a rate of this age counts, from 0 to 1 (rule 3: f). An unknown age does not count."""
        if age_ms is None:
            return 0.0
        width = max(self.hard_age_s - self.soft_age_s, NOISE)
        return min(max((self.hard_age_s - age_ms / 1000) / width, 0.0), 1.0)


@dataclass(frozen=True, slots=True)
class _Heard:
    """A fresh source with its price, which it then has."""

    price: float
    source: Source


@dataclass(frozen=True, slots=True)
class _Vote:
    """One vote: its price and name, by which votes are sorted, and the sources that it stands for."""

    price: float
    name: str
    members: Sequence[_Heard]


def wrongs_of(ticker: Ticker, bounds: Bounds) -> Iterator[str]:
    """Find each error in a ticker that the ticker alone shows."""
    for source in ticker.sources:
        if source.via is not UNSET:
            yield from _conversion_of(ticker, source, source.via, bounds)
    heard = [_Heard(source.price, source) for source in ticker.sources if source.state in FRESH and source.price is not None]
    heard.sort(key=lambda one: (one.price, one.source.exchange))
    used = [one for one in heard if one.source.weight > 0]
    if not used:
        yield from _without_source(ticker, heard)
        return
    votes = _votes(heard)
    middle, gap = _middle(votes)
    is_direct_alone = gap <= bounds.exclusion and not any(bounds.nearness(one.price, middle) > NOISE for one in heard)
    if is_direct_alone:  # rule 18: no source lies within e, so the direct ones make the price
        votes = _votes([one for one in heard if one.source.via is UNSET])
        middle, gap = _middle(votes)
    half = len(votes) // 2
    yield from _sum_of(ticker, used)
    yield from _confidence_of(ticker, used)
    if gap > bounds.exclusion + NOISE and not any(_is_nearest(used[0], vote) for vote in votes[half - 1 : half + 1]):
        yield f"{used[0].source.exchange} makes the price, but is not one of the middle two"
    elif gap <= bounds.exclusion - NOISE:
        yield from _clamped(used, middle, bounds)
        yield from _share_of(heard, middle, bounds)
    expected = {"disputed"} if is_direct_alone else _qualities(votes, heard, middle, gap, bounds)
    if all(AWAY in (one.source.reason or "") for one in used):
        expected = {"stale"}
    if ticker.quality not in expected:
        yield f"the quality is {ticker.quality}, but its sources make {' or '.join(sorted(expected))}"


def _conversion_of(ticker: Ticker, source: Source, via: Via, bounds: Bounds) -> Iterator[str]:
    """Check a converted source against its rate (rule 17)."""
    name = source.exchange
    if via.symbol.partition("-")[2] != ticker.symbol.partition("-")[2]:
        yield f"{name} is converted by {via.symbol}, which is no rate to the quote of {ticker.symbol}"
    if source.own_price is UNSET:
        yield f"{name} is converted, but its own price is missing"
    elif via.price is None or source.price is None:
        if via.price is not source.price:
            yield f"{name} has the price {source.price!r} at a rate of {via.price!r}"
    elif not isclose(source.price, source.own_price * via.price, rel_tol=1e-12):
        yield f"{name} has the price {source.price!r}, but {source.own_price!r} at {via.price!r} makes another"
    freshness = bounds.freshness(via.age_ms) if via.price is not None and via.quality in {"ok", "single"} else 0.0
    if source.state != "stale" and freshness == 0:
        yield f"{name} is {source.state}, but its rate is {via.quality} and {via.age_ms} ms old"
    elif source.state == "used" and freshness < 1:
        yield f"{name} is used, but its rate has faded: it is {via.age_ms} ms old"


def _votes(heard: Sequence[_Heard]) -> list[_Vote]:
    """Return the votes in rising order (rules 4 and 18)."""
    direct = [one for one in heard if one.source.via is UNSET]
    groups: dict[str, list[_Heard]] = defaultdict(list)
    for one in heard:
        if one.source.via is not UNSET and direct:
            groups[one.source.via.symbol].append(one)
    votes = [_Vote(one.price, one.source.exchange, [one]) for one in (direct or heard)]
    typical = median(one.price for one in direct) if direct else 0.0
    for rate, members in groups.items():
        half = len(members) // 2
        upper, lower = members[half].price, members[half if len(members) % 2 else half - 1].price
        votes.append(_Vote(min(max(typical, lower), upper), rate, members))
    return sorted(votes, key=lambda vote: (vote.price, vote.name))


def _middle(votes: Sequence[_Vote]) -> tuple[float, float]:
    """Return the median of the votes, and the gap between the two middle ones as a share of it; 0 for an odd number."""
    half = len(votes) // 2
    middle = median(vote.price for vote in votes)
    return middle, 0.0 if len(votes) % 2 else (votes[half].price - votes[half - 1].price) / middle


def _is_nearest(one: _Heard, vote: _Vote) -> bool:
    """Return whether a source may make the price where its vote is chosen (rules 7 and 18)."""
    nearest = min(abs(member.price - vote.price) for member in vote.members)
    return one in vote.members and abs(one.price - vote.price) <= nearest + NOISE * vote.price


def _without_source(ticker: Ticker, heard: Sequence[_Heard]) -> Iterator[str]:
    """Check a ticker without a used source: it holds its last price or has no price (rule 8)."""
    if heard:
        yield "there are fresh sources, but none of them is used"
    expected = "down" if ticker.price is None else "stale"
    if ticker.quality != expected:
        yield f"the quality is {ticker.quality}, but without a source it is {expected}"


def _sum_of(ticker: Ticker, used: Sequence[_Heard]) -> Iterator[str]:
    """Check that the price is the sum of weight times used price (rule 6)."""
    weight = fsum(one.source.weight for one in used)
    if not isclose(weight, 1, rel_tol=NOISE):
        yield f"the weights add up to {weight!r}"
    price = _price_of(used)
    if ticker.price is None or not isclose(price, ticker.price, rel_tol=1e-12, abs_tol=_last_decimal(ticker)):
        yield f"the price is {ticker.price!r}, but its sources make {price!r}"


def _confidence_of(ticker: Ticker, used: Sequence[_Heard]) -> Iterator[str]:
    """Check the confidence (rules 10 and 21)."""
    price, expected = _price_of(used), None
    if len(used) > 1:
        expected = max(abs(one.price - price) for one in used)
        for one in used:
            via = one.source.via
            if via is not UNSET and via.price and via.confidence:
                expected += one.source.weight * price * via.confidence / via.price
    if expected is None or ticker.confidence is None:
        is_right = expected is ticker.confidence
    else:
        is_right = isclose(expected, ticker.confidence, rel_tol=NOISE, abs_tol=2 * _last_decimal(ticker) + 1e-12 * price)
    if not is_right:
        yield f"the confidence is {ticker.confidence!r}, but its sources make {expected!r}"


def _price_of(used: Sequence[_Heard]) -> float:
    return fsum(one.source.weight * (one.source.used_price or 0) for one in used)


def _last_decimal(ticker: Ticker) -> float:
    """Return how far rounding may move a price."""
    return 0.5 * 10.0 ** -(ticker.dp + 2) * (1 + 1e-6)


def _clamped(used: Sequence[_Heard], middle: float, bounds: Bounds) -> Iterator[str]:
    """Check that no source is used at a price further from the median than c (rule 6)."""
    low, high = middle * (1 - bounds.clamp), middle * (1 + bounds.clamp)
    for one in used:
        expected = min(max(one.price, low), high)
        if not isclose(one.source.used_price or 0, expected, rel_tol=NOISE):
            yield f"{one.source.exchange} is used at {one.source.used_price!r}, not at {expected!r}"


def _share_of(heard: Sequence[_Heard], middle: float, bounds: Bounds) -> Iterator[str]:
    """Check that converted sources do not weigh more than the direct ones allow (rule 19).

    A weight is a turnover times nearness. So without any turnover at hand the rule still bounds the converted ones' part, if
    every fresh source has a weight.
    """
    if any(one.source.weight == 0 for one in heard):
        return
    nearness = {id(one): bounds.nearness(one.price, middle) for one in heard}
    direct = [one for one in heard if one.source.via is UNSET]
    converted = [one for one in heard if one.source.via is not UNSET and nearness[id(one)] > NOISE]
    counts = sorted(bounds.freshness(one.source.age_ms) * nearness[id(one)] for one in direct)
    if len(counts) < 2 or counts[-2] <= NOISE:
        return
    of_direct = fsum(one.source.weight for one in direct)
    most = of_direct * (2 - counts[-2]) / counts[-2]
    of_converted = fsum(one.source.weight / nearness[id(one)] for one in converted)
    if of_converted > most * (1 + 1e-6) + 1e-6:
        yield f"converted sources weigh {of_converted:.4f}, but beside these direct ones no more than {most:.4f}"


def _qualities(votes: Sequence[_Vote], heard: Sequence[_Heard], middle: float, gap: float, bounds: Bounds) -> set[str]:
    """Return the qualities that are right (rules 7 to 9).

    Only one is right, unless the decision depends on the turnover of a source whose weight is 0. The ticker does not state that
    turnover, so two qualities are possible.
    """
    if len(votes) == 1:
        return {"single"}
    within = sum(abs(vote.price / middle - 1) < bounds.exclusion - NOISE for vote in votes)
    if gap > 2 * bounds.clamp + NOISE or gap > bounds.exclusion + NOISE or 2 * within <= len(votes):
        return {"disputed"}
    least, most = _far_share(heard, middle, bounds)
    if least > 0.5 + NOISE:
        return {"disputed"}
    return {"ok"} if most < 0.5 - NOISE else {"ok", "disputed"}


def _far_share(heard: Sequence[_Heard], middle: float, bounds: Bounds) -> tuple[float, float]:
    """Return bounds of the share of the turnover that lies further than c from the median.

    A weight is a turnover times a factor that depends on the distance.
    """
    near = far = 0.0
    is_known = True
    for one in heard:
        distance = abs(one.price / middle - 1)
        weight = one.source.weight
        if distance <= bounds.clamp + NOISE:
            near += weight
        elif weight > 0:
            far += weight * (bounds.exclusion - bounds.clamp) / (bounds.exclusion - distance)
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
