"""What travels on the bus, and somebody who listens to it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from market_pulse.bus import Bus
from market_pulse.model import FeedStatus, Symbol, Tick, Ticker
from market_pulse.subscriber import Subscriber
from support.waiting import until

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
TICK = Tick(exchange="okx", symbol=BTC, price=64000.5, exchange_time_ms=1, received_time_ms=2)
TICKER = Ticker(
    symbol=BTC,
    seq=0,
    price=64000.5,
    dp=2,
    bid=None,
    ask=None,
    change24h=None,
    change_percent24h=None,
    open24h=None,
    high24h=None,
    low24h=None,
    volume24h=None,
    quote_volume24h=None,
    quality="single",
    confidence=None,
    spread_bps=None,
    sources_used=1,
    sources_total=1,
    sources=(),
    exchange_time_ms=1,
    received_time_ms=2,
    aggregated_time_ms=3,
)
STATUS = FeedStatus(
    exchange="okx", state="connected", reason=None, since_ms=1, symbols=4, last_tick_time_ms=2, reconnects=0, instance="a:1"
)


class Ear:
    """Listens to the bus and keeps what it hears."""

    def __init__(self, bus: Bus) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.subscribed: list[bool] = []
        self.subscriber = Subscriber(bus.client, lambda channel, message: self.heard.append((channel, message)), self._told)

    async def _told(self, missed: bool) -> None:
        self.subscribed.append(missed)


@contextlib.asynccontextmanager
async def listening(bus: Bus, *names: str, patterns: tuple[str, ...] = ()) -> AsyncIterator[Ear]:
    ear = Ear(bus)
    await ear.subscriber.subscribe(*names)
    await ear.subscriber.subscribe_patterns(*patterns)
    running = asyncio.create_task(ear.subscriber.run())
    try:
        await until(lambda: ear.subscribed)
        yield ear
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
