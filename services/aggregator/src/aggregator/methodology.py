"""How the price is computed: a turnover-weighted mean around the median. docs/methodology.md has the rules by number.

Time is an argument; there is no clock, network, randomness or I/O. Sums are exactly rounded (`fsum`), so the order of the
sources does not matter. No input makes it raise: a figure that makes no sense counts as missing.

This runs for every ticker. For speed, figures are compared with SMALLEST and LARGEST in place instead of by `is_figure`
(benchmarks/aggregate.py measures it).
"""

from collections.abc import Container, Mapping, Sequence
from math import fsum
from typing import Any, TypeGuard

from msgspec import UNSET
from msgspec.structs import replace

from market_pulse.messages import Quality, Source, Tick, Ticker

from .parameters import Parameters

SMALLEST = 1e-30
LARGEST = 1e30
"""No real price or volume lies outside these two, and within them no product or quotient below can overflow or underflow."""
REASON_LENGTH = 100
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


_OF_SOURCES = ("bid", "ask", "confidence", "spread_bps", "publisher")
_OF_PRICE = ("price", "open24h", "change24h", "change_percent24h", "high24h", "low24h", "exchange_time_ms", "received_time_ms")
"""The fields that are null in a ticker without sources; and the ones that are null, too, if it holds no price."""
_Vote = tuple[float, str, Source, Tick, float]
"""One vote (rule 4): the source's price and name, by which votes are sorted; the source to publish, which each rule fills in
further; its tick; its freshness."""


def aggregate(
    now_ms: int, ticks: Mapping[str, Tick], away: Container[str], last: Ticker, parameters: Parameters
) -> tuple[Ticker, bool]:
    """Compute one price from the newest tick of each exchange, by the rules of docs/methodology.md.

    Args:
        now_ms: the time by our clock, Unix milliseconds.
        ticks: the newest tick by exchange, all of one symbol. A tick whose price makes no sense is ignored.
        away: the exchanges whose feed is known to be away.
        last: the last published ticker of this symbol. Rules 7 and 8 know the past only from this.
        parameters: the methodology's parameters.

    Returns:
        The next ticker, not yet rounded, with the last one's number and decimals; and whether every fresh source's clock is
        off in the same direction, so that our own clock is probably wrong (rule 2).
    """
    sources, votes, clock_skew, volumes, quote_volumes = _judge_freshness(now_ms, ticks, parameters)
    volume24h = fsum(volumes) if volumes else None
    quote_volume24h = fsum(quote_volumes) if quote_volumes else None
    if not votes:
        held = _hold(now_ms, last, parameters.hold_s)
        held.sources, held.sources_total = tuple(sources), len(sources)
        held.volume24h, held.quote_volume24h = volume24h, quote_volume24h
        return held, clock_skew

    votes.sort()
    prices = [vote[0] for vote in votes]
    middle = _middle(prices)  # rule 5
    clamp, exclusion = parameters.clamp, parameters.exclusion
    low, high = middle * (1 - clamp), middle * (1 + clamp)

    # Rules 6, 7 and 9. In the usual case all votes lie within c of the median, and each weighs its turnover.
    weights = turnovers = _turnovers(votes, quote_volumes)
    factors: Sequence[float] = ()
    agrees, disputed, chosen = True, False, None
    reach = (clamp + TOLERANCE) * middle
    if prices[-1] - middle > reach or middle - prices[0] > reach:
        weights, factors, agrees, disputed = _weigh(votes, middle, turnovers, parameters)
        half = len(votes) // 2
        gap = 0.0 if len(votes) % 2 else (prices[half] - prices[half - 1]) / middle
        disputed = disputed or gap > 2 * clamp + TOLERANCE or gap > exclusion + TOLERANCE
        if gap > exclusion + TOLERANCE:
            is_recent = _is_recent(last.agreed_time_ms, now_ms, parameters.hold_s)
            chosen = half - _prefers_lower(votes, turnovers, last.agreed_price if is_recent else None)
            low = high = prices[chosen]
            weights = [float(at == chosen) for at in range(len(votes))]

    price, open24h, change_percent24h, used = _average(votes, weights, low, high)
    lowest, highest = used[0][0].price, used[-1][0].price
    confidence = max(abs(lowest - price), abs(highest - price)) if len(used) > 1 else None  # rule 10
    if factors or away or len(used) < len(votes):
        _explain(votes, factors, middle, None if chosen is None else price, away)
    quality: Quality = "disputed" if disputed else "ok" if len(votes) > 1 else "single"
    if away and all(source.exchange in away for source, _ in used):
        quality = "stale"

    # Only what every ticker has is named here, since CPython makes a dict of more than 15 keywords. The figures follow, and the
    # Publisher sets `publisher`.
    ticker = Ticker(
        symbol=last.symbol,
        seq=last.seq,
        price=price,
        dp=last.dp,
        quality=quality,
        confidence=confidence,
        spread_bps=(prices[-1] - prices[0]) / middle * 10_000,
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
    _add_figures(ticker, price, used, exclusion)
    return ticker, clock_skew


def _judge_freshness(
    now_ms: int, ticks: Mapping[str, Tick], parameters: Parameters
) -> tuple[list[Source], list[_Vote], bool, list[float], list[float]]:
    """Judge which sources are fresh (rules 2 and 3), and collect their volumes.

    Returns:
        All sources; the votes; whether our own clock is probably wrong; the volumes and the quote volumes of all exchanges
        heard within T_vol, used or not, without ended ones (rule 13).
    """
    soft_s, hard_s, max_lag_s = parameters.soft_age_s, parameters.hard_age_s, parameters.max_lag_s
    carry_s = parameters.volume_carry_s
    volumes: list[float] = []
    quote_volumes: list[float] = []
    sources: list[Source] = []
    votes: list[_Vote] = []
    lagging: list[tuple[float, _Vote]] = []
    for name in sorted(ticks):
        tick = ticks[name]
        received_ms, exchange_ms = tick.received_time_ms, tick.exchange_time_ms
        age_ms = now_ms - received_ms if now_ms > received_ms else 0
        age_s = age_ms / 1000
        has_ended, is_late = tick.ended is not None, age_s > carry_s
        if not SMALLEST <= tick.price <= LARGEST or (has_ended and is_late):
            continue
        price = source_price(tick)
        estimated = tick.quote_volume_estimated or UNSET
        source = Source(exchange=name, price=price, weight=0.0, age_ms=age_ms, state="used", quote_volume_estimated=estimated)
        sources.append(source)
        if not (has_ended or is_late):
            # A volume of 0 is known: there was no trade in 24 h.
            volume, quote_volume = tick.volume24h, tick.quote_volume24h
            if volume is not None and (SMALLEST <= volume <= LARGEST or volume == 0):
                volumes.append(volume)
            if quote_volume is not None and (SMALLEST <= quote_volume <= LARGEST or quote_volume == 0):
                quote_volumes.append(quote_volume)
        freshness = 1.0
        if has_ended or age_s >= hard_s:
            source.state, source.reason = "stale", (tick.ended or f"silent for {_seconds(age_s)}")[:REASON_LENGTH]
            continue
        if age_s > soft_s:
            freshness = (hard_s - age_s) / (hard_s - soft_s)
            source.state, source.reason = "fading", f"silent for {_seconds(age_s)}, counts {freshness:.0%}"
        # A tick without an exchange time counts as not lagging.
        lag_s = 0.0 if exchange_ms is None or tick.lag_unknown else (received_ms - exchange_ms) / 1000
        if -max_lag_s <= lag_s <= max_lag_s:
            votes.append((price, name, source, tick, freshness))
        else:
            lagging.append((lag_s, (price, name, source, tick, freshness)))
    if lagging:
        if not votes and len({lag_s > 0 for lag_s, _ in lagging}) == 1:
            return sources, [vote for _, vote in lagging], True, volumes, quote_volumes
        for lag_s, (_, _, source, _, _) in lagging:
            source.state = "lagging"
            source.reason = f"exchange clock {abs(lag_s):.1f} s {'behind' if lag_s > 0 else 'ahead'}"
    return sources, votes, False, volumes, quote_volumes


def _turnovers(votes: Sequence[_Vote], quote_volumes: list[float]) -> list[float]:
    """Return each vote's turnover times its freshness (rule 6: Q times f)."""
    turnovers = []
    for _, _, _, tick, freshness in votes:
        turnover = tick.quote_volume24h
        if turnover is None or not (SMALLEST <= turnover <= LARGEST or turnover == 0):
            turnover = _middle(sorted(quote_volumes)) if quote_volumes else 0.0
        turnovers.append(turnover * freshness)
    return turnovers if any(turnovers) else [vote[4] for vote in votes]


def _weigh(
    votes: Sequence[_Vote], middle: float, turnovers: Sequence[float], parameters: Parameters
) -> tuple[list[float], list[float], bool, bool]:
    """Weigh votes if some of them lie further than c from the median.

    Returns:
        Each vote's weight; each vote's factor for its distance from the median (rule 6: g); whether more than half of the votes
        lie within c; whether half of the votes or most of the turnover contradict the median (rule 9).
    """
    clamp, exclusion = parameters.clamp, parameters.exclusion
    factors, weights, far = [], [], []
    for vote, turnover in zip(votes, turnovers, strict=True):
        distance = abs(vote[0] / middle - 1)
        factor = 1.0
        if distance > clamp + TOLERANCE:
            factor = (exclusion - distance) / (exclusion - clamp) if distance < exclusion - TOLERANCE else 0.0
            far.append(turnover)
        factors.append(factor)
        weights.append(turnover * factor)
    disputed = 2 * factors.count(0) >= len(votes) or fsum(far) > fsum(turnovers) / 2 * (1 + TOLERANCE)
    if not any(weights):
        weights = [vote[4] * factor for vote, factor in zip(votes, factors, strict=True)]
    return weights, factors, 2 * len(far) < len(votes), disputed


def _prefers_lower(votes: Sequence[_Vote], turnovers: Sequence[float], agreed: float | None) -> bool:
    """Return whether the lower of the two middle votes is the one that makes the price alone (rule 7)."""
    half = len(votes) // 2
    (lower, lower_name, _, _, lower_freshness), (upper, upper_name, _, _, upper_freshness) = votes[half - 1 : half + 1]
    is_lower_old, is_upper_old = lower_freshness < 0.5 - TOLERANCE, upper_freshness < 0.5 - TOLERANCE
    if is_lower_old != is_upper_old:
        return is_upper_old
    if not is_figure(agreed):
        for_lower, for_upper = fsum(turnovers[:half]), fsum(turnovers[half:])
    else:
        for_lower, for_upper = -abs(lower - agreed), -abs(upper - agreed)
    if abs(for_lower - for_upper) > TOLERANCE * max(abs(for_lower), abs(for_upper)):
        return for_lower > for_upper
    return lower_name < upper_name


def _average(
    votes: Sequence[_Vote], weights: Sequence[float], low: float, high: float
) -> tuple[float, float | None, float | None, list[tuple[Source, Tick]]]:
    """Average the prices, each clamped to the band from `low` to `high` (rule 6).

    Returns:
        The price; the open and the change in percent (rule 11); the used sources with their ticks, by rising price.
    """
    total = fsum(weights)
    used: list[tuple[Source, Tick]] = []
    products, opens = [], []
    for (price, _, source, tick, _), weight in zip(votes, weights, strict=True):
        if weight == 0:
            continue
        used.append((source, tick))
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
    # A mean lies between its terms, but rounding of the products can put it just outside. So clamp it.
    price = min(max(fsum(products) / total, used[0][0].used_price or low), used[-1][0].used_price or high)
    if not opens:
        return price, None, None, used
    compared = price
    if len(opens) < len(used):  # some sources have no open: compare with the mean price of those that have one
        opened = [source for source, tick in used if is_figure(tick.open24h)]
        share = fsum([source.weight for source in opened])
        compared = fsum([source.weight * (source.used_price or low) for source in opened]) / share
        total *= share
    mean_open = fsum(opens) / total
    return price, mean_open, (compared / mean_open - 1) * 100, used


def _explain(
    votes: Sequence[_Vote], factors: Sequence[float], middle: float, chosen_price: float | None, away: Container[str]
) -> None:
    """Set the reason of each vote that does not count in full. `chosen_price` is the price of the vote that counts alone."""
    for (price, name, source, _, _), factor in zip(votes, factors or [1.0] * len(votes), strict=True):
        reason = source.reason
        if source.used_price is None:
            source.state = "excluded"
            if chosen_price is not None:
                reason = _from(price, chosen_price, "price")
            else:
                reason = _from(price, middle, "median") if factor == 0 else "no turnover in 24 h"
        elif factor < 1 and chosen_price is None:
            reason = _and(reason, f"{_from(price, middle, 'median')}, counts {factor:.0%}")
        source.reason = _and(reason, "its feed is away") if name in away else reason


def _add_figures(ticker: Ticker, price: float, used: Sequence[tuple[Source, Tick]], exclusion: float) -> None:
    """Add the best bid and ask (rule 14), the 24 h high and low (rule 12), and the newest tick's times."""
    best_bid = best_ask = None
    highs, lows = [], []
    newest = used[0][1]
    newest_ms = newest.received_time_ms
    for _, tick in used:
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
        ticker.high24h = max(price, min(highs[-1], _middle(highs) * (1 + exclusion)))
    if lows:
        lows.sort()
        ticker.low24h = min(price, max(lows[0], _middle(lows) * (1 - exclusion)))
    ticker.exchange_time_ms, ticker.received_time_ms = newest.exchange_time_ms, newest.received_time_ms


def _hold(now_ms: int, last: Ticker, hold_s: float) -> Ticker:
    """Return a ticker that holds the last price with its own times, or has no price if that is older than H (rule 8)."""
    is_held = last.price is not None and _is_recent(last.priced_time_ms, now_ms, hold_s)
    unknown: dict[str, Any] = dict.fromkeys(_OF_SOURCES if is_held else (*_OF_SOURCES, *_OF_PRICE))
    return replace(last, **unknown, quality="stale" if is_held else "down", sources_used=0, aggregated_time_ms=now_ms)


def _is_recent(time_ms: int | None, now_ms: int, hold_s: float) -> bool:
    """Return whether a time is known and within H of now, in either direction: setting a clock back must not extend H."""
    return time_ms is not None and abs(now_ms - time_ms) / 1000 <= hold_s


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _and(reason: str | None, another: str) -> str:
    return f"{reason}; {another}" if reason else another


def _from(price: float, other: float, name: str) -> str:
    return f"{abs(price / other - 1) * 100:.1f} % from the {name}"


def _middle(ordered: Sequence[float]) -> float:
    """Return the median of values in rising order."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
