"""Compares this machine's clock with Redis's, the one clock that all parts have in common."""

import asyncio
import math
import time
from collections.abc import Callable
from typing import NoReturn

from prometheus_client import Gauge

from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger

from .connection import Bus, BusError

INTERVAL_S = 5.0
LONGEST_MS = 1_000
"""An answer that took longer is too inexact to use, and so is one during which this machine's clock was set."""

AHEAD_S = Gauge(
    "market_pulse_clock_ahead_seconds", "How far this machine's clock is ahead of Redis's; not a number: not known yet"
)
AHEAD_S.set(math.nan)

log = get_logger()


async def ahead_of_redis_ms(bus: Bus, machine_ms: Callable[[], int] = now_ms) -> int | None:
    """Return how far this machine's clock is ahead of Redis's (negative: behind), or None if the answer is too inexact.

    Raises:
        BusError: Redis did not answer.
    """
    asked_ms, asked_s = machine_ms(), time.monotonic()
    redis_ms = await bus.time_ms()
    took_ms = round((time.monotonic() - asked_s) * 1000)
    if took_ms > LONGEST_MS or abs(machine_ms() - asked_ms - took_ms) > LONGEST_MS:
        return None
    ahead_ms = asked_ms + took_ms // 2 - redis_ms
    AHEAD_S.set(ahead_ms / 1000)
    return ahead_ms


async def watch_clock(bus: Bus) -> NoReturn:
    """Update the metric every INTERVAL_S until cancelled. While Redis does not answer, the metric keeps its value."""
    while True:
        try:
            await ahead_of_redis_ms(bus)
        except BusError as failed:
            log.debug("clock not compared", cause=str(failed))
        await asyncio.sleep(INTERVAL_S)
