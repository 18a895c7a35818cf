"""Market Pulse ingest: Crypto.com spot to the bus."""
