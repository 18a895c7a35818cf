"""Prices for a program of one's own: each symbol's last ticker first, then every one that is published, as typed values.

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
from .kinds import STATUS, TICKER
from .messages import CodecError, Symbol, Ticker, decode_status, decode_ticker, parse_symbol, unique
from .process.clock import now_ms
from .process.logs import get_logger
from .tickers import Clocks, LatestTicker, as_of, read_ticker

DEFAULT_REDIS_URL = "redis://127.0.0.1:6379/0"
LAG_LIMIT_MS = 1_000
"""How far a ticker that is handed out may be behind its symbol's newest. A reader slower than that is taken to the newest."""
MAX_WAITING = 200
"""Tickers that may wait for their reader, per symbol: four seconds of the busiest. Beyond it, the newest of each remain."""
LOOK_INTERVAL_S = 0.5
UNEVEN_MS = 1_000
"""How much later than another a ticker may have come and still have been made at once. No symbol has a ticker each millisecond:
beyond this, numbers leap."""

OnGap = Callable[[Symbol, int | None], None]
"""Told how many of a symbol's tickers were missed, just before the next is handed out.

None: counting began anew, and nobody knows.
"""

log = get_logger()


class UnlistedError(LookupError):
    """Every exchange that is served here has said what it lists, and none has these symbols: nothing would ever come."""

    def __init__(self, symbols: Sequence[Symbol], exchanges: Sequence[str]) -> None:
        super().__init__(f"no exchange ({', '.join(exchanges)}) lists {', '.join(symbols)}")
        self.symbols, self.exchanges = symbols, exchanges


def subscribe(*symbols: str, redis_url: str = DEFAULT_REDIS_URL, on_gap: OnGap | None = None) -> AsyncGenerator[Ticker]:
    """Return the tickers of symbols, without end: the last of each that is known, and then each as it is published.

    - To subscribe is to ask: a listed symbol that does not stream yet begins to.
    - A ticker that is not renewed for five seconds comes again with quality `stale`, and a minute later as `down`, without a
      price. So the last one that was handed out is always true, whoever is away: exchange, aggregator or Redis.
    - Where Redis is away, also at the start, this waits and tries again, with a warning in the log `market_pulse`. Then come
      the last values, and live tickers again.
    - A reader who does not keep up is handed the newest. What it missed so, or by a lost connection, is told to `on_gap`.

    Whoever leaves the loop early closes what this returns, best by `contextlib.aclosing`.

    Args:
        symbols: as users write them: `btc` is BTC-USDT.
        redis_url: as `market_pulse.process.addresses.read_redis_url` takes it.
        on_gap: told of tickers that were missed. Must not wait.

    Raises:
        ValueError: no symbol, or a text that is none; at the first step, a URL that is none.
        RefusedError: at the first step, where Redis knows no such user or password, or this user may not subscribe.
        UnlistedError: at the first step, as far as is known by then what exchanges list.
    """
    wanted = unique(map(parse_symbol, symbols))
    if not wanted:
        raise ValueError("name a symbol to subscribe to, for example BTC")
    return _follow(wanted, redis_url, Inbox(wanted, on_gap))


async def _follow(symbols: Sequence[Symbol], redis_url: str, inbox: "Inbox") -> AsyncGenerator[Ticker]:
    news = asyncio.Event()
    first = asyncio.Event()
    names = [TICKER.channel(symbol) for symbol in symbols]

    def take(channel: str, data: bytes, *, live: bool = True, age_ms: int | None = None) -> None:
        try:
            inbox.take(Symbol(channel.removeprefix(TICKER.prefix)), data, now_ms(), live=live, age_ms=age_ms)
        except CodecError as wrong:  # its number is missing, so the next one tells of a gap
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
            await _refuse_unlisted(bus, symbols)
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
            following.result()  # it ends by a mistake of ours alone
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
        return  # away: whether it would refuse is not known


async def _refuse_unlisted(bus: Reader, symbols: Sequence[Symbol]) -> None:
    try:
        listings = {exchange: listed for exchange, listed in (await bus.listings()).items() if listed}
        unlisted = [symbol for symbol in symbols if not any(symbol in listed for listed in listings.values())]
        if not listings or not unlisted or await _serving(bus) - listings.keys():
            return  # an exchange that has not said yet what it lists may list them
    except BusError:
        return  # away again: what is listed is not known
    raise UnlistedError(unlisted, sorted(listings))


async def _serving(bus: Reader) -> set[str]:
    """Return the exchanges of which an ingest lives and is not refused by the exchange."""
    exchanges = set()
    for channel, data in await bus.last_matching(STATUS.pattern):
        with suppress(CodecError):
            status = decode_status(data)
            if status.state not in {"blocked", "down"} and channel.startswith(STATUS.channel(status.exchange)):
                exchanges.add(status.exchange)
    return exchanges


class _Received(NamedTuple):
    """A ticker as it was published, and what it takes to tell its age."""

    ticker: Ticker
    latest: LatestTicker


@dataclass(slots=True)
class _Known:
    """A symbol's newest ticker, the one that was handed out last, and how stale that was called."""

    newest: _Received
    told: _Received | None = None
    level: int = 0


class Inbox:
    """What has come for one reader and waits, in order; and what the reader was told last. Pure: time is an argument.

    The newest ticker of each symbol always either waits or was handed out.
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
        """Take in a message of a symbol's channel, or, unless `live`, its last value, so old. What is no news is passed over.

        Raises:
            CodecError: not a ticker of this symbol.
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
        """Have those symbols told of again whose ticker has become stale, or down, since it was handed out."""
        for known in self._known.values():
            level = known.newest.latest.staleness(now_ms)
            if known.told is known.newest and level > known.level:
                known.level = level
                self._waiting.append(known.newest)

    def next(self, now_ms: int) -> Ticker | None:
        """Return the next ticker to hand out, as it must be read now, or None where nothing is to be told."""
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
        most = received.latest.current_ms - told.latest.current_ms + UNEVEN_MS  # by our clock: the publisher may be another
        if step < 0 or step > most:  # counting begun anew goes on at the time in milliseconds
            self._on_gap(received.ticker.symbol, None)
        elif step > 1:
            self._on_gap(received.ticker.symbol, step - 1)
