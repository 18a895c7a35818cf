"""Market Pulse ingest: Binance spot to the bus."""
