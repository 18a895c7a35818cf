"""An ingest's counts as plain numbers, presented to Prometheus when it asks.

Labels are bounded: the exchange and a few kinds, never a symbol.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.registry import Collector

from market_pulse.messages import FeedState, Tick
from market_pulse.process.clock import now_ms
from market_pulse.process.durations import Durations

from .status import Facts, status_of

PREFIX = "market_pulse_ingest_"

_COUNTS = {
    "frames": ("frames", "Frames read from the exchange"),
    "outdated": ("outdated", "Events skipped because newer ones were known"),
    "anew": ("anew", "Times that an exchange's numbers or clock began anew"),
    "published": ("ticks", "Ticks published"),
    "conflated": ("conflated", "Ticks replaced by a newer one of their symbol while they waited"),
    "suppressed": ("suppressed", "Ticks not published because another copy had been ahead"),
    "handovers": ("handovers", "Sockets replaced without a gap"),
}


@dataclass(slots=True)
class Stats:
    """One ingest's counts since the start, and how many symbols linger now.

    `publish` runs from a frame's arrival to the moment when the bus has taken its tick.
    """

    frames: int = 0
    bad_frames: Counter[str] = field(default_factory=Counter)  # frames, and elements of them or of listings, by kind
    outdated: int = 0
    anew: int = 0
    published: int = 0
    conflated: int = 0
    suppressed: int = 0
    lost: Counter[str] = field(default_factory=Counter)  # sockets, by kind
    handovers: int = 0
    lingering: int = 0
    publish: Durations = field(default_factory=Durations)

    def count_published(self, ticks: Collection[Tick], suppressed: int) -> None:
        """Count the ticks of one command that the bus has taken, of which so many were suppressed."""
        self.published += len(ticks) - suppressed
        self.suppressed += suppressed
        self.publish.observe((now_ms() - next(iter(ticks)).received_time_ms) / 1000)


class IngestCollector(Collector):
    """Presents one ingest's numbers, and its feed as it is at the moment of the scrape."""

    def __init__(self, stats: Stats, facts: Callable[[], Facts]) -> None:
        self._stats = stats
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield each metric as it stands now."""
        stats, facts = self._stats, self._facts()
        exchange = facts.exchange
        for name, (metric, text) in _COUNTS.items():
            yield _count(metric, text, exchange, getattr(stats, name))
        bad = "Frames, and single elements of frames and listings, skipped by what was wrong with them"
        yield _counts_by("kind", "bad_frames", bad, exchange, stats.bad_frames)
        yield _counts_by("reason", "reconnects", "Sockets lost, by why", exchange, stats.lost)
        took = "From a frame's arrival to the bus having taken its tick (first tick of each command)"
        publish = HistogramMetricFamily(PREFIX + "publish_seconds", took, labels=["exchange"])
        stats.publish.add_to(publish, [exchange])
        yield publish
        lingering = "Carried symbols that nobody wants any more; they yield to wanted ones"
        yield _gauge("lingering_symbols", lingering, exchange, stats.lingering)
        yield from _of_the_feed(facts)


def _of_the_feed(facts: Facts) -> Iterator[Metric]:
    exchange, status, tick = facts.exchange, status_of(facts), facts.last_tick
    yield _gauge("refused_symbols", "Wanted symbols that the exchange refuses now", exchange, len(facts.refused))
    turned_away = "Wanted symbols that are not carried, because of MAX_SYMBOLS"
    yield _gauge("turned_away_symbols", turned_away, exchange, status.turned_away_count)
    yield _gauge("symbols", "Symbols that deliver", exchange, status.symbols)
    yield _gauge("connected", "1 while the feed delivers", exchange, facts.phase == "connected")
    received_s = tick.received_time_ms / 1000 if tick else None
    yield _gauge("last_tick_timestamp_seconds", "When the newest tick was received", exchange, received_s)
    lag = "From the exchange's own time of the newest tick to its arrival: the way here, and how far the two clocks differ"
    exchange_s = tick.exchange_time_ms / 1000 if tick and tick.exchange_time_ms is not None else None
    lag_s = received_s - exchange_s if received_s is not None and exchange_s is not None else None
    yield _gauge("exchange_lag_seconds", lag, exchange, lag_s)
    state = StateSetMetricFamily(PREFIX + "state", "1 for the state that the feed is in", labels=["exchange"])
    state.add_metric([exchange], {name: name == status.state for name in get_args(FeedState)})
    yield state


def _count(name: str, text: str, exchange: str, count: int) -> CounterMetricFamily:
    family = CounterMetricFamily(PREFIX + name, text, labels=["exchange"])
    family.add_metric([exchange], count)
    return family


def _counts_by(label: str, name: str, text: str, exchange: str, counts: Mapping[str, int]) -> CounterMetricFamily:
    family = CounterMetricFamily(PREFIX + name, text, labels=["exchange", label])
    for value, count in counts.items():
        family.add_metric([exchange, value], count)
    return family


def _gauge(name: str, text: str, exchange: str, value: float | None) -> GaugeMetricFamily:
    """Return one exchange's gauge, without a value where that is None."""
    family = GaugeMetricFamily(PREFIX + name, text, labels=["exchange"])
    if value is not None:
        family.add_metric([exchange], value)
    return family
