"""The gateway's metrics, read from its plain numbers when Prometheus asks."""

from collections.abc import Iterator

from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from .gateway import Gateway
from .stats import LATENCY_BOUNDS_S, Latency

PREFIX = "market_pulse_gateway_"

_COUNTS = {
    "opened": ("streams_opened", "Streams opened"),
    "ticks": ("tickers_received", "Ticker messages received from the bus"),
    "conflated": ("events_conflated", "Events replaced by a newer one before they were written"),
    "bad_messages": ("bad_messages", "Malformed messages on the bus, skipped"),
    "flushes": ("flushes", "Flushes"),
    "flush_s": ("flush_seconds", "Seconds spent flushing"),
    "frames": ("frames", "Writes to clients"),
    "bytes": ("sent_bytes", "Bytes written to clients' streams"),
    "laggards": ("laggards", "Times that a client fell behind"),
    "resyncs": ("resyncs", "Times that the bus was lost and found again"),
}


class GatewayCollector(Collector):
    """Presents a gateway's numbers. No label is made of anything that a client sends."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield each metric as it stands now."""
        hub, stats = self._gateway.hub, self._gateway.hub.stats
        yield GaugeMetricFamily(PREFIX + "streams", "Streams open now", len(hub.streams))
        yield GaugeMetricFamily(PREFIX + "symbols", "Symbols subscribed now", len(hub.topics.wanted))
        yield GaugeMetricFamily(PREFIX + "bus_connected", "1 while the bus subscription stands", self._gateway.intake.connected)
        for name, (metric, text) in _COUNTS.items():
            yield CounterMetricFamily(PREFIX + metric, text, getattr(stats, name))
        closed = CounterMetricFamily(PREFIX + "streams_closed", "Streams closed, by reason", labels=["reason"])
        for reason, count in sorted(stats.closed.items()):
            closed.add_metric([reason], count)
        yield closed
        yield _histogram(stats.latency)


def _histogram(latency: Latency) -> HistogramMetricFamily:
    buckets, below = [], 0
    for bound, count in zip((*map(str, LATENCY_BOUNDS_S), "+Inf"), latency.counts, strict=True):
        below += count
        buckets.append((bound, float(below)))
    text = "Seconds from a ticker's aggregatedTime to the end of the flush that wrote it (oldest of each flush)"
    return HistogramMetricFamily(PREFIX + "publish_to_write_seconds", text, buckets=buckets, sum_value=latency.total_s)


def gateway_registry(gateway: Gateway) -> CollectorRegistry:
    """Return the registry of a gateway's own metrics and its process's."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, GatewayCollector(gateway)):
        registry.register(collector)
    return registry
