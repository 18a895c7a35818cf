"""Market Pulse aggregator: one volume-weighted price per symbol."""

import market_pulse.process.unasked  # noqa: F401 - must come before libraries that read the environment on import
