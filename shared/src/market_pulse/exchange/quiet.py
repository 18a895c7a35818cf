"""Asks REST about symbols of which the socket sends nothing: are they illiquid, or is the subscription broken?"""

import asyncio
from collections.abc import Callable, Sequence
from typing import NoReturn

from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger

from .adapter import MARKET_EVENTS, Day, Event
from .errors import FeedError, FeedLost, FeedRefused
from .feed import Feed
from .rest import RestClient
from .settings import IngestSettings

LOOK_INTERVAL_S = 1.0
FIRST_PRICE_S = 5.0  # if the socket has sent nothing of a symbol for this long, REST gives its first price
RETRY_S = 10.0  # how long to wait after a timeout or a failure of the exchange

log = get_logger()


class QuietSymbols:
    """Asks REST about silent symbols, one after the other, each at most once in QUIET_SYMBOL_S.

    `doubt` is called if the exchange does not know a symbol, so that its listing is fetched again.
    """

    def __init__(self, settings: IngestSettings, rest: RestClient, feed: Feed, doubt: Callable[[], None]) -> None:
        self._quiet_ms = int(settings.quiet_symbol_s * 1000)
        self._exchange = feed.endpoint.exchange
        self._rest = rest
        self._feed = feed
        self._doubt = doubt
        # (native symbol, since when it is carried) -> the earliest time to ask REST about it again, in Unix milliseconds.
        self._not_before_ms: dict[tuple[str, int], int] = {}
        self._merge = feed.merge  # the merge to which the prices from REST were applied so far
        # The earliest time to ask REST about any symbol after the exchange refused, by the event loop's clock.
        self._not_before_s = 0.0

    async def run(self) -> NoReturn:
        """Each second, look for a silent symbol and ask REST about it, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_INTERVAL_S)
            quiet = self._next()
            if quiet is None:
                continue
            native, _ = quiet
            self._not_before_ms[quiet] = now_ms() + self._quiet_ms
            try:
                self._judge(native, await self._rest.ticker(native))
            except FeedError as failed:
                if isinstance(failed, FeedLost):
                    self._ask_later(quiet, failed)
                log.debug("quiet symbol not checked", exchange=self._exchange, native=native, cause=str(failed))

    def _next(self) -> tuple[str, int] | None:
        """Return a symbol that has been silent for too long on an open socket and was not asked about lately, or None."""
        if self._feed.age_s < FIRST_PRICE_S or asyncio.get_running_loop().time() < self._not_before_s:
            return None
        if self._feed.merge is not self._merge:  # the merge of a new connection lacks the prices from REST
            self._merge = self._feed.merge
            self._not_before_ms.clear()
        carried = self._feed.carried_since_ms.items()
        self._not_before_ms = {one: at_ms for one, at_ms in self._not_before_ms.items() if one in carried}
        now = now_ms()
        for one in carried:
            native, since_ms = one
            heard_ms = self._merge.heard(native)
            silent_ms = now - (heard_ms or since_ms)
            bound_ms = self._quiet_ms if heard_ms else FIRST_PRICE_S * 1000
            if silent_ms > bound_ms and now > self._not_before_ms.get(one, 0):
                return one
        return None

    def _ask_later(self, quiet: tuple[str, int], failed: FeedLost) -> None:
        """After a failure, set when to ask about this symbol again, and, if the exchange refused, about any symbol."""
        self._not_before_ms[quiet] = now_ms() + min(self._quiet_ms, int(RETRY_S * 1000))
        if isinstance(failed, FeedRefused):
            wait_s = failed.retry_after_s or (RETRY_S if failed.failing else self._quiet_ms / 1000)
            self._not_before_s = asyncio.get_running_loop().time() + wait_s

    def _judge(self, native: str, events: Sequence[Event]) -> None:
        """Compare REST's answer about a symbol with the socket's data, and act on the difference.

        If the exchange does not know the symbol, doubt the listing. If the socket has sent nothing yet, take the first price
        from REST. If the socket's data is older than REST's, subscribe again.
        """
        day = next((event for event in events if isinstance(event, Day)), None)
        if day is None:
            self._doubt()
        elif self._feed.merge.heard(native) is None:
            log.info("first price taken from REST", exchange=self._exchange, native=native)
            self._feed.seed([event for event in events if isinstance(event, MARKET_EVENTS)])
        elif self._feed.merge.is_behind(day, now_ms()):
            log.warning("socket misses a symbol's data; subscribing again", exchange=self._exchange, native=native)
            self._feed.ask_again(native)
