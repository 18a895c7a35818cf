"""Market Pulse on the command line. Talks to a gateway by HTTP and to the bus, like any other client."""
