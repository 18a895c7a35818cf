"""The connection to Redis: a client for a URL, the commands that all users have in common, and the errors of the bus."""

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
    "protocol": 2,  # RESP3's pushes cost more and leaked memory in some hiredis versions
    "socket_timeout": None,  # our own bound is cheaper: the library's is a task per command, and may swallow a cancellation
    "socket_connect_timeout": COMMAND_TIMEOUT_S,
    "socket_keepalive": True,
}


class BusError(Exception):
    """Redis could not be reached in time, or refused a command. Transient: the caller tries again later."""


class RefusedError(BusError):
    """Redis does not know this user, or this user may not do that. Retrying is useless until somebody changes it in Redis."""


def connect(redis_url: str) -> "redis.Redis":
    """Return a client for a Redis URL; connects when first used.

    Args:
        redis_url: as `addresses.read_redis_url` takes it. The library by itself would take any of its many options after a ?.

    Raises:
        ValueError: the text is no such URL.
    """
    address = read_redis_url(redis_url)
    retry = Retry(NoBackoff(), 1)  # once, because a pooled connection may have died since; beyond that the caller decides
    options = _OPTIONS | {"retry": retry}
    if address.service is not None:
        return master_client(address, options)
    kind: Any = redis.Connection if address.tls is None else redis.SSLConnection
    if address.path is not None:
        kind = redis.UnixDomainSocketConnection
        del options["socket_keepalive"]  # there is no network to keep anything alive on
        options["path"] = address.path
    else:
        [(options["host"], options["port"])] = address.nodes
    options |= {"db": address.db, "username": address.username, "password": address.password} | (address.tls or {})
    client = redis.Redis.from_pool(redis.ConnectionPool(kind, **options))
    tell_losses(client)
    return client


class Bus:
    """One process's side of the bus, with the commands that deploy/redis/users.acl grants to every part.

    Each class that builds on it adds the commands of one user. A method is one round trip, unless it says otherwise, bounded by
    COMMAND_TIMEOUT_S, and raises BusError.
    """

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._scripts: list[Script] = []

    @classmethod
    @contextlib.asynccontextmanager
    async def open(cls, redis_url: str) -> AsyncIterator[Self]:
        """Open the bus, and close it at the end. Needs no Redis yet: each call finds out for itself.

        Raises:
            ValueError: the text is no URL of Redis.
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
            if isinstance(pool, SentinelConnectionPool):  # the library leaves the sentinels' own connections to us
                await pool.sentinel_manager.aclose()

    async def ping(self) -> None:
        """Ask whether Redis answers."""
        async with bounded():
            await self._client.ping()

    async def time_ms(self) -> int:
        """Return the time in Unix milliseconds by Redis's clock."""
        async with bounded():
            seconds, microseconds = await self._client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    def _script(self, name: str) -> Script:
        """Return a script of this folder, whose connection is closed with the bus."""
        script = Script(self._client, name)
        self._scripts.append(script)
        return script


@contextlib.asynccontextmanager
async def bounded() -> AsyncIterator[None]:
    """Bound a round trip, and raise the Redis library's errors as BusError."""
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            yield
    except TimeoutError as late:
        raise BusError(f"no answer within {COMMAND_TIMEOUT_S:.0f} s") from late
    except (RedisError, OSError) as failed:
        raise as_bus_error(failed) from failed


def as_bus_error(failed: Exception) -> BusError:
    """Return an error of the Redis library as one of the bus."""
    kind = RefusedError if isinstance(failed, AuthenticationError | NoPermissionError) else BusError
    return kind(f"{type(failed).__name__}: {failed}")


def is_of_another_type(failed: Exception) -> bool:
    """Return whether a command failed because the key holds another type than ours, so somebody else wrote it."""
    return str(failed).startswith("WRONGTYPE")
