"""A subscriber of the bus for tests."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from market_pulse.bus.follower import Listener

from .waiting import until


class Ear:
    """Subscribes to channels of the bus and keeps the messages."""

    def __init__(self, bus: Listener) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.subscribed: list[bool] = []
        self.subscriber = bus.subscriber(lambda channel, message: self.heard.append((channel, message)), self._told)

    async def _told(self, missed: bool) -> None:
        self.subscribed.append(missed)


@contextlib.asynccontextmanager
async def listening(bus: Listener, *names: str, patterns: tuple[str, ...] = ()) -> AsyncIterator[Ear]:
    ear = Ear(bus)
    await ear.subscriber.subscribe(*names)
    await ear.subscriber.subscribe_patterns(*patterns)
    running = asyncio.create_task(ear.subscriber.run())
    try:
        await until(lambda: ear.subscribed)
        yield ear
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
