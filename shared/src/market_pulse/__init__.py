"""Market Pulse: the words, the bus and the habits that all its parts share."""
