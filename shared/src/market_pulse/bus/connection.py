"""The connection to Redis: a client for a URL, the commands that all Redis users may send, and the errors of the bus."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Self

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from market_pulse.process.addresses import read_redis_url

from .losses import tell_losses
from .script import Script
from .sentinel import follow_master, master_client

COMMAND_TIMEOUT_S = 3.0

_OPTIONS: dict[str, Any] = {
    "protocol": 2,  # RESP3's push messages take more processor time, and leaked memory in some hiredis versions
    # `bounded` is cheaper: the library's timeout makes a task per command, and can swallow a cancellation.
    "socket_timeout": None,
    "socket_connect_timeout": COMMAND_TIMEOUT_S,
    "socket_keepalive": True,
}


class BusError(Exception):
    """Redis did not answer in time, or a command failed. Transient: the caller tries again later."""


class RefusedError(BusError):
    """Redis rejects the user or password, or the user may not do this. Retrying is useless until Redis's users are changed."""


def connect(redis_url: str) -> "redis.Redis":
    """Return a client for a Redis URL. It connects when it is first used.

    Args:
        redis_url: a URL that `addresses.read_redis_url` accepts, which allows few options: the library itself would let the URL
            set any of its many options after a `?`.

    Raises:
        ValueError: the text is no such URL.
    """
    address = read_redis_url(redis_url)
    # Retry once, because a pooled connection may have died since its last use. After that the caller decides.
    retry = Retry(NoBackoff(), 1)
    options = _OPTIONS | {"retry": retry}
    if address.service is not None:
        return master_client(address, options)
    kind: Any = redis.Connection if address.tls is None else redis.SSLConnection
    if address.path is not None:
        kind = redis.UnixDomainSocketConnection
        del options["socket_keepalive"]  # an option of TCP alone
        options["path"] = address.path
    else:
        [(options["host"], options["port"])] = address.nodes
    options |= {"db": address.db, "username": address.username, "password": address.password} | (address.tls or {})
    client = redis.Redis.from_pool(redis.ConnectionPool(kind, **options))
    tell_losses(client)
    return client


class Bus:
    """One process's side of the bus, with the commands that deploy/redis/users.acl grants to every part.

    Each subclass adds commands that its Redis user may send. Unless it says otherwise, a method is one round trip, takes at
    most COMMAND_TIMEOUT_S, and raises BusError when it fails.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._scripts: list[Script] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, redis_url: str) -> AsyncIterator[Self]:
        """Open the bus, and close it at the end. Redis need not be reachable yet: nothing connects before the first command.

        Raises:
            ValueError: the text is no Redis URL.
        """
        bus = cls(connect(redis_url))
        pool: Any = bus._client.connection_pool
        following = asyncio.create_task(follow_master(pool)) if isinstance(pool, SentinelConnectionPool) else None
        try:
            yield bus
        finally:
            if following is not None:
                following.cancel()
                await asyncio.wait({following})
            for script in bus._scripts:
                await script.aclose()
            await bus._client.aclose()
            await pool.aclose()
            if isinstance(pool, SentinelConnectionPool):  # the library does not close its connections to the Sentinels
                await pool.sentinel_manager.aclose()

    async def ping(self) -> None:
        """Send a PING; raise BusError if Redis does not answer."""
        async with bounded():
            await self._client.ping()

    async def time_ms(self) -> int:
        """Return the time by Redis's clock, in Unix milliseconds."""
        async with bounded():
            seconds, microseconds = await self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _script(self, name: str) -> Script:
        """Return a Lua script of this folder. Its connection is closed together with the bus."""
        script = Script(self._client, name)
        self._scripts.append(script)
        return script


@contextlib.asynccontextmanager
async def bounded() -> AsyncIterator[None]:
    """Limit a round trip to COMMAND_TIMEOUT_S, and turn the Redis library's errors into BusError."""
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            yield
    except TimeoutError as late:
        raise BusError(f"no answer within {COMMAND_TIMEOUT_S:.0f} s") from late
    except (RedisError, OSError) as failed:
        raise as_bus_error(failed) from failed


def as_bus_error(failed: Exception) -> BusError:
    """Return the BusError, or RefusedError, that stands for an error of the Redis library."""
    kind = RefusedError if isinstance(failed, AuthenticationError | NoPermissionError) else BusError
    return kind(f"{type(failed).__name__}: {failed}")


def is_of_another_type(failed: Exception) -> bool:
    """Return whether a command failed because the key holds another type than ours: another program wrote it."""
    return str(failed).startswith("WRONGTYPE")
