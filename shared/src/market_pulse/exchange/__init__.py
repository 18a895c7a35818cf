"""Feeds: an exchange described by pure functions (`adapter`), and everything that keeps its ticks flowing."""

import market_pulse.process.unasked  # noqa: F401 - before a library is imported that reads it
