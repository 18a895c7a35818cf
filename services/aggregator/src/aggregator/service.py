"""The running aggregator: it creates all components, connects them to the bus, and runs their jobs."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from market_pulse.bus import AggregatorBus, BusError
from market_pulse.bus.keys import MEMBERS
from market_pulse.kinds import STATUS, TICK, TICKER
from market_pulse.messages import CodecError, Symbol, Tick, decode_ticker
from market_pulse.process.clock import now_ms
from market_pulse.process.health import Check, serve_health
from market_pulse.process.lifecycle import run_until_stopped
from market_pulse.process.logs import get_logger

from .clock import Clock
from .feeds import Feeds
from .intake import Intake
from .market import Market
from .metrics import BAD_MESSAGES, RESYNCS, Observer
from .ownership import Ownership
from .publisher import Publisher
from .recorder import Recorder
from .retention import Retention
from .settings import AggregatorSettings

WATCH_INTERVAL_S = 1.0
SETTLE_S = 10.0
"""After each subscription, ingests and subscribers may need this long to come back. Until then no symbol is dropped."""

log = get_logger()


class Service:
    """One aggregator's components, and the jobs that `serve` runs."""

    def __init__(self, bus: AggregatorBus, settings: AggregatorSettings, machine_ms: Callable[[], int] = now_ms) -> None:
        self._bus = bus
        clock = Clock(settings.max_lag_s, machine_ms)
        self._clock = clock
        self.market = Market(settings.parameters, settings.max_aggregated_symbols, settings.conversions)
        self._ownership = Ownership(bus, self.market, self._on_last_tick, self._on_moved, clock)
        self._feeds = Feeds()
        self._publisher = Publisher(bus, self.market, settings.max_rate_hz, self._ownership, self._feeds_away, clock)
        self._recorder = Recorder(bus, self.market, self._ownership.owns, clock)
        self._intake = Intake(self.market, self._feeds, self._publisher.touch, clock)
        self._retention = Retention(bus, self.market, self._publisher, self._ownership.owns, clock)
        self._subscriber = bus.subscriber(self._on_message, self._on_subscribed)
        # Set when the last ticks and tickers that Redis keeps have been read.
        self._warm = asyncio.Event()
        # When the subscription was last confirmed, by the monotonic clock.
        self._subscribed_s = 0.0

    async def follow(self) -> NoReturn:
        """Subscribe to all ticks, all statuses and the rates' tickers, and process them until cancelled."""
        # The rates by pattern, because a subscription by name would be demand for them for ever.
        await self._subscriber.subscribe_patterns(TICK.pattern, STATUS.pattern, *self._rates())
        await self._subscriber.subscribe(MEMBERS)
        await self._subscriber.run()

    async def publish(self) -> NoReturn:
        """Publish tickers until cancelled. Then leave the group, so that the other copies take the symbols over."""
        try:
            await self._publisher.run()
        finally:
            # Leave after the publisher's last flush, because Redis rejects tickers from a copy that has left.
            await self._ownership.leave()

    async def belong(self) -> NoReturn:
        """Be a member of the group of aggregators until cancelled.

        This starts when the last ticks and tickers that Redis keeps have been read, so that readers do not notice a restart.
        """
        await self._warm.wait()
        await self._ownership.run()

    async def record(self) -> NoReturn:
        """Record the history of prices until cancelled."""
        await self._recorder.run()

    async def watch(self) -> NoReturn:
        """Each second, update the gauges, and follow and drop symbols as they are wanted, until cancelled."""
        observer = Observer()
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            self._intake.count()
            self._look_at_feeds()
            observer.observe(self.market, self._ownership.owns)
            if self._warm.is_set() and self.market.conversions.pairs:
                try:
                    await self._follow_wanted()
                except BusError as failed:
                    log.debug("demand not known; trying again in a second", cause=str(failed))
            # While ingests and subscribers are still reconnecting, a symbol may falsely look unneeded.
            if self._subscriber.connected and time.monotonic() - self._subscribed_s > SETTLE_S:
                try:
                    await self._retention.sweep()
                except BusError as failed:
                    log.debug("sweep of unneeded symbols failed; trying again in a second", cause=str(failed))

    def live(self) -> Mapping[str, Check]:
        """Return the checks of /livez. If one fails, this process should be restarted."""
        return {"publishing": self._publisher.why_not_live}

    def ready(self) -> Mapping[str, Check]:
        """Return the checks of /readyz. If one fails, this process's tickers may be missing or out of date."""
        return {
            "subscription": self._why_not_following,
            "membership": self._ownership.why_not_ready,
            "clock": self._ownership.why_aside,
            "publishing": self._publisher.why_not_ready,
        }

    def _why_not_following(self) -> str | None:
        if not self._subscriber.connected:
            return "not connected"
        return None if self._warm.is_set() else "reading the last ticks"

    def _on_message(self, channel: str, data: bytes) -> None:
        if channel.startswith(TICK.prefix):
            self._intake.take_message(channel, data)
        elif channel == MEMBERS:
            self._ownership.look_again()
        elif channel.startswith(TICKER.prefix):
            self._intake.take_rate(channel, data)
        else:
            self._intake.take_status(channel, data)

    def _rates(self) -> list[str]:
        return [TICKER.channel(rate) for rate in sorted(self.market.conversions.rates)]

    async def _follow_wanted(self) -> None:
        """Follow the wanted symbols that only markets in another quote price, from their last ticker on."""
        added = self.market.want(await self._bus.demanded(), self._clock.now_ms())
        for symbol, data in zip(added, await self._bus.last(*map(TICKER.channel, added)), strict=True):
            state = self.market.get(symbol)
            # A tick may have made a ticker of it while this waited for Redis.
            if data is not None and state is not None and state.last.aggregated_time_ms == 0:
                self._resume(data)
            self._publisher.touch(symbol)

    def _look_at_feeds(self) -> None:
        self._feeds.look(time.monotonic(), self._subscriber.silent_s)

    def _feeds_away(self, ticks: Mapping[str, Tick], time_ms: int) -> frozenset[str]:
        self._look_at_feeds()
        return self._feeds.away(ticks, time_ms)

    def _on_moved(self, gained: Sequence[Symbol], lost: Sequence[Symbol]) -> None:
        for symbol in lost:
            self._publisher.leave_to_others(symbol)
        for symbol in gained:
            self._publisher.touch(symbol)

    async def _on_subscribed(self, resync: bool) -> None:
        """Read the last statuses and ticks from before the subscription. At the start, also read the last tickers.

        New messages are taken in meanwhile.
        """
        self._subscribed_s = time.monotonic()
        # First compare the clocks, because the ages of ticks depend on our clock.
        await self._ownership.compare_clocks()
        RESYNCS.inc(resync)

        # Read the statuses before the ticks, so that no price is made from a feed that is away.
        self._feeds.note_gap()
        for channel, data, age_s in await self._bus.last_statuses():
            # After a gap, the age passed is 0. The real age includes the gap, and the ingest could not publish during it.
            self._intake.take_status(channel, data, 0.0 if self._warm.is_set() else age_s)

        for channel, kept in zip(self._rates(), await self._bus.last_aged(*self._rates()), strict=True):
            if kept is not None:
                self._intake.take_rate(channel, kept.message, kept.age_ms)
        for channel, data in await self._bus.last_matching(TICK.pattern):
            self._intake.take_last(channel, data)
        if self._warm.is_set():
            log.info("subscribed again", resync=resync, symbols=len(self.market))
            return

        # Read the last tickers at the start only. Later we know our own, and `Ownership` reads those of symbols that we gain.
        for _, data in await self._bus.last_matching(TICKER.pattern):
            self._resume(data)
        self._warm.set()
        log.info("subscribed", symbols=len(self.market))

    def _on_last_tick(self, channel: str, data: bytes) -> None:
        self._intake.take_last(channel, data)

    def _resume(self, data: bytes) -> None:
        try:
            ticker = decode_ticker(data)
        except CodecError:
            BAD_MESSAGES.labels("last ticker").inc()
            return
        self.market.resume(ticker)


async def serve(settings: AggregatorSettings) -> None:
    """Run the aggregator until SIGTERM or SIGINT."""
    parameters = settings.parameters
    log.info(
        "starting",
        max_rate_hz=settings.max_rate_hz,
        parameters=str(parameters),
        rates=sorted(settings.conversions.rates),
        health_port=settings.health_port,
    )
    async with AggregatorBus.open(settings.redis_url.get_secret_value()) as bus:
        service = Service(bus, settings)
        await run_until_stopped(
            service.follow(),
            service.publish(),
            service.belong(),
            service.record(),
            service.watch(),
            serve_health(settings.health_host, settings.health_port, service.live(), service.ready()),
        )
    log.info("stopped")
