"""Market Pulse's shared library: message types, the Redis bus, the exchange feeds, and the tools of every process."""
