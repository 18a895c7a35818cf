"""Histograms of durations in seconds, cheap enough to be updated with each message."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence

from prometheus_client import REGISTRY
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

LATENCY_BOUNDS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class Durations:
    """One histogram. Unlike prometheus-client's it takes no locks, so only one thread may use it."""

    def __init__(self, bounds_s: Sequence[float] = LATENCY_BOUNDS_S) -> None:
        self._bounds_s = bounds_s
        # How many durations fell into each bucket. The last bucket is for durations above the highest bound.
        self._counts = [0] * (len(bounds_s) + 1)
        self._total_s = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration. It may be negative if it is the difference of two machines' clocks, and then counts as zero."""
        seconds = max(0.0, seconds)
        self._counts[bisect_left(self._bounds_s, seconds)] += 1
        self._total_s += seconds

    def add_to(self, family: HistogramMetricFamily, labels: Sequence[str] = ()) -> None:
        """Add the present counts to a metric family of prometheus-client, under the given label values."""
        buckets, below = [], 0
        for bound, count in zip((*map(str, self._bounds_s), "+Inf"), self._counts, strict=True):
            below += count
            buckets.append((bound, float(below)))
        family.add_metric(labels, buckets, self._total_s)


class DurationsMetric(Durations, Collector):
    """One histogram without labels that registers itself in prometheus-client's default registry."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__()
        self._name, self._text = name, text
        REGISTRY.register(self)

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """Yield the histogram with its present counts."""
        family = HistogramMetricFamily(self._name, self._text, labels=())
        self.add_to(family)
        yield family
