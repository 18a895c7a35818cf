"""The gateway as a whole: its parts, its background jobs, and its health."""

import asyncio
import time
from collections.abc import Mapping
from typing import NoReturn

from gateway.intake import Intake
from gateway.settings import GatewaySettings
from gateway.stream.flush import FlushClock
from gateway.stream.hub import Hub
from gateway.stream.topics import SHARE_OF_ROOM
from market_pulse.bus import Reader
from market_pulse.bus.redis_clock import watch_clock
from market_pulse.process.bounded_http import Connections
from market_pulse.process.clock import now_ms
from market_pulse.process.health import Check
from market_pulse.process.instance import instance_name

from .answers import OpenAnswers
from .candles import Candles
from .changes import Changes
from .edge import Edge
from .event_stream import Limits
from .history import Histories
from .listings import Listings

SWEEP_INTERVAL_S = 1.0


class Gateway:
    """The parts that the routes use. `draining` is true once the process is about to stop, `closing` once streams are ended."""

    def __init__(self, settings: GatewaySettings, bus: Reader) -> None:
        self.settings = settings
        self.instance = instance_name()
        self.listings = Listings(
            bus,
            settings.symbols,
            serving=lambda: self.hub.statuses.serving(now_ms()),
            quote=settings.quote,
            conversions=settings.conversions,
        )
        self.hub = Hub(
            settings.symbols,
            instance=self.instance,
            flush_clock=FlushClock(settings.max_flush_hz),
            heartbeat_s=settings.heartbeat_s,
            max_age_s=settings.stream_max_age_s,
            slow_client_s=settings.slow_client_s,
            share=max(1, settings.max_symbols // SHARE_OF_ROOM),
            candle_share=max(1, settings.max_candle_symbols // SHARE_OF_ROOM),
            listed_at=self.listings.exchanges,
        )
        self._bus = bus
        self.intake = Intake(bus, self.hub)
        self.candles = Candles(bus)
        self.histories = Histories(bus, self.listings.exchanges)
        self.changes = Changes(bus)
        self.edge = Edge(settings.trusted_proxies)
        self.limits = Limits(settings.max_streams, settings.max_streams_per_ip)
        self.answers = OpenAnswers(settings.max_answers, settings.max_answers_per_ip)
        self.connections = Connections(
            most=2 * settings.max_answers,
            most_per_address=settings.max_streams_per_ip + settings.max_answers_per_ip,
            unread_limit_s=settings.slow_client_s,
            trusted=settings.trusted_proxies,
        )
        self.draining = False
        self.closing = False
        self._started = time.monotonic()

    @property
    def uptime_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    @property
    def ready_checks(self) -> Mapping[str, Check]:
        """The conditions for new clients to be sent to this process. A failing one returns its reason."""
        return {
            "draining": lambda: "this process is about to stop" if self.draining else None,
            "bus": lambda: None if self.intake.connected else "the subscription on the bus does not stand",
        }

    async def run(self) -> NoReturn:
        """Run the background jobs until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self.intake.run())
            tasks.create_task(self.listings.run())
            tasks.create_task(watch_clock(self._bus))
            tasks.create_task(self._sweep())
        raise AssertionError("none of these ends by itself")

    async def _sweep(self) -> NoReturn:
        interval_s = min(SWEEP_INTERVAL_S, self.settings.heartbeat_s / 2)
        while True:
            await asyncio.sleep(interval_s)
            self.hub.listen(hears=self.intake.connected)
            self.hub.sweep()
