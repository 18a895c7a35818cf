"""The hub's counters. They are plain numbers, because a metrics library's counters would cost as much as a write."""

from collections import Counter
from dataclasses import dataclass, field

from market_pulse.process.durations import Durations

STREAM_BOUNDS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0)


@dataclass(slots=True)
class Stats:
    """Counts since the start of the process.

    `latency` measures the time from a ticker's aggregatedTime to the end of the flush that wrote it. `streams` measures how
    long streams are open.
    """

    opened: int = 0
    closed: Counter[str] = field(default_factory=Counter)  # by reason: client, slow, max_age, shutdown
    answers_refused: Counter[str] = field(default_factory=Counter)  # by the bound that was reached: address, total
    received: Counter[str] = field(default_factory=Counter)  # live messages of states from the bus, by kind
    conflated: int = 0
    bad_messages: int = 0
    invalid_requests: int = 0
    upgrades_ignored: int = 0
    flushes: int = 0
    flush_s: float = 0.0
    frames: int = 0
    bytes: int = 0
    laggards: int = 0
    resyncs: int = 0
    latency: Durations = field(default_factory=Durations)
    streams: Durations = field(default_factory=lambda: Durations(STREAM_BOUNDS_S))
