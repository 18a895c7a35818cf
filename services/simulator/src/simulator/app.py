"""The simulator's HTTP server: the exchanges and the control API on one port."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from . import control
from .binance.markets import BINANCE
from .binance.streams import Binance, Timing
from .bybit.markets import BYBIT
from .bybit.topics import Bybit
from .catalogue import ExchangeName
from .clock import wall_ms
from .coinbase.feed import Coinbase
from .coinbase.markets import COINBASE
from .cryptocom.channels import Cryptocom
from .cryptocom.markets import CRYPTOCOM
from .engine import Engine
from .exchange import Exchange
from .faults import FaultBoard
from .kraken.channels import Kraken
from .kraken.markets import KRAKEN
from .market import Market
from .okx.channels import Okx
from .okx.markets import OKX
from .settings import Settings

VENUES = (BINANCE, BYBIT, OKX, COINBASE, KRAKEN, CRYPTOCOM)
SERVER = "market-pulse-simulator"
GOING_AWAY = 1001
STOP_WITHIN_S = 0.5

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Running:
    """A simulator that is serving."""

    host: str
    port: int
    engine: Engine


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Running]:
    """Serve the simulator while the context lasts. Port 0 takes any free port."""
    engine = build_engine(settings)
    runner = web.AppRunner(build_app(engine), access_log=None, handle_signals=False, shutdown_timeout=STOP_WITHIN_S)
    await runner.setup()
    jobs = [asyncio.create_task(engine.run()), asyncio.create_task(engine.keep_up())]
    try:
        await web.TCPSite(runner, settings.host, settings.port).start()
        yield Running(settings.host, runner.addresses[0][1], engine)
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)
        await runner.cleanup()


def build_engine(settings: Settings) -> Engine:
    """Build a market with its exchanges. No event happens until `Engine.run`."""
    market, faults = Market(settings.seed, wall_ms(), VENUES), FaultBoard()
    timing = Timing(settings.binance_ping_every_s, settings.binance_pong_within_s, settings.binance_max_age_s)
    exchanges: dict[ExchangeName, Exchange] = {
        "binance": Binance(market, faults, settings.seed, timing),
        "bybit": Bybit(market, faults, settings.seed),
        "okx": Okx(market, faults, settings.seed, settings.okx_idle_s),
        "coinbase": Coinbase(market, faults, settings.seed, settings.coinbase_first_request_s),
        "kraken": Kraken(market, faults, settings.seed, settings.kraken_idle_s),
        "cryptocom": Cryptocom(market, faults, settings.seed, settings.cryptocom_heartbeat_every_s),
    }
    return Engine(market, exchanges, faults, settings.rate)


def build_app(engine: Engine) -> web.Application:
    """Return the application that serves an engine's exchanges and its control API."""
    app = web.Application()
    for exchange in engine.exchanges.values():
        app.add_routes([_refusable(engine, exchange, route) for route in exchange.routes()])
    app.add_routes(control.routes(engine))
    app.on_response_prepare.append(_name_the_server)

    async def close_all(_: web.Application) -> None:
        for exchange in engine.exchanges.values():
            exchange.close_all(GOING_AWAY)

    app.on_shutdown.append(close_all)
    return app


def _refusable(engine: Engine, exchange: Exchange, route: web.RouteDef) -> web.RouteDef:
    """Wrap a route so that it answers with an error while a `refuse` fault is on."""

    async def handler(request: web.Request) -> web.StreamResponse:
        refusal = engine.faults.refusal(exchange.name, of_candles=route.path in exchange.candle_paths)
        if refusal is None or ("Upgrade" not in request.headers and not refusal.rest):
            answered: web.StreamResponse = await route.handler(request)
            return answered
        headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
        return web.Response(status=refusal.status, headers=headers, text="refused")

    return web.get(route.path, handler)


async def _name_the_server(request: web.Request, response: web.StreamResponse) -> None:
    """Mark each answer, handshakes included, as the simulator's, by its Server header."""
    del request
    response.headers["Server"] = SERVER
