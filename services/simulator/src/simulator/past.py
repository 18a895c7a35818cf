"""The invented past: what each market traded before the simulator started. It depends only on the seed and the start.

A coin's price at each full hour is a walk back from its price at the start. An hour's candle follows from the prices at both
ends, and its minutes are an hour divided. So the minutes of an hour add up to it. All markets of a coin follow one path.

Pure: times are Unix milliseconds.
"""

import math
import random
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import accumulate, pairwise
from typing import Final, NamedTuple, Protocol

from .candles import DAY_MS, HOUR_MS, MINUTE_MS, Candle, start_of
from .catalogue import CURRENCIES, ExchangeName

DAYS: Final = 800
MOST_COURSES: Final = 500  # days of a symbol
DRIFT: Final = 0.0035  # of a coin's usual price in an hour, so that it is elsewhere a year ago
USD_PER_TRADE: Final = 800
FEW_TRADES: Final = 240  # in an hour: each of them gets a minute of its own choice
MOST_AT_ONE_POLE: Final = 0.8


class Listed(Protocol):
    """The part of a market's listing that its past depends on."""

    exchange: ExchangeName
    symbol: str
    base: str
    quote: str
    turnover24h: float
    size_scale: float

    def to_tick(self, price: float) -> float:
        """Round a price to the market's steps."""

    def premium_at(self, time_ms: float) -> float:
        """Return the premium of the market's exchange, as a fraction of the price."""


class Path:
    """The logarithm of a coin's price in USD at each full hour before the start.

    The walk goes back as far as somebody has asked. Each step back has the same distribution as a step of the live price.
    `variance` is that of the change in an hour.
    """

    __slots__ = (
        "_anchor",
        "_drift",
        "_kept",
        "_logs",
        "_reversion_per_s",
        "_rng",
        "_volatility",
        "start_log",
        "start_ms",
        "variance",
    )

    def __init__(
        self, seed: str, log_price: float, anchor: float, volatility: float, reversion_per_s: float, start_ms: int, drift: float
    ) -> None:
        self.start_ms, self.start_log = start_ms, log_price
        self._rng = random.Random(seed)
        self._anchor, self._volatility, self._reversion_per_s, self._drift = anchor, volatility, reversion_per_s, drift
        self._logs = array("d", [self._back(log_price, (start_ms - start_of(start_ms, HOUR_MS)) / 1000)])
        self.variance = _spread(volatility, reversion_per_s, 3600.0) ** 2

    def at(self, time_ms: int) -> float:
        """Return the logarithm of the price at a full hour, or at the start."""
        if time_ms >= self.start_ms:
            return self.start_log
        hours_ago = (start_of(self.start_ms, HOUR_MS) - time_ms) // HOUR_MS
        logs = self._logs
        while len(logs) <= hours_ago:
            self._anchor += self._rng.gauss(0.0, self._drift)
            logs.append(self._back(logs[-1], 3600.0))
        return logs[hours_ago]

    def _back(self, log_price: float, elapsed_s: float) -> float:
        kept = math.exp(-self._reversion_per_s * elapsed_s)
        spread = _spread(self._volatility, self._reversion_per_s, elapsed_s)
        return self._anchor + (log_price - self._anchor) * kept + self._rng.gauss(0.0, spread)


class Course(NamedTuple):
    """The course of a symbol's price in an hour: its first, highest, lowest and last price."""

    start_ms: int
    end_ms: int
    first: float
    up: float
    down: float
    last: float


class Past:
    """The candles of all markets before the start. Those of the minute of the start and later are not in it."""

    def __init__(self, seed: int, start_ms: int, paths: Mapping[str, Path], usual: Mapping[str, float]) -> None:
        """Prepare a past. Nothing is computed until it is asked for.

        Args:
            seed: makes the past.
            start_ms: when the simulator started.
            paths: the path of each coin and currency.
            usual: the usual price of each in USD.
        """
        self.end_ms = start_of(start_ms, MINUTE_MS)
        self.begin_ms = start_of(start_ms, DAY_MS) - DAYS * DAY_MS
        self._seed, self._paths, self._usual = seed, paths, usual
        self._kept_courses: dict[tuple[str, str, int], list[Course]] = {}

    def hours(self, listing: Listed, day_ms: int, first_ms: int = 0) -> list[Candle]:
        """Return the candles of a day's hours from `first_ms` on. The hour in which the simulator started ends at its start."""
        if not self.begin_ms <= day_ms < self.end_ms:
            return []
        own = random.Random(f"{self._seed}/{listing.exchange}/{listing.symbol}/{day_ms}")
        found = []
        for course in self._courses(listing.base, listing.quote, day_ms):
            busy, buyers = own.random(), own.random()
            if course.start_ms >= first_ms:
                found.append(self._hour(listing, course, busy, buyers))
        return found

    def walk_to(self, listing: Listed, time_ms: int) -> None:
        """Walk the paths of a market's coins back to a moment, so that candles of a later time take little work."""
        for coin in (listing.base, listing.quote):
            self._paths[coin].at(start_of(time_ms, HOUR_MS))

    def minutes(self, listing: Listed, hour: Candle, first_ms: int, end_ms: int) -> list[Candle]:
        """Divide what was traded between two full minutes of one hour into minutes. A minute without a trade is left out.

        The minutes add up to the hour: exactly in prices, count and volume, and in turnover as far as numbers allow.
        """
        number = (end_ms - first_ms) // MINUTE_MS
        shared = random.Random(f"{self._seed}/{_path_name(listing.base, listing.quote)}/{hour.start_ms}")
        own = random.Random(f"{self._seed}/{listing.exchange}/{listing.symbol}/{hour.start_ms}")
        reach = self._variance(listing.base, listing.quote) / 60
        if first_ms < self.end_ms:
            courses = self._courses(listing.base, listing.quote, start_of(hour.start_ms, DAY_MS))
            path = _path(courses[hour.start_ms % DAY_MS // HOUR_MS], number, shared)
            path = [at * (1 + listing.premium_at(first_ms + place * MINUTE_MS)) for place, at in enumerate(path)]
        else:
            path = _path(Course(first_ms, end_ms, hour.open, hour.high, hour.low, hour.close), number, shared)
        nodes = [min(max(listing.to_tick(at), hour.low), hour.high) for at in path]
        traded = [(place, count) for place, count in enumerate(_counts(hour.trades, number, own)) if count]
        wicks = [(shared.random(), shared.random()) for _ in range(number)]
        prices = []
        for place, _ in traded:
            opened = hour.open if place == traded[0][0] else nodes[place]
            closed = hour.close if place == traded[-1][0] else nodes[place + 1]
            up, down = (reach * math.log(1 - draw) for draw in wicks[place])
            high = min(listing.to_tick(max(opened, closed) * (1 + math.sqrt(-up) / 3)), hour.high)
            low = max(listing.to_tick(min(opened, closed) * (1 - math.sqrt(-down) / 3)), hour.low)
            prices.append([opened, high, low, closed])
        max(prices, key=lambda row: row[1])[1] = hour.high
        min(prices, key=lambda row: row[2])[2] = hour.low
        steps = round(hour.volume * listing.size_scale)
        weights = [count * (0.5 + own.random()) for _, count in traded]
        shares = _balanced(_shares(steps, weights), prices, hour.turnover / hour.volume)
        level = _level(shares, prices, hour.turnover / hour.volume)
        bought = _proportional(shares, round(hour.bought * listing.size_scale))
        return [
            Candle(
                first_ms + place * MINUTE_MS,
                row[0],
                row[1],
                row[2],
                row[3],
                share / listing.size_scale,
                share / listing.size_scale * (row[2] + (row[1] - row[2]) * level),
                count,
                mine / listing.size_scale,
            )
            for (place, count), row, share, mine in zip(traded, prices, shares, bought, strict=True)
        ]

    def _courses(self, base: str, quote: str, day_ms: int) -> list[Course]:
        """Return the course of a symbol's price in each hour of a day, without premiums. The newest ones are kept."""
        kept = self._kept_courses
        found = kept.get((base, quote, day_ms))
        if found is None:
            if len(kept) >= MOST_COURSES:
                del kept[next(iter(kept))]
            found = kept[base, quote, day_ms] = list(self._read_courses(base, quote, day_ms))
        return found

    def _read_courses(self, base: str, quote: str, day_ms: int) -> Iterator[Course]:
        rng = random.Random(f"{self._seed}/{_path_name(base, quote)}/{day_ms}")
        first = self._log(base, quote, day_ms)
        for start_ms in range(day_ms, min(day_ms + DAY_MS, self.end_ms), HOUR_MS):
            end_ms = min(start_ms + HOUR_MS, self.end_ms)
            last, part = self._log(base, quote, end_ms), (end_ms - start_ms) / HOUR_MS
            # The highest and the lowest point of a random walk between two known ends.
            reach, square = -2 * self._variance(base, quote) * part, (last - first) ** 2
            up = (first + last + math.sqrt(square + reach * math.log(1 - rng.random()))) / 2
            down = (first + last - math.sqrt(square + reach * math.log(1 - rng.random()))) / 2
            yield Course(start_ms, end_ms, math.exp(first), math.exp(up), math.exp(down), math.exp(last))
            first = last

    def _hour(self, listing: Listed, course: Course, busy: float, buyers: float) -> Candle:
        start_ms, end_ms, first, up, down, last = course
        premium = 1 + listing.premium_at(start_ms)
        opened, closed = listing.to_tick(first * premium), listing.to_tick(last * (1 + listing.premium_at(end_ms)))
        high = max(opened, closed, listing.to_tick(up * premium))
        low = min(opened, closed, listing.to_tick(down * premium))
        mean = (opened + high + low + closed) / 4
        turnover = listing.turnover24h / DAY_MS * (end_ms - start_ms) * (0.6 + 0.8 * busy)
        steps = max(round(turnover / mean * listing.size_scale), 1)
        count = min(max(int(turnover * self._usual[listing.quote] / USD_PER_TRADE), 1), steps)
        volume = steps / listing.size_scale
        bought = round(steps * (0.4 + 0.2 * buyers)) / listing.size_scale
        return Candle(start_ms, opened, high, low, closed, volume, volume * mean, count, bought)

    def _log(self, base: str, quote: str, time_ms: int) -> float:
        of_base, of_quote = self._paths[base], self._paths[quote]
        # The last price of the past is the price at the start, which is less than a minute later.
        return of_base.start_log - of_quote.start_log if time_ms >= self.end_ms else of_base.at(time_ms) - of_quote.at(time_ms)

    def _variance(self, base: str, quote: str) -> float:
        return self._paths[base].variance + self._paths[quote].variance


def _path_name(base: str, quote: str) -> str:
    """Return a name for the markets that have a path in common: those of a coin in any currency."""
    return base if quote in CURRENCIES else f"{base}-{quote}"


def _spread(volatility: float, reversion_per_s: float, elapsed_s: float) -> float:
    return volatility * math.sqrt((1 - math.exp(-2 * reversion_per_s * elapsed_s)) / (2 * reversion_per_s))


def _path(course: Course, number: int, rng: random.Random) -> list[float]:
    """Return the prices of a random path of so many steps, from a course's first price to its last, within its extremes."""
    first, last = course.first, course.last
    walk = [0.0, *accumulate(rng.gauss(0.0, 1.0) for _ in range(number))]
    line = [first + (last - first) * place / number for place in range(number + 1)]
    bends = [at - walk[-1] * place / number for place, at in enumerate(walk)]
    up = min(((course.up - at) / bend for at, bend in zip(line, bends, strict=True) if bend > 1e-9), default=0.0)
    down = min(((at - course.down) / -bend for at, bend in zip(line, bends, strict=True) if bend < -1e-9), default=0.0)
    return [at + bend * (up if bend > 0 else down) for at, bend in zip(line, bends, strict=True)]


def _counts(trades: int, number: int, rng: random.Random) -> list[int]:
    """Distribute trades over minutes at random. Of few trades, many minutes get none, but the first and the last get one."""
    weights = [0.3 + rng.expovariate(1.0) for _ in range(number)]
    free = trades - 2
    if free < 0:
        counts = [0] * (number - 1) + [trades]
    elif free < FEW_TRADES:
        chosen = Counter(rng.choices(range(number), weights, k=free))
        counts = [chosen[place] for place in range(number)]
    else:
        total, ends = sum(weights), list(accumulate(weights, initial=0.0))
        counts = [round(end / total * free) - round(begin / total * free) for begin, end in pairwise(ends)]
    if free >= 0:
        counts[0] += 1
        counts[-1] += 1
    return counts


def _shares(steps: int, weights: list[float]) -> list[int]:
    """Divide `steps` by weight into whole numbers above zero. There are at least as many steps as weights."""
    free, total = steps - len(weights), sum(weights)
    ends = [round(end / total * free) for end in accumulate(weights, initial=0.0)]
    return [1 + end - begin for begin, end in pairwise(ends)]


def _balanced(shares: list[int], prices: list[list[float]], mean: float) -> list[int]:
    """Move volume to the dearest or the cheapest minute until the mean price of the hour is about the wanted one."""
    middles = [(row[1] + row[2]) / 2 for row in prices]
    total = sum(shares)
    present = sum(share * middle for share, middle in zip(shares, middles, strict=True)) / total
    pole = middles.index(max(middles) if mean > present else min(middles))
    if middles[pole] == present:
        return shares
    moved = min(max((mean - present) / (middles[pole] - present), 0.0), MOST_AT_ONE_POLE)
    kept = [share - int((share - 1) * moved) for share in shares]
    kept[pole] += total - sum(kept)
    return kept


def _level(shares: list[int], prices: list[list[float]], mean: float) -> float:
    """Return where, between low (0) and high (1), each minute's mean price is, so that the hour's is the wanted one."""
    lowest = sum(share * row[2] for share, row in zip(shares, prices, strict=True))
    span = sum(share * (row[1] - row[2]) for share, row in zip(shares, prices, strict=True))
    return min(max((mean * sum(shares) - lowest) / span, 0.0), 1.0) if span else 0.0


def _proportional(shares: list[int], steps: int) -> list[int]:
    """Divide `steps`, at most the sum of the shares, in proportion to them."""
    total = sum(shares)
    marks = [round(end / total * steps) for end in accumulate(shares, initial=0)]
    return [end - begin for begin, end in pairwise(marks)]
