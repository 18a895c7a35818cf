"""What the parts on the bus count, for Prometheus. Labels are bounded: exchanges and a few kinds, never what is asked for."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from typing import get_args

from prometheus_client import REGISTRY, Counter, Enum, Gauge
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

from .messages import FeedState

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Durations:
    """A histogram of seconds in plain numbers, for what is measured at each message.

    To observe costs 0.2 us, where the library's own takes 1.2, most of it for locks that one thread does not need.
    """

    __slots__ = ("_bounds_s", "_counts", "_total_s")

    def __init__(self, bounds_s: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        self._bounds_s = bounds_s
        self._counts = [0] * (len(bounds_s) + 1)
        self._total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration. One below zero is that of two clocks that disagree, and counts as none."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self._total_s += seconds

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add this histogram to a family, as it stands now."""
        buckets, below = [], 0
        for bound, count in zip((*map(str, self._bounds_s), "+Inf"), self._counts, strict=True):
            below += count
            buckets.append((bound, float(below)))
        family.add_metric(labels, buckets, self._total_s)


class DurationsMetric(Collector):
    """A family of such histograms in the process's registry."""

    def __init__(self, name: str, text: str, labels: Sequence[str] = ()) -> None:
        self._name, self._text, self._labels = name, text, labels
        self._durations: dict[tuple[str, ...], Durations] = {}
        REGISTRY.register(self)

    def labels(self, *values: str) -> Durations:
        """Return the histogram with these labels' values; keep it, since this is what costs time."""
        return self._durations.setdefault(values, Durations())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield all of them as they stand now."""
        family = HistogramMetricFamily(self._name, self._text, labels=self._labels)
        for values, durations in self._durations.items():
            durations.add_to(family, values)
        yield family


FRAMES = Counter("market_pulse_ingest_frames_total", "Frames read from the exchange", ["exchange"])
BAD_FRAMES = Counter(
    "market_pulse_ingest_bad_frames_total",
    "Frames, and single elements of frames and listings, skipped by what was wrong with them",
    ["exchange", "kind"],
)
OUTDATED_EVENTS = Counter("market_pulse_ingest_outdated_total", "Events skipped because newer ones were known", ["exchange"])
ANEW = Counter("market_pulse_ingest_anew_total", "Times that an exchange's numbers or clock began anew", ["exchange"])
TICKS_PUBLISHED = Counter("market_pulse_ingest_ticks_total", "Ticks published", ["exchange"])
TICKS_CONFLATED = Counter(
    "market_pulse_ingest_conflated_total", "Ticks replaced by a newer one of their symbol while they waited", ["exchange"]
)
TICKS_SUPPRESSED = Counter(
    "market_pulse_ingest_suppressed_total", "Ticks not published because another copy had been ahead", ["exchange"]
)
TICK_PUBLISH_S = DurationsMetric(
    "market_pulse_ingest_publish_seconds",
    "From a frame's arrival to the bus having taken its tick (first tick of each command)",
    ["exchange"],
)
RECONNECTS = Counter("market_pulse_ingest_reconnects_total", "Sockets lost, by why", ["exchange", "reason"])
HANDOVERS = Counter("market_pulse_ingest_handovers_total", "Sockets replaced without a gap", ["exchange"])
REFUSED_SYMBOLS = Gauge("market_pulse_ingest_refused_symbols", "Wanted symbols that the exchange refuses now", ["exchange"])
TURNED_AWAY_SYMBOLS = Gauge(
    "market_pulse_ingest_turned_away_symbols", "Wanted symbols that are not carried, because of MAX_SYMBOLS", ["exchange"]
)
LINGERING_SYMBOLS = Gauge(
    "market_pulse_ingest_lingering_symbols",
    "Carried symbols that nobody wants any more; they yield to wanted ones",
    ["exchange"],
)
LIVE_SYMBOLS = Gauge("market_pulse_ingest_symbols", "Symbols that deliver", ["exchange"])
CONNECTED = Gauge("market_pulse_ingest_connected", "1 while the feed delivers", ["exchange"])
STATE = Enum("market_pulse_ingest_state", "1 for the state that the feed is in", ["exchange"], states=get_args(FeedState))
LAST_TICK = Gauge("market_pulse_ingest_last_tick_timestamp_seconds", "When the newest tick was received", ["exchange"])
EXCHANGE_LAG = Gauge(
    "market_pulse_ingest_exchange_lag_seconds",
    "From the exchange's own time of the newest tick to its arrival: the way here, and how far the two clocks differ",
    ["exchange"],
)
