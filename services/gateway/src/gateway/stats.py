"""What the hub counts while it works: plain numbers, because a metrics library's counters cost as much as a write."""

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


@dataclass(slots=True)
class Latency:
    """A histogram of seconds: how many fell to each bound of LATENCY_BOUNDS_S, and above the last."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    total_s: float = 0.0

    def observe(self, seconds: float) -> None:
        """Count one latency."""
        self.counts[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
        self.total_s += seconds


@dataclass(slots=True)
class Stats:
    """Counts since the start. `latency` runs from a ticker's aggregatedTime to the end of the flush that wrote it."""

    opened: int = 0
    closed: Counter[str] = field(default_factory=Counter)  # by reason: client, slow, max_age, shutdown
    ticks: int = 0
    conflated: int = 0
    bad_messages: int = 0
    flushes: int = 0
    flush_s: float = 0.0
    frames: int = 0
    bytes: int = 0
    laggards: int = 0
    resyncs: int = 0
    latency: Latency = field(default_factory=Latency)
