"""Market Pulse aggregator: one volume-weighted price per symbol."""

import market_pulse.process.unasked  # noqa: F401 - before a library is imported that reads it
