"""How the price is made: the median-guarded VWAP of docs/methodology.md, whose rule numbers stand beside the code.

Pure: time is an argument; no clock, network, randomness or I/O. Sums are exactly rounded (`fsum`), so that the order of the
sources cannot matter. No input raises: a figure that makes no sense counts as missing.

This runs for every ticker: bounds are compared in place and values built by position, which makes it three times as fast
(benchmarks/aggregate.py).
"""

from collections.abc import Mapping, Sequence
from math import fsum
from typing import TypeGuard

from market_pulse.model import Quality, Source, Tick

from .result import LastGood, Parameters, Result

SMALLEST = 1e-30
LARGEST = 1e30
"""No real price or volume lies outside these, and within them no product or quotient below can overflow or vanish."""
TOLERANCE = 1e-12
"""Prices like 1.03 have no exact float. A share this much over a bound is the bound itself, as it was written in decimals."""


def is_figure(value: float | None) -> TypeGuard[float]:
    """Say whether a price or volume is there and makes sense: finite, above zero and of a size that occurs."""
    return value is not None and SMALLEST < value < LARGEST


def source_price(tick: Tick) -> float:
    """Return what one exchange says a unit costs (rule 1): the median of last, bid and ask, or last alone."""
    last, bid, ask = tick.price, tick.bid, tick.ask
    if bid is not None and ask is not None and SMALLEST < bid <= ask < LARGEST:
        if last < bid:
            return bid
        if last > ask:
            return ask
    return last


_Voice = tuple[Source, Tick, float]
"""Who may have a say: a source as it goes out, filled in rule by rule; the tick it is made of; its freshness."""


def aggregate(
    now_ms: int, ticks: Mapping[str, Tick], flags: frozenset[str], last_good: LastGood | None, parameters: Parameters
) -> Result:
    """Make one price of the newest tick of each exchange.

    Args:
        now_ms: our clock, Unix milliseconds.
        ticks: the newest tick by exchange, all of one symbol. One whose price makes no sense counts as not there.
        flags: exchanges excluded by an earlier call, from its result.
        last_good: the result of the last call that found a price, or what was published of it.
        parameters: bounds and times.

    Source: docs/methodology.md.
    """
    sources, eligible, clock_skew, volumes, quote_volumes = _judge_freshness(now_ms, ticks, parameters)
    volume24h = fsum(volumes) if volumes else None
    quote_volume24h = fsum(quote_volumes) if quote_volumes else None
    if not eligible:
        held = _held(last_good, now_ms, parameters.hold_s)
        return _without_source(now_ms, sources, volume24h, quote_volume24h, flags, held, clock_skew)

    clamp, exclusion = parameters.clamp, parameters.exclusion
    admitted = _admit(eligible, flags, parameters.readmission) if flags else eligible
    used, prices, has_majority = _exclude(admitted, exclusion)
    lowest, middle, highest = prices[0], _middle(prices), prices[-1]
    disputed = not has_majority
    low, high = lowest, highest
    if disputed:
        _weigh_middle(used)
    elif len(used) == 2 and highest - lowest > _reach(middle, exclusion):
        _weigh_nearer(used, _held(last_good, now_ms, parameters.hold_s))
    else:
        _weigh(used)
        low, high = max(low, middle * (1 - clamp)), min(high, middle * (1 + clamp))
    if len(used) == 2:
        disputed = highest - lowest > _reach(middle, 2 * clamp)
    quality: Quality = "single" if len(used) == 1 else "disputed" if disputed else "ok"
    price, open24h, change_percent24h = _average(used, low, high)
    change24h = None if open24h is None else price - open24h
    confidence = None if len(used) == 1 else max(abs(lowest - price), abs(highest - price))  # rule 10

    if len(used) < len(eligible):
        excluded = [source for source, _, _ in eligible if source.used_price is None]
        for source in excluded:
            source.state = "excluded"
            source.reason = f"{abs(source.price / middle - 1) * 100:.1f} % from the median"
            lowest, highest = min(lowest, source.price), max(highest, source.price)
        flags = flags.union([source.exchange for source in excluded])
    if flags:  # each stays until its source is used again, also while that is silent
        flags = flags.difference([source.exchange for source, _, _ in used])
    spread_bps = (highest - lowest) / middle * 10_000

    bid, ask, highs, lows, newest = _figures(used)
    # Rule 12. Clamping keeps order, so the clamped maximum is the maximum, clamped.
    high24h = max(price, min(highs[-1], _middle(highs) * (1 + exclusion))) if highs else price
    low24h = min(price, max(lows[0], _middle(lows) * (1 - exclusion))) if lows else price
    return Result(
        price,
        quality,
        confidence,
        spread_bps,
        open24h,
        change24h,
        change_percent24h,
        high24h,
        low24h,
        bid,
        ask,
        volume24h,
        quote_volume24h,
        tuple(sources),
        len(used),
        newest.exchange_time_ms,
        newest.received_time_ms,
        now_ms,
        flags,
        clock_skew,
    )


def _judge_freshness(
    now_ms: int, ticks: Mapping[str, Tick], parameters: Parameters
) -> tuple[list[Source], list[_Voice], bool, list[float], list[float]]:
    """Tell which sources are fresh (rules 2 and 3), and what they traded.

    Returns:
        All sources; the fresh ones; whether our own clock is the likely culprit; the volumes and the quote volumes of all
        exchanges heard of lately, used or not (rule 13).
    """
    soft_s, hard_s, max_lag_s = parameters.soft_age_s, parameters.hard_age_s, parameters.max_lag_s
    carry_s = parameters.volume_carry_s
    volumes: list[float] = []
    quote_volumes: list[float] = []
    sources: list[Source] = []
    fresh: list[_Voice] = []
    lagging: list[tuple[float, _Voice]] = []
    for name in sorted(ticks):
        tick = ticks[name]
        if not SMALLEST < tick.price < LARGEST:
            continue
        received_ms, exchange_ms = tick.received_time_ms, tick.exchange_time_ms
        age_ms = now_ms - received_ms if now_ms > received_ms else 0
        source = Source(name, source_price(tick), None, 0.0, age_ms, "used", None)
        sources.append(source)
        age_s = age_ms / 1000
        if age_s <= carry_s:
            volume, quote_volume = tick.volume24h, tick.quote_volume24h
            if volume is not None and 0 <= volume < LARGEST:  # no trade in 24 h is a volume of 0, and known
                volumes.append(volume)
            if quote_volume is not None and 0 <= quote_volume < LARGEST:
                quote_volumes.append(quote_volume)
        freshness = 1.0
        if age_s >= hard_s:
            source.state, source.reason = "stale", f"silent for {_seconds(age_s)}"
            continue
        if age_s > soft_s:
            freshness = (hard_s - age_s) / (hard_s - soft_s)
            source.state, source.reason = "fading", f"silent for {_seconds(age_s)}, counts {freshness:.0%}"
        # Without an exchange time there is nothing to lag behind.
        lag_s = 0.0 if exchange_ms is None else (received_ms - exchange_ms) / 1000
        if -max_lag_s <= lag_s <= max_lag_s:
            fresh.append((source, tick, freshness))
        else:
            lagging.append((lag_s, (source, tick, freshness)))
    if lagging:
        if not fresh and len({lag_s > 0 for lag_s, _ in lagging}) == 1:
            return sources, [voice for _, voice in lagging], True, volumes, quote_volumes
        for lag_s, (source, _, _) in lagging:
            source.state = "lagging"
            source.reason = f"exchange clock {abs(lag_s):.1f} s {'behind' if lag_s > 0 else 'ahead'}"
    return sources, fresh, False, volumes, quote_volumes


def _admit(eligible: list[_Voice], flags: frozenset[str], readmission: float) -> list[_Voice]:
    """Leave out sources that are flagged and have not come back (rule 4); all of them flagged is as good as none."""
    prices = sorted([source.price for source, _, _ in eligible if source.exchange not in flags])
    if not prices or len(prices) == len(eligible):
        return eligible
    middle = _middle(prices)
    reach = _reach(middle, readmission)
    return [voice for voice in eligible if voice[0].exchange not in flags or abs(voice[0].price - middle) <= reach]


def _exclude(admitted: list[_Voice], exclusion: float) -> tuple[list[_Voice], list[float], bool]:
    """Leave out gross errors (rule 5). Return the used sources, their prices in rising order, and if there is a majority."""
    prices = sorted([source.price for source, _, _ in admitted])
    if len(prices) < 3:
        return admitted, prices, True
    middle = _middle(prices)
    reach = _reach(middle, exclusion)
    if middle - prices[0] <= reach and prices[-1] - middle <= reach:
        return admitted, prices, True
    used = [voice for voice in admitted if abs(voice[0].price - middle) <= reach]
    if 2 * len(used) <= len(admitted):
        return admitted, prices, False
    return used, sorted([source.price for source, _, _ in used]), True


def _weigh(used: Sequence[_Voice]) -> None:
    """Weigh each source by turnover and freshness, or by freshness alone (rule 6)."""
    is_any = False
    for source, tick, freshness in used:
        turnover = tick.quote_volume24h
        if turnover is not None and SMALLEST < turnover < LARGEST:
            source.weight = turnover * freshness
            is_any = True
    if not is_any:
        for source, _, freshness in used:
            source.weight = freshness


def _weigh_middle(used: Sequence[_Voice]) -> None:
    """Let the median source, or the two middle ones in equal parts, make the price (rules 5 and 7)."""
    rising = sorted([source for source, _, _ in used], key=_by_price)
    for source in rising[(len(rising) - 1) // 2 : len(rising) // 2 + 1]:
        source.weight = 1.0


def _weigh_nearer(used: Sequence[_Voice], held: LastGood | None) -> None:
    """Of two sources that contradict each other grossly, believe the one nearer to the last good price (rule 7)."""
    if held is None or held.price is None:
        return _weigh_middle(used)
    (first, _, _), (second, _, _) = used  # by name, so that a tie goes to the first
    nearer = first if abs(first.price - held.price) <= abs(second.price - held.price) else second
    nearer.weight = 1.0
    return None


def _average(used: Sequence[_Voice], low: float, high: float) -> tuple[float, float | None, float | None]:
    """Average the prices, clamped to a band (rule 6). Return the price, the open and the change in percent (rule 11)."""
    total = fsum([source.weight for source, _, _ in used])
    products, weights, opens, opened = [], [], [], []
    for source, tick, _ in used:
        price = used_price = source.price
        if price < low:
            used_price = low
        elif price > high:
            used_price = high
        source.used_price = used_price
        products.append(source.weight * used_price)
        source.weight = weight = source.weight / total
        open24h = tick.open24h
        if open24h is not None and SMALLEST < open24h < LARGEST and weight > 0:
            weights.append(weight)
            opens.append(weight * (open24h * (used_price / price)))
            opened.append(weight * used_price)
    # A mean lies between its terms; the last bit of a float product may not.
    price = min(max(fsum(products) / total, low), high)
    if not weights:
        return price, None, None
    total = fsum(weights)
    mean_open = fsum(opens) / total
    # Where some have no open, it is compared with the price of those that have one.
    compared = price if len(weights) == len(used) else fsum(opened) / total
    return price, mean_open, (compared / mean_open - 1) * 100


def _figures(used: Sequence[_Voice]) -> tuple[float | None, float | None, list[float], list[float], Tick]:
    """Return the best bid and ask (rule 14), the 24 h highs and lows in rising order, of what makes sense; the newest tick."""
    best_bid = best_ask = None
    highs, lows = [], []
    newest = used[0][1]
    newest_ms = newest.received_time_ms
    for _, tick, _ in used:
        bid, ask, high, low, received_ms = tick.bid, tick.ask, tick.high24h, tick.low24h, tick.received_time_ms
        if bid is not None and SMALLEST < bid < LARGEST and (best_bid is None or bid > best_bid):
            best_bid = bid
        if ask is not None and SMALLEST < ask < LARGEST and (best_ask is None or ask < best_ask):
            best_ask = ask
        if high is not None and SMALLEST < high < LARGEST:
            highs.append(high)
        if low is not None and SMALLEST < low < LARGEST:
            lows.append(low)
        # Of several that were received last, the newest by its exchange's clock.
        if received_ms > newest_ms or (
            received_ms == newest_ms and (tick.exchange_time_ms or 0) > (newest.exchange_time_ms or 0)
        ):
            newest, newest_ms = tick, received_ms
    highs.sort()
    lows.sort()
    return best_bid, best_ask, highs, lows, newest


def _without_source(
    now_ms: int,
    sources: Sequence[Source],
    volume24h: float | None,
    quote_volume24h: float | None,
    flags: frozenset[str],
    held: LastGood | None,
    clock_skew: bool,
) -> Result:
    """Hold the last good price for a while, with its own times; after that there is no price (rule 8)."""
    return Result(
        price=held.price if held else None,
        quality="stale" if held else "down",
        confidence=None,
        spread_bps=None,
        open24h=held.open24h if held else None,
        change24h=held.change24h if held else None,
        change_percent24h=held.change_percent24h if held else None,
        high24h=held.high24h if held else None,
        low24h=held.low24h if held else None,
        bid=None,
        ask=None,
        volume24h=volume24h,
        quote_volume24h=quote_volume24h,
        sources=tuple(sources),
        sources_used=0,
        exchange_time_ms=held.exchange_time_ms if held else None,
        received_time_ms=held.received_time_ms if held else None,
        aggregated_time_ms=now_ms,
        flags=flags,
        clock_skew=clock_skew,
    )


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _middle(ordered: Sequence[float]) -> float:
    """Return the median of values in rising order."""
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _reach(middle: float, share: float) -> float:
    """Return how far a share of the median reaches. Exactly that far is within (rule 15)."""
    return (share + TOLERANCE) * middle


def _held(last_good: LastGood | None, now_ms: int, hold_s: float) -> LastGood | None:
    """Return the last good price if it is no older than H, else None."""
    # The distance, not the difference: a clock that is set back must not keep a price alive.
    if last_good is None or last_good.price is None or abs(now_ms - last_good.aggregated_time_ms) / 1000 > hold_s:
        return None
    return last_good


def _by_price(source: Source) -> float:
    return source.price
