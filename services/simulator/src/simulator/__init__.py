"""Market Pulse simulator: plays Binance, Bybit and OKX, faults included."""

import market_pulse.process.unasked  # noqa: F401 - before a library is imported that reads it
