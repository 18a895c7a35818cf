"""Market Pulse candles: one candle per symbol and interval, across exchanges."""
