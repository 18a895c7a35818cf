"""Market Pulse's shared library: message types, the Redis bus, the exchange feeds, and tools that every process needs."""
