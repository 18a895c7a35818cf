"""The bus for all listeners: subscriptions, and the last message of each channel."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from market_pulse.kinds import STATUS, kind_of

from . import keys
from .connection import Bus, bounded, is_of_another_type
from .subscriber import OnMessage, OnStanding, OnSubscribed, Subscriber

SCAN_COUNT = 1000


class Last(NamedTuple):
    """A channel's last message, and its age in milliseconds; None if the server does not know it."""

    message: bytes
    age_ms: int | None


class Listener(Bus):
    """Subscribes to channels, and reads the last messages of channels that it names."""

    def subscriber(
        self, on_message: OnMessage, on_subscribed: OnSubscribed, on_standing: OnStanding | None = None
    ) -> Subscriber:
        """Return a subscriber with a connection of its own. It connects when `run` or `attempt` is called."""
        return Subscriber(self._client, on_message, on_subscribed, on_standing)

    async def last(self, *channels: str) -> list[bytes | None]:
        """Return the last message of each channel, or None for a channel without one."""
        if not channels:
            return []
        async with bounded():
            messages: list[Any] = await self._client.mget([keys.last(channel) for channel in channels])
        return messages

    async def _find(self, pattern: str) -> list[bytes]:
        """Return the keys that match a pattern, searched in pages. Each page is a round trip with its own time limit."""
        found: set[bytes] = set()
        cursor = 0
        while True:
            async with bounded():
                page: Any
                cursor, page = await self._client.scan(cursor, match=pattern, count=SCAN_COUNT)
            found.update(page)
            if cursor == 0:
                return list(found)


class Follower(Listener):
    """Listens, and also finds last messages by pattern, with their ages."""

    async def last_matching(self, pattern: str) -> list[tuple[str, bytes]]:
        """Return channel and last message of each channel that matches a pattern, for example `ticks:*`.

        The matching keys are searched in pages. Each page is a round trip with its own time limit.
        """
        found = await self._find(keys.last(pattern))
        async with bounded():
            messages: list[Any] = await self._client.mget(found) if found else []
        return [(_channel_of(key), message) for key, message in zip(found, messages, strict=True) if message is not None]

    async def last_aged(self, *channels: str) -> list[Last | None]:
        """Return the last message of each channel with its age, and None for a channel without one.

        The age is measured by the server's clock alone: how long a message of this kind is kept, less the time that is left.
        """
        if not channels:
            return []
        names = [keys.last(channel) for channel in channels]
        async with bounded(), self._client.pipeline(transaction=False) as pipeline:
            # Ages before messages: if a new message arrives in between, it counts as older than it is, never as younger.
            for name in names:
                pipeline.pttl(name)
            pipeline.mget(names)
            *left_ms, messages = await pipeline.execute(raise_on_error=False)
            if isinstance(messages, Exception):
                raise messages
        return [
            None if message is None else Last(message, _age_ms(channel, left))
            for channel, message, left in zip(channels, messages, left_ms, strict=True)
        ]

    async def last_statuses(self) -> list[tuple[str, bytes, float]]:
        """Return the last status of each exchange and of each copy of its ingest: channel, message, and its age in seconds.

        The age is measured by the server's clock alone: how long a status is kept, less the time that is left. Takes three
        round trips, and more on a server with many keys.
        """
        found = await self._find(keys.last(STATUS.pattern))
        # The ages before the messages: if a new message arrives in between, it counts as older than it is, never as younger.
        left_ms = await self._of_each(found, lambda pipeline, key: pipeline.pttl(key))
        messages = await self._of_each(found, lambda pipeline, key: pipeline.get(key))
        return [
            (_channel_of(key), message, STATUS.expiry_s - min(max(left_ms.get(key, 0) / 1000, 0), STATUS.expiry_s))
            for key, message in messages.items()
            if message is not None
        ]

    async def _of_each(self, found: Sequence[bytes], ask: Callable[[Any, bytes], object]) -> dict[bytes, Any]:
        """Send one command per key in one round trip. Keys that hold another type are another program's and are left out."""
        async with bounded(), self._client.pipeline(transaction=False) as pipeline:
            for key in found:
                ask(pipeline, key)
            answers = await pipeline.execute(raise_on_error=False)
            answered: dict[bytes, Any] = {}
            for key, answer in zip(found, answers, strict=True):
                if not isinstance(answer, Exception):
                    answered[key] = answer
                elif not is_of_another_type(answer):
                    raise answer
        return answered


def _age_ms(channel: str, left_ms: object) -> int | None:
    """Return the age of a last message that expires in `left_ms`, or None if the key's expiry is not the one that we set."""
    kind = kind_of(channel)
    whole_ms = kind.expiry_s * 1000 if kind is not None else 0
    return whole_ms - left_ms if type(left_ms) is int and 0 <= left_ms <= whole_ms else None


def _channel_of(key: bytes) -> str:
    """Return the channel whose last message is stored under a key."""
    return key.decode(errors="replace").removeprefix(keys.last(""))
