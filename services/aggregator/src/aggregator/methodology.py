"""How the price is computed: a turnover-weighted mean around the median. docs/methodology.md has the rules by number.

Time is an argument; there is no clock, network, randomness or I/O. Sums are exactly rounded (`fsum`), so the order of the
sources does not matter. No input makes it raise: a figure that makes no sense counts as missing.

This runs for every ticker. For speed, figures are compared with SMALLEST and LARGEST in place instead of by `is_figure`
(benchmarks/aggregate.py measures it), and a symbol without converted sources takes no step for them.
"""

from collections.abc import Container, Mapping, Sequence
from math import fsum
from typing import Any

from msgspec import UNSET
from msgspec.structs import replace

from market_pulse.messages import Quality, Source, Tick, Ticker

from .conversion import LegTicks, both
from .figures import LARGEST, SMALLEST, TOLERANCE, is_figure, middle
from .freshness import Converted, Vote, judge_freshness, judge_lag, judge_legs
from .parameters import Parameters

_OF_SOURCES = ("bid", "ask", "confidence", "spread_bps", "publisher")
_OF_PRICE = ("price", "open24h", "change24h", "change_percent24h", "high24h", "low24h", "exchange_time_ms", "received_time_ms")
"""The fields that are null in a ticker without sources; and the ones that are null, too, if it holds no price."""
_Ballot = tuple[float, str, float, list[int]]
"""One vote (rules 4 and 18): its price, name and freshness, and which of the fresh sources it stands for."""


def aggregate(
    now_ms: int,
    ticks: Mapping[str, Tick],
    away: Container[str],
    last: Ticker,
    parameters: Parameters,
    legs: Sequence[LegTicks] = (),
) -> tuple[Ticker, bool]:
    """Compute one price from the newest tick of each exchange, by the rules of docs/methodology.md.

    Args:
        now_ms: the time by our clock, Unix milliseconds.
        ticks: the newest tick by exchange, all of one symbol. A tick whose price makes no sense is ignored.
        away: the exchanges whose feed is known to be away.
        last: the last published ticker of this symbol. Rules 7 and 8 know the past only from this.
        parameters: the methodology's parameters.
        legs: the markets in other quotes that also price this symbol.

    Returns:
        The next ticker, not yet rounded, with the last one's number and decimals; and whether every fresh source's clock is
        off in the same direction, so that our own clock is probably wrong (rule 2).
    """
    sources, votes, lagging, volumes, turnovers24h = judge_freshness(now_ms, ticks, parameters)
    volume24h = fsum(volumes) if volumes else None
    quote_volume24h = fsum(turnovers24h) if turnovers24h else None
    converted: Sequence[Converted] = ()
    clock_skew = False
    if legs:
        converted, clock_skew = judge_legs(now_ms, legs, ticks, parameters, sources, votes, lagging, turnovers24h)
    elif lagging:
        clock_skew = judge_lag([(votes, lagging)])
    if not (votes or converted):
        held = _hold(now_ms, last, parameters.hold_s)
        held.sources, held.sources_total = tuple(sources), len(sources)
        held.volume24h, held.quote_volume24h = volume24h, quote_volume24h
        return held, clock_skew

    votes.sort()
    balloted = prices = [vote[0] for vote in votes]
    direct = len(votes)
    if converted:
        balloted = _balloted(prices, converted)
        for one in converted:
            votes += one.votes
        prices = sorted([vote[0] for vote in votes])
    median = middle(balloted)  # rule 5
    clamp = parameters.clamp
    low, high = median * (1 - clamp), median * (1 + clamp)

    # Rules 6, 7, 9 and 19. In the usual case all sources lie within c of the median, and each weighs its turnover.
    weights = turnovers = _turnovers(votes, turnovers24h)
    factors: Sequence[float] = ()
    agrees, disputed, chosen = True, False, None
    reach = (clamp + TOLERANCE) * median
    if prices[-1] - median > reach or median - prices[0] > reach:
        agreed = last.agreed_price if _is_recent(last.agreed_time_ms, now_ms, parameters.hold_s) else None
        weights, factors, agrees, disputed, chosen = _weigh(votes, direct, balloted, median, turnovers, agreed, parameters)
        if not weights:
            spread = (prices[-1] - prices[0]) / median
            return _without_converted(now_ms, ticks, away, last, parameters, sources, votes, median, spread), clock_skew
        if chosen is not None:
            low = high = votes[chosen][0]
    elif converted:
        weights = _scaled(votes, direct, turnovers, factors)

    price, open24h, change_percent24h, used = _average(votes, weights, low, high, bool(converted))
    confidence = max(abs(used[0][0] - price), abs(used[-1][0] - price)) if len(used) > 1 else None  # rule 10
    if factors or away or len(used) < len(votes):
        _explain(votes, factors, median, None if chosen is None else price, away)
    quality: Quality = "disputed" if disputed else "ok" if len(balloted) > 1 else "single"
    if away and all(source.exchange in away for _, _, source, _, _ in used):
        quality = "stale"

    # Only what every ticker has is named here, since CPython makes a dict of more than 15 keywords. The figures follow, and the
    # Publisher sets `publisher`.
    ticker = Ticker(
        symbol=last.symbol,
        seq=last.seq,
        price=price,
        dp=last.dp,
        quality=quality,
        confidence=_confidence(confidence, price, converted) if converted else confidence,
        spread_bps=(prices[-1] - prices[0]) / median * 10_000,
        sources_used=len(used),
        sources_total=len(sources),
        sources=tuple(sources),
        aggregated_time_ms=now_ms,
        agreed_price=price if agrees else last.agreed_price,
        agreed_time_ms=now_ms if agrees else last.agreed_time_ms,
        priced_time_ms=now_ms,
    )
    ticker.volume24h, ticker.quote_volume24h = volume24h, quote_volume24h
    if open24h is not None:
        ticker.open24h, ticker.change24h, ticker.change_percent24h = open24h, price - open24h, change_percent24h
    _add_figures(ticker, price, used, parameters.exclusion)
    return ticker, clock_skew


def _without_converted(
    now_ms: int,
    ticks: Mapping[str, Tick],
    away: Container[str],
    last: Ticker,
    parameters: Parameters,
    sources: Sequence[Source],
    votes: Sequence[Vote],
    median: float,
    spread: float,
) -> Ticker:
    """Return the ticker of the direct sources alone (rule 18), because no source lies within e of the median of all votes."""
    ticker, _ = aggregate(now_ms, ticks, away, last, parameters)
    _explain(votes, [0.0] * len(votes), median, ticker.price, away)
    converted = [source for source in sources if source.via is not UNSET]
    ticker.sources = (*ticker.sources, *converted)
    ticker.sources_total = len(ticker.sources)
    ticker.spread_bps = spread * 10_000
    ticker.agreed_price, ticker.agreed_time_ms = last.agreed_price, last.agreed_time_ms
    if ticker.quality != "stale":
        ticker.quality = "disputed"
    return ticker


def _balloted(direct: Sequence[float], converted: Sequence[Converted]) -> list[float]:
    """Return the prices of the votes of a symbol with converted sources, in rising order (rule 18).

    Args:
        direct: the prices of the direct sources in rising order.
        converted: the converted sources.
    """
    if direct:
        of_direct = middle(direct)
        balloted = [*direct, *[_group_price([vote[0] for vote in one.votes], of_direct) for one in converted]]
    else:
        balloted = [vote[0] for one in converted for vote in one.votes]
    balloted.sort()
    return balloted


def _group_price(prices: list[float], of_direct: float) -> float:
    """Return the price of the one vote that the converted sources of a rate have together (rule 18).

    Args:
        prices: their prices. They are put in order.
        of_direct: the median of the direct sources.
    """
    prices.sort()
    half = len(prices) // 2
    return prices[half] if len(prices) % 2 else min(max(of_direct, prices[half - 1]), prices[half])


def _ballot(votes: Sequence[Vote]) -> list[_Ballot]:
    """Return the votes (rules 4 and 18) in rising order. The members of a vote are in rising order, too."""
    ballot: list[_Ballot] = []
    groups: dict[str, list[int]] = {}
    ordered = sorted(range(len(votes)), key=lambda at: votes[at][:2])
    for at in ordered:
        price, name, source, _, freshness = votes[at]
        if source.via is UNSET:
            ballot.append((price, name, freshness, [at]))
        else:
            groups.setdefault(source.via.symbol, []).append(at)
    if not ballot:
        return [(votes[at][0], votes[at][1], votes[at][4], [at]) for at in ordered]
    of_direct = middle([one[0] for one in ballot])
    for symbol, members in groups.items():
        price = _group_price([votes[at][0] for at in members], of_direct)
        ballot.append((price, symbol, max([votes[at][4] for at in members]), members))
    ballot.sort()
    return ballot


def _turnovers(votes: Sequence[Vote], turnovers24h: list[float]) -> list[float]:
    """Return each source's turnover times its freshness (rule 6: Q times f)."""
    turnovers = []
    for _, _, _, tick, freshness in votes:
        turnover = tick.quote_volume24h
        if turnover is None or not (SMALLEST <= turnover <= LARGEST or turnover == 0):
            turnover = middle(sorted(turnovers24h)) if turnovers24h else 0.0
        turnovers.append(turnover * freshness)
    return turnovers if any(turnovers) else [vote[4] for vote in votes]


def _scaled(votes: Sequence[Vote], direct: int, turnovers: list[float], factors: Sequence[float]) -> list[float]:
    """Return the turnovers with those of converted sources scaled down (rule 19).

    So if two direct markets are fresh and near the median, converted sources have no more than half of the weight. The
    freshness of the second one decides how far that holds, so nothing jumps when it comes or goes.

    Args:
        votes: the fresh sources, direct ones first.
        direct: the number of direct ones.
        turnovers: each source's turnover times its freshness.
        factors: each source's factor; empty if all are 1.
    """
    own, others = turnovers[:direct], turnovers[direct:]
    counts = [vote[4] for vote in votes[:direct]]
    near = own
    if factors:
        near = [turnover * factor for turnover, factor in zip(own, factors, strict=False)]
        counts = [count * factor for count, factor in zip(counts, factors, strict=False)]
    of_direct, of_converted = fsum(near), fsum(others)
    if not of_converted > of_direct > 0:
        return turnovers
    counts.sort()
    second = counts[-2] if direct > 1 else 0.0
    # The rule's D·s/(1 - s) / C, written so that no difference of almost equal numbers is left.
    half = second * (of_converted + of_direct) / 2
    share, rest = (1 - second) * of_converted + half, (1 - second) * of_direct + half
    scale = of_direct / of_converted * (share / rest)
    return own + [turnover * scale for turnover in others]


def _factors(prices: Sequence[float], median: float, parameters: Parameters) -> list[float]:
    """Return the factor of each price for its distance from the median (rule 6: g)."""
    clamp, exclusion = parameters.clamp, parameters.exclusion
    factors = []
    for price in prices:
        distance = abs(price / median - 1)
        factor = 1.0
        if distance > clamp + TOLERANCE:
            factor = (exclusion - distance) / (exclusion - clamp) if distance < exclusion - TOLERANCE else 0.0
        factors.append(factor)
    return factors


def _weigh(
    votes: Sequence[Vote],
    direct: int,
    balloted: list[float],
    median: float,
    turnovers: list[float],
    agreed: float | None,
    parameters: Parameters,
) -> tuple[list[float], list[float], bool, bool, int | None]:
    """Weigh the sources if some of them lie further than c from the median.

    Args:
        votes: the fresh sources, direct ones first.
        direct: the number of direct ones.
        balloted: the prices of the votes in rising order.
        median: their median.
        turnovers: each source's turnover times its freshness.
        agreed: the last agreed price if it is known and young enough.
        parameters: the methodology's parameters.

    Returns:
        Each source's weight, no weights if the price must be made without converted sources (rule 18); each source's factor;
        whether more than half of the votes lie within c; whether the price is disputed (rules 7 and 9); which source makes the
        price alone (rule 7).
    """
    factors = of_votes = _factors(balloted, median, parameters)
    if direct < len(votes):
        factors = _factors([vote[0] for vote in votes], median, parameters)
        turnovers = _scaled(votes, direct, turnovers, factors)
    weights, far = [], []
    for turnover, factor in zip(turnovers, factors, strict=True):
        weights.append(turnover * factor)
        if factor < 1:
            far.append(turnover)
    opposed = len(far) if of_votes is factors else sum([factor < 1 for factor in of_votes])
    agrees = 2 * opposed < len(of_votes)
    disputed = 2 * of_votes.count(0) >= len(of_votes) or fsum(far) > fsum(turnovers) / 2 * (1 + TOLERANCE)

    half = len(balloted) // 2
    gap = 0.0 if len(balloted) % 2 else (balloted[half] - balloted[half - 1]) / median
    disputed = disputed or gap > 2 * parameters.clamp + TOLERANCE or gap > parameters.exclusion + TOLERANCE
    if gap > parameters.exclusion + TOLERANCE:
        chosen = _choose(votes, turnovers, agreed)
        return [float(at == chosen) for at in range(len(votes))], factors, agrees, disputed, chosen
    if not any(weights):
        weights = [vote[4] * factor for vote, factor in zip(votes, factors, strict=True)]
    return weights if any(weights) else [], factors, agrees, disputed, None


def _choose(votes: Sequence[Vote], turnovers: Sequence[float], agreed: float | None) -> int:
    """Return which source makes the price alone, because the two middle votes are too far apart (rule 7)."""
    ballot = _ballot(votes)
    half = len(ballot) // 2
    sides = ballot[:half], ballot[half:]
    for_lower, for_upper = (fsum([turnovers[at] for _, _, _, members in side for at in members]) for side in sides)
    price, _, _, members = ballot[half - _prefers_lower(ballot[half - 1], ballot[half], for_lower, for_upper, agreed)]
    return min(members, key=lambda at: (abs(votes[at][0] - price), votes[at][:2]))


def _prefers_lower(lower: _Ballot, upper: _Ballot, for_lower: float, for_upper: float, agreed: float | None) -> bool:
    """Return whether the lower of the two middle votes is the one that makes the price alone (rule 7).

    Args:
        lower: the lower one.
        upper: the upper one.
        for_lower: the turnover of all votes on its side.
        for_upper: the same of the upper one.
        agreed: the last agreed price if it is known and young enough.
    """
    is_lower_old, is_upper_old = lower[2] < 0.5 - TOLERANCE, upper[2] < 0.5 - TOLERANCE
    if is_lower_old != is_upper_old:
        return is_upper_old
    if is_figure(agreed):
        for_lower, for_upper = -abs(lower[0] - agreed), -abs(upper[0] - agreed)
    if abs(for_lower - for_upper) > TOLERANCE * max(abs(for_lower), abs(for_upper)):
        return for_lower > for_upper
    return lower[1] < upper[1]


def _average(
    votes: Sequence[Vote], weights: Sequence[float], low: float, high: float, is_converted: bool
) -> tuple[float, float | None, float | None, list[Vote]]:
    """Average the prices, each clamped to the band from `low` to `high` (rule 6).

    Returns:
        The price; the open and the change in percent (rule 11); the used sources, by rising price.
    """
    total = fsum(weights)
    used: list[Vote] = []
    products, opens = [], []
    for vote, weight in zip(votes, weights, strict=True):
        if weight == 0:
            continue
        used.append(vote)
        price, _, source, tick, _ = vote
        used_price = price
        if price < low:
            used_price = low
        elif price > high:
            used_price = high
        source.used_price, source.weight = used_price, weight / total
        products.append(weight * used_price)
        open24h = tick.open24h
        if open24h is not None and SMALLEST <= open24h <= LARGEST:
            opens.append(weight * (open24h * (used_price / price)))
    if is_converted:
        used.sort()
    # A mean lies between its terms, but rounding of the products can put it just outside. So clamp it.
    price = min(max(fsum(products) / total, used[0][2].used_price or low), used[-1][2].used_price or high)
    if not opens:
        return price, None, None, used
    compared = price
    if len(opens) < len(used):  # some sources have no open: compare with the mean price of those that have one
        opened = [source for _, _, source, tick, _ in used if is_figure(tick.open24h)]
        share = fsum([source.weight for source in opened])
        compared = fsum([source.weight * (source.used_price or low) for source in opened]) / share
        total *= share
    mean_open = fsum(opens) / total
    return price, mean_open, (compared / mean_open - 1) * 100, used


def _explain(
    votes: Sequence[Vote], factors: Sequence[float], median: float, chosen_price: float | None, away: Container[str]
) -> None:
    """Set the reason of each source that does not count in full. `chosen_price` is the price of the one that counts alone."""
    for (price, _, source, _, _), factor in zip(votes, factors or [1.0] * len(votes), strict=True):
        reason = source.reason
        if source.used_price is None:
            source.state = "excluded"
            why = _from(price, median, "median") if factor == 0 else "no turnover in 24 h"
            if chosen_price is not None:
                why = _from(price, chosen_price, "price")
            # The reason of a converted source also tells of its rate.
            reason = why if source.via is UNSET else both(reason, why)
        elif factor < 1 and chosen_price is None:
            reason = both(reason, f"{_from(price, median, 'median')}, counts {factor:.0%}")
        source.reason = both(reason, "its feed is away") if source.exchange in away else reason


def _confidence(confidence: float | None, price: float, converted: Sequence[Converted]) -> float | None:
    """Return the confidence with the part of the rates' own confidence (rule 21)."""
    if confidence is None:
        return None
    for one in converted:
        via = one.via
        if via.price and via.confidence is not None:
            share = fsum([source.weight for _, _, source, _, _ in one.votes])
            confidence += share * price * (via.confidence / via.price)
    return confidence


def _add_figures(ticker: Ticker, price: float, used: Sequence[Vote], exclusion: float) -> None:
    """Add the best bid and ask (rule 14), the 24 h high and low (rule 12), and the newest tick's times."""
    best_bid = best_ask = None
    highs, lows = [], []
    newest = used[0][3]
    newest_ms = newest.received_time_ms
    for _, _, _, tick, _ in used:
        bid, ask, high, low, received_ms = tick.bid, tick.ask, tick.high24h, tick.low24h, tick.received_time_ms
        if bid is not None and SMALLEST <= bid <= LARGEST and (best_bid is None or bid > best_bid):
            best_bid = bid
        if ask is not None and SMALLEST <= ask <= LARGEST and (best_ask is None or ask < best_ask):
            best_ask = ask
        if high is not None and SMALLEST <= high <= LARGEST:
            highs.append(high)
        if low is not None and SMALLEST <= low <= LARGEST:
            lows.append(low)
        # If several ticks were received last at the same time, take the newest by its exchange time.
        if received_ms > newest_ms or (
            received_ms == newest_ms and (tick.exchange_time_ms or 0) > (newest.exchange_time_ms or 0)
        ):
            newest, newest_ms = tick, received_ms
    ticker.bid, ticker.ask = best_bid, best_ask
    # Clamping keeps order, so the clamped maximum is the maximum, clamped.
    if highs:
        highs.sort()
        ticker.high24h = max(price, min(highs[-1], middle(highs) * (1 + exclusion)))
    if lows:
        lows.sort()
        ticker.low24h = min(price, max(lows[0], middle(lows) * (1 - exclusion)))
    ticker.exchange_time_ms, ticker.received_time_ms = newest.exchange_time_ms, newest.received_time_ms


def _hold(now_ms: int, last: Ticker, hold_s: float) -> Ticker:
    """Return a ticker that holds the last price with its own times, or has no price if that is older than H (rule 8)."""
    is_held = last.price is not None and _is_recent(last.priced_time_ms, now_ms, hold_s)
    unknown: dict[str, Any] = dict.fromkeys(_OF_SOURCES if is_held else (*_OF_SOURCES, *_OF_PRICE))
    return replace(last, **unknown, quality="stale" if is_held else "down", sources_used=0, aggregated_time_ms=now_ms)


def _is_recent(time_ms: int | None, now_ms: int, hold_s: float) -> bool:
    """Return whether a time is known and within H of now, in either direction: setting a clock back must not extend H."""
    return time_ms is not None and abs(now_ms - time_ms) / 1000 <= hold_s


def _from(price: float, other: float, name: str) -> str:
    return f"{abs(price / other - 1) * 100:.1f} % from the {name}"
