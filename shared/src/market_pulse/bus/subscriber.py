"""A Redis subscription that notices a dead connection, renews it, and reports that messages may have been lost.

redis-py's own PubSub reconnects without reporting it, and waits for ever on a half-open socket. Here a connection is used until
it fails or falls silent. Then a new one is opened, and `on_subscribed` is called, because the messages in between are lost.
"""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, NoReturn

import redis.asyncio as redis
from redis._parsers.hiredis import NOT_ENOUGH_DATA
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from market_pulse.process.backoff import backoff_s, heed_cancellation
from market_pulse.process.logs import get_logger

from .connection import BusError, as_bus_error
from .sentinel import is_astray

PING_INTERVAL_S = 5.0
SILENCE_LIMIT_S = 12.0
CONNECT_LIMIT_S = 5.0
MASTER_INTERVAL_S = 0.5

OnMessage = Callable[[str, bytes], None]
"""Called with channel and message for each message that arrives. Must not block: it runs in the reading task."""
OnSubscribed = Callable[[bool], Coroutine[Any, Any, None]]
"""Called when Redis has confirmed all subscriptions. The argument is True if an earlier connection was lost: messages may be
missing."""
OnStanding = Callable[[str], None]
"""Called when Redis has confirmed one channel. A last value read after this leaves no gap to the messages. Must not block."""

log = get_logger()


class Subscriber:
    """Subscriptions to channels and patterns over one connection, which `run` keeps alive.

    Channels may be added and removed at any time. `connected` is whether all subscriptions are confirmed on a live connection.
    `resyncs` counts how often the connection was replaced after a loss.
    """

    def __init__(
        self,
        client: "redis.Redis",
        on_message: OnMessage,
        on_subscribed: OnSubscribed,
        on_standing: OnStanding | None = None,
    ) -> None:
        self._client = client
        self._on_message = on_message
        self._on_subscribed = on_subscribed
        self._on_standing = on_standing
        self._channels: set[str] = set()
        self._patterns: set[str] = set()
        self._connection: Any = None
        self._heard = 0.0  # when Redis last sent anything, by the event loop's clock
        self.connected = False
        self.resyncs = 0

    @property
    def silent_s(self) -> float:
        """How long ago Redis last sent anything, in seconds; infinite while not connected.

        Redis is sent a ping each PING_INTERVAL_S, so while it is healthy this stays low even without messages.
        """
        return asyncio.get_running_loop().time() - self._heard if self.connected else math.inf

    async def subscribe(self, *names: str) -> None:
        """Subscribe to channels, now or as soon as a connection is open."""
        self._channels.update(names)
        await self._send("SUBSCRIBE", names)

    async def unsubscribe(self, *names: str) -> None:
        """Unsubscribe from channels, also for later connections."""
        self._channels.difference_update(names)
        await self._send("UNSUBSCRIBE", names)

    async def subscribe_patterns(self, *patterns: str) -> None:
        """Subscribe to patterns. A pattern is not demand: subscribing to `ticker:*` makes no symbol stream."""
        self._patterns.update(patterns)
        await self._send("PSUBSCRIBE", patterns)

    async def attempt(self) -> None:
        """Connect and subscribe once, then disconnect. Call it before `run`, which would retry rather than raise.

        Raises:
            RefusedError: Redis rejects this user, or does not let it subscribe to one of the channels.
            BusError: Redis cannot be reached.
        """
        try:
            await self._open()
        except (RedisError, OSError, TimeoutError) as failed:
            raise as_bus_error(failed) from failed
        finally:
            self.connected = False
            await self._close()

    async def run(self) -> NoReturn:
        """Connect, subscribe and read until cancelled. After a lost connection, wait a little and connect again."""
        failures = 0
        lost = False
        while True:
            try:
                async with asyncio.TaskGroup() as tasks:
                    await self._open()
                    if lost:
                        self.resyncs += 1
                    tasks.create_task(self._watch())
                    tasks.create_task(self._watch_master())
                    tasks.create_task(self._on_subscribed(lost))
                    failures = 0
                    await self._read()
            except* (RedisError, BusError, OSError, TimeoutError) as failed:
                log.warning("bus subscription lost", cause=_causes(failed))
            finally:
                lost = lost or self.connected
                self.connected = False
                await self._close()
            heed_cancellation()
            failures += 1
            await asyncio.sleep(backoff_s(failures, base_s=0.2, cap_s=3.0, floor_s=0.05))

    async def _open(self) -> None:
        async with asyncio.timeout(CONNECT_LIMIT_S):
            pool: Any = self._client.connection_pool
            connection = pool.make_connection()
            self._connection = connection
            await connection.connect()
            self._heard = asyncio.get_running_loop().time()
            await self._send("SUBSCRIBE", self._channels)
            await self._send("PSUBSCRIBE", self._patterns)
            await connection.send_command("PING", "subscribed", check_health=False)
            # Redis answers in order, so when it has answered this PING, it has confirmed every subscription above.
            while (answer := await connection.read_response(push_request=True))[:2] != [b"pong", b"subscribed"]:
                if answer in (b"PONG", b"subscribed"):  # the form of the answer when there is no subscription yet
                    break
                self._take(answer)
        self.connected = True

    async def _read(self) -> NoReturn:
        """Wait for a message, then handle it and all others that arrived with it.

        Awaiting each of them on its own would take much more processor time per message.
        """
        clock = asyncio.get_running_loop().time
        connection = self._connection
        arrived = connection._parser._reader.gets  # noqa: SLF001 - redis-py cannot return buffered messages without waiting
        take = self._take
        while True:
            take(await connection.read_response(timeout=math.inf, disconnect_on_error=False, push_request=True))
            self._heard = clock()
            while (answer := arrived()) is not NOT_ENOUGH_DATA:
                take(answer)

    def _take(self, answer: Any) -> None:
        if type(answer) is not list:
            if isinstance(answer, RedisError):
                raise answer
            return
        kind = answer[0]
        if kind == b"message":
            self._on_message(answer[1].decode(errors="replace"), answer[2])
        elif kind == b"pmessage":
            self._on_message(answer[2].decode(errors="replace"), answer[3])
        elif kind == b"subscribe" and self._on_standing is not None:
            self._on_standing(answer[1].decode())

    async def _watch(self) -> NoReturn:
        """Ping each PING_INTERVAL_S. Raise TimeoutError, which ends the connection, after SILENCE_LIMIT_S of silence."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(PING_INTERVAL_S)
            if clock() - self._heard > SILENCE_LIMIT_S:
                raise TimeoutError(f"nothing heard from Redis for {SILENCE_LIMIT_S:.0f} s")
            async with asyncio.timeout(PING_INTERVAL_S):
                await self._connection.send_command("PING", "watchdog", check_health=False)

    async def _watch_master(self) -> NoReturn:
        """End the connection when another server is the master: this one would answer pings but send no messages."""
        while not is_astray(self._connection):
            await asyncio.sleep(MASTER_INTERVAL_S)
        raise RedisConnectionError("another server is the master now")

    async def _send(self, command: str, names: Iterable[str]) -> None:
        arguments = tuple(names)
        connection = self._connection
        if not arguments or connection is None or not connection.is_connected:
            return  # the next connection begins with all subscriptions
        try:
            await connection.send_command(command, *arguments, check_health=False)
        except (RedisError, OSError):
            log.debug("command not sent; the reader will notice the lost connection", command=command)

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


def _causes(group: BaseExceptionGroup[BaseException]) -> str:
    return "; ".join(
        _causes(one) if isinstance(one, BaseExceptionGroup) else f"{type(one).__name__}: {one}" for one in group.exceptions
    )
