"""Market Pulse simulator: plays Binance, Bybit, OKX and Coinbase, faults included."""

import market_pulse.process.unasked  # noqa: F401 - must run before a library reads the environment
