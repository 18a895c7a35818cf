"""Trying again: growing random delays, so that many clients that lost one server do not return as one, and when not to."""

import asyncio
import random


def backoff_s(failures: int, *, base_s: float = 1.0, cap_s: float = 60.0, floor_s: float = 0.1) -> float:
    """Return how long to wait after this many failures in a row: exponential, capped, with full jitter.

    Args:
        failures: how many attempts failed in a row, at least 1.
        base_s: the bound of the first delay.
        cap_s: the bound that no delay exceeds.
        floor_s: never less than this, so that luck cannot make a storm.
    """
    ceiling = min(cap_s, base_s * 2 ** min(failures - 1, 30))
    return max(floor_s, random.uniform(0, ceiling))


def heed_cancellation() -> None:
    """Raise CancelledError where this task was told to end; call this before another attempt.

    A cancellation that meets a failure may be lost in it: in a TaskGroup before Python 3.13, or where a library cleans up.
    """
    if (task := asyncio.current_task()) and task.cancelling():
        raise asyncio.CancelledError
