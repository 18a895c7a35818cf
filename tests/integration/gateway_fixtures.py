"""Fixtures for the gateway's integration tests: a real bus, a gateway on a real socket, and a reader of its streams."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from httpx_sse import ServerSentEvent, aconnect_sse
from pydantic import SecretStr

from gateway.api.app import build_app
from gateway.api.front import FRONT
from gateway.api.gateway import Gateway
from gateway.server.server import Server
from gateway.settings import GatewaySettings
from market_pulse import bus as bus_room
from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE
from market_pulse.messages import Candle, FeedState, FeedStatus, Point, Resolution, Symbol, bar_of, encode
from market_pulse.process.clock import now_ms
from support.samples import ticker
from support.waiting import PATIENCE_S, free_port, until
from support.whole_bus import WholeBus

BTC, ETH, SOL, DOGE = (Symbol(f"{base}-USDT") for base in ("BTC", "ETH", "SOL", "DOGE"))


class Market:
    """Plays the publishers on the bus: the aggregator and the ingests."""

    def __init__(self, bus: WholeBus) -> None:
        self.bus = bus

    async def publish(self, symbol: Symbol, price: float, time_ms: int | None = None) -> int:
        """Publish a ticker and return its number."""
        [published] = await self.bus.publish_tickers(
            [ticker(symbol, 0, price=price, time_ms=now_ms() if time_ms is None else time_ms)]
        )
        return published.seq

    async def record(self, resolution: Resolution, symbol: Symbol, count: int) -> list[Point]:
        """Add `count` points to a symbol's history, of which the newest is now."""
        newest_ms = resolution.step_of(now_ms())
        steps = range(count - 1, -1, -1)
        points = [
            Point(time_ms=newest_ms - ago * resolution.step_ms, price=100.0 + ago, sources={"okx": 100.0}) for ago in steps
        ]
        for point in points:
            assert await self.bus.record(resolution, {symbol: point}) == 1
        return points

    async def play(self, candle: Candle) -> bytes:
        """Publish a candle, and keep it if it is closed. Return the message."""
        message, exchange = encode(candle), candle.exchange
        if candle.closed:
            await self.bus.keep_bars(candle.interval, candle.symbol, [bar_of(candle)], exchange)
        names = (candle.symbol,) if exchange is None else (exchange, candle.symbol)
        kind = CANDLES[candle.interval] if exchange is None else EXCHANGE_CANDLE
        await self.bus.publish([(kind.channel(*names), message)])
        return message

    async def list_symbols(self, *symbols: Symbol) -> None:
        await self.bus.publish_listing("okx", symbols)

    async def say(self, *, simulated: bool = False, exchange: str = "okx", state: FeedState = "connected") -> None:
        await self.bus.publish_status(
            FeedStatus(
                exchange=exchange,
                state=state,
                reason=None,
                since_ms=now_ms(),
                symbols=4,
                last_tick_time_ms=now_ms(),
                reconnects=0,
                instance="test",
                simulated=simulated,
            )
        )


@dataclass
class Running:
    """A gateway in this process, and an HTTP client for it."""

    gateway: Gateway
    server: Server
    http: httpx.AsyncClient

    @property
    def port(self) -> int:
        return self.server.port


@contextlib.asynccontextmanager
async def running_gateway(
    redis_url: str, *, connected: bool = True, front: Path = FRONT, **settings: Any
) -> AsyncIterator[Running]:
    """Run a gateway as `python -m gateway` does, while the context lasts. At the end it is stopped at once."""
    options: dict[str, Any] = {"port": 0, "drain_s": 0.0, "symbols": (BTC, ETH)} | settings
    async with bus_room.Reader.open(redis_url) as bus:
        gateway = Gateway(GatewaySettings(redis_url=SecretStr(redis_url), **options), bus)
        server = Server(build_app(gateway, front), gateway)
        jobs, serving = asyncio.create_task(gateway.run()), asyncio.create_task(server.serve())
        try:
            await until(lambda: server.started and (gateway.intake.connected or not connected))
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{server.port}", timeout=PATIENCE_S) as http:
                yield Running(gateway, server, http)
        finally:
            server.stop()
            await asyncio.wait_for(serving, PATIENCE_S)
            jobs.cancel()
            await asyncio.wait({jobs})


class Reader:
    """Reads one stream through the public client, event by event."""

    def __init__(self, events: AsyncIterator[ServerSentEvent], response: httpx.Response) -> None:
        self._events = events
        self.response = response
        self.last_id = ""
        self.retry_ms: int | None = None

    async def raw(self) -> ServerSentEvent:
        async with asyncio.timeout(PATIENCE_S):
            event = await anext(self._events)
        self.last_id = event.id or self.last_id
        self.retry_ms = event.retry or self.retry_ms
        return event

    async def next(self, kind: str | None = None, where: Callable[[Any], bool] = lambda _: True) -> Any:
        """Return the data of the next event, or of the next one of this kind that meets the condition."""
        while True:
            event = await self.raw()
            message = orjson.loads(event.data)
            if event.event == "hb":
                message = {"type": "hb", "data": message}
            if kind is None:
                return message
            if message["type"] == kind and where(message["data"]):
                return message["data"]

    async def rest(self) -> list[Any]:
        """Return the events until the server ends the stream."""
        events = []
        with contextlib.suppress(StopAsyncIteration):
            while True:
                events.append(await self.next())
        return events


@contextlib.asynccontextmanager
async def reading(http: httpx.AsyncClient, path: str, **options: Any) -> AsyncIterator[Reader]:
    async with aconnect_sse(http, "GET", path, **options) as source:
        assert source.response.status_code == 200, await source.response.aread()
        events = source.aiter_sse()
        try:
            yield Reader(events, source.response)
        finally:
            await events.aclose()


@dataclass
class GatewayProcess:
    """A gateway as users run it: `python -m gateway`, on uvloop."""

    process: asyncio.subprocess.Process
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"


@contextlib.asynccontextmanager
async def gateway_process(redis_url: str, **environment: str) -> AsyncIterator[GatewayProcess]:
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway",
        env={**os.environ, "REDIS_URL": redis_url, "PORT": str(port), "LOG_FORMAT": "json", "DRAIN_S": "0.3", **environment},
        stdout=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    running = GatewayProcess(process, port)
    try:
        async with httpx.AsyncClient(base_url=running.url) as http:

            async def ready() -> bool:
                with contextlib.suppress(httpx.TransportError):
                    return (await http.get("/readyz")).status_code == 200
                return False

            await until(ready, 40)
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
