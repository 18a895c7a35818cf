"""Market Pulse on the command line: a client of a gateway, over HTTP, and of the bus."""

import market_pulse.process.unasked  # noqa: F401 - must run before a library reads the environment
