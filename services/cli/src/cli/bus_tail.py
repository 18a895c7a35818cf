"""What is published on the bus, as it comes."""

import asyncio
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import orjson
from rich.markup import escape

from market_pulse.bus import BusError, Reader

from .output import Output

MAX_WAITING = 20_000
"""Messages that may wait for a slow reader; beyond that the oldest are dropped, and the reader is told how many."""


class Message(NamedTuple):
    """One message of a channel; before it, `missed` others were lost, or -1: perhaps some, and nobody knows how many."""

    channel: str
    data: bytes
    missed: int = 0


class Waiting:
    """Messages that wait for their reader, and what was lost between them."""

    def __init__(self) -> None:
        self._messages: asyncio.Queue[Message] = asyncio.Queue(MAX_WAITING)
        self._missed = 0  # before the first that waits
        self._gap = 0  # before the next that is added

    def put(self, channel: str, data: bytes) -> None:
        """Add a message. Where there is no room the oldest goes."""
        if self._messages.full():
            gone = self._messages.get_nowait()
            self._missed = -1 if -1 in (self._missed, gone.missed) else self._missed + 1
        self._messages.put_nowait(Message(channel, data, self._gap))
        self._gap = 0

    def mark_gap(self) -> None:
        """Note that nobody knows how many were lost before the next that is added."""
        self._gap = -1

    def clear(self) -> None:
        """Forget what waits."""
        while not self._messages.empty():
            self._messages.get_nowait()

    async def get(self) -> Message:
        """Return the next message, once there is one."""
        message = await self._messages.get()
        lost, self._missed = self._missed, 0
        return message._replace(missed=message.missed or lost)


async def messages(redis_url: str, patterns: Sequence[str]) -> AsyncGenerator[Message]:
    """Yield messages of channels and patterns, over as many connections as it takes.

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
        waiting.clear()  # between this and the subscription that lasts something may be missed
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
    """Return a message for other programs: a gap before it, if there was one, then itself."""
    if message.missed:
        yield {"missed": None if message.missed < 0 else message.missed}
    content = json_object(message.data)
    if content is None:
        yield {"channel": message.channel, "text": message.data.decode(errors="replace")}
    else:
        yield {"channel": message.channel, "message": content}


def json_object(data: bytes) -> orjson.Fragment | None:
    """Return a JSON object as it was written, but on one line, or None where it is none."""
    try:
        if isinstance(orjson.loads(data), dict):
            return orjson.Fragment(b" ".join(data.splitlines()))  # no string has an end of line in it
    except orjson.JSONDecodeError:
        pass
    return None


def _is_pattern(name: str) -> bool:
    return any(character in name for character in "*?[")
