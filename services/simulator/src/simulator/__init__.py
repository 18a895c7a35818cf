"""Market Pulse simulator: plays Binance, Bybit and OKX, faults included."""
