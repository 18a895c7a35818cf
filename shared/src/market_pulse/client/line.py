"""The part that all iterators of the client share: a subscription, read anew after each reconnect, and refusals."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from market_pulse.bus import BusError, Reader, RefusedError
from market_pulse.bus.subscriber import Subscriber
from market_pulse.conversions import Conversions
from market_pulse.kinds import STATUS
from market_pulse.messages import CodecError, Symbol, decode_status
from market_pulse.process.logs import get_logger

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
LOOK_INTERVAL_S = 0.5

OnGap = Callable[[Symbol, int | None], None]
"""Called just before a symbol's next value is handed out, with the number of its values that are missing before it.

The number is None if counting has started again, because then it cannot be known.
"""

log = get_logger()


class UnlistedError(LookupError):
    """No exchange lists these symbols, nor markets from which their prices could be converted, so no ticker would ever arrive.

    Raised only when all exchanges' listings are known.
    """

    def __init__(self, symbols: Sequence[Symbol], exchanges: Sequence[str]) -> None:
        super().__init__(f"no exchange ({', '.join(exchanges)}) lists {', '.join(symbols)}")
        self.symbols, self.exchanges = symbols, exchanges


class Line:
    """A subscription in a task of its own. `stands` is set once Redis has confirmed it and the last values are read."""

    def __init__(self) -> None:
        self.stands = asyncio.Event()
        self.news = asyncio.Event()
        self._following: asyncio.Task[None] | None = None

    @property
    def ended(self) -> bool:
        """Whether the task has ended. It does that only by an error in this code, which `check` raises."""
        return self._following is not None and self._following.done()

    def check(self) -> None:
        """Raise the error by which the task has ended, if it has."""
        if self._following is not None and self._following.done():
            self._following.result()

    async def wait(self, at_most_s: float = LOOK_INTERVAL_S) -> None:
        """Wait for the next message, for a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(at_most_s):
                await self.news.wait()
        self.news.clear()

    def follow(self, subscriber: Subscriber) -> asyncio.Task[None]:
        """Start the task."""
        self._following = asyncio.create_task(subscriber.run())
        self._following.add_done_callback(self._wake)
        return self._following

    def _wake(self, _: object) -> None:
        self.stands.set()
        self.news.set()


Take = Callable[[str, bytes], None]
"""Called with channel and message. A CodecError of it is logged: the gap that the message leaves is told with the next one."""


@asynccontextmanager
async def listening(
    bus: Reader, names: Sequence[str], take: Take, read_last: Callable[[], Coroutine[Any, Any, None]]
) -> AsyncIterator[Line]:
    """Subscribe to channels by name, which is demand for them, until the end of the block.

    `read_last` is called each time the subscription stands, also after a reconnect: what was published before is not heard.

    Raises:
        RefusedError: Redis rejects the user or password, or this user may not subscribe.
    """
    line = Line()

    def heard(channel: str, data: bytes) -> None:
        try:
            take(channel, data)
        except CodecError as wrong:
            log.debug("message not understood", channel=channel, cause=str(wrong))
        line.news.set()

    async def on_subscribed(_: bool) -> None:
        await read_last()
        line.stands.set()
        line.news.set()

    subscriber = bus.subscriber(heard, on_subscribed)
    await subscriber.subscribe(*names)
    await _refuse_the_refused(bus, subscriber, names)
    following = line.follow(subscriber)
    try:
        yield line
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)


async def _refuse_the_refused(bus: Reader, subscriber: Subscriber, names: Sequence[str]) -> None:
    try:
        await subscriber.attempt()
        await bus.last(*names)
    except RefusedError:
        raise
    except BusError:
        return  # Redis cannot be reached, so whether it would refuse is not known


async def refuse_unlisted(bus: Reader, symbols: Sequence[Symbol], conversions: Conversions) -> None:
    """Refuse symbols that no exchange lists and that are not converted, if all running exchanges' listings are known.

    Raises:
        UnlistedError: a symbol is neither listed nor converted.
    """
    try:
        listings = {exchange: listed for exchange, listed in (await bus.listings()).items() if listed}
        anywhere = frozenset[Symbol]().union(*listings.values())
        unlisted = [symbol for symbol in symbols if not conversions.can_price(symbol, anywhere)]
        if not listings or not unlisted or await _serving(bus) - listings.keys():
            return  # an exchange that has not published its listing yet may list them
    except BusError:
        return  # Redis cannot be reached, so what is listed is not known
    raise UnlistedError(unlisted, sorted(listings))


async def _serving(bus: Reader) -> set[str]:
    """Return the exchanges that have a running ingest, leaving out those whose feed is `blocked` or `down`."""
    exchanges = set()
    for channel, data in await bus.last_matching(STATUS.pattern):
        with suppress(CodecError):
            status = decode_status(data)
            if status.state not in {"blocked", "down"} and channel.startswith(STATUS.channel(status.exchange)):
                exchanges.add(status.exchange)
    return exchanges
