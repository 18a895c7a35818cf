"""Our clock."""

import time


def wall_ms() -> int:
    """Return Unix milliseconds."""
    return time.time_ns() // 1_000_000
