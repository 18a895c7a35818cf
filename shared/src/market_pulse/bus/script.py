"""A Lua script that is called over a connection of its own. All ticks and tickers are published this way."""

import asyncio
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import hiredis
import redis.asyncio as redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import NoScriptError

from .sentinel import is_astray


class Script:
    """A Lua script of this folder. Only one call runs at a time; others wait for it.

    It bypasses the client's connection pool, retries and telemetry, because without them a call takes less processor time
    (benchmarks/publish.py measures it).
    """

    def __init__(self, client: "redis.Redis", name: str) -> None:
        self._client = client
        self._text = (files(__package__) / name).read_text()
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()
        self._connection: Any = None
        self._turn = asyncio.Lock()

    async def __call__(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        """Run the script and return its answer. If the server does not know the script, it is sent along."""
        async with self._turn:
            reused = self._connection is not None
            try:
                return await self._run(keys, args)
            except RedisConnectionError:
                if not reused:
                    raise
                # Retry once, because an idle connection may have died since its last use.
                return await self._run(keys, args)

    async def _run(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        try:
            connection = await self._open()
            command: Any = ("EVALSHA", self._sha, len(keys), *keys, *args)
            await connection.send_packed_command(hiredis.pack_command(command), check_health=False)
            try:
                return await connection.read_response()
            except NoScriptError:  # the server has restarted, or is another one
                await connection.send_command("EVAL", self._text, len(keys), *keys, *args, check_health=False)
                return await connection.read_response()
        except BaseException:
            # Cancelled or failed: close the connection, so that a late answer is not taken for the next call's.
            await self.aclose()
            raise

    async def _open(self) -> Any:
        if is_astray(self._connection):
            await self.aclose()
        if self._connection is None:
            pool: Any = self._client.connection_pool
            self._connection = pool.make_connection()
            await self._connection.connect()
        return self._connection

    async def aclose(self) -> None:
        """Close the connection. The next call opens another one."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)
