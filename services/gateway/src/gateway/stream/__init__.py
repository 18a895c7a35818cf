"""The fan-out: from the bus to many streams. Knows no HTTP."""
