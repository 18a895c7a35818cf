"""The wall clock, in the milliseconds that messages on the bus use."""

import time


def now_ms() -> int:
    """Return the time in Unix milliseconds by this machine's clock."""
    return time.time_ns() // 1_000_000
