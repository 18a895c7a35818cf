"""The aggregator's metrics for Prometheus. No label is a symbol, so the number of time series stays bounded."""

from collections import Counter as Tally
from collections.abc import Callable
from typing import get_args

from prometheus_client import Counter, Gauge

from market_pulse.messages import Quality, SourceState, Symbol
from market_pulse.process.durations import DurationsMetric
from market_pulse.process.logs import get_logger

from .market import Market, Refusal

PREFIX = "market_pulse_aggregator_"

TICKS = Counter(PREFIX + "ticks", "Ticks read from the bus and kept")
DROPPED = Counter(PREFIX + "ticks_dropped", "Ticks read from the bus and not kept", ["reason"])
BAD_MESSAGES = Counter(PREFIX + "bad_messages", "Messages on the bus that are no ticks or statuses of their channel", ["kind"])
# Prometheus sees no increase when a series first appears, so create each series at zero.
for reason in get_args(Refusal):
    DROPPED.labels(reason)
for kind in ("codec", "channel", "last ticker"):
    BAD_MESSAGES.labels(kind)
TICKERS = Counter(PREFIX + "tickers", "Tickers published")
CONFLATED = Counter(PREFIX + "conflated", "Ticks that took the place of one not published yet")
PUBLISH_S = DurationsMetric(PREFIX + "publish_seconds", "Duration of one publish command")
PUBLISH_FAILURES = Counter(PREFIX + "publish_failures", "Publish commands that failed and were tried again later")
BUS_S = DurationsMetric(
    PREFIX + "bus_seconds", "From a tick's publication to its arrival here, by both machines' clocks (one tick of sixteen)"
)
TICK_TO_TICKER_S = DurationsMetric(PREFIX + "tick_to_ticker_seconds", "From a tick's arrival to its ticker's publication")
RESYNCS = Counter(PREFIX + "resyncs", "Times that the bus was lost and found again")
HISTORY_POINTS = Counter(PREFIX + "history_points", "Points added to the history of prices")
HISTORY_FAILURES = Counter(PREFIX + "history_failures", "Seconds whose points were not all added, because Redis did not answer")
FENCED = Counter(PREFIX + "fenced", "Publish commands refused because the members had changed")
MEMBERS = Gauge(PREFIX + "members", "Aggregators that share the symbols out, this one included")
OWNED = Gauge(PREFIX + "owned_symbols", "Symbols that this process publishes")
STANDS_ASIDE = Gauge(PREFIX + "stands_aside", "1 while this process publishes nothing because its clock is off")
TAKEOVERS = Counter(PREFIX + "takeovers", "Symbols taken over from another process, or at the start")
SYMBOLS = Gauge(PREFIX + "symbols", "Symbols followed")
SOURCES = Gauge(PREFIX + "sources", "Sources of all symbols by state", ["state"])
QUALITIES = Gauge(PREFIX + "symbols_by_quality", "Symbols by quality", ["quality"])
CLOCK_SKEW = Gauge(PREFIX + "clock_skew", "1 while most symbols have all their fresh exchanges off our clock the same way")

log = get_logger()


class Observer:
    """Sets gauges from the state of the market, and logs when our clock starts or stops looking wrong."""

    def __init__(self) -> None:
        self._clock_skew = False

    def observe(self, market: Market, owns: Callable[[Symbol], bool]) -> None:
        """Set the gauges from the symbols that this process publishes; SYMBOLS counts all followed ones."""
        ours = [state for state in market if owns(state.symbol) and state.last.aggregated_time_ms > 0]
        states = Tally(source.state for state in ours for source in state.last.sources)
        qualities = Tally(state.last.quality for state in ours)
        for state in get_args(SourceState):
            SOURCES.labels(state).set(states[state])
        for quality in get_args(Quality):
            QUALITIES.labels(quality).set(qualities[quality])
        SYMBOLS.set(len(market))
        skewed = sum(state.clock_skew for state in ours)
        heard = sum(state.last.sources_used > 0 for state in ours)
        is_ours = 2 * skewed > heard  # otherwise it is not our clock: an exchange's data of a few pairs is late
        CLOCK_SKEW.set(is_ours)
        if is_ours != self._clock_skew:
            self._clock_skew = is_ours
            if is_ours:
                log.warning("clock skew: every exchange is off our clock the same way, check NTP here", symbols=skewed)
            else:
                log.info("clock skew over")
