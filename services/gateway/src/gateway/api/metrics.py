"""The gateway's metrics. They are read from its plain counters at each scrape."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, get_args

import orjson
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.stream.kinds import READINGS
from market_pulse.bus.redis_clock import AHEAD_S
from market_pulse.kinds import TICKER
from market_pulse.messages import Quality
from market_pulse.process.durations import Durations
from market_pulse.process.health import PartCollector

from .gateway import Gateway

PREFIX = "market_pulse_gateway_"
QUALITIES: tuple[str, ...] = get_args(Quality)

_COUNTS = {
    "opened": ("streams_opened", "Streams opened"),
    "conflated": ("events_conflated", "Events replaced by a newer one before they were written"),
    "bad_messages": ("bad_messages", "Malformed messages on the bus, skipped"),
    "invalid_requests": ("invalid_requests", "Requests that were no HTTP"),
    "upgrades_ignored": ("upgrades_ignored", "Requests to change to another protocol, WebSocket for example, answered without"),
    "flushes": ("flushes", "Flushes"),
    "flush_s": ("flush_seconds", "Seconds spent flushing"),
    "frames": ("frames", "Writes to clients"),
    "bytes": ("sent_bytes", "Bytes written to clients' streams"),
    "laggards": ("laggards", "Times that a client fell behind"),
    "resyncs": ("resyncs", "Times that the bus was lost and found again"),
}


class GatewayCollector(Collector):
    """Presents a gateway's numbers. No label comes from a client's input: the only symbols in labels are the featured ones."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its present value."""
        hub, stats, limits = self._gateway.hub, self._gateway.hub.stats, self._gateway.limits
        answers, connections = self._gateway.answers, self._gateway.connections
        yield GaugeMetricFamily(PREFIX + "streams", "Streams open now", len(hub.streams))
        limit = self._gateway.settings.max_streams
        yield GaugeMetricFamily(PREFIX + "streams_limit", "Streams that may be open: MAX_STREAMS", limit)
        yield GaugeMetricFamily(PREFIX + "symbols", "Symbols subscribed now", len(hub.topics.symbols))
        channels = GaugeMetricFamily(PREFIX + "channels", "Channels subscribed now, by kind", labels=["kind"])
        received = CounterMetricFamily(PREFIX + "messages_received", "States received live from the bus", labels=["kind"])
        for kind in READINGS:
            channels.add_metric([kind.name], hub.topics.by_kind[kind.name])
            received.add_metric([kind.name], stats.received[kind.name])
        yield channels
        yield received
        short = "1 while more symbols are wanted than the ingests carry, and a minute longer"
        yield GaugeMetricFamily(PREFIX + "room_short", short, hub.topics.room_is_short)
        beyond = "Wanted symbols that are not asked for: the addresses that want them have their share"
        yield GaugeMetricFamily(PREFIX + "symbols_beyond_share", beyond, hub.topics.beyond_share)
        for name, (metric, text) in _COUNTS.items():
            yield CounterMetricFamily(PREFIX + metric, text, getattr(stats, name))
        yield _counts("streams_closed", "Streams closed, by reason", ("client", "slow", "max_age", "shutdown"), stats.closed)
        yield _counts("streams_refused", "Streams refused, by whose limit was reached", ("address", "total"), limits.refused)
        yield GaugeMetricFamily(
            PREFIX + "answers", "Answers open now, not yet taken by the system; streams are none", answers.count
        )
        refusals = "Requests refused, by whose bound of open answers was reached"
        yield _counts("answers_refused", refusals, ("address", "total"), stats.answers_refused)
        yield CounterMetricFamily(PREFIX + "answers_cut", "Unread answers cut to make room for others", answers.cut)
        yield GaugeMetricFamily(PREFIX + "connections", "Connections open now, those of streams apart", len(connections))
        yield _counts(
            "connections_refused", "Connections refused, by whose bound was reached", ("address", "total"), connections.refused
        )
        cuts = (
            "Connections cut, by what was too much: a request by pieces, bytes after it, an answer not read, one more than all"
        )
        yield _counts("connections_cut", cuts, ("head", "body", "unread", "crowded"), connections.cut)
        written = "From a ticker's aggregatedTime to the end of the flush that wrote it (oldest of each flush)"
        yield _histogram("publish_to_write_seconds", written, stats.latency)
        yield _histogram("stream_seconds", "How long streams were open that are closed by now", stats.streams)
        yield from self._prices()

    def _prices(self) -> Iterator[Metric]:
        """Report each featured symbol's price as a client would get it now."""
        quality = GaugeMetricFamily(
            PREFIX + "price_quality", "1 for the quality of a featured symbol's price", labels=["symbol", "quality"]
        )
        received = GaugeMetricFamily(
            PREFIX + "price_timestamp_seconds",
            "When the newest tick arrived that a featured symbol's price is made of",
            labels=["symbol"],
        )
        for symbol in self._gateway.settings.symbols:
            data = self._gateway.hub.newest(TICKER.channel(symbol))
            ticker: dict[str, Any] = {"quality": "down"} if data is None else orjson.loads(data)
            for name in QUALITIES:
                quality.add_metric([symbol, name], float(ticker["quality"] == name))
            if isinstance(received_ms := ticker.get("receivedTime"), int):
                received.add_metric([symbol], received_ms / 1000)
        yield quality
        yield received


def _counts(name: str, text: str, labels: Iterable[str], counts: Mapping[str, int]) -> CounterMetricFamily:
    """Return counts by reason, with a 0 for each reason that has not occurred: Prometheus sees no increase in a new series."""
    family = CounterMetricFamily(PREFIX + name, text, labels=["reason"])
    for label in labels:
        family.add_metric([label], counts.get(label, 0))
    return family


def _histogram(name: str, text: str, durations: Durations) -> HistogramMetricFamily:
    family = HistogramMetricFamily(PREFIX + name, text, labels=())
    durations.add_to(family)
    return family


def gateway_registry(gateway: Gateway) -> CollectorRegistry:
    """Return the registry with the metrics of a gateway and of its process."""
    registry = CollectorRegistry()
    own = PartCollector(gateway.ready_checks), GatewayCollector(gateway)
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR, AHEAD_S, *own):
        registry.register(collector)
    return registry
