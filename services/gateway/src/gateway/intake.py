"""Keeps the hub fed: asks the bus for what the hub wants, by name, and reads last values so that no gap is left."""

import asyncio
from collections.abc import Iterable
from typing import NoReturn

from market_pulse.bus import BusError, Reader
from market_pulse.kinds import STATUS, TICKER
from market_pulse.messages import Symbol
from market_pulse.process.logs import get_logger

from .stream.hub import Hub

READ_AGAIN_S = 1.0

log = get_logger()


class Intake:
    """This process's one subscription. To be subscribed to `ticker:<symbol>` is what makes a symbol stream."""

    def __init__(self, bus: Reader, hub: Hub) -> None:
        self._bus = bus
        self._hub = hub
        self._subscribed: set[Symbol] = set()
        self._unread: set[Symbol] = set()
        self._work = hub.topics.changed
        self._subscriber = bus.subscriber(hub.on_message, self._on_subscribed, self._on_standing)

    @property
    def connected(self) -> bool:
        """Whether the subscription stands right now."""
        return self._subscriber.connected

    async def run(self) -> NoReturn:
        """Follow the bus until cancelled."""
        await self._subscriber.subscribe_patterns(STATUS.pattern)
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._subscriber.run())
            tasks.create_task(self._follow_demand())
        raise AssertionError("neither task ends by itself")

    async def _follow_demand(self) -> NoReturn:
        """Subscribe to what has become wanted, unsubscribe from what has not, read what has come to stand."""
        while True:
            await self._work.wait()
            self._work.clear()
            wanted = self._hub.topics.wanted
            added, dropped = wanted - self._subscribed, self._subscribed - wanted
            self._subscribed = wanted
            await self._subscriber.subscribe(*map(TICKER.channel, added))
            await self._subscriber.unsubscribe(*map(TICKER.channel, dropped))
            unread, self._unread = self._unread, set()
            try:
                await self._read(unread)
            except BusError as failed:  # perhaps no aggregator lives, and no other message comes
                log.debug("last values not read; they are asked for again", cause=str(failed))
                self._unread |= unread & self._subscribed
                asyncio.get_running_loop().call_later(READ_AGAIN_S, self._work.set)

    def _on_standing(self, channel: str) -> None:
        self._unread.add(Symbol(channel.removeprefix(TICKER.prefix)))
        self._work.set()

    async def _on_subscribed(self, lost: bool) -> None:
        self._unread.clear()
        statuses = await self._bus.last_matching(STATUS.pattern)
        await self._read(self._subscribed, statuses)
        if lost:
            self._hub.resync("the bus was away")

    async def _read(self, symbols: set[Symbol], statuses: Iterable[tuple[str, bytes]] = ()) -> None:
        names = list(symbols)
        lasts = await self._bus.last_aged(*map(TICKER.channel, names))
        self._hub.take_last(zip(names, lasts, strict=True), statuses)
