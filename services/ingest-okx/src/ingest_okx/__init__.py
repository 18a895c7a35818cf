"""Market Pulse ingest: OKX spot to the bus."""
