"""The main that all ingests share: settings, one feed, and the jobs around it, wired together."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn
from urllib.parse import urlsplit

from market_pulse.bus import Bus, BusError, open_bus
from market_pulse.bus.redis_clock import watch_clock
from market_pulse.channels import ticks
from market_pulse.messages import FeedStatus, Symbol
from market_pulse.process.health import serve_health
from market_pulse.process.lifecycle import run, run_until_stopped
from market_pulse.process.logs import configure_logs, get_logger
from market_pulse.process.settings import check_can_listen, load_settings
from market_pulse.process.way_out import OutwardSettings, WayOut

from .adapter import Adapter
from .demand import DemandFollower
from .feed import Feed
from .listing import ListingKeeper
from .metrics import IngestCollector, Stats
from .outbox import Outbox
from .quiet import QuietSymbols
from .rest import RestClient
from .settings import IngestSettings
from .status import condition, status_of

STATUS_INTERVAL_S = 5.0
STATUS_LOOK_S = 0.1
STALLED_S = 15.0

log = get_logger()


def main(adapter: Adapter) -> None:
    """Run one exchange's ingest as a process, until SIGTERM or SIGINT."""
    settings = load_settings(IngestSettings)
    way_out = WayOut(load_settings(OutwardSettings))
    check_can_listen(settings.health_host, settings.health_port, ("HEALTH_HOST", "HEALTH_PORT"))
    configure_logs(f"ingest-{adapter.exchange}", settings.log_level, settings.log_format)
    run(serve(adapter, settings, way_out))


def ws_urls(adapter: Adapter, ws_url: str | None) -> tuple[str, ...]:
    """Return the addresses to try in turn: the configured one, completed with the exchange's path, or the exchange's own."""
    if ws_url is None:
        return adapter.ws_urls
    parts = urlsplit(ws_url)
    return (ws_url if parts.path.strip("/") else parts._replace(path=adapter.ws_path).geturl(),)


async def serve(adapter: Adapter, settings: IngestSettings, way_out: WayOut) -> None:
    """Wire the parts and run them until told to stop."""
    urls = ws_urls(adapter, settings.ws_url)
    rest_urls = (settings.rest_url,) if settings.rest_url else adapter.rest_urls
    log.info(
        "ingest starting",
        exchange=adapter.exchange,
        symbols=",".join(settings.symbols),
        max_symbols=settings.max_symbols,
        ws_url=urls[0],
        rest_url=rest_urls[0],
    )
    stats = Stats()
    async with (
        open_bus(settings.redis_url.get_secret_value()) as bus,
        RestClient(adapter, *rest_urls, stats=stats, way_out=way_out) as rest,
    ):
        outbox = Outbox(bus.publish_ticks, stats)
        feed = Feed(
            adapter,
            urls,
            outbox.put,
            blocked_retry_s=settings.blocked_retry_s,
            max_age_s=settings.max_connection_age_s or adapter.max_age_s,
            way_out=way_out,
            stats=stats,
        )

        async def release(symbol: Symbol) -> None:
            outbox.discard(symbol)
            await bus.forget(ticks(adapter.exchange, symbol))

        reporter = StatusReporter(bus, feed)
        await run_until_stopped(
            carry(adapter, settings, bus, rest, feed, release),
            outbox.run(),
            reporter.run(),
            watch_clock(bus),
            serve_health(
                settings.health_host,
                settings.health_port,
                live={"status loop": reporter.stalled},
                ready={
                    "bus": lambda: "publishing fails" if outbox.failing_since_s is not None or not reporter.reached else None,
                    "feed": lambda: None if feed.delivering else "{}: {}".format(*condition(feed.facts())),
                },
                collectors=(IngestCollector(stats, feed.facts),),
            ),
        )


async def carry(
    adapter: Adapter,
    settings: IngestSettings,
    bus: Bus,
    rest: RestClient,
    feed: Feed,
    release: Callable[[Symbol], Awaitable[None]],
) -> NoReturn:
    """Run a feed, and the jobs that decide what it carries, until cancelled. `release` is a DemandFollower's."""
    listing = ListingKeeper(adapter, settings, bus, rest)
    demand = DemandFollower(adapter, settings, bus, listing, feed, release)
    quiet = QuietSymbols(settings, rest, feed, listing.doubt)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listing.run())
        # The feed's first socket is opened for what is wanted, not for nothing.
        await listing.tried()
        await demand.look()
        for job in (demand.run(), quiet.run(), feed.run()):
            tasks.create_task(job)
    raise AssertionError("the jobs above end only by being cancelled")


class StatusReporter:
    """Publishes the feed's status on each change and each 5 s; says `down` as its last word."""

    def __init__(self, bus: Bus, feed: Feed) -> None:
        self._bus = bus
        self._feed = feed
        self._clock = asyncio.get_running_loop().time
        self._turned_s = self._clock()
        self.reached = False
        self._never_tried = True

    def stalled(self) -> str | None:
        """Say what is wrong when the loop has not turned for too long."""
        silent_s = self._clock() - self._turned_s
        return f"has not turned for {silent_s:.0f} s" if silent_s > STALLED_S else None

    async def run(self) -> NoReturn:
        """Publish until cancelled."""
        status: FeedStatus | None = None
        published: tuple[object, ...] | None = None
        published_s = 0.0
        try:
            while True:
                self._turned_s = self._clock()
                status = status_of(self._feed.facts(), status)
                news = status.state, status.reason, status.turned_away, status.turned_away_count
                if news != published or self._turned_s - published_s >= STATUS_INTERVAL_S:
                    await self._publish(status)
                    published, published_s = news, self._turned_s
                await asyncio.sleep(STATUS_LOOK_S)
        finally:
            self._feed.stop()
            await self._publish(status_of(self._feed.facts(), status))

    async def _publish(self, status: FeedStatus) -> None:
        try:
            await self._bus.publish_status(status)
        except BusError as failed:
            if self.reached or self._never_tried:
                log.warning("bus not reached; trying on", cause=str(failed))
            self.reached = False
        else:
            if not self.reached:
                log.info("bus reached")
            self.reached = True
        self._never_tried = False
