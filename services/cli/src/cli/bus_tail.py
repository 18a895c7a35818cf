"""Read channels of the bus and print their messages as they arrive."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson
from rich.markup import escape

from market_pulse.bus import BusError, Reader

from .output import Output

MAX_WAITING = 20_000
"""How many messages may wait for a slow reader. Beyond it the oldest are dropped, and the reader is told how many."""


class Message(NamedTuple):
    """One message of a channel. `missed` others were lost before it; -1 means that an unknown number may have been lost."""

    channel: str
    data: bytes
    missed: int = 0


class Waiting:
    """A bounded queue between the subscription and its reader, which also counts the messages lost between two others."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue(MAX_WAITING)
        self._missed = 0  # messages dropped before the oldest one that waits
        self._gap = 0  # messages lost before the next one that is put

    def put(self, channel: str, data: bytes) -> None:
        """Add a message. If the queue is full, drop the oldest."""
        if self._messages.full():
            gone = self._messages.get_nowait()
            self._missed = -1 if -1 in (self._missed, gone.missed) else self._missed + 1
        self._messages.put_nowait(Message(channel, data, self._gap))
        self._gap = 0

    def mark_gap(self) -> None:
        """Note that an unknown number of messages was lost before the next one that is put."""
        self._gap = -1

    def clear(self) -> None:
        """Drop all waiting messages."""
        while not self._messages.empty():
            self._messages.get_nowait()

    async def get(self) -> Message:
        """Wait for the next message and return it."""
        message = await self._messages.get()
        lost, self._missed = self._missed, 0
        return message._replace(missed=message.missed or lost)


async def messages(redis_url: str, patterns: Sequence[str]) -> AsyncGenerator[Message]:
    """Yield the messages of channels and patterns. Reconnects whenever the connection is lost.

    Raises:
        BusError: Redis cannot be reached at the start, or refuses these subscriptions.
    """
    waiting = Waiting()

    async def on_subscribed(resync: bool) -> None:
        if resync:
            waiting.mark_gap()

    async with Reader.open(redis_url) as bus:
        await bus.ping()
        subscriber = bus.subscriber(waiting.put, on_subscribed)
        await subscriber.subscribe(*(pattern for pattern in patterns if not _is_pattern(pattern)))
        await subscriber.subscribe_patterns(*filter(_is_pattern, patterns))
        await subscriber.attempt()
        # That connection only proved that Redis accepts the subscriptions. The one below lasts; messages in between may be
        # missed, so those of the first attempt are dropped too.
        waiting.clear()
        reading = asyncio.create_task(subscriber.run())
        try:
            while True:
                yield await waiting.get()
        finally:
            reading.cancel()


async def tail(redis_url: str, patterns: Sequence[str], output: Output) -> bool:
    """Print messages until cancelled."""
    async with aclosing(messages(redis_url, patterns)) as incoming:
        async for message in incoming:
            if output.json:
                for one in objects_of(message):
                    output.object(one)
                continue
            if message.missed:
                output.console.print(f"[yellow]… {'some' if message.missed < 0 else message.missed} missed[/]")
            text = message.data.decode(errors="replace")
            output.console.print(f"[cyan]{escape(message.channel)}[/] {escape(text)}")
    raise BusError("the subscription ended")


def objects_of(message: Message) -> Iterator[dict[str, Any]]:
    """Yield a message as JSON objects: first one about the gap before it, if there was a gap, then the message."""
    if message.missed:
        yield {"missed": None if message.missed < 0 else message.missed}
    content = json_object(message.data)
    if content is None:
        yield {"channel": message.channel, "text": message.data.decode(errors="replace")}
    else:
        yield {"channel": message.channel, "message": content}


def json_object(data: bytes) -> orjson.Fragment | None:
    """Return the bytes of a JSON object, unchanged but on one line. Return None if `data` is no JSON object."""
    try:
        if isinstance(orjson.loads(data), dict):
            return orjson.Fragment(b" ".join(data.splitlines()))  # JSON escapes a line end within a string
    except orjson.JSONDecodeError:
        pass
    return None


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")
