"""Live prices for your own program: first each symbol's last ticker, then every ticker that is published, as typed values.

async for ticker in subscribe("BTC", "ETH"):
    print(ticker.symbol, ticker.price, ticker.quality)
"""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple

from .bus import BusError, Reader, RefusedError
from .bus.subscriber import Subscriber
from .conversions import DEFAULT_CONVERSIONS, Conversions
from .kinds import STATUS, TICKER
from .messages import CodecError, Symbol, Ticker, decode_status, decode_ticker, parse_symbol, unique
from .process.clock import now_ms
from .process.logs import get_logger
from .tickers import Clocks, LatestTicker, as_of, read_ticker

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
LAG_LIMIT_MS = 1_000
"""How far a ticker that is handed out may be behind its symbol's newest. A reader slower than that skips to the newest."""
MAX_WAITING = 200
"""Tickers that may wait for the reader, per symbol: 4 s at the default top rate. Beyond it, only each symbol's newest stays."""
LOOK_INTERVAL_S = 0.5
UNEVEN_MS = 1_000
"""How unevenly tickers may arrive. When counting starts again it starts at the Unix time in ms, and no symbol has a ticker each
millisecond. So if `seq` grew by more than the milliseconds passed plus this, counting has started again."""

OnGap = Callable[[Symbol, int | None], None]
"""Called just before a symbol's next ticker is handed out, with the number of its tickers that were missed before.

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


def subscribe(
    *symbols: str,
    redis_url: str = DEFAULT_REDIS_URL,
    on_gap: OnGap | None = None,
    conversions: Conversions = DEFAULT_CONVERSIONS,
) -> AsyncGenerator[Ticker]:
    """Yield tickers of symbols without end: first the last known ticker of each, then each ticker as it is published.

    - Subscribing creates the demand: if a listed symbol does not stream yet, it starts to.
    - If a ticker is not renewed for five seconds, it is yielded again with quality `stale`, and a minute later as `down`
      without a price. So the last ticker yielded is always true, even while the exchange, the aggregator or Redis is away.
    - While Redis cannot be reached, also at the start, this waits, tries again, and logs a warning to the logger
      `market_pulse`. After that it yields the last values, and then live tickers again.
    - If the reader does not keep up, it gets the newest tickers and the others are dropped. `on_gap` is called with the number
      of tickers that were dropped for this reason or lost with a connection.

    If you leave the loop early, close the generator; `contextlib.aclosing` does it for you.

    Args:
        symbols: as users write them: `btc` is BTC-USDT.
        redis_url: a URL that `market_pulse.process.addresses.read_redis_url` accepts.
        on_gap: called when tickers were missed. Must not block.
        conversions: the aggregator's, if it has others than the default. They only decide what counts as unlisted.

    Raises:
        ValueError: no symbol is given, or a text is not a symbol. At the first step: the URL is not valid.
        RefusedError: at the first step, if Redis rejects the user or password, or this user may not subscribe.
        UnlistedError: at the first step, if by then all exchanges' listings are known and one of the symbols is in no listing.
    """
    wanted = unique(map(parse_symbol, symbols))
    if not wanted:
        raise ValueError("name a symbol to subscribe to, for example BTC")
    return _follow(wanted, redis_url, Inbox(wanted, on_gap), conversions)


async def _follow(
    symbols: Sequence[Symbol], redis_url: str, inbox: "Inbox", conversions: Conversions
) -> AsyncGenerator[Ticker]:
    news = asyncio.Event()
    first = asyncio.Event()
    names = [TICKER.channel(symbol) for symbol in symbols]

    def take(channel: str, data: bytes, *, live: bool = True, age_ms: int | None = None) -> None:
        try:
            inbox.take(Symbol(channel.removeprefix(TICKER.prefix)), data, now_ms(), live=live, age_ms=age_ms)
        except CodecError as wrong:  # `on_gap` will count it: the next ticker's number shows that one is missing
            log.debug("not a ticker", channel=channel, cause=str(wrong))
        news.set()

    async with Reader.open(redis_url) as bus:

        async def read_last(_: bool) -> None:
            for name, last in zip(names, await bus.last_aged(*names), strict=True):
                if last is not None:
                    take(name, last.message, live=False, age_ms=last.age_ms)
            first.set()

        def ended(_: object) -> None:
            first.set()
            news.set()

        subscriber = bus.subscriber(take, read_last)
        await subscriber.subscribe(*names)
        await _refuse_the_refused(bus, subscriber, names)
        following = asyncio.create_task(subscriber.run())
        following.add_done_callback(ended)
        try:
            await first.wait()
            await _refuse_unlisted(bus, symbols, conversions)
            clock = asyncio.get_running_loop().time
            look_at = clock()
            while not following.done():
                if clock() >= look_at:
                    inbox.age(now_ms())
                    look_at = clock() + LOOK_INTERVAL_S
                if ticker := inbox.next(now_ms()):
                    yield ticker
                    continue
                news.clear()
                with suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_INTERVAL_S):
                        await news.wait()
            following.result()  # `run` never returns: it has ended by an error in this code, which is raised here
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


async def _refuse_unlisted(bus: Reader, symbols: Sequence[Symbol], conversions: Conversions) -> None:
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


class _Received(NamedTuple):
    """A ticker as it was published, and the same ticker with the times from which its age is computed."""

    ticker: Ticker
    latest: LatestTicker


@dataclass(slots=True)
class _Known:
    """A symbol's newest ticker, the one handed out last (`told`), and the staleness that one was handed out with (`level`)."""

    newest: _Received
    told: _Received | None = None
    level: int = 0


class Inbox:
    """The tickers that wait for one reader, in order of arrival, and the last one it got of each symbol. Time is an argument.

    The newest ticker of each symbol is always either waiting or already handed out.
    """

    def __init__(self, symbols: Iterable[Symbol], on_gap: OnGap | None = None) -> None:
        self._waiting: deque[_Received] = deque()
        self._most = MAX_WAITING * len(tuple(symbols))
        self._known: dict[Symbol, _Known] = {}
        self._clocks = Clocks()
        self._on_gap = on_gap

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, symbol: Symbol, data: bytes, now_ms: int, *, live: bool, age_ms: int | None = None) -> None:
        """Add a message from a symbol's channel, unless a newer ticker is known already.

        If `live` is False, the message is the channel's last value, and `age_ms` its age if known.

        Raises:
            CodecError: the message is no ticker of this symbol.
        """
        known = self._known.get(symbol)
        received = _Received(decode_ticker(data), read_ticker(symbol, data, now_ms, self._clocks, live=live, age_ms=age_ms))
        if known is None:
            self._known[symbol] = _Known(received)
        elif received.latest.supersedes(known.newest.latest):
            known.newest = received
        else:
            return
        self._waiting.append(received)
        if len(self._waiting) > self._most:
            self._waiting = deque(one for one in self._waiting if one is self._known[one.ticker.symbol].newest)

    def age(self, now_ms: int) -> None:
        """Queue a symbol's newest ticker again if it was handed out and has become stale, or down, since."""
        for known in self._known.values():
            level = known.newest.latest.staleness(now_ms)
            if known.told is known.newest and level > known.level:
                known.level = level
                self._waiting.append(known.newest)

    def next(self, now_ms: int) -> Ticker | None:
        """Return the next ticker to hand out, as it must be shown at `now_ms`, or None if nothing waits."""
        while self._waiting:
            received = self._waiting.popleft()
            known = self._known[received.ticker.symbol]
            if known.newest.latest.current_ms - received.latest.current_ms > LAG_LIMIT_MS:
                continue
            self._tell_gap(known.told, received)
            known.told, known.level = received, received.latest.staleness(now_ms)
            return received.ticker if known.level == 0 else decode_ticker(as_of(received.latest, now_ms))
        return None

    def _tell_gap(self, told: _Received | None, received: _Received) -> None:
        if told is None or self._on_gap is None:
            return
        step = received.ticker.seq - told.ticker.seq
        # By our clock, because the two tickers may be of different publishers.
        most = received.latest.current_ms - told.latest.current_ms + UNEVEN_MS
        if step < 0 or step > most:  # counting has started again, at the Unix time in milliseconds
            self._on_gap(received.ticker.symbol, None)
        elif step > 1:
            self._on_gap(received.ticker.symbol, step - 1)
