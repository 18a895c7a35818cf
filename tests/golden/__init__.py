"""The golden tape: a recorded market with faults, and the tickers that the aggregator makes of it."""
