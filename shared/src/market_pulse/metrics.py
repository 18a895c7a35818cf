"""What the parts on the bus count, for Prometheus. Labels are bounded: exchanges and a few kinds, never symbols."""

from prometheus_client import Counter, Gauge

FRAMES = Counter("market_pulse_ingest_frames_total", "Frames read from the exchange", ["exchange"])
BAD_FRAMES = Counter(
    "market_pulse_ingest_bad_frames_total", "Frames skipped, by what was wrong with them", ["exchange", "kind"]
)
OUTDATED_EVENTS = Counter("market_pulse_ingest_outdated_total", "Events skipped because newer ones were known", ["exchange"])
TICKS_PUBLISHED = Counter("market_pulse_ingest_ticks_total", "Ticks published", ["exchange"])
TICKS_CONFLATED = Counter(
    "market_pulse_ingest_conflated_total", "Ticks replaced by a newer one of their symbol while they waited", ["exchange"]
)
TICKS_SUPPRESSED = Counter(
    "market_pulse_ingest_suppressed_total", "Ticks not published because another copy had been ahead", ["exchange"]
)
RECONNECTS = Counter("market_pulse_ingest_reconnects_total", "Sockets lost, by why", ["exchange", "reason"])
HANDOVERS = Counter("market_pulse_ingest_handovers_total", "Sockets replaced without a gap", ["exchange"])
REFUSED_SYMBOLS = Gauge("market_pulse_ingest_refused_symbols", "Wanted symbols that the exchange refuses now", ["exchange"])
LIVE_SYMBOLS = Gauge("market_pulse_ingest_symbols", "Symbols that deliver", ["exchange"])
CONNECTED = Gauge("market_pulse_ingest_connected", "1 while the feed delivers", ["exchange"])
LAST_TICK = Gauge("market_pulse_ingest_last_tick_timestamp_seconds", "When the newest tick was received", ["exchange"])
