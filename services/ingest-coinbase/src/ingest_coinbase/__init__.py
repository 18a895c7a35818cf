"""Market Pulse ingest: Coinbase spot to the bus."""
