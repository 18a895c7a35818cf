"""Market Pulse aggregator: one volume-weighted price per symbol."""
