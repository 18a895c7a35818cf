"""Redis behind Sentinels: which server is the master now, and which connections lead to one that no longer is.

After a failover nothing tells the clients of a master that was only frozen or cut off: it comes back, answers every PING, takes
what is published, and nobody on the new master hears of it. So the Sentinels are asked, and a connection to any other server
than the one they name is not used again.
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
ASK_LIMIT_S = 0.5  # for each Sentinel in turn, so that a frozen one does not keep the others from being asked

log = get_logger()


def master_client(address: RedisAddress, options: dict[str, Any]) -> Redis:
    """Return a client of the master that the Sentinels name; connects when first used.

    Args:
        address: where the Sentinels are, and what they call the master.
        options: of each connection, as redis-py names them.
    """
    asking = options | {
        "socket_timeout": ASK_LIMIT_S,
        "socket_connect_timeout": ASK_LIMIT_S,
        "retry": Retry(NoBackoff(), 0),  # the next Sentinel is asked instead
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
    """Tell whether a connection leads to another server than the master, as far as is known. Without Sentinels: never."""
    if not isinstance(connection, SentinelManagedConnection):
        return False
    master = connection.connection_pool.master_address
    return master is not None and master != (connection.host, connection.port)


async def follow_master(pool: SentinelConnectionPool) -> NoReturn:
    """Keep asking the Sentinels who is the master, until cancelled. As long as none knows, the last answer stands."""
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
    """A pool that fails in one short line: the library's own error spells out every connection option of each Sentinel."""

    async def get_master_address(self) -> tuple[str, int]:
        try:
            address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
        except MasterNotFoundError:
            raise MasterNotFoundError(f"no Sentinel names a living master of {self.service_name}") from None
        return address


class _MasterConnection(SentinelManagedConnection):
    """A pool's connection, which is renewed when it is taken out and has gone astray."""

    async def connect(self) -> None:
        if self.is_connected and is_astray(self):
            await self.disconnect(nowait=True)
        await super().connect()  # type: ignore[no-untyped-call]
