"""All feeds of one exchange: the one with the ticker, and one for each further endpoint."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NoReturn
from urllib.parse import urlsplit

from market_pulse.kinds import Kind
from market_pulse.messages import Symbol, Tick
from market_pulse.process.way_out import WayOut

from .adapter import Adapter, Endpoint, Listed
from .feed import Feed
from .metrics import Stats
from .settings import IngestSettings
from .status import Facts


def ws_urls(endpoint: Endpoint, ws_url: str | None, ticker: Endpoint) -> tuple[str, ...]:
    """Return the WebSocket URLs to try in turn: the configured one, or the exchange's own.

    If the configured URL has no path, the endpoint's path is added. If it has one, that is the path of the ticker's endpoint.
    Then a further endpoint has the same path up to where the two differ, or only its own path.
    """
    if ws_url is None:
        return endpoint.ws_urls
    parts = urlsplit(ws_url)
    if not parts.path.strip("/"):
        return (parts._replace(path=endpoint.ws_path).geturl(),)
    if endpoint is ticker:
        return (ws_url,)
    before = parts.path.removesuffix(ticker.ws_path) if parts.path.endswith(ticker.ws_path) else ""
    return (parts._replace(path=before + endpoint.ws_path).geturl(),)


def open_feeds(
    adapter: Adapter,
    settings: IngestSettings,
    on_tick: Callable[[Tick], None],
    on_message: Callable[[Kind, Any], None],
    way_out: WayOut,
    stats: Stats,
) -> "Feeds":
    """Return an exchange's feeds. No socket is open yet."""
    return Feeds(
        Feed(
            endpoint,
            ws_urls(endpoint, settings.ws_url, adapter),
            on_tick,
            blocked_retry_s=settings.blocked_retry_s,
            max_age_s=settings.max_connection_age_s or endpoint.max_age_s,
            way_out=way_out,
            stats=stats,
            on_message=on_message,
        )
        for endpoint in adapter.endpoints
    )


class Feeds:
    """The feeds of one exchange. `ticker` is the one with the ticker; the exchange's state is that of this feed alone."""

    def __init__(self, feeds: Iterable[Feed]) -> None:
        self.ticker, *self._further = feeds
        self._all = (self.ticker, *self._further)

    def want(self, listed: Mapping[str, Listed]) -> None:
        """Give each feed the keys (`key_of`) of which its endpoint has the kind, the most important first."""
        for feed in self._all:
            feed.want({key: one for key, one in listed.items() if feed.endpoint.has(key)})

    def of(self, kind: Kind) -> Feed | None:
        """Return the feed whose endpoint gives a kind, or None."""
        return next((feed for feed in self._all if kind.name in feed.endpoint.channels), None)

    def turn_away(self, symbols: Sequence[Symbol]) -> None:
        """Set the symbols that the status reports as being without room."""
        self.ticker.turned_away = symbols

    def facts(self) -> Facts:
        """Return the facts of the ticker's feed, and in words what the other kinds lack."""
        return replace(self.ticker.facts(), lacking=[words for feed in self._all for words in feed.lacking()])

    def stop(self) -> None:
        """Report `down` from now on: the process is about to end."""
        for feed in self._all:
            feed.stop()

    async def run(self) -> NoReturn:
        """Run all feeds until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for feed in self._all:
                tasks.create_task(feed.run())
        raise AssertionError("a feed ends only by being cancelled")
