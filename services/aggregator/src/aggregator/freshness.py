"""Which sources are fresh, with the converted ones in the ticker's quote (rules 2, 3, 13 and 17 of docs/methodology.md).

Pure, as methodology.py is: time is an argument. This runs for every ticker, so figures are compared with SMALLEST and LARGEST
in place instead of by `is_figure`.
"""

from collections.abc import Mapping, Sequence

from msgspec import UNSET, Struct

from market_pulse.messages import Source, Tick, Via

from .conversion import LegTicks, Rate, RateNow, both, gives_none, rate_now
from .figures import LARGEST, SMALLEST, source_price
from .parameters import Parameters

REASON_LENGTH = 100

Vote = tuple[float, str, Source, Tick, float]
"""One fresh source: its price and name, by which sources are sorted; the source to publish, which each rule fills in further;
its tick, in the ticker's quote; its freshness."""
Lagging = list[tuple[float, Vote]]
"""Sources whose exchange's clock is off, each with how many seconds it is behind."""


class Converted(Struct, gc=False):
    """The sources of one leg, in the ticker's quote."""

    via: Via
    votes: list[Vote]
    lagging: Lagging


def judge_freshness(
    now_ms: int, ticks: Mapping[str, Tick], parameters: Parameters
) -> tuple[list[Source], list[Vote], Lagging, list[float], list[float]]:
    """Judge which sources are fresh (rules 2 and 3), and collect their volumes.

    Returns:
        All sources; the fresh ones whose exchange's clock is right, and those whose clock is off; the volumes and the quote
        volumes of all exchanges heard within T_vol, used or not, without ended ones (rule 13).
    """
    soft_s, hard_s, max_lag_s = parameters.soft_age_s, parameters.hard_age_s, parameters.max_lag_s
    carry_s = parameters.volume_carry_s
    volumes: list[float] = []
    quote_volumes: list[float] = []
    sources: list[Source] = []
    votes: list[Vote] = []
    lagging: Lagging = []
    for name in sorted(ticks):
        tick = ticks[name]
        received_ms, exchange_ms = tick.received_time_ms, tick.exchange_time_ms
        age_ms = now_ms - received_ms if now_ms > received_ms else 0
        age_s = age_ms / 1000
        has_ended, is_late = tick.ended is not None, age_s > carry_s
        if not SMALLEST <= tick.price <= LARGEST or (has_ended and is_late):
            continue
        price = source_price(tick)
        source = Source(exchange=name, price=price, weight=0.0, age_ms=age_ms, state="used")
        if tick.quote_volume_estimated:
            source.quote_volume_estimated = True
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
    return sources, votes, lagging, volumes, quote_volumes


def judge_legs(
    now_ms: int,
    legs: Sequence[LegTicks],
    direct: Mapping[str, Tick],
    parameters: Parameters,
    sources: list[Source],
    votes: list[Vote],
    lagging: Lagging,
    turnovers24h: list[float],
) -> tuple[list[Converted], bool]:
    """Judge the markets in other quotes, and together with the direct ones, whether clocks are off (rule 2).

    Add their sources and turnovers to those of the direct markets.

    Returns:
        Those legs that have a fresh source, and whether our own clock is probably wrong.
    """
    converted = []
    is_any_off = bool(lagging)
    for leg in legs:
        one = _judge_leg(now_ms, leg, direct, parameters, sources, turnovers24h)
        if one.votes or one.lagging:
            converted.append(one)
            is_any_off = is_any_off or bool(one.lagging)
    if not is_any_off:
        return converted, False
    clock_skew = judge_lag([(votes, lagging), *((one.votes, one.lagging) for one in converted)])
    return [one for one in converted if one.votes], clock_skew


def _judge_leg(
    now_ms: int,
    leg: LegTicks,
    direct: Mapping[str, Tick],
    parameters: Parameters,
    sources: list[Source],
    turnovers24h: list[float],
) -> Converted:
    """Judge and convert the markets of a leg (rule 17). Add their sources and turnovers to those of the direct markets."""
    ticks, heard = leg.ticks, leg.rate
    if not direct.keys().isdisjoint(ticks):
        ticks = {name: tick for name, tick in ticks.items() if not gives_none(direct.get(name), now_ms)}
    rate = rate_now(leg, now_ms, parameters)
    via, price = rate.via, rate.via.price
    own, fresh, late, _, turnovers = judge_freshness(now_ms, ticks, parameters)
    votes: list[Vote] = []
    lagging: Lagging = []
    if rate.freshness and heard is not None and price is not None:
        votes = _converted(fresh, heard, rate)
        lagging = [(lag_s, vote) for lag_s, one in late for vote in _converted([one], heard, rate)]
        turnovers24h += [turnover * price for turnover in turnovers]
    if len(votes) < len(own) or rate.freshness < 1 or rate.reason is not None:
        own = _explain_rate(own, rate)
    sources += own
    return Converted(via, votes, lagging)


def _converted(votes: Sequence[Vote], heard: Rate, rate: RateNow) -> list[Vote]:
    """Convert sources of another quote. Leave out those whose price is no figure after that."""
    via, of_rate = rate.via, rate.freshness
    known = heard.converted
    converted = []
    for own_price, exchange, source, tick, freshness in votes:
        market = exchange, tick.symbol
        done = known.get(market)
        if done is None or done[0] is not tick:
            # An exchange may have a source by each of two rates, so the name that decides a tie holds the rate.
            done = known[market] = tick, heard.convert(tick, own_price), f"{exchange} {via.symbol}"
        _, in_quote, name = done
        price = in_quote.price
        source.own_price, source.via, source.price = own_price, via, price
        if SMALLEST <= price <= LARGEST:
            converted.append((price, name, source, in_quote, freshness * of_rate))
    return converted


def _explain_rate(sources: Sequence[Source], rate: RateNow) -> list[Source]:
    """Say in the sources of a leg what is to be said about its rate. Leave out those whose price is no figure with it."""
    explained = []
    for source in sources:
        if source.via is UNSET:
            price = rate.via.price
            source.own_price, source.via = source.price or UNSET, rate.via
            source.price = None if price is None or source.price is None else source.price * price
        if rate.reason is not None:
            source.reason = both(source.reason, rate.reason)
        if rate.freshness < 1:
            source.state = "fading" if rate.freshness and source.state != "stale" else "stale"
        if source.price is None or SMALLEST <= source.price <= LARGEST:
            explained.append(source)
    return explained


def judge_lag(heard: Sequence[tuple[list[Vote], Lagging]]) -> bool:
    """Mark sources whose exchange's clock is off. If that is every fresh source, all in the same direction, count them.

    Args:
        heard: for the direct markets and for each leg: the fresh sources whose clock is right, and those whose clock is off.

    Returns:
        Whether they count, because our own clock is probably wrong (rule 2).
    """
    is_ours = not any(votes for votes, _ in heard) and len({lag_s > 0 for _, lagging in heard for lag_s, _ in lagging}) == 1
    for votes, lagging in heard:
        for lag_s, vote in lagging:
            if is_ours:
                votes.append(vote)
                continue
            source = vote[2]
            reason = f"exchange clock {abs(lag_s):.1f} s {'behind' if lag_s > 0 else 'ahead'}"
            # The reason of a converted source also tells of its rate.
            source.state, source.reason = "lagging", reason if source.via is UNSET else both(source.reason, reason)
    return is_ours


def _seconds(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds >= 10 else f"{seconds:.1f} s"
