"""Keeps parts running as processes of this machine, each started again when it dies."""

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
STOP_WITHIN_S = 15  # per part, then SIGKILL; as in the files for containers
STEADY_AFTER_S = 1.0
MAX_DELAY_S = 10


class RefusedError(Exception):
    """A part will not run with this configuration, however often it is started."""


@asynccontextmanager
async def kept(parts: Iterable[Part], environment: Mapping[str, str]) -> AsyncIterator[None]:
    """Keep parts running while the context lasts, then stop them all at once.

    Raises:
        ExceptionGroup: of RefusedError, where a part refuses its configuration; all parts were stopped.
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
        # A session of its own: Ctrl-C reaches the runner only, and the parts stop in order rather than all at once.
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
            print(f"{part.name} refused its configuration: see above", file=sys.stderr)
            raise RefusedError(part.name)
        print(f"{part.name} ended with status {status}; it is started again", file=sys.stderr)
        early_ends = early_ends + 1 if time.monotonic() - started_s < STEADY_AFTER_S else 0
        await asyncio.sleep(min(early_ends, MAX_DELAY_S))


async def _stop(process: Process) -> None:
    """Tell a process to end; kill it, and all that it started, if it has not ended in time."""
    if process.returncode is not None:
        return
    process.terminate()
    try:
        async with asyncio.timeout(STOP_WITHIN_S):
            await process.wait()
    except TimeoutError:
        with suppress(ProcessLookupError):  # it has ended just now
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
