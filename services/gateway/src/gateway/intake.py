"""Feeds the hub from the bus: subscribes to the channels that the hub wants, and reads their last values."""

import asyncio
from collections.abc import Iterable
from typing import NoReturn

from market_pulse.bus import BusError, Reader
from market_pulse.kinds import STATUS
from market_pulse.process.logs import get_logger

from .stream.hub import Hub

READ_AGAIN_S = 1.0

log = get_logger()


class Intake:
    """This process's one subscriber. A subscription to `ticker:<symbol>` makes the other parts carry that symbol."""

    def __init__(self, bus: Reader, hub: Hub) -> None:
        self._bus = bus
        self._hub = hub
        self._subscribed: set[str] = set()  # channels
        self._unread: set[str] = set()  # channels that are subscribed, and whose last value has not been read yet
        self._work = hub.topics.changed
        self._subscriber = bus.subscriber(hub.on_message, self._on_subscribed, self._on_standing)

    @property
    def connected(self) -> bool:
        """Whether the subscriber is connected to the bus right now."""
        return self._subscriber.connected

    async def run(self) -> NoReturn:
        """Follow the bus until cancelled."""
        await self._subscriber.subscribe_patterns(STATUS.pattern)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscriber.run())
            tasks.create_task(self._follow_demand())
        raise AssertionError("neither task ends by itself")

    async def _follow_demand(self) -> NoReturn:
        """Subscribe to channels that became wanted, unsubscribe from unwanted ones, and read the last values of new ones."""
        while True:
            await self._work.wait()
            self._work.clear()
            wanted = self._hub.topics.wanted
            added, dropped = wanted - self._subscribed, self._subscribed - wanted
            self._subscribed = wanted
            await self._subscriber.subscribe(*added)
            await self._subscriber.unsubscribe(*dropped)
            unread, self._unread = self._unread, set()
            try:
                await self._read(unread)
            except BusError as failed:  # try again: without an aggregator no other message would come
                log.debug("last values not read; they are asked for again", cause=str(failed))
                self._unread |= unread & self._subscribed
                asyncio.get_running_loop().call_later(READ_AGAIN_S, self._work.set)

    def _on_standing(self, channel: str) -> None:
        self._unread.add(channel)
        self._work.set()

    async def _on_subscribed(self, lost: bool) -> None:
        self._unread.clear()
        statuses = await self._bus.last_matching(STATUS.pattern)
        await self._read(self._subscribed, statuses)
        if lost:
            self._hub.resync("the bus was away")

    async def _read(self, wanted: set[str], statuses: Iterable[tuple[str, bytes]] = ()) -> None:
        names = list(wanted)
        lasts = await self._bus.last_aged(*names)
        self._hub.take_last(zip(names, lasts, strict=True), statuses)
