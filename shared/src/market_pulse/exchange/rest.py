"""An exchange's REST API: its listing, and the ticker of a symbol of which the socket sends nothing."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import partial
from math import isnan
from typing import Self

import httpx

from market_pulse.messages import Candle, Interval
from market_pulse.process.logs import get_logger
from market_pulse.process.way_out import STRAIGHT, WayOut

from .adapter import Adapter, Batch, CandleHistory, Event, Listed, Skipped, read
from .errors import FeedLost, FeedRefused
from .metrics import Stats

ANSWER_LIMIT_S = 15.0
MAX_RETRY_AFTER_S = 3 * 86_400.0
SIMULATOR = "market-pulse-simulator"
"""The simulator's Server header, also in WebSocket handshakes."""
MOST_TOLD = 1000  # each skipped element of an answer is logged once; this bounds how many are remembered for that

log = get_logger()


class RestClient:
    """A client of one exchange's REST API, with one or more base URLs to try in turn.

    Each request takes at most ANSWER_LIMIT_S. A call raises FeedLost if it fails, or FrameError if the answer cannot be used.
    """

    def __init__(self, adapter: Adapter, *base_urls: str, stats: Stats | None = None, way_out: WayOut = STRAIGHT) -> None:
        self._adapter = adapter
        self._stats = stats or Stats()
        self._base_urls = base_urls
        self._failures = 0
        self._told: frozenset[tuple[str, str | None]] = frozenset()
        self._client = way_out.http_client(timeout=ANSWER_LIMIT_S, follow_redirects=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.aclose()

    async def listing(self) -> Batch[Listed]:
        """Return the markets that the exchange trades now."""
        answer = await self._get(self._adapter.listing_path)
        # In a thread, because parsing takes long and would delay ticks.
        listing = await asyncio.to_thread(read, self._adapter.parse_listing, answer)
        self._count(listing.skipped)
        return listing

    async def ticker(self, native: str) -> Sequence[Event]:
        """Return one symbol's 24 h ticker as events. There are no events if the exchange has no ticker for it."""
        answers = [await self._get(path) for path in self._adapter.ticker_paths(native)]
        events = read(partial(self._adapter.parse_ticker, native), answers)
        if isinstance(events, Batch):
            self._count(events.skipped)
        return events

    async def candles(
        self, history: CandleHistory, native: str, interval: Interval, since_ms: int, until_ms: int
    ) -> Batch[Candle]:
        """Return a symbol's candles that began at or after one moment and before another, the oldest first."""
        answer = await self._get(history.path(native, interval, since_ms, until_ms))
        # In a thread, because parsing a thousand rows would delay ticks.
        candles = await asyncio.to_thread(read, partial(history.parse, interval), answer)
        self._count(candles.skipped)
        return Batch([candle for candle in candles if since_ms <= candle.start_ms < until_ms])

    def _count(self, skipped: Sequence[Skipped]) -> None:
        """Count the elements that were left out of an answer, and log them if there is one that was not logged before."""
        self._stats.bad_frames.update(one.kind for one in skipped)
        told = frozenset((one.kind, one.native) for one in skipped)
        if told - self._told:
            first = skipped[0]
            log.warning(
                "elements of an answer skipped",
                exchange=self._adapter.exchange,
                count=len(skipped),
                native=first.native,
                cause=first.detail,
            )
        self._told |= told if len(self._told) < MOST_TOLD else frozenset()

    async def _get(self, path: str) -> bytes:
        """Send a GET to one base URL. If it does not serve this place (403, 451), try the next at once, up to the last."""
        for _ in self._base_urls[1:]:
            try:
                return await self._get_once(path)
            except FeedRefused as refused:
                if not refused.blocked:
                    raise
        return await self._get_once(path)

    async def _get_once(self, path: str) -> bytes:
        base_url = self._base_urls[self._failures % len(self._base_urls)]
        try:
            async with asyncio.timeout(ANSWER_LIMIT_S):
                answer = await self._client.get(base_url.rstrip("/") + path)
        except (httpx.HTTPError, httpx.InvalidURL, OSError, TimeoutError) as failed:
            self._failures += 1
            raise FeedLost("connect", f"REST: {type(failed).__name__}: {failed}") from failed
        if answer.status_code in {403, 418, 429, 451} or answer.status_code >= 500:
            self._failures += 1
            raise FeedRefused(answer.status_code, retry_after_s(answer.headers.get("retry-after")))
        return answer.content


def retry_after_s(header: str | None) -> float | None:
    """Return the seconds in a Retry-After header (a number or a date), or None if it is missing or invalid.

    The value is limited to MAX_RETRY_AFTER_S, the longest ban that exchanges impose.
    """
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds()
        except (ValueError, TypeError):
            return None
    return min(max(0.0, seconds), MAX_RETRY_AFTER_S) if not isnan(seconds) else None
