"""Connections to Redis that pass a dead address over, and tell each kind of loss as one."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from market_pulse.process.dial import dialling


def tell_losses(client: Redis) -> None:
    """Have a client's connections raise redis-py's ConnectionError when they find themselves reset since they were last used.

    Writing to a reset connection raises RuntimeError under uvloop, and redis-py passes it on as if it were a fault of ours.
    """
    pool: Any = client.connection_pool
    pool.connection_class = _telling(pool.connection_class)


@cache
def _telling(kind: Any) -> type:
    class Telling(kind):  # type: ignore[misc] # one of redis-py's, by the URL
        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            try:
                await super().send_packed_command(command, check_health)
            except RuntimeError as closed:
                raise RedisConnectionError(f"reset: {closed}") from closed

        def _connection_arguments(self) -> Mapping[str, Any]:
            return {**super()._connection_arguments(), **dialling()}

    return Telling
