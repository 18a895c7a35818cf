"""Kraken spot, WebSocket v2, as of 2026: the public channels and the public REST API."""
