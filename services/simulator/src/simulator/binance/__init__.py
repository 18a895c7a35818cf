"""Binance spot, as of 2026: market streams and the public market data REST API."""
