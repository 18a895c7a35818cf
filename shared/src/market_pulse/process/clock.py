"""The wall clock in the unit that the bus uses."""

import time


def now_ms() -> int:
    """Return the time in Unix milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000
