"""Run a service until it is told to stop, then drain. Knows no job."""

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
"""Objects made and still there until the next look for those that only refer to each other."""


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a service's main on uvloop (asyncio's own loop where uvloop does not exist).

    Messages leave no cycles behind, yet Python would look for such all the time: a tenth of the aggregator's processor time
    (benchmarks/aggregate.py), and a pause of tens of milliseconds whenever it looks through all that was imported as well.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(CYCLES_AFTER)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.get_loop().set_exception_handler(_on_unretrieved)
        runner.run(main)


def _on_unretrieved(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Pass over a name that is found not to resolve after who asked has gone: uvloop leaves that answer to nobody."""
    if isinstance(context.get("exception"), OSError) and "future" in context:
        get_logger().debug("an attempt to connect failed after its time", cause=str(context["exception"]))
    else:
        loop.default_exception_handler(context)


async def run_until_stopped(*jobs: Coroutine[Any, Any, Any]) -> None:
    """Run jobs until SIGTERM or SIGINT, then cancel them and wait for each to drain.

    A job that has not drained after DRAIN_LIMIT_S ends the process all the same, with exit code 1.

    Raises:
        ExceptionGroup: a job failed; all others were cancelled.
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
                os._exit(1)  # whatever holds a job would hold an orderly end too
    finally:
        for number in STOP_SIGNALS:
            loop.remove_signal_handler(number)
