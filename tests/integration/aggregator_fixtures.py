"""Fixtures for the aggregator's integration tests: a real Redis server, a running aggregator, and a subscriber."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from pydantic import SecretStr

from aggregator.service import Service
from aggregator.settings import AggregatorSettings
from market_pulse import kinds
from market_pulse.bus import AggregatorBus
from market_pulse.messages import Symbol, Tick, Ticker, decode_ticker
from market_pulse.process.clock import now_ms
from support.redis_server import redis_server
from support.waiting import free_port, until
from support.whole_bus import WholeBus

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")


def url(port: int) -> str:
    return f"redis://127.0.0.1:{port}/0"


@contextlib.asynccontextmanager
async def server(port: int) -> AsyncIterator[WholeBus]:
    """Run a Redis server while the context lasts. It is killed at the end, and its data is lost."""
    async with redis_server(port) as running, WholeBus.open(running.url) as bus:
        yield bus


def settings(port: int, **others: Any) -> AggregatorSettings:
    return AggregatorSettings(redis_url=SecretStr(url(port)), health_port=free_port(), **others)


@contextlib.asynccontextmanager
async def running(*jobs: Coroutine[Any, Any, Any]) -> AsyncIterator[None]:
    """Run jobs while the context lasts, then cancel them and wait, as on SIGTERM."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(ended, Exception):
                raise ended


@contextlib.asynccontextmanager
async def aggregator(port: int, machine_ms: Callable[[], int] = now_ms, **others: Any) -> AsyncIterator[Service]:
    """Run an aggregator in this process, with the given machine clock. It has subscribed when the context starts."""
    async with AggregatorBus.open(url(port)) as bus:
        service = Service(bus, settings(port, **others), machine_ms)
        async with running(service.follow(), service.publish(), service.belong(), service.record(), service.watch()):
            await until(lambda: not any(check() for name, check in service.ready().items() if name != "clock"))
            yield service


class Listener:
    """Keeps all tickers from the bus."""

    def __init__(self) -> None:
        self.tickers: list[Ticker] = []
        self.arrivals_s: list[float] = []

    def take(self, _: str, data: bytes) -> None:
        self.tickers.append(decode_ticker(data))
        self.arrivals_s.append(asyncio.get_running_loop().time())

    def of(self, symbol: Symbol) -> list[Ticker]:
        return [ticker for ticker in self.tickers if ticker.symbol == symbol]

    def last(self, symbol: Symbol = BTC) -> Ticker:
        return self.of(symbol)[-1]


@contextlib.asynccontextmanager
async def listening(bus: WholeBus, *symbols: Symbol) -> AsyncIterator[Listener]:
    """Subscribe to symbols by name, or without symbols to all by pattern, which requests none of them."""
    listener = Listener()

    async def subscribed(_: bool) -> None:
        pass

    subscriber = bus.subscriber(listener.take, subscribed)
    if symbols:
        await subscriber.subscribe(*(kinds.TICKER.channel(symbol) for symbol in symbols))
    else:
        await subscriber.subscribe_patterns(kinds.TICKER.pattern)
    async with running(subscriber.run()):
        await until(lambda: subscriber.connected)
        yield listener


def tick(price: float, exchange: str = "binance", symbol: Symbol = BTC, *, age_s: float = 0.0) -> Tick:
    """Return a tick received `age_s` ago."""
    time_ms = now_ms() - round(age_s * 1000)
    return Tick(
        exchange=exchange,
        symbol=symbol,
        price=price,
        quote_volume24h=1e6,
        dp=2,
        exchange_time_ms=time_ms,
        received_time_ms=time_ms,
    )
