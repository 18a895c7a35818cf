"""The markets that an exchange lists. This asks the exchange for them, decides which answers to believe, and publishes them."""

import asyncio
import contextlib
from collections.abc import Collection
from math import inf
from typing import NoReturn

from market_pulse.bus import BusError, IngestBus
from market_pulse.messages import Symbol
from market_pulse.process.backoff import backoff_s
from market_pulse.process.logs import get_logger

from .adapter import Adapter, Batch, Listed
from .errors import FeedError, FeedRefused
from .rest import RestClient
from .settings import IngestSettings

LARGE_LISTING = 20  # symbols; a smaller listing may lose more than half of them at once
DOUBT_S = 600.0  # if answers lack more than half of the known symbols, they are believed after this time
FIRST_DOUBT_S = 60.0  # the same before any answer was believed; until then only the featured symbols are carried
FIRST_LIMIT_S = 5.0  # how long the feed waits for the first listing
LEAST_PAUSE_S = 10.0  # the shortest pause between two requests
CONFIRM_S = 5.0  # the pause after an answer that lacks a market for the first time
ENDED_S = 30.0  # the pause after a carried symbol has ended, because it may only be halted
HALT_S = 3600.0  # for how long after that the pause stays so short
REPUBLISH_S = 10.0  # how often Redis is checked for the listing, in case it lost its data

log = get_logger()


class Listing:
    """The markets of one exchange. A market is removed when two answers in a row lack it and have no unreadable entry for it.

    Pure: time is passed in, in seconds of a monotonic clock. `markets` is None before the first answer.
    """

    def __init__(self) -> None:
        self.markets: dict[Symbol, Listed] | None = None
        # The symbols that the newest answer lacked for the first time.
        self._missing: frozenset[Symbol] = frozenset()
        # Since when the answers have been too small to be believed. None if the last one was not.
        self._doubted_since_s: float | None = None

    def update(self, answer: Batch[Listed]) -> bool:
        """Apply an answer. Return whether it lacks a market for the first time, so that another answer is needed soon."""
        known = self.markets or {}
        listed = {one.symbol: one for one in answer}
        unreadable = {skipped.native for skipped in answer.skipped}
        lacking = known.keys() - listed.keys()
        # A market whose entry could not be read may still be listed. An unreadable entry without a name may be any market's.
        in_doubt = {symbol for symbol in lacking if None in unreadable or known[symbol].native in unreadable}
        gone = (lacking - in_doubt) & self._missing
        self.markets = listed | {symbol: known[symbol] for symbol in lacking - gone}
        self._missing = frozenset(lacking - in_doubt - gone)
        return bool(self._missing)

    def why_doubtful(self, answer: Collection[Symbol], published: int, now_s: float) -> str | None:
        """Return why an answer is not believed yet, or None. An exchange in trouble may leave out most of its markets.

        Args:
            answer: the symbols in the answer.
            published: how many symbols the published listing has. Another copy or an earlier run may have published it.
            now_s: the time.
        """
        if self.markets is None:
            known, left, doubt_s = published, len(answer), FIRST_DOUBT_S
        else:
            known, left, doubt_s = len(self.markets), sum(symbol in answer for symbol in self.markets), DOUBT_S
        if known < LARGE_LISTING or 2 * left >= known:
            self._doubted_since_s = None
            return None
        if self._doubted_since_s is None:
            self._doubted_since_s = now_s
        if now_s - self._doubted_since_s >= doubt_s:
            return None
        return (
            f"only {left} of {known} symbols are in the listing; the last one is kept until this has lasted for {doubt_s:.0f} s"
        )


class ListingKeeper:
    """Asks the exchange for its listing again and again, and keeps it published."""

    def __init__(self, adapter: Adapter, settings: IngestSettings, bus: IngestBus, rest: RestClient) -> None:
        self._exchange = adapter.exchange
        self._settings = settings
        self._bus = bus
        self._rest = rest
        self._listing = Listing()
        self._is_news = False  # whether the listing is newer than the one that this process published
        self._in_doubt = asyncio.Event()  # set to ask again before the next request is due
        self._tried = asyncio.Event()  # set once the first request has been answered or has failed
        self._ended_s = -inf  # when a carried symbol was last found to be gone, by the event loop's clock

    @property
    def markets(self) -> dict[Symbol, Listed] | None:
        """The markets that the exchange lists, or None if they are not known yet."""
        return self._listing.markets

    def doubt(self) -> None:
        """Ask again soon, because the exchange did not know a symbol that is in the listing."""
        self._in_doubt.set()

    def note_end(self) -> None:
        """Ask again soon, and more often for a while, because a carried symbol is gone but may only be halted."""
        self._ended_s = asyncio.get_running_loop().time()
        self._in_doubt.set()

    async def tried(self) -> None:
        """Wait until the first request has been answered or has failed, at most FIRST_LIMIT_S."""
        try:
            async with asyncio.timeout(FIRST_LIMIT_S):
                await self._tried.wait()
        except TimeoutError:
            log.warning("listing not known yet; starting with SYMBOLS", exchange=self._exchange)

    async def run(self) -> NoReturn:
        """Keep the listing known and published until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._keep_known())
            tasks.create_task(self._keep_published())
        raise AssertionError("the jobs above end only by being cancelled")

    async def _keep_known(self) -> NoReturn:
        failures, is_blocked = 0, False
        while True:
            self._in_doubt.clear()
            try:
                answer = await self._ask()
            except FeedError as failed:
                failures += 1
                delay_s = self._retry_s(failed, failures)
                was_blocked, is_blocked = is_blocked, isinstance(failed, FeedRefused) and failed.blocked
                facts = {"exchange": self._exchange, "cause": str(failed), "retry_in_s": round(delay_s, 1)}
                if not is_blocked:
                    log.warning("listing not updated", **facts)
                elif not was_blocked:  # no warning: the feed warns of a place that the exchange does not serve
                    log.info("listing refused", **facts)
            else:
                failures, is_blocked = 0, False
                delay_s = self._settings.listing_refresh_s
                if self._learn(answer):
                    delay_s = min(delay_s, CONFIRM_S)
                elif asyncio.get_running_loop().time() - self._ended_s < HALT_S:
                    delay_s = min(delay_s, ENDED_S)
                await self._publish()
            self._tried.set()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay_s):
                    await asyncio.sleep(min(delay_s, LEAST_PAUSE_S))
                    await self._in_doubt.wait()

    async def _ask(self) -> Batch[Listed]:
        """Ask the exchange, and return its answer if that can be believed.

        Raises:
            FeedError: there is no answer, it is empty, or it lacks too many markets to be believed.
        """
        answer = await self._rest.listing()
        if not answer:
            raise FeedError("the listing is empty")
        symbols = {one.symbol for one in answer}
        doubt = self._listing.why_doubtful(symbols, await self._published_size(), asyncio.get_running_loop().time())
        if doubt:
            raise FeedError(doubt)
        return answer

    async def _published_size(self) -> int:
        """Return how many symbols the published listing has, or 0 if Redis cannot be asked."""
        try:
            return await self._bus.listing_size(self._exchange)
        except BusError:
            return 0

    def _retry_s(self, failed: FeedError, failures: int) -> float:
        delay_s = backoff_s(failures, base_s=2.0)
        if isinstance(failed, FeedRefused):
            delay_s = max(delay_s, failed.retry_after_s or 0.0, self._settings.blocked_retry_s if failed.blocked else 0.0)
        return delay_s

    def _learn(self, answer: Batch[Listed]) -> bool:
        """Apply an answer that is believed. Return whether another answer is needed soon to confirm it."""
        before = self._listing.markets
        is_doubtful = self._listing.update(answer)
        markets = self._listing.markets or {}
        missing = [symbol for symbol in self._settings.symbols if not self._settings.conversions.parts(symbol, markets)]
        if missing and before is None:
            log.warning("not listed here, so not carried", exchange=self._exchange, symbols=",".join(missing))
        if before is None or before.keys() != markets.keys():
            log.info("listing known", exchange=self._exchange, symbols=len(markets))
        self._is_news = True
        return is_doubtful

    async def _keep_published(self) -> NoReturn:
        while True:
            await asyncio.sleep(REPUBLISH_S)
            await self._publish()

    async def _publish(self) -> None:
        """Publish a new listing once, and again only if Redis has lost it: another copy may have published a newer one."""
        markets = self._listing.markets
        if markets is None:
            return
        try:
            if self._is_news or not await self._bus.has_listing(self._exchange):
                await self._bus.publish_listing(self._exchange, markets)
                self._is_news = False
        except BusError as failed:
            log.debug("listing not published yet", cause=str(failed))
