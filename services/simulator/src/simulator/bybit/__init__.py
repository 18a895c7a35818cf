"""Bybit v5 spot, as of 2026: the public topics and the market REST API."""
