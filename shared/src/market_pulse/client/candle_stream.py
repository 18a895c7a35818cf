"""A symbol's past candles and then the live ones, or the live tickers that follow the past candles exactly."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from dataclasses import dataclass
from math import inf

from market_pulse.bus import BusError, Reader
from market_pulse.conversions import DEFAULT_CONVERSIONS, Conversions
from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE, TICKER
from market_pulse.messages import Candle, CodecError, Interval, Symbol, Ticker, parse_symbol
from market_pulse.process.clock import now_ms
from market_pulse.tickers import STALE_AFTER_MS

from .candle_inbox import CandleInbox, Gap
from .inbox import Inbox
from .line import DEFAULT_REDIS_URL, LOOK_INTERVAL_S, Line, OnGap, UnlistedError, listening, log, refuse_unlisted
from .prices import read_last_tickers, waiting_tickers

PATIENCE_S = 10.0
"""How long to wait at the start for the first candle, for past candles, and for the tickers to join them."""
SETTLED_S = 2.0
"""Once a candle is there, past candles that stay the same for this long are taken to be all there are."""
GAP_PATIENCE_S = 5.0
"""How long to look for the candles in a gap. A candle waits 3 s for its volumes before it is kept among the past ones."""
LAG_LIMIT_MS = 10_000
"""How far a ticker after the candles may be behind the newest: the open candle that it follows may be a second old."""
MAX_WAITING = 2_000


@dataclass(frozen=True, slots=True)
class _Wish:
    """The candles that a reader wants: ours, or an exchange's."""

    symbol: Symbol
    interval: Interval
    exchange: str | None
    limit: int

    @property
    def channel(self) -> str:
        """Where the live ones are published."""
        if self.exchange is not None:
            return EXCHANGE_CANDLE.channel(self.exchange, self.symbol)
        return CANDLES[self.interval].channel(self.symbol)


def candles(
    symbol: str,
    interval: str = "1m",
    *,
    limit: int = 500,
    exchange: str | None = None,
    redis_url: str = DEFAULT_REDIS_URL,
    on_gap: OnGap | None = None,
    conversions: Conversions = DEFAULT_CONVERSIONS,
) -> AsyncGenerator[Candle]:
    """Yield a symbol's past candles, oldest first, then the open one and each newer state of it, without end.

    - Subscribing creates the demand: if a listed symbol has no candles yet, they and their past begin to come. This waits up to
      ten seconds for them. If none came, it logs what is missing to the logger `market_pulse`, and goes on waiting.
    - A new interval always lies after all those before it. A state replaces the one yielded before it of the same `start_ms`.
      When an interval ends, the next one begins at once, and the ended one is yielded once more some seconds later with
      `closed`, and its final volumes. A correction has a higher `revision`. So an earlier interval may come again.
    - An interval without a price has no candle. Before a candle that does not follow the one before it, the past candles are
      read again, also after a reconnect. `on_gap` is then called with the number of intervals for which there is no candle.
    - A slow reader gets the newest state of each interval.

    If you leave the loop early, close the generator; `contextlib.aclosing` does it for you.

    Args:
        symbol: as users write it: `btc` is BTC-USDT.
        interval: `1m`, `1h` or `1d`.
        limit: how many past candles to begin with, at most. Redis keeps 1,440 minutes, 720 hours and 365 days.
        exchange: whose candles; None: those across exchanges. An exchange has only `1m`.
        redis_url: a URL that `market_pulse.process.addresses.read_redis_url` accepts.
        on_gap: called when intervals have no candle. Must not block.
        conversions: the aggregator's, if it has others than the default. They only decide what counts as unlisted.

    Raises:
        ValueError: the symbol, interval, exchange or limit is not valid. At the first step: the URL is not valid.
        RefusedError: at the first step, if Redis rejects the user or password, or this user may not subscribe.
        UnlistedError: at the first step, if it is known by then that no exchange, or not this one, lists the symbol.
    """
    return _live_candles(_wish(symbol, interval, limit, exchange), redis_url, on_gap, conversions)


def candles_then_tickers(
    symbol: str,
    interval: str = "1m",
    *,
    limit: int = 500,
    redis_url: str = DEFAULT_REDIS_URL,
    on_gap: OnGap | None = None,
    conversions: Conversions = DEFAULT_CONVERSIONS,
) -> AsyncGenerator[Candle | Ticker]:
    """Yield a symbol's past candles, oldest first, the open one, and then exactly the tickers that are not in it.

    The first ticker has the number after the `last_seq` of the last candle. So whoever goes on building candles from these
    tickers misses none and counts none twice. Of missed tickers `on_gap` tells the number, as in `subscribe`; the tickers are
    then as there. A ticker may be ten seconds behind the newest before a slow reader skips to that.

    Before the first ticker, the open candle may be yielded in several states. If there are no candles, `on_gap` is told None,
    what is missing is logged, and the tickers begin without them.

    The arguments and errors are those of `candles`. `on_gap` also tells the gaps between candles, as there.
    """
    return _joined(_wish(symbol, interval, limit, None), redis_url, on_gap, conversions)


def _wish(symbol: str, interval: str, limit: int, exchange: str | None) -> _Wish:
    wanted = Interval(interval)
    if exchange is not None and wanted is not Interval.MINUTE:
        raise ValueError(f"an exchange has candles of {Interval.MINUTE}, but not of {wanted}")
    if limit < 0:
        raise ValueError(f"the limit is {limit}, but must be 0 or more")
    wish = _Wish(parse_symbol(symbol), wanted, exchange, min(limit, wanted.kept))
    if exchange is not None and EXCHANGE_CANDLE.names(wish.channel) is None:
        raise ValueError(f"{exchange!r} is no exchange's name")
    return wish


@dataclass(slots=True)
class _Look:
    """Since when a gap was looked at, and when to look again, by the event loop's clock."""

    gap: Gap
    begun_s: float = inf
    again_s: float = 0.0


class _Past:
    """The waiting candles, together with the bars in Redis."""

    def __init__(self, bus: Reader, wish: _Wish, inbox: CandleInbox) -> None:
        self._bus, self._wish, self._inbox = bus, wish, inbox
        self._limit = wish.limit
        self._looked: _Look | None = None

    async def read_last(self) -> None:
        """Read the last candle, and the past ones: at first as many as are wished, later all that are kept."""
        [last] = await self._bus.last(self._wish.channel)
        await self._read_past(self._limit)
        if last is not None:
            with suppress(CodecError):  # another program wrote it
                self._inbox.take(last, live=False)

    async def settle(self, line: Line, conversions: Conversions) -> None:
        """Wait until the first candle and the past ones are there, for PATIENCE_S at most, and log what is missing."""
        wish, clock = self._wish, asyncio.get_running_loop().time
        await _refuse(self._bus, wish, conversions)
        begun_s = changed_s = looked_s = clock()
        known = self._inbox.past
        while not line.ended and clock() < begun_s + PATIENCE_S:
            if self._has_open and (known >= wish.limit or clock() >= changed_s + SETTLED_S):
                break
            await line.wait()
            if clock() >= looked_s + LOOK_INTERVAL_S:
                looked_s = clock()
                with suppress(BusError):
                    await self._read_past(wish.limit)
            if self._inbox.past != known:
                known, changed_s = self._inbox.past, clock()
        self._inbox.keep_newest(wish.limit)
        self._limit = wish.interval.kept
        if not self._has_open:
            await self._tell_missing()
        elif self._inbox.past < wish.limit:
            log.info("fewer past candles than wished", channel=wish.channel, wished=wish.limit, found=self._inbox.past)

    async def next(self) -> Candle | None:
        """Return the next candle to hand out, or None if no candle waits now. In a gap, first look for candles in Redis."""
        gap = self._inbox.gap()
        if gap is not None and not await self._has_looked(gap):
            return None
        return self._inbox.next()

    async def _has_looked(self, gap: Gap) -> bool:
        """Look at times for candles in a gap. Return whether the gap is filled, or was looked at for GAP_PATIENCE_S."""
        now_s = asyncio.get_running_loop().time()
        if self._looked is None or self._looked.gap != gap:
            self._looked = _Look(gap)
        look = self._looked
        if now_s < look.again_s:
            return False
        try:
            await self._read_past(gap.intervals, gap.before_ms)
        except BusError:  # so what is in the gap is not known
            return False
        look.begun_s = min(look.begun_s, now_s)
        look.again_s = now_s + LOOK_INTERVAL_S
        if self._inbox.gap() == gap and now_s >= look.begun_s + GAP_PATIENCE_S:
            self._inbox.believe(gap)
        return self._inbox.gap() != gap

    async def _read_past(self, limit: int, before_ms: int | None = None) -> None:
        if limit > 0:
            wish = self._wish
            kept = min(limit, wish.interval.kept)
            bars = await self._bus.bars(wish.interval, wish.symbol, wish.exchange, before_ms=before_ms, limit=kept)
            self._inbox.take_past(bars)

    @property
    def _has_open(self) -> bool:
        return self._inbox.newest is not None and not self._inbox.newest.closed

    async def _tell_missing(self) -> None:
        wish = self._wish
        cause = "Redis does not answer"
        with suppress(BusError):
            [ticker] = await self._bus.last_aged(TICKER.channel(wish.symbol))
            if wish.exchange is not None:
                cause = f"the ingest of {wish.exchange} publishes none"
            elif ticker is None or ticker.age_ms is None or ticker.age_ms >= STALE_AFTER_MS:
                cause = "there is no live ticker to make it of"
            else:
                cause = "there are tickers, but the service `candles` publishes none"
        log.warning("no open candle yet", channel=wish.channel, waited_s=PATIENCE_S, cause=cause)


async def _refuse(bus: Reader, wish: _Wish, conversions: Conversions) -> None:
    if wish.exchange is None:
        await refuse_unlisted(bus, [wish.symbol], conversions)
        return
    with suppress(BusError):
        listed = (await bus.listings()).get(wish.exchange)
        if listed and wish.symbol not in listed:
            raise UnlistedError([wish.symbol], [wish.exchange])


async def _live_candles(wish: _Wish, redis_url: str, on_gap: OnGap | None, conversions: Conversions) -> AsyncGenerator[Candle]:
    inbox = CandleInbox(wish.symbol, wish.interval, wish.exchange, on_gap)

    def take(_: str, data: bytes) -> None:
        inbox.take(data)

    async with Reader.open(redis_url) as bus:
        past = _Past(bus, wish, inbox)
        async with listening(bus, [wish.channel], take, past.read_last) as line:
            await line.stands.wait()
            await past.settle(line, conversions)
            while not line.ended:
                if candle := await past.next():
                    yield candle
                else:
                    await line.wait()
            line.check()


async def _joined(
    wish: _Wish, redis_url: str, on_gap: OnGap | None, conversions: Conversions
) -> AsyncGenerator[Candle | Ticker]:
    symbol = wish.symbol
    waiting = CandleInbox(symbol, wish.interval, on_gap=on_gap)
    tickers = Inbox([symbol], on_gap, lag_limit_ms=LAG_LIMIT_MS, max_waiting=MAX_WAITING)

    def take(channel: str, data: bytes) -> None:
        if channel == wish.channel:
            waiting.take(data)
        else:
            tickers.take(symbol, data, now_ms(), live=True)

    async with Reader.open(redis_url) as bus:
        past = _Past(bus, wish, waiting)

        async def read_last() -> None:
            await read_last_tickers(bus, [symbol], tickers)
            await past.read_last()

        async with listening(bus, [TICKER.channel(symbol), wish.channel], take, read_last) as line:
            await line.stands.wait()
            await past.settle(line, conversions)
            last: Candle | None = None
            until_s = asyncio.get_running_loop().time() + PATIENCE_S
            while not line.ended:
                if candle := await past.next():
                    last = max(last, candle, key=_place) if last else candle
                    yield candle
                elif follows(last, tickers.oldest(symbol)) or asyncio.get_running_loop().time() >= until_s:
                    break
                else:
                    await line.wait(LOOK_INTERVAL_S / 10)
            if last is not None and last.last_seq is not None:
                tickers.begin_after(symbol, last.last_seq, last.received_time_ms, now_ms())
            elif on_gap is not None:
                on_gap(symbol, None)
            async for ticker in waiting_tickers(tickers, line):
                yield ticker


def follows(last: Candle | None, oldest: int | None) -> bool:
    """Return whether all tickers after the last candle wait, so that they can follow it without a gap.

    Args:
        last: the newest state of the newest candle.
        oldest: the number of the oldest ticker that waits.
    """
    return last is not None and last.last_seq is not None and oldest is not None and oldest <= last.last_seq + 1


def _place(candle: Candle) -> tuple[int, bool, int]:
    return candle.start_ms, candle.closed, -1 if candle.last_seq is None else candle.last_seq
