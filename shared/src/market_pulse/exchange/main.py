"""The entry point of all ingests. It reads the settings, and wires one feed and the jobs around it together."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NoReturn
from urllib.parse import urlsplit

from market_pulse.bus import IngestBus
from market_pulse.bus.redis_clock import watch_clock
from market_pulse.kinds import TICK, TICKER, Kind
from market_pulse.messages import Symbol, Tick, encode
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
from .reporter import StatusReporter
from .rest import RestClient
from .settings import IngestSettings
from .status import condition

log = get_logger()


def main(adapter: Adapter) -> None:
    """Run one exchange's ingest as a process, until SIGTERM or SIGINT."""
    settings = load_settings(IngestSettings)
    way_out = WayOut(load_settings(OutwardSettings))
    check_can_listen(settings.health_host, settings.health_port, ("HEALTH_HOST", "HEALTH_PORT"))
    configure_logs(f"ingest-{adapter.exchange}", settings.log_level, settings.log_format)
    is_wanted = adapter.exchange in settings.exchanges or not settings.exchanges
    run(serve(adapter, settings, way_out) if is_wanted else do_nothing(adapter, settings))


async def do_nothing(adapter: Adapter, settings: IngestSettings) -> None:
    """Answer the probes until SIGTERM or SIGINT, and read no exchange.

    The deployment starts an ingest for each exchange. If an unwanted one ended, it would be started again and again.
    """
    log.info("ingest does nothing: EXCHANGES does not name it", exchange=adapter.exchange, wanted=",".join(settings.exchanges))
    await run_until_stopped(serve_health(settings.health_host, settings.health_port, live={}, ready={}))


def ws_urls(adapter: Adapter, ws_url: str | None) -> tuple[str, ...]:
    """Return the WebSocket URLs to try in turn: the configured one, or the exchange's own.

    If the configured URL has no path, the exchange's path is added.
    """
    if ws_url is None:
        return adapter.ws_urls
    parts = urlsplit(ws_url)
    return (ws_url if parts.path.strip("/") else parts._replace(path=adapter.ws_path).geturl(),)


async def serve(adapter: Adapter, settings: IngestSettings, way_out: WayOut) -> None:
    """Wire the parts together and run them until SIGTERM or SIGINT."""
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
        IngestBus.open(settings.redis_url.get_secret_value()) as bus,
        RestClient(adapter, *rest_urls, stats=stats, way_out=way_out) as rest,
    ):

        async def publish(ticks: Collection[Tick]) -> None:
            stats.count_published(ticks, await bus.publish_ticks(ticks))

        outbox = Outbox(publish)

        def put(tick: Tick) -> None:
            stats.conflated += outbox.put(tick.symbol, tick)

        # Messages of the other kinds, by their channels. Each is complete and replaces the one before it.
        further = Outbox(bus.publish)

        def put_further(kind: Kind, message: Any) -> None:
            channel = kind.channel(adapter.exchange, message.symbol)
            stats.conflated += further.put(channel, (channel, encode(message)))

        feed = Feed(
            adapter,
            urls,
            put,
            blocked_retry_s=settings.blocked_retry_s,
            max_age_s=settings.max_connection_age_s or adapter.max_age_s,
            way_out=way_out,
            stats=stats,
            on_message=put_further,
        )

        async def release(kind: Kind, symbol: Symbol) -> None:
            channel = (TICK if kind is TICKER else kind).channel(adapter.exchange, symbol)
            if kind is TICKER:
                outbox.discard(symbol)
            else:
                further.discard(channel)
            await bus.forget(channel)

        def fails() -> bool:
            return any(box.failing_since_s is not None for box in (outbox, further))

        reporter = StatusReporter(bus, feed)
        await run_until_stopped(
            carry(adapter, settings, bus, rest, feed, release),
            outbox.run(),
            further.run(),
            reporter.run(),
            watch_clock(bus),
            serve_health(
                settings.health_host,
                settings.health_port,
                live={"status loop": reporter.stalled},
                ready={
                    "bus": lambda: None if reporter.reached and not fails() else "publishing fails",
                    "feed": lambda: None if feed.delivering else "{}: {}".format(*condition(feed.facts())),
                },
                collectors=(IngestCollector(stats, feed.facts),),
            ),
        )


async def carry(
    adapter: Adapter,
    settings: IngestSettings,
    bus: IngestBus,
    rest: RestClient,
    feed: Feed,
    release: Callable[[Kind, Symbol], Awaitable[None]],
) -> NoReturn:
    """Run a feed, and the jobs that decide which symbols it carries, until cancelled. `release` is for DemandFollower."""
    listing = ListingKeeper(adapter, settings, bus, rest)
    demand = DemandFollower(adapter, settings, bus, listing, feed, release)
    quiet = QuietSymbols(settings, rest, feed, listing.doubt)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listing.run())
        # The feed starts after the demand has been read once, so that its first socket subscribes to all symbols at once.
        await listing.tried()
        await demand.look()
        for job in (demand.run(), quiet.run(), feed.run()):
            tasks.create_task(job)
    raise AssertionError("the jobs above end only by being cancelled")
