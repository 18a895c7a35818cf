"""The simulator's own clock. A faulty exchange clock is an offset to it."""

import time


def wall_ms() -> int:
    """Return the current time in Unix milliseconds."""
    return time.time_ns() // 1_000_000
