"""Market Pulse ingest: Kraken spot to the bus."""
