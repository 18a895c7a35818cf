"""What all who listen on the bus have in common: subscriptions, and the last message of each channel."""

from collections.abc import Callable, Sequence
from typing import Any

from . import keys
from .connection import Bus, bounded, is_of_another_type
from .subscriber import OnMessage, OnStanding, OnSubscribed, Subscriber

SCAN_COUNT = 1000


class Follower(Bus):
    """May subscribe, and read last messages."""

    def subscriber(
        self, on_message: OnMessage, on_subscribed: OnSubscribed, on_standing: OnStanding | None = None
    ) -> Subscriber:
        """Return a subscriber with a connection of its own, which connects when it is run."""
        return Subscriber(self._client, on_message, on_subscribed, on_standing)

    async def last(self, *channels: str) -> list[bytes | None]:
        """Return the last message of each channel, or None where there is none."""
        if not channels:
            return []
        async with bounded():
            messages: list[Any] = await self._client.mget([keys.last(channel) for channel in channels])
        return messages

    async def last_matching(self, pattern: str) -> list[tuple[str, bytes]]:
        """Return the last message of each channel that matches a pattern, for example `ticks:*`, with the channel before it.

        The keys are looked for in pages, each a bounded round trip.
        """
        found = await self._find(keys.last(pattern))
        async with bounded():
            messages: list[Any] = await self._client.mget(found) if found else []
        return [(channel_of(key), message) for key, message in zip(found, messages, strict=True) if message is not None]

    async def _find(self, pattern: str) -> list[bytes]:
        """Return the keys that match a pattern. Each page is a bounded round trip, however large the server."""
        found: set[bytes] = set()
        cursor = 0
        while True:
            async with bounded():
                page: Any
                cursor, page = await self._client.scan(cursor, match=pattern, count=SCAN_COUNT)
            found.update(page)
            if cursor == 0:
                return list(found)

    async def _of_each(self, found: Sequence[bytes], ask: Callable[[Any, bytes], object]) -> dict[bytes, Any]:
        """Ask something of each key in one round trip. Keys that hold another type, so somebody else's, are left out."""
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


def channel_of(key: bytes) -> str:
    """Return the channel whose last message a key keeps."""
    return key.decode(errors="replace").removeprefix(keys.last(""))
