"""Whether a stream's events come when they are made, or in bursts because something on the way holds them back. Pure."""

from collections.abc import Sequence
from itertools import pairwise
from math import inf
from statistics import median
from typing import Literal, NamedTuple

BURST_S = 0.02  # events that arrive closer together than this came in one piece
HELD_BACK_S = 0.75  # between two tickers made a second apart at most, more than this is no jitter


class Arrival(NamedTuple):
    """One event: when it came, and when its publisher made it; each by its own clock, which need not agree."""

    came_s: float
    made_s: float
    publisher: str | None = None


def judge(arrivals: Sequence[Arrival], listened_s: float) -> tuple[Literal["ok", "wrong"], str]:
    """Say how a stream's events came.

    The first event is a last value and as old as it may be, so it does not count. Delays are measured against the
    quickest event of the same publisher, so that clocks which differ do not matter.
    """
    events = arrivals[1:]
    if not arrivals:
        return "wrong", f"no price in {listened_s:.0f} s: nobody publishes this symbol, or a proxy holds the stream back"
    if not events:
        return "wrong", f"one price in {listened_s:.0f} s and nothing after it, where one comes each second"
    quickest_s: dict[str | None, float] = {}
    for event in events:
        quickest_s[event.publisher] = min(event.came_s - event.made_s, quickest_s.get(event.publisher, inf))
    late = [event.came_s - event.made_s - quickest_s[event.publisher] for event in events]
    pieces = 1 + sum(later.came_s - earlier.came_s > BURST_S for earlier, later in pairwise(events))
    held_back = sum(delay > HELD_BACK_S for delay in late)
    if held_back > len(events) * 0.2:
        return "wrong", (
            f"{len(events)} events came in {pieces} pieces, the latest {max(late):.1f} s after it could have: a proxy on the "
            "way buffers. Turn buffering and compression off for /api/realtime (nginx: proxy_buffering off)"
        )
    middle_ms, most_ms = median(late) * 1000, max(late) * 1000
    return "ok", f"{len(events)} events, held back by {middle_ms:.0f} ms in the middle, {most_ms:.0f} ms at most"
