"""Messages that wait to be published, so that reading an exchange never waits for Redis.

All messages that arrived during one round of the event loop are published in one command. While Redis is slow or away, one
message per channel waits. A new message is joined with it: a state replaces the one that waits, and events are all kept, up
to a limit.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Generic, NamedTuple, NoReturn, TypeVar

from market_pulse.bus import BusError
from market_pulse.process.backoff import backoff_s
from market_pulse.process.logs import get_logger

DRAIN_LIMIT_S = 1.0
BUSY, REST_S = 6, 0.001
"""If this many messages arrived during a command, wait REST_S for more: a command for ten costs as much as one for one."""
MOST_EVENTS = 1000  # per channel

Message = TypeVar("Message")

log = get_logger()


def newest(_: Message, new: Message) -> Message:
    """Join two messages of a state: keep the newer one."""
    return new


class Events(NamedTuple):
    """Events of one channel, the oldest first, and how many earlier ones were dropped."""

    events: tuple[Any, ...]
    dropped: int = 0


def all_events(old: Events, new: Events) -> Events:
    """Join two batches of events. If there are more than MOST_EVENTS, the oldest are dropped and counted."""
    events = old.events + new.events
    surplus = max(0, len(events) - MOST_EVENTS)
    return Events(events=events[surplus:], dropped=old.dropped + new.dropped + surplus)


class Outbox(Generic[Message]):
    """Holds at most one message per channel of one kind, and publishes them.

    `failing_since_s` is since when publishing fails, by the event loop's clock; None while it works.
    """

    def __init__(
        self,
        publish: Callable[[Collection[Message]], Awaitable[object]],
        join: Callable[[Message, Message], Message] = newest,
    ) -> None:
        self._publish = publish
        self._join = join
        self._waiting: dict[str, Message] = {}  # by channel, the longest waiting first
        self._filled = asyncio.Event()
        self.failing_since_s: float | None = None

    def put(self, channel: str, message: Message) -> bool:
        """Add a message without waiting. Return whether another one waited for its channel, with which it was joined."""
        waiting = self._waiting.get(channel)
        self._waiting[channel] = message if waiting is None else self._join(waiting, message)
        self._filled.set()
        return waiting is not None

    def discard(self, channel: str) -> None:
        """Drop the message that waits for a channel, if there is one."""
        self._waiting.pop(channel, None)

    async def run(self) -> NoReturn:
        """Publish until cancelled. Then try for DRAIN_LIMIT_S to publish the messages that still wait."""
        failures = 0
        try:
            while True:
                await self._filled.wait()
                if await self._send():
                    failures = 0
                    if len(self._waiting) >= BUSY:
                        await asyncio.sleep(REST_S)
                else:
                    failures += 1
                    await asyncio.sleep(backoff_s(failures, base_s=0.1, cap_s=2.0, floor_s=0.05))
        finally:
            if self._waiting and failures == 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(DRAIN_LIMIT_S):
                        await self._send()

    async def _send(self) -> bool:
        batch, self._waiting = self._waiting, {}
        self._filled.clear()
        if not batch:
            return True  # all waiting messages were discarded
        try:
            await self._publish(batch.values())
        except BusError as failed:
            if self.failing_since_s is None:
                self.failing_since_s = asyncio.get_running_loop().time()
                log.warning("publishing fails; each channel's newest message waits", cause=str(failed))
            self._put_back(batch)
            return False
        except asyncio.CancelledError:
            self._put_back(batch)
            raise
        if self.failing_since_s is not None:
            log.info("publishing works again", after_s=round(asyncio.get_running_loop().time() - self.failing_since_s, 1))
            self.failing_since_s = None
        return True

    def _put_back(self, batch: dict[str, Message]) -> None:
        """Put back messages that were not published. Messages that have arrived meanwhile are newer."""
        newer, self._waiting = self._waiting, batch
        for channel, message in newer.items():
            self.put(channel, message)
        self._filled.set()
