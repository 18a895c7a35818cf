"""Redis behind Sentinels: which server is the master now, and which connections lead to a former master.

A failover may replace a master that was only frozen or cut off. When that server comes back, its clients learn nothing: it
answers each PING and accepts each message, but subscribers of the new master do not receive them. So this module asks the
Sentinels again and again, and no connection to any other server than the master that they name is used any more.
"""

import asyncio
from typing import Any, NoReturn

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import MasterNotFoundError, Sentinel, SentinelConnectionPool, SentinelManagedConnection
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from market_pulse.process.addresses import RedisAddress
from market_pulse.process.logs import get_logger

from .losses import tell_losses

ASK_INTERVAL_S = 1.0
ASK_LIMIT_S = 0.5  # per Sentinel: they are asked in turn, and a frozen one must not hold up the next

log = get_logger()


def master_client(address: RedisAddress, options: dict[str, Any]) -> Redis:
    """Return a client of the master that the Sentinels name. It connects when it is first used.

    Args:
        address: the Sentinels' hosts and ports, and the name by which they know the master.
        options: redis-py's options for each connection to the master.
    """
    asking = options | {
        "socket_timeout": ASK_LIMIT_S,
        "socket_connect_timeout": ASK_LIMIT_S,
        "retry": Retry(NoBackoff(), 0),  # instead, the next Sentinel is asked
        "password": address.sentinel_password,
    }
    sentinel: Any = Sentinel(address.nodes, sentinel_kwargs=asking)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(
        address.service,
        connection_pool_class=_MasterPool,
        connection_class=_MasterConnection,
        db=address.db,
        username=address.username,
        password=address.password,
        **options,
    )
    for one in (client, *sentinel.sentinels):
        tell_losses(one)
    return client


def is_astray(connection: Any) -> bool:
    """Return whether a connection leads to a server other than the master last named. Without Sentinels none does."""
    if not isinstance(connection, SentinelManagedConnection):
        return False
    master = connection.connection_pool.master_address
    return master is not None and master != (connection.host, connection.port)


async def follow_master(pool: SentinelConnectionPool) -> NoReturn:
    """Ask the Sentinels for the master each ASK_INTERVAL_S until cancelled. While no Sentinel knows, the last answer holds."""
    known = None
    while True:
        try:
            address = await pool.get_master_address()  # type: ignore[no-untyped-call]
        except (RedisError, OSError) as failed:
            log.debug("master not known", cause=str(failed))
        else:
            if known not in (None, address):
                log.warning("another server is the master now", was=known, master=address)
            known = address
        await asyncio.sleep(ASK_INTERVAL_S)


class _MasterPool(SentinelConnectionPool):
    """A pool whose error is one short line. The library's error lists every connection option of each Sentinel."""

    async def get_master_address(self) -> tuple[str, int]:
        try:
            address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            raise MasterNotFoundError(f"no Sentinel names a living master of {self.service_name}") from None
        return address


class _MasterConnection(SentinelManagedConnection):
    """A pooled connection that reconnects when it is taken from the pool and leads to a former master."""

    async def connect(self) -> None:
        if self.is_connected and is_astray(self):
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]
