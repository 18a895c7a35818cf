"""Run a service's jobs until SIGTERM or SIGINT, then let them drain. This module knows nothing of the jobs."""

import asyncio
import gc
import os
import signal
from collections.abc import Coroutine
from typing import Any

from .dial import new_event_loop
from .logs import get_logger

DRAIN_LIMIT_S = 8.0
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
CYCLES_AFTER = 20_000
"""Python looks for unreachable cycles of objects when this many more objects have been made than freed."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a service's main on uvloop (on asyncio's loop where uvloop does not exist), with rare garbage collection.

    Handling messages creates no cycles of objects. By default Python would still search for cycles all the time, which costs
    processor time (benchmarks/aggregate.py measures it), and pauses the process whenever it also searches all imported modules.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(CYCLES_AFTER)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.get_loop().set_exception_handler(_on_unretrieved)
        runner.run(main)


def _on_unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Handle exceptions that no task awaits. An OSError of a future is a connection attempt that was given up: log it only.

    This happens when a DNS lookup fails under uvloop after the task that started it was cancelled.
    """
    if isinstance(context.get("exception"), OSError) and "future" in context:
        get_logger().debug("connection attempt failed after it was given up", cause=str(context["exception"]))
    else:
        loop.default_exception_handler(context)


async def run_until_stopped(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run jobs until SIGTERM or SIGINT, then cancel them and wait until each has drained.

    If a job has not drained after DRAIN_LIMIT_S, the process ends all the same, with exit code 1.

    Raises:
        ExceptionGroup: a job failed, and all others were cancelled.
    """
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in STOP_SIGNALS:
        loop.add_signal_handler(number, stop.set)
    try:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(job) for job in jobs]
            waiting = tasks.create_task(stop.wait())
            await waiting
            for task in running:
                task.cancel()
            _, stuck = await asyncio.wait(running, timeout=DRAIN_LIMIT_S)
            if stuck:
                get_logger().error("not drained in time", jobs=[task.get_coro().__qualname__ for task in stuck])  # type: ignore[union-attr]
                os._exit(1)  # an orderly exit would wait for the stuck job
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
