"""Feeds: an exchange described by pure functions (`adapter`), and everything that keeps its ticks flowing."""
