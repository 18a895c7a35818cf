"""Shared by several kinds of tests: a real Redis for the bus, the parts as processes, Docker, and bounded waits."""
