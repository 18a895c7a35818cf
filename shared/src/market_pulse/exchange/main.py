"""The entry point of all ingests. It reads the settings, and wires the feeds and the jobs around them together."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any, NoReturn

from market_pulse.bus import IngestBus
from market_pulse.bus.redis_clock import watch_clock
from market_pulse.kinds import EXCHANGE_CANDLE, TICK, TICKER, Kind
from market_pulse.messages import Symbol, Tick, encode
from market_pulse.process.health import serve_health
from market_pulse.process.lifecycle import run, run_until_stopped
from market_pulse.process.logs import configure_logs, get_logger
from market_pulse.process.settings import check_can_listen, load_settings
from market_pulse.process.way_out import OutwardSettings, WayOut

from .adapter import Adapter
from .candle_keeper import CandleKeeper
from .demand import DemandFollower
from .feeds import Feeds, open_feeds, ws_urls
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


async def serve(adapter: Adapter, settings: IngestSettings, way_out: WayOut) -> None:
    """Wire the parts together and run them until SIGTERM or SIGINT."""
    rest_urls = (settings.rest_url,) if settings.rest_url else adapter.rest_urls
    log.info(
        "ingest starting",
        exchange=adapter.exchange,
        symbols=",".join(settings.symbols),
        max_symbols=settings.max_symbols,
        max_candle_symbols=settings.max_candle_symbols,
        ws_url=ws_urls(adapter, settings.ws_url, adapter)[0],
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
            if kind is EXCHANGE_CANDLE:
                candles.hear(message)
                return
            channel = kind.channel(adapter.exchange, message.symbol)
            stats.conflated += further.put(channel, (channel, encode(message)))

        feeds = open_feeds(adapter, settings, put, put_further, way_out, stats)
        candles = CandleKeeper(adapter, feeds.of(EXCHANGE_CANDLE), settings, bus, rest, stats)

        async def release(kind: Kind, symbol: Symbol) -> None:
            channel = (TICK if kind is TICKER else kind).channel(adapter.exchange, symbol)
            if kind is TICKER:
                outbox.discard(symbol)
            elif kind is EXCHANGE_CANDLE:
                candles.release(symbol)
            else:
                further.discard(channel)
            await bus.forget(channel)

        def fails() -> bool:
            return candles.fails or any(box.failing_since_s is not None for box in (outbox, further))

        reporter = StatusReporter(bus, feeds)
        await run_until_stopped(
            carry(adapter, settings, bus, rest, feeds, release, candles),
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
                    "feed": lambda: None if feeds.ticker.delivering else "{}: {}".format(*condition(feeds.facts())),
                },
                collectors=(IngestCollector(stats, feeds.facts),),
            ),
        )


async def carry(
    adapter: Adapter,
    settings: IngestSettings,
    bus: IngestBus,
    rest: RestClient,
    feeds: Feeds,
    release: Callable[[Kind, Symbol], Awaitable[None]],
    candles: CandleKeeper | None = None,
) -> NoReturn:
    """Run the feeds, and the jobs that decide which symbols they carry, until cancelled. `release` is for DemandFollower."""
    listing = ListingKeeper(adapter, settings, bus, rest)
    demand = DemandFollower(adapter, settings, bus, listing, feeds, release, candles)
    quiet = QuietSymbols(settings, rest, feeds.ticker, listing.doubt)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(listing.run())
        # The feeds start after the demand has been read once, so that the first sockets subscribe to all symbols at once.
        await listing.tried()
        await demand.look()
        for job in (demand.run(), quiet.run(), feeds.run(), *([candles.run()] if candles is not None else [])):
            tasks.create_task(job)
    raise AssertionError("the jobs above end only by being cancelled")
