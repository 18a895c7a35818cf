"""Retries: growing random delays, so that many clients of one lost server do not all return at once; and when not to retry."""

import asyncio
import random


def backoff_s(failures: int, *, base_s: float = 1.0, cap_s: float = 60.0, floor_s: float = 0.1) -> float:
    """Return how many seconds to wait before the next attempt: exponential backoff with a cap and full jitter.

    Args:
        failures: how many attempts have failed in a row, at least 1.
        base_s: the upper bound of the first delay. It doubles with each failure.
        cap_s: the upper bound of all delays.
        floor_s: the lower bound of all delays, so that chance cannot make several attempts follow each other at once.
    """
    ceiling = min(cap_s, base_s * 2 ** min(failures - 1, 30))
    return max(floor_s, random.uniform(0, ceiling))


def heed_cancellation() -> None:
    """Raise CancelledError if this task has been cancelled. Call this before each retry.

    A cancellation that arrives together with a failure can get lost: in a TaskGroup before Python 3.13, or while a library
    cleans up.
    """
    if (task := asyncio.current_task()) and task.cancelling():
        raise asyncio.CancelledError
