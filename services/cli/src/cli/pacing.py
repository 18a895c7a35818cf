"""Judges whether a stream's events arrive when they are made, or in bursts because a proxy holds them back. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from statistics import median
from typing import Literal, NamedTuple

BURST_S = 0.02  # events that arrive closer together than this belong to one burst
HELD_BACK_S = 0.75  # tickers are made at most a second apart, so a longer delay is not jitter


class Arrival(NamedTuple):
    """The arrival of one event: `came_s` on our clock, `made_s` on its publisher's. The two clocks need not agree."""

    came_s: float
    made_s: float
    publisher: str | None = None


def judge(arrivals: Sequence[Arrival], listened_s: float) -> tuple[Literal["ok", "wrong"], str]:
    """Judge a stream by its events, and return the result with an explanation.

    The first event does not count: it is the last known ticker and may have any age. A delay is measured against the
    quickest event of the same publisher, so that a difference between the clocks cancels out.
    """
    events = arrivals[1:]
    if not arrivals:
        return "wrong", f"no price in {listened_s:.0f} s: no aggregator publishes this symbol, or a proxy holds the stream back"
    if not events:
        return "wrong", f"one price in {listened_s:.0f} s and nothing after it; an aggregator publishes one every second"
    quickest_s: dict[str | None, float] = {}
    for event in events:
        quickest_s[event.publisher] = min(event.came_s - event.made_s, quickest_s.get(event.publisher, inf))
    late = [event.came_s - event.made_s - quickest_s[event.publisher] for event in events]
    pieces = 1 + sum(later.came_s - earlier.came_s > BURST_S for earlier, later in pairwise(events))
    held_back = sum(delay > HELD_BACK_S for delay in late)
    if held_back > len(events) * 0.2:
        return "wrong", (
            f"{len(events)} events came in {pieces} pieces, delayed by up to {max(late):.1f} s: a proxy on the way buffers. "
            "Turn off buffering and compression for /api/realtime (nginx: proxy_buffering off)"
        )
    middle_ms, most_ms = median(late) * 1000, max(late) * 1000
    return "ok", f"{len(events)} events, delayed by {middle_ms:.0f} ms (median), {most_ms:.0f} ms at most"
