"""Publishes an exchange's candles and keeps its past ones: from the sockets, from REST, and by the clock."""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import NoReturn

from market_pulse.bus import BusError, IngestBus
from market_pulse.messages import Bar, Candle, Interval, Symbol, bar_of
from market_pulse.process.backoff import backoff_s
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger

from .adapter import Adapter, CandleHistory, Listed
from .candles import Candles, is_idle, newest_of_each
from .errors import FeedLost, FeedRefused, FrameError
from .feed import Feed
from .history import Budget, History, Request
from .metrics import Stats
from .outbox import Outbox
from .rest import RestClient
from .settings import IngestSettings

TICK_S = 0.25
RENEW_S = 60.0
IDLE_S, LONGEST_WAIT_S = 0.25, 1.0  # the shortest and the longest pause before looking for a request to send
REFUSED_S = 60.0  # the pause after a refusal that names no time
AGAIN_S = 600.0  # a symbol's history that Redis has lost is asked for again at most once in this time
EXPIRING_S = 120.0  # hours and days are asked for again when Redis keeps them for no longer than this

log = get_logger()


class CandleKeeper:
    """The candles of one exchange.

    Args:
        adapter: the exchange.
        feed: the feed whose endpoint gives candles. If it is None, the candles of each last minute are asked for by REST.
        settings: the ingest's settings.
        bus: where to publish.
        rest: the exchange's REST API.
        stats: where to count.
    """

    def __init__(
        self, adapter: Adapter, feed: Feed | None, settings: IngestSettings, bus: IngestBus, rest: RestClient, stats: Stats
    ) -> None:
        self._exchange = adapter.exchange
        self._of = adapter.candles
        self._feed = feed
        self._blocked_s = settings.blocked_retry_s
        self._bus = bus
        self._rest = rest
        self._stats = stats
        self._candles = Candles(adapter.exchange, stats.candles_skipped)
        self._outbox: Outbox[tuple[Candle, ...]] = Outbox(self._publish, self._join)
        self._history = None
        if self._of is not None:
            self._history = History(self._of, settings.symbol_grace_s, polls=feed is None)
        self._carried: tuple[Symbol, ...] = ()
        self._unbroken_since_ms: int | None = None  # of the feed's newest row of sockets
        # The symbols with past candles in Redis, and when each symbol's were last found to be lost, by the event loop's clock.
        self._stored: set[Symbol] = set()
        self._lost_s: dict[Symbol, float] = {}
        self._refreshed_s: dict[Symbol, float] = {}  # when each symbol's hours and days were last asked for again
        self._failures = 0  # how many requests in a row were refused or failed

    @property
    def fails(self) -> bool:
        """Whether publishing fails now."""
        return self._outbox.failing_since_s is not None

    def want(self, carried: Sequence[Listed], subscribed: Collection[Symbol]) -> None:
        """Set which symbols are carried, the most important first, and which of them have subscribers."""
        self._carried = tuple(listed.symbol for listed in carried)
        self._candles.keep(self._carried)
        self._stored.intersection_update(self._carried)
        self._lost_s = {symbol: at_s for symbol, at_s in self._lost_s.items() if symbol in self._stored}
        self._refreshed_s = {symbol: at_s for symbol, at_s in self._refreshed_s.items() if symbol in self._carried}
        if self._history is not None:
            self._history.want(asyncio.get_running_loop().time(), now_ms(), carried, subscribed)

    def hear(self, candle: Candle) -> None:
        """Take a candle from a socket."""
        self._put(self._candles.told(Symbol(candle.symbol), candle, candle.received_time_ms))

    def release(self, symbol: Symbol) -> None:
        """Drop what waits to be published of a symbol that is carried no more."""
        self._outbox.discard(symbol)

    async def run(self) -> NoReturn:
        """Publish, ask for past candles, and close candles by the clock, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for job in (self._outbox.run(), self._tick(), self._ask(), self._renew()):
                tasks.create_task(job)
        raise AssertionError("the jobs above end only by being cancelled")

    def _put(self, candles: Iterable[Candle]) -> None:
        for candle in candles:
            self._outbox.put(candle.symbol, (candle,))
            self._stats.candle_revisions += candle.revision > 0
            if candle.closed:
                self._stored.add(Symbol(candle.symbol))

    def _join(self, old: tuple[Candle, ...], new: tuple[Candle, ...]) -> tuple[Candle, ...]:
        joined = newest_of_each(old, new)
        dropped = len({candle.start_ms for candle in (*old, *new)}) - len(joined)
        if dropped:
            self._stats.candles_skipped["dropped"] += dropped
        return joined

    async def _publish(self, batches: Collection[tuple[Candle, ...]]) -> None:
        candles = [candle for batch in batches for candle in batch]
        self._stats.candles += await self._bus.publish_exchange_candles(self._exchange, candles)

    async def _tick(self) -> NoReturn:
        while True:
            await asyncio.sleep(TICK_S)
            unbroken_since_ms = self._feed.unbroken_since_ms if self._feed is not None else None
            if unbroken_since_ms is not None and unbroken_since_ms != self._unbroken_since_ms:
                if self._history is not None:
                    for symbol in self._carried:
                        self._history.reopened(symbol, self._candles.newest_closed_ms(symbol), now_ms())
                self._unbroken_since_ms = unbroken_since_ms
            self._put(self._candles.tick(now_ms(), unbroken_since_ms))

    async def _ask(self) -> None:
        """Send one request for past candles after the other, no faster than the budget allows."""
        if self._of is None or self._history is None:
            return
        of, history, budget, clock = self._of, self._history, Budget(self._of.rate), asyncio.get_running_loop().time
        while True:
            delay_s = budget.delay_s(clock())
            request = history.next(clock(), now_ms()) if delay_s == 0 else None
            if request is None:
                wait_s = min(max(delay_s, IDLE_S), LONGEST_WAIT_S)
                if delay_s > 0 and history.has_work(now_ms()):
                    self._stats.history_waited_s += wait_s
                await asyncio.sleep(wait_s)
                continue
            budget.spend(clock())
            self._stats.history_requests += 1
            try:
                answer = await self._rest.candles(of, request.native, request.interval, request.since_ms, request.until_ms)
            except FeedLost as lost:
                history.not_sent(request)
                budget.pause(clock(), self._pause_s(lost))
            except FrameError as bad:
                # Some exchanges refuse with an answer like any other, so several in a row slow all requests down.
                self._failures += 1
                budget.pause(clock(), backoff_s(self._failures))
                self._stats.history_failures[bad.kind] += 1
                again = history.failed(request, clock())
                log.info("past candles not read", exchange=self._exchange, native=request.native, cause=str(bad), again=again)
            else:
                self._failures = 0
                history.answered(request, answer)
                await self._keep(request, answer, of)

    def _pause_s(self, lost: FeedLost) -> float:
        """Count a refusal or a failure, and return for how long to send no request for candles."""
        self._stats.history_failures[lost.kind] += 1
        self._failures += 1
        wait_s = backoff_s(self._failures, base_s=2.0)
        if isinstance(lost, FeedRefused) and lost.retry_after_s is not None:
            wait_s += lost.retry_after_s
        elif isinstance(lost, FeedRefused) and not lost.failing:
            wait_s += self._blocked_s if lost.blocked else REFUSED_S
        if self._failures == 1:  # a row of failures is logged once; a metric counts them
            log.info("past candles refused", exchange=self._exchange, cause=str(lost), retry_in_s=round(wait_s, 1))
        return wait_s

    async def _keep(self, request: Request, answer: Sequence[Candle], of: CandleHistory) -> None:
        settled_ms = round(of.settled_s * 1000)
        if request.symbol not in self._carried:
            return  # it was released while the answer was on the way
        bars: Sequence[Bar]
        if request.interval is Interval.MINUTE:
            messages, bars = self._candles.rows(request.symbol, answer, now_ms(), settled_ms, history=request.history)
            self._put(messages)
        else:
            here_ms = self._candles.clock.now_ms(now_ms())
            bars = [bar_of(candle) for candle in answer if candle.end_ms + settled_ms <= here_ms and not is_idle(candle)]
        failures = 0
        while bars and request.symbol in self._carried:
            try:
                await self._bus.keep_bars(request.interval, request.symbol, bars, self._exchange)
            except BusError:
                # To ask the exchange for more would be of no use as long as Redis does not take this.
                failures += 1
                await asyncio.sleep(backoff_s(failures, cap_s=5.0))
            else:
                if request.interval is Interval.MINUTE:
                    self._stored.add(request.symbol)
                return

    async def _renew(self) -> NoReturn:
        """Keep the past candles in Redis while their symbols are carried. If Redis has lost them, ask for them again."""
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(RENEW_S)
            stored = [symbol for symbol in self._carried if symbol in self._stored]
            try:
                lost = await self._bus.renew_exchange_bars(self._exchange, stored) if stored else set()
                expiring = await self._bus.expiring_exchange_bars(self._exchange, self._carried, EXPIRING_S)
            except BusError:
                continue
            for symbol in lost:
                if self._history is not None and clock() - self._lost_s.get(symbol, -AGAIN_S) >= AGAIN_S:
                    self._lost_s[symbol] = clock()
                    log.info("past candles lost; asking again", exchange=self._exchange, symbol=symbol)
                    self._history.again(symbol, now_ms())
            self._refresh_one(expiring)

    def _refresh_one(self, expiring: Sequence[Symbol]) -> None:
        """Ask for the hours and days of one symbol again: so few requests that no other symbol's history waits for long.

        The candle maker may start long after this ingest. It needs them for as long as the symbol is carried.
        """
        if self._history is None:
            return
        now_s = asyncio.get_running_loop().time()
        # The one that was asked for the longest ago comes first, because a young market may have no days at all.
        for symbol in sorted(expiring, key=lambda symbol: self._refreshed_s.get(symbol, 0.0)):
            if self._history.refresh(symbol, now_ms()):
                self._refreshed_s[symbol] = now_s
                return
