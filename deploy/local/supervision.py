"""Runs parts as processes of this machine, and starts each one again when it dies."""

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import DEVNULL, STDOUT, Process
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

from market_pulse.process.settings import EXIT_BAD_CONFIGURATION

from .parts import Part

TETHER = Path(__file__).with_name("tether.py")
STOP_WITHIN_S = 15  # for each part, then SIGKILL; the same time as for the containers
STEADY_AFTER_S = 1.0
MAX_DELAY_S = 10


class RefusedError(Exception):
    """A part refuses its configuration, so it is of no use to start it again."""


@asynccontextmanager
async def kept(parts: Iterable[Part], environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Keep parts running while the context lasts, then stop them all at once.

    Raises:
        ExceptionGroup: of RefusedError, if a part refuses its configuration. All parts have been stopped then.
    """
    async with asyncio.TaskGroup() as tasks:
        keeping = [tasks.create_task(_keep(part, {**environment, **part.environment})) for part in parts]
        yield
        for task in keeping:
            task.cancel()


async def _keep(part: Part, environment: Mapping[str, str]) -> NoReturn:
    early_ends = 0
    while True:
        started_s = time.monotonic()
        # Start a session of its own, so that Ctrl-C reaches only the runner, and the parts stop in order.
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", str(TETHER), *part.command),
            env=environment,
            stdin=DEVNULL,
            stderr=STDOUT,
            start_new_session=True,
        )
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            await _stop(process)
            raise
        if status == EXIT_BAD_CONFIGURATION:
            print(f"{part.name} refused its configuration: read its lines above", file=sys.stderr)
            raise RefusedError(part.name)
        print(f"{part.name} ended with status {status}; it is started again", file=sys.stderr)
        early_ends = early_ends + 1 if time.monotonic() - started_s < STEADY_AFTER_S else 0
        await asyncio.sleep(min(early_ends, MAX_DELAY_S))


async def _stop(process: Process) -> None:
    """Send SIGTERM to a process. If it has not ended after STOP_WITHIN_S, kill it and all processes that it started."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
