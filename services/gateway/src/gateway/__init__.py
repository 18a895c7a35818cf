"""Market Pulse gateway: live prices over Server-Sent Events and REST."""

import market_pulse.process.unasked  # noqa: F401 - before any library that reads the variables that it removes
