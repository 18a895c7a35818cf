"""The symbols that an ingest carries: the listing, the demand, and a second look at symbols that fall silent."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection, Sequence
from math import inf
from typing import NoReturn

from market_pulse.bus import Bus, BusError
from market_pulse.messages import Symbol
from market_pulse.process.backoff import backoff_s
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger

from .adapter import MARKET_EVENTS, Adapter, Batch, Day, Event, Listed
from .asked import Asked
from .demand import Demand, Lots
from .errors import FeedError, FeedLost, FeedRefused
from .feed import Feed
from .listing import Listing
from .rest import RestClient
from .settings import IngestSettings

DEMAND_INTERVAL_S = 1.0
FIRST_LISTING_LIMIT_S = 5.0
REPUBLISH_LISTING_S = 10.0  # so that a Redis that lost its memory knows the listing again soon
LISTING_DOUBT_S = 600.0
"""A listing that has lost more than half of its symbols is believed when it has said so for as long."""
FIRST_LISTING_DOUBT_S = 60.0  # without any listing only the featured symbols are carried, so one that starts doubts less long
LARGE_LISTING = 20  # symbols; of a smaller one half may go at once
FIRST_DATA_S = 5.0
CONFIRM_LISTING_S = 5.0  # after an answer that lacks a market for the first time
ENDED_LISTING_S = 30.0  # after a symbol has ended: perhaps it was only halted
HALT_S = 3600.0  # so long that is looked for
RETRY_REST_S = 10.0  # after a timeout or a failure of the exchange

log = get_logger()


class Carrier:
    """Decides which symbols the feed carries and keeps the listing known."""

    def __init__(
        self,
        adapter: Adapter,
        settings: IngestSettings,
        bus: Bus,
        rest: RestClient,
        feed: Feed,
        release: Callable[[Symbol], Awaitable[None]],
    ) -> None:
        capacity = adapter.topics_per_connection // len(adapter.topics("X"))
        if settings.max_symbols > capacity:
            log.warning("fewer symbols than MAX_SYMBOLS fit on one socket", exchange=adapter.exchange, max_symbols=capacity)
        self._adapter = adapter
        self._settings = settings
        self._bus = bus
        self._rest = rest
        self._feed = feed
        self._release = release
        lots = Lots.of(settings.redis_url.get_secret_value())
        self._demand = Demand(settings.symbols, min(settings.max_symbols, capacity), settings.symbol_grace_s, lots.draw)
        self._asked = Asked()
        self._listing: dict[Symbol, Listed] | None = None
        self._listing_doubted_since_s: float | None = None
        self._listing_read = Listing()
        self._listing_is_news = False
        self._listing_in_doubt = asyncio.Event()
        self._ended_s = -inf  # when a symbol last ended
        self._listing_tried = asyncio.Event()
        self._natives: dict[str, Listed] = {}  # what is carried: native symbol -> listing
        self._since_ms: dict[str, int] = {}
        self._checked_ms: dict[str, float] = {}
        self._checked_book = feed.book
        self._turned_away: tuple[Symbol, ...] = ()
        self._ask_rest_after_s = 0.0  # when the exchange asked us to wait

    async def run(self) -> NoReturn:
        """Run the feed and everything that decides what it carries, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_listing())
            try:
                async with asyncio.timeout(FIRST_LISTING_LIMIT_S):
                    await self._listing_tried.wait()
            except TimeoutError:
                log.warning("listing not known yet; starting with SYMBOLS", exchange=self._adapter.exchange)
            await self._follow_demand_once()
            tasks.create_task(self._follow_demand())
            tasks.create_task(self._publish_listing())
            tasks.create_task(self._look_after_quiet_symbols())
            tasks.create_task(self._feed.run())
        raise AssertionError("the jobs above end only by being cancelled")

    async def _keep_listing(self) -> NoReturn:
        failures = 0
        while True:
            try:
                self._listing_in_doubt.clear()
                answer = await self._rest.listing()
                if not answer:
                    raise FeedError("the listing is empty")
                if doubt := self._why_doubtful({one.symbol for one in answer}, await self._published_size()):
                    raise FeedError(doubt)
            except FeedError as failed:
                failures += 1
                delay_s = backoff_s(failures, base_s=2.0)
                if isinstance(failed, FeedRefused):
                    delay_s = max(delay_s, failed.retry_after_s or 0.0)
                    delay_s = max(delay_s, self._settings.blocked_retry_s) if failed.blocked else delay_s
                log.warning("listing not had", exchange=self._adapter.exchange, cause=str(failed), retry_in_s=round(delay_s, 1))
            else:
                failures = 0
                delay_s = self._settings.listing_refresh_s
                if self._take_listing(answer):
                    delay_s = min(delay_s, CONFIRM_LISTING_S)
                elif asyncio.get_running_loop().time() - self._ended_s < HALT_S:
                    delay_s = min(delay_s, ENDED_LISTING_S)
                await self._publish_listing_once()
            self._listing_tried.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await asyncio.sleep(min(delay_s, RETRY_REST_S))  # whatever happens, no faster than this
                    await self._listing_in_doubt.wait()

    async def _published_size(self) -> int:
        """Return how many symbols are in the listing that another copy or an earlier run published, as far as that is known."""
        try:
            return await self._bus.listing_size(self._adapter.exchange)
        except BusError:
            return 0

    def _why_doubtful(self, listing: Collection[Symbol], published: int) -> str | None:
        """Say why a listing is not believed yet: an exchange in trouble may leave out most of what it trades."""
        if self._listing is None:
            known, left, doubt_s = published, len(listing), FIRST_LISTING_DOUBT_S
        else:
            known, left, doubt_s = len(self._listing), sum(symbol in listing for symbol in self._listing), LISTING_DOUBT_S
        if known < LARGE_LISTING or 2 * left >= known:
            self._listing_doubted_since_s = None
            return None
        now_s = asyncio.get_running_loop().time()
        if self._listing_doubted_since_s is None:
            self._listing_doubted_since_s = now_s
        if now_s - self._listing_doubted_since_s >= doubt_s:
            return None
        return f"only {left} of {known} symbols are in the listing; the one before holds until this has lasted"

    def _take_listing(self, answer: Batch[Listed]) -> bool:
        """Take a listing in; return whether it should soon be confirmed."""
        is_doubtful = self._listing_read.take(answer)
        listing = self._listing_read.markets or {}
        missing = [symbol for symbol in self._settings.symbols if symbol not in listing]
        if missing and self._listing is None:
            log.warning("not listed here, so not carried", exchange=self._adapter.exchange, symbols=",".join(missing))
        if self._listing is None or self._listing.keys() != listing.keys():
            log.info("listing known", exchange=self._adapter.exchange, symbols=len(listing))
        self._listing, self._listing_is_news = listing, True
        return is_doubtful

    async def _publish_listing(self) -> NoReturn:
        while True:
            await asyncio.sleep(REPUBLISH_LISTING_S)
            await self._publish_listing_once()

    async def _publish_listing_once(self) -> None:
        """Publish a listing once, and again where Redis lost it: one that another copy has read since is newer than ours."""
        if self._listing is None:
            return
        try:
            if self._listing_is_news or not await self._bus.has_listing(self._adapter.exchange):
                await self._bus.publish_listing(self._adapter.exchange, self._listing)
                self._listing_is_news = False
        except BusError as failed:
            log.debug("listing not published yet", cause=str(failed))

    async def _follow_demand(self) -> NoReturn:
        while True:
            await asyncio.sleep(DEMAND_INTERVAL_S)
            await self._follow_demand_once()

    async def _follow_demand_once(self) -> None:
        try:
            answer = await self._bus.demanded()
        except BusError:
            answer = None
        now_s = asyncio.get_running_loop().time()
        carried = self._demand.update(now_s, self._asked.believe(now_s, answer), self._listing)
        self._tell_turned_away(self._demand.turned_away)
        self._feed.stats.lingering = self._demand.lingering
        natives = {listed.native: listed for listed in map(self._listed, carried)}
        if natives != self._natives:
            await self._carry(natives)

    def _tell_turned_away(self, symbols: tuple[Symbol, ...]) -> None:
        """Say which symbols find no room: in the status each time, in the log when room becomes short."""
        exchange = self._adapter.exchange
        if symbols and not self._turned_away:
            log.warning(
                "MAX_SYMBOLS reached; more are wanted", exchange=exchange, count=len(symbols), symbols=",".join(symbols[:5])
            )
        elif self._turned_away and not symbols:
            log.info("room for all that is wanted again", exchange=exchange)
        self._turned_away = self._feed.turned_away = symbols

    async def _carry(self, natives: dict[str, Listed]) -> None:
        before = {listed.symbol for listed in self._natives.values()}
        after = {listed.symbol for listed in natives.values()}
        self._natives = natives
        self._since_ms = {native: self._since_ms.get(native, now_ms()) for native in natives}
        self._checked_ms = {native: at for native, at in self._checked_ms.items() if native in natives}
        ended = {symbol for symbol in before - after if self._listing is not None and symbol not in self._listing}
        for symbol in sorted(ended):
            log.info("not traded any more", exchange=self._adapter.exchange, symbol=symbol)
            self._feed.end(symbol, "delisted")
            self._ended_s = asyncio.get_running_loop().time()
            self._listing_in_doubt.set()
        self._feed.want(natives)
        if before != after:
            log.info(
                "symbols changed",
                exchange=self._adapter.exchange,
                carried=len(after),
                added=",".join(sorted(after - before)[:10]),
                released=",".join(sorted(before - after)[:10]),
            )
        for symbol in before - after - ended:
            try:
                await self._release(symbol)
            except BusError as failed:
                log.debug("last tick not dropped; it expires by itself", symbol=symbol, cause=str(failed))

    def _listed(self, symbol: Symbol) -> Listed:
        known = self._listing.get(symbol) if self._listing is not None else None
        return known or Listed(symbol, self._adapter.native(symbol), None)

    async def _look_after_quiet_symbols(self) -> NoReturn:
        """Ask REST about symbols whose socket is silent: an illiquid pair is not a dead socket."""
        while True:
            await asyncio.sleep(DEMAND_INTERVAL_S)
            native = self._quiet_symbol()
            if native is not None:
                self._checked_ms[native] = now_ms()
                try:
                    self._judge(native, await self._rest.ticker(native))
                except FeedError as failed:
                    if isinstance(failed, FeedLost):
                        self._ask_later(native, failed)
                    log.debug("quiet symbol not checked", exchange=self._adapter.exchange, native=native, cause=str(failed))

    def _ask_later(self, native: str, failed: FeedLost) -> None:
        """Ask about a symbol again soon, and about any as soon as an exchange that refuses wants to be asked."""
        quiet_s = self._settings.quiet_symbol_s
        self._checked_ms[native] = now_ms() - 1000 * (quiet_s - min(quiet_s, RETRY_REST_S))
        if isinstance(failed, FeedRefused):
            wait_s = failed.retry_after_s or (RETRY_REST_S if failed.failing else quiet_s)
            self._ask_rest_after_s = asyncio.get_running_loop().time() + wait_s

    def _quiet_symbol(self) -> str | None:
        """Return one symbol that has been silent for too long while a socket is open, and was not checked lately."""
        if self._feed.age_s < FIRST_DATA_S or asyncio.get_running_loop().time() < self._ask_rest_after_s:
            return None
        if self._feed.book is not self._checked_book:  # what REST told was told to another
            self._checked_book = self._feed.book
            self._checked_ms.clear()
        now = now_ms()
        quiet_ms = self._settings.quiet_symbol_s * 1000
        for native, since_ms in self._since_ms.items():
            heard_ms = self._feed.book.heard(native)
            silent_ms = now - (heard_ms or since_ms)
            bound_ms = quiet_ms if heard_ms else FIRST_DATA_S * 1000
            if silent_ms > bound_ms and now - self._checked_ms.get(native, 0) > quiet_ms:
                return native
        return None

    def _judge(self, native: str, events: Sequence[Event]) -> None:
        day = next((event for event in events if isinstance(event, Day)), None)
        if day is None:
            self._listing_in_doubt.set()  # the exchange does not know the symbol (any more)
            return
        if self._feed.book.heard(native) is None:
            log.info("first price taken from REST", exchange=self._adapter.exchange, native=native)
            self._feed.seed([event for event in events if isinstance(event, MARKET_EVENTS)])
        elif self._feed.book.is_behind(day):
            log.warning("socket deaf for one symbol; subscribing again", exchange=self._adapter.exchange, native=native)
            self._feed.ask_again(native)
