"""Market Pulse on the command line. Talks to a gateway by HTTP and to the bus, like any other client."""

import market_pulse.process.unasked  # noqa: F401 - before a library is imported that reads it
