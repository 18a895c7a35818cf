"""Market Pulse ingest: Bybit spot to the bus."""
