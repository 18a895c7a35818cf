"""What the aggregator counts and measures, for Prometheus. Labels are bounded: never a symbol."""

from collections import Counter as Tally

from prometheus_client import Counter, Gauge, Histogram

from market_pulse.logs import get_logger

from .market import Market

LATENCY_BUCKETS_S = (0.0005, 0.001, 0.002, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)

PREFIX = "market_pulse_aggregator_"

TICKS = Counter(PREFIX + "ticks", "Ticks read from the bus and kept")
DROPPED = Counter(PREFIX + "ticks_dropped", "Ticks read from the bus and not kept", ["reason"])
BAD_MESSAGES = Counter(PREFIX + "bad_messages", "Messages on the bus that are no ticks of their channel", ["kind"])
TICKERS = Counter(PREFIX + "tickers", "Tickers published")
CONFLATED = Counter(PREFIX + "conflated", "Ticks that took the place of one not published yet")
PUBLISH_S = Histogram(PREFIX + "publish_seconds", "Duration of one publish command", buckets=LATENCY_BUCKETS_S)
PUBLISH_FAILURES = Counter(PREFIX + "publish_failures", "Publish commands that failed and were tried again later")
TICK_TO_TICKER_S = Histogram(
    PREFIX + "tick_to_ticker_seconds", "From a tick's arrival to its ticker's publication", buckets=LATENCY_BUCKETS_S
)
HISTORY_POINTS = Counter(PREFIX + "history_points", "Points added to the history of prices")
HISTORY_FAILURES = Counter(PREFIX + "history_failures", "Seconds whose points were not all added, because Redis did not answer")
FENCED = Counter(PREFIX + "fenced", "Publish commands refused because the members had changed")
MEMBERS = Gauge(PREFIX + "members", "Aggregators that share the symbols out, this one included")
OWNED = Gauge(PREFIX + "owned_symbols", "Symbols that this process publishes")
TAKEOVERS = Counter(PREFIX + "takeovers", "Symbols taken over from another process, or at the start")
SYMBOLS = Gauge(PREFIX + "symbols", "Symbols followed")
SOURCES = Gauge(PREFIX + "sources", "Sources of all symbols by state", ["state"])
QUALITIES = Gauge(PREFIX + "symbols_by_quality", "Symbols by quality", ["quality"])
CLOCK_SKEW = Gauge(PREFIX + "clock_skew", "1 while all fresh exchanges of a symbol are off our clock the same way")

log = get_logger()


class Observer:
    """Turns the state of the market into gauges, and says when our clock begins or ceases to look wrong."""

    def __init__(self) -> None:
        self._clock_skew = False

    def observe(self, market: Market) -> None:
        """Set the gauges to the state of this moment."""
        results = [state.result for state in market if state.result is not None]
        states = Tally(source.state for result in results for source in result.sources)
        qualities = Tally(result.quality for result in results)
        for state in ("used", "fading", "excluded", "lagging", "stale"):
            SOURCES.labels(state).set(states[state])
        for quality in ("ok", "single", "disputed", "stale", "down"):
            QUALITIES.labels(quality).set(qualities[quality])
        SYMBOLS.set(len(market))
        skewed = sum(result.clock_skew for result in results)
        CLOCK_SKEW.set(bool(skewed))
        if bool(skewed) != self._clock_skew:
            self._clock_skew = bool(skewed)
            if skewed:
                log.warning("clock skew: every exchange is off our clock the same way, check NTP here", symbols=skewed)
            else:
                log.info("clock skew over")
