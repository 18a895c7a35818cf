"""Connections to Redis that skip dead addresses, and raise the same error however the connection was lost."""

from collections.abc import Mapping
from functools import cache
from typing import Any

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError

from market_pulse.process.dial import dialling


def tell_losses(client: Redis) -> None:
    """Make a client's connections raise redis-py's ConnectionError if they were reset since their last use.

    Writing to a reset connection raises RuntimeError under uvloop. redis-py does not treat that as a lost connection.
    """
    pool: Any = client.connection_pool
    pool.connection_class = _telling(pool.connection_class)


@cache
def _telling(kind: Any) -> type:
    class Telling(kind):  # type: ignore[misc] # one of redis-py's connection classes, depending on the URL
        async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
            try:
                await super().send_packed_command(command, check_health)
            except RuntimeError as closed:
                raise RedisConnectionError(f"reset: {closed}") from closed

        def _connection_arguments(self) -> Mapping[str, Any]:
            return {**super()._connection_arguments(), **dialling()}

    return Telling
