"""The candle maker's metrics for Prometheus. No label is a symbol, so the number of time series stays bounded."""

from prometheus_client import Counter, Gauge

from market_pulse.messages import Interval

PREFIX = "market_pulse_candles_"

PUBLISHED = Counter(PREFIX + "published", "Candles published, open and closed ones", ["interval"])
CLOSED = Counter(PREFIX + "closed", "Closed candles published, corrections included", ["interval"])
for interval in Interval:  # Prometheus sees no increase when a series first appears
    PUBLISHED.labels(interval)
    CLOSED.labels(interval)
MISSED = Counter(PREFIX + "missed_tickers", "Tickers that are missing in closed minutes")
FAILURES = Counter(PREFIX + "failures", "Requests to Redis that failed and were tried again later")
BAD_MESSAGES = Counter(PREFIX + "bad_messages", "Messages on the bus that are no tickers or candles of their channel")
RESYNCS = Counter(PREFIX + "resyncs", "Times that the bus was lost and found again")
REKEPT = Counter(PREFIX + "rekept_bars", "Past candles that Redis had lost and got again")
SYMBOLS = Gauge(PREFIX + "symbols", "Symbols that have candles")
LATE = Gauge(PREFIX + "late_symbols", "Symbols whose newest candle began more than two minutes ago")
TURNED_AWAY = Gauge(PREFIX + "turned_away_symbols", "Symbols with subscribers to candles for which there is no room")
REDIS_USED = Gauge("market_pulse_redis_used_bytes", "Memory that Redis uses")
REDIS_MOST = Gauge("market_pulse_redis_most_bytes", "Memory that Redis may use; 0: no limit")
REDIS_EVICTED = Gauge("market_pulse_redis_evicted_keys", "Keys that Redis has evicted for lack of memory since its start")
