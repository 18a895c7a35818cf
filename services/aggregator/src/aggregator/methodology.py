"""How the price is made: the median-guarded VWAP of docs/methodology.md, whose rule numbers stand beside the code.

Pure: time is an argument; no clock, network, randomness or I/O. Sums are exactly rounded (`fsum`), so that the order of the
sources cannot matter. No input raises: a figure that makes no sense counts as missing.
"""

from collections.abc import Mapping, Sequence
from math import fsum
from operator import mul
from typing import TypeGuard

from market_pulse.model import Quality, Source, SourceState, Tick

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
    if is_figure(bid) and is_figure(ask) and bid <= ask:
        return bid if last < bid else min(last, ask)
    return last


class _Voice:
    """One source during one aggregation: what it says, how fresh it is, and what became of it."""

    __slots__ = (
        "age_ms", "age_s", "freshness", "is_lagging", "is_used", "lag_s", "name", "price", "tick", "used_price", "weight",
    )  # fmt: skip

    def __init__(self, name: str, tick: Tick, now_ms: int) -> None:
        self.name = name
        self.tick = tick
        self.price = source_price(tick)
        self.age_ms = now_ms - tick.received_time_ms if now_ms > tick.received_time_ms else 0
        self.age_s = self.age_ms / 1000
        # Without an exchange time there is nothing to lag behind.
        self.lag_s = 0.0 if tick.exchange_time_ms is None else (tick.received_time_ms - tick.exchange_time_ms) / 1000
        self.is_lagging = False
        self.is_used = False
        self.freshness = 0.0
        self.used_price = 0.0
        self.weight = 0.0


def aggregate(
    now_ms: int, ticks: Mapping[str, Tick], flags: frozenset[str], last_good: LastGood | None, parameters: Parameters
) -> Result:
    """Make one price of the newest tick of each exchange.

    Args:
        now_ms: our clock, Unix milliseconds.
        ticks: the newest tick by exchange, all of one symbol. One whose price makes no sense counts as not there.
        flags: exchanges excluded by an earlier call, from its result.
        last_good: the last good price, from the result of an earlier call.
        parameters: bounds and times.

    Source: docs/methodology.md.
    """
    voices = [_Voice(name, ticks[name], now_ms) for name in sorted(ticks) if is_figure(ticks[name].price)]
    clock_skew = _judge_freshness(voices, parameters)
    eligible = [voice for voice in voices if voice.freshness > 0]
    if not eligible:
        return _without_source(now_ms, voices, flags, last_good, clock_skew, parameters)

    admitted = _admit(eligible, flags, parameters.readmission)
    used, excluded, middle, has_majority = _exclude(admitted, parameters.exclusion)
    disputed = not has_majority
    if disputed:
        price = _take_middle(used)
    elif len(used) == 2 and _is_apart(used, middle, parameters.exclusion):
        price = _choose(used, now_ms, last_good, parameters.hold_s)
    else:
        price = _average(used, middle, parameters.clamp)
    if len(used) == 2:
        disputed = _is_apart(used, middle, 2 * parameters.clamp)

    quality: Quality = "single" if len(used) == 1 else "disputed" if disputed else "ok"
    open24h, change_percent24h = _open(used, price)
    newest = max(used, key=_by_received_time).tick
    good = LastGood(
        price=price,
        time_ms=now_ms,
        open24h=open24h,
        change24h=None if open24h is None else price - open24h,
        change_percent24h=change_percent24h,
        high24h=_highest(used, price, parameters.exclusion),
        low24h=_lowest(used, price, parameters.exclusion),
        exchange_time_ms=newest.exchange_time_ms,
        received_time_ms=newest.received_time_ms,
    )
    prices = [voice.price for voice in eligible]
    bids = [voice.tick.bid for voice in used if is_figure(voice.tick.bid)]
    asks = [voice.tick.ask for voice in used if is_figure(voice.tick.ask)]
    volume24h, quote_volume24h = _volumes(voices, parameters.volume_carry_s)
    return Result(
        price=price,
        quality=quality,
        confidence=None if len(used) == 1 else max([abs(voice.price - price) for voice in used]),  # rule 10
        spread_bps=(max(prices) - min(prices)) / middle * 10_000,
        open24h=open24h,
        change24h=good.change24h,
        change_percent24h=change_percent24h,
        high24h=good.high24h,
        low24h=good.low24h,
        bid=max(bids, default=None),  # rule 14
        ask=min(asks, default=None),
        volume24h=volume24h,
        quote_volume24h=quote_volume24h,
        sources=tuple([_source(voice, middle, parameters.hard_age_s) for voice in voices]),
        sources_used=len(used),
        exchange_time_ms=newest.exchange_time_ms,
        received_time_ms=newest.received_time_ms,
        aggregated_time_ms=now_ms,
        # A flag stays until its source is used again, also while that is silent.
        flags=flags.difference([voice.name for voice in used]).union([voice.name for voice in excluded]),
        last_good=good,
        clock_skew=clock_skew,
    )


def _judge_freshness(voices: Sequence[_Voice], parameters: Parameters) -> bool:
    """Set each source's freshness and lag (rules 2 and 3). Return whether our own clock is the likely culprit."""
    soft_s, hard_s, max_lag_s = parameters.soft_age_s, parameters.hard_age_s, parameters.max_lag_s
    fresh = [voice for voice in voices if voice.age_s < hard_s]
    lags_s = [voice.lag_s for voice in fresh]
    clock_skew = bool(fresh) and (min(lags_s) > max_lag_s or max(lags_s) < -max_lag_s)
    for voice in fresh:
        if not clock_skew and abs(voice.lag_s) > max_lag_s:
            voice.is_lagging = True
        else:
            voice.freshness = 1.0 if voice.age_s <= soft_s else (hard_s - voice.age_s) / (hard_s - soft_s)
    return clock_skew


def _admit(eligible: list[_Voice], flags: frozenset[str], readmission: float) -> list[_Voice]:
    """Leave out sources that are flagged and have not come back (rule 4); all of them flagged is as good as none."""
    unflagged = [voice for voice in eligible if voice.name not in flags] if flags else eligible
    if not unflagged or len(unflagged) == len(eligible):
        return eligible
    middle = _median([voice.price for voice in unflagged])
    return [voice for voice in eligible if voice.name not in flags or not _is_beyond(voice.price, middle, readmission)]


def _exclude(admitted: list[_Voice], exclusion: float) -> tuple[list[_Voice], list[_Voice], float, bool]:
    """Leave out gross errors (rule 5). Return the used sources, the excluded, the used ones' median, if there is a majority."""
    middle = _median([voice.price for voice in admitted])
    if len(admitted) < 3:
        return admitted, [], middle, True
    excluded = [voice for voice in admitted if _is_beyond(voice.price, middle, exclusion)]
    if not excluded:
        return admitted, [], middle, True
    if 2 * len(excluded) >= len(admitted):
        return admitted, [], middle, False
    used = [voice for voice in admitted if voice not in excluded]
    return used, excluded, _median([voice.price for voice in used]), True


def _average(used: Sequence[_Voice], middle: float, clamp: float) -> float:
    """Clamp the used prices to the band around the median and average them by turnover and freshness (rule 6)."""
    low, high = middle * (1 - clamp), middle * (1 + clamp)
    turnovers = [voice.tick.quote_volume24h for voice in used]
    weights = [q * voice.freshness if is_figure(q) else 0.0 for q, voice in zip(turnovers, used, strict=True)]
    if not any(weights):
        weights = [voice.freshness for voice in used]
    prices = [min(max(voice.price, low), high) for voice in used]
    total = fsum(weights)
    for voice, weight, price in zip(used, weights, prices, strict=True):
        voice.is_used = True
        voice.weight = weight / total
        voice.used_price = price
    price = fsum(map(mul, weights, prices)) / total
    # A mean lies between its terms; the last bit of a float product may not.
    return min(max(price, min(prices)), max(prices))


def _take_middle(used: Sequence[_Voice]) -> float:
    """Let the median source, or the two middle ones by half, make the price, unclamped (rules 5 and 7)."""
    ordered = sorted(used, key=_by_price)
    carriers = ordered[(len(ordered) - 1) // 2 : len(ordered) // 2 + 1]
    return _carry(used, carriers)


def _choose(used: Sequence[_Voice], now_ms: int, last_good: LastGood | None, hold_s: float) -> float:
    """Of two sources that contradict each other grossly, believe the one nearer to the last good price (rule 7)."""
    if last_good is None or not _is_held(last_good, now_ms, hold_s):
        return _take_middle(used)
    first, second = used  # by name, so that a tie goes to the first
    nearer = first if abs(first.price - last_good.price) <= abs(second.price - last_good.price) else second
    return _carry(used, [nearer])


def _carry(used: Sequence[_Voice], carriers: Sequence[_Voice]) -> float:
    """Give all weight to some sources, in equal parts, at their raw prices. Return the price that makes."""
    for voice in used:
        voice.is_used = True
        voice.used_price = voice.price
    for voice in carriers:
        voice.weight = 1 / len(carriers)
    return _median([voice.price for voice in carriers])


def _open(used: Sequence[_Voice], price: float) -> tuple[float | None, float | None]:
    """Return the open of 24 h ago, made as the price was, and the change since in percent (rule 11)."""
    opened = [
        (voice, voice.tick.open24h * (voice.used_price / voice.price))
        for voice in used
        if voice.weight > 0 and is_figure(voice.tick.open24h)
    ]
    if not opened:
        return None, None
    weight = fsum([voice.weight for voice, _ in opened])
    open24h = fsum([voice.weight * shifted for voice, shifted in opened]) / weight
    if len(opened) < len(used):  # some have no open: compare with the price of those that have one
        price = fsum([voice.weight * voice.used_price for voice, _ in opened]) / weight
    return open24h, (price / open24h - 1) * 100


def _highest(used: Sequence[_Voice], price: float, exclusion: float) -> float:
    """Return the 24 h high (rule 12). Clamping keeps order, so the clamped maximum is the maximum, clamped."""
    highs = [voice.tick.high24h for voice in used if is_figure(voice.tick.high24h)]
    return max(price, min(max(highs), _median(highs) * (1 + exclusion))) if highs else price


def _lowest(used: Sequence[_Voice], price: float, exclusion: float) -> float:
    lows = [voice.tick.low24h for voice in used if is_figure(voice.tick.low24h)]
    return min(price, max(min(lows), _median(lows) * (1 - exclusion))) if lows else price


def _volumes(voices: Sequence[_Voice], carry_s: float) -> tuple[float | None, float | None]:
    """Return volume and quote volume: what all exchanges heard of lately report, used or not (rule 13)."""
    volumes: list[float] = []
    quote_volumes: list[float] = []
    for voice in voices:
        if voice.age_s <= carry_s:
            volume, quote_volume = voice.tick.volume24h, voice.tick.quote_volume24h
            if volume is not None and 0 <= volume < LARGEST:  # no trade in 24 h is a volume of 0, and known
                volumes.append(volume)
            if quote_volume is not None and 0 <= quote_volume < LARGEST:
                quote_volumes.append(quote_volume)
    return fsum(volumes) if volumes else None, fsum(quote_volumes) if quote_volumes else None


def _without_source(
    now_ms: int,
    voices: Sequence[_Voice],
    flags: frozenset[str],
    last_good: LastGood | None,
    clock_skew: bool,
    parameters: Parameters,
) -> Result:
    """Hold the last good price for a while, with its own times; after that there is no price (rule 8)."""
    held = last_good if last_good is not None and _is_held(last_good, now_ms, parameters.hold_s) else None
    volume24h, quote_volume24h = _volumes(voices, parameters.volume_carry_s)
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
        sources=tuple([_source(voice, None, parameters.hard_age_s) for voice in voices]),
        sources_used=0,
        exchange_time_ms=held.exchange_time_ms if held else None,
        received_time_ms=held.received_time_ms if held else None,
        aggregated_time_ms=now_ms,
        flags=flags,
        last_good=last_good,
        clock_skew=clock_skew,
    )


def _source(voice: _Voice, middle: float | None, hard_age_s: float) -> Source:
    state: SourceState = "used"
    reason: str | None = None
    if not voice.is_used or voice.freshness < 1:
        state, reason = _explain(voice, middle, hard_age_s)
    return Source(
        exchange=voice.name,
        price=voice.price,
        used_price=voice.used_price if voice.is_used else None,
        weight=voice.weight,
        age_ms=voice.age_ms,
        state=state,
        reason=reason,
    )


def _explain(voice: _Voice, middle: float | None, hard_age_s: float) -> tuple[SourceState, str]:
    """Say why a source does not count in full."""
    if voice.is_used:
        return "fading", f"silent for {_seconds(voice.age_s)}, counts {voice.freshness:.0%}"
    if voice.age_s >= hard_age_s:
        return "stale", f"silent for {_seconds(voice.age_s)}"
    if voice.is_lagging or middle is None:
        return "lagging", f"exchange clock {abs(voice.lag_s):.1f} s {'behind' if voice.lag_s > 0 else 'ahead'}"
    return "excluded", f"{abs(voice.price / middle - 1) * 100:.1f} % from the median"


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"


def _median(values: list[float]) -> float:
    ordered = sorted(values)
    half = len(ordered) // 2
    return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2


def _is_beyond(price: float, middle: float, share: float) -> bool:
    """Say whether a price is further from the middle than a share of it. Exactly that far is not (rule 15)."""
    return abs(price - middle) > (share + TOLERANCE) * middle


def _is_apart(pair: Sequence[_Voice], middle: float, share: float) -> bool:
    return abs(pair[0].price - pair[1].price) > (share + TOLERANCE) * middle


def _is_held(last_good: LastGood, now_ms: int, hold_s: float) -> bool:
    # The distance, not the difference: a clock that is set back must not keep a price alive.
    return abs(now_ms - last_good.time_ms) / 1000 <= hold_s


def _by_price(voice: _Voice) -> float:
    return voice.price


def _by_received_time(voice: _Voice) -> tuple[int, int]:
    return voice.tick.received_time_ms, voice.tick.exchange_time_ms or 0
