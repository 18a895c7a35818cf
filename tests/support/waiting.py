"""Bounded waits: a test states the condition it waits for, never a duration."""

import asyncio
import inspect
import socket
from collections.abc import Awaitable, Callable

PATIENCE_S = 60.0  # far more than an idle machine needs, so that a test does not fail on a busy one


async def until(
    condition: Callable[[], Awaitable[object] | object], within_s: float = PATIENCE_S, every_s: float = 0.02
) -> None:
    """Wait until a condition holds, plain or awaitable. Check it at this interval."""
    async with asyncio.timeout(within_s) as limit:
        while not limit.expired():  # a condition may swallow the cancellation, as redis-py sometimes does
            holds = condition()
            if inspect.isawaitable(holds):
                holds = await holds
            if holds:
                return
            await asyncio.sleep(every_s)
    raise TimeoutError


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
