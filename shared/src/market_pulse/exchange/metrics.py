"""An ingest's counts, kept as plain numbers and exported when Prometheus scrapes.

Labels are the exchange and a few kinds, never a symbol, so the number of time series stays bounded.
"""

from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, field
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric, StateSetMetricFamily
from prometheus_client.registry import Collector

from market_pulse.messages import FeedState, Tick
from market_pulse.process.clock import now_ms
from market_pulse.process.durations import Durations

from .status import Facts, status_of

PREFIX = "market_pulse_ingest_"


@dataclass(slots=True)
class Stats:
    """One ingest's counts since the start, and how many symbols linger now. `IngestCollector` explains most of them.

    `publish` measures from a frame's arrival until Redis has accepted its tick.
    """

    frames: int = 0
    bad_frames: Counter[str] = field(default_factory=Counter)  # skipped frames, and elements of frames or listings, by kind
    outdated: int = 0
    anew: int = 0
    published: int = 0
    conflated: int = 0
    suppressed: int = 0
    lost: Counter[str] = field(default_factory=Counter)  # lost sockets with tickers, by kind
    further_lost: Counter[str] = field(default_factory=Counter)  # lost sockets of further endpoints, by kind
    handovers: int = 0
    lingering: int = 0
    no_room: Counter[str] = field(default_factory=Counter)  # wanted symbols without room now, by kind
    candles: int = 0
    candle_revisions: int = 0
    candles_skipped: Counter[str] = field(default_factory=Counter)  # by kind
    history_requests: int = 0
    history_failures: Counter[str] = field(default_factory=Counter)  # by kind
    history_waited_s: float = 0.0
    publish: Durations = field(default_factory=Durations)

    def count_published(self, ticks: Collection[Tick], suppressed: int) -> None:
        """Count the ticks of one command that Redis has accepted. It left out `suppressed` of them as nothing new."""
        self.published += len(ticks) - suppressed
        self.suppressed += suppressed
        self.publish.observe((now_ms() - next(iter(ticks)).received_time_ms) / 1000)


class IngestCollector(Collector):
    """Exports one ingest's counts, and the state of its feed at the moment of the scrape."""

    def __init__(self, stats: Stats, facts: Callable[[], Facts]) -> None:
        self._stats = stats
        self._facts = facts

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its present value."""
        stats, facts = self._stats, self._facts()
        exchange, status, tick = facts.exchange, status_of(facts), facts.last_tick
        for name, text, count in (
            ("frames", "Frames read from the exchange", stats.frames),
            ("outdated", "Events skipped because newer ones were known", stats.outdated),
            ("anew", "Times that an exchange's numbers or clock began anew", stats.anew),
            ("ticks", "Ticks published", stats.published),
            ("conflated", "Ticks replaced by a newer one of their symbol while they waited", stats.conflated),
            ("suppressed", "Ticks not published because another copy had been ahead", stats.suppressed),
            ("handovers", "Sockets replaced without a gap", stats.handovers),
            ("candles", "Candles published", stats.candles),
            ("candle_revisions", "Corrections of closed candles", stats.candle_revisions),
            ("history_requests", "REST requests for past candles", stats.history_requests),
            ("history_wait_seconds", "Time that requests for past candles waited for their turn", stats.history_waited_s),
        ):
            counter = CounterMetricFamily(PREFIX + name, text, labels=["exchange"])
            counter.add_metric([exchange], count)
            yield counter
        bad = "Frames, and single elements of frames and listings, skipped by what was wrong with them"
        for name, text, label, counts in (
            ("bad_frames", bad, "kind", stats.bad_frames),
            ("reconnects", "Sockets with tickers lost, by why", "reason", stats.lost),
            ("further_reconnects", "Sockets of other kinds alone lost, by why", "reason", stats.further_lost),
            ("candles_skipped", "Candles not used, by why", "kind", stats.candles_skipped),
            ("history_failures", "REST requests for past candles that failed, by why", "kind", stats.history_failures),
        ):
            counter = CounterMetricFamily(PREFIX + name, text, labels=["exchange", label])
            for value, count in counts.items():
                counter.add_metric([exchange, value], count)
            yield counter

        received_s = tick.received_time_ms / 1000 if tick else None
        lag_s = (tick.received_time_ms - tick.exchange_time_ms) / 1000 if tick and tick.exchange_time_ms is not None else None
        lag = "From the exchange's own time of the newest tick to its arrival: the way here, and how far the two clocks differ"
        turned_away = "Wanted symbols that are not carried, because of MAX_SYMBOLS"
        lingering = "Carried symbols that nobody wants any more; they yield to wanted ones"
        for name, text, figure in (
            ("refused_symbols", "Wanted symbols that the exchange refuses now", len(facts.refused)),
            ("turned_away_symbols", turned_away, status.turned_away_count),
            ("lingering_symbols", lingering, stats.lingering),
            ("symbols", "Symbols that deliver", status.symbols),
            ("connected", "1 while the feed delivers", facts.phase == "connected"),
            ("last_tick_timestamp_seconds", "When the newest tick was received", received_s),
            ("exchange_lag_seconds", lag, lag_s),
        ):
            gauge = GaugeMetricFamily(PREFIX + name, text, labels=["exchange"])
            if figure is not None:
                gauge.add_metric([exchange], figure)
            yield gauge
        no_room = GaugeMetricFamily(
            PREFIX + "no_room_symbols", "Wanted symbols without room, by kind", labels=["exchange", "kind"]
        )
        for kind, count in stats.no_room.items():
            no_room.add_metric([exchange, kind], count)
        yield no_room
        state = StateSetMetricFamily(PREFIX + "state", "1 for the state that the feed is in", labels=["exchange"])
        state.add_metric([exchange], {one: one == status.state for one in get_args(FeedState)})
        yield state

        took = "From a frame's arrival to the bus having taken its tick (first tick of each command)"
        publish = HistogramMetricFamily(PREFIX + "publish_seconds", took, labels=["exchange"])
        stats.publish.add_to(publish, [exchange])
        yield publish
