"""What several kinds of tests stand on: a real server for the bus, a simulator, processes, patience."""
