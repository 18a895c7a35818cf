"""Crypto.com Exchange v1 spot, as of 2026: the public market channels and the public REST API."""
