"""The control API, JSON under /control: it changes the simulation and its faults while they run."""

import time
from collections import Counter
from typing import Any, Final, Literal, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from .candles import DAY_MS, HOUR_MS, MINUTE_MS, start_of
from .catalogue import CURRENCIES, EXCHANGES, ExchangeName
from .clock import wall_ms
from .connection import Connection
from .engine import Engine
from .exchange import Exchange, unhurried
from .faults import Standing, read_fault
from .wire import encode


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class RateChange(_Body):
    """The market events per second, on the given symbols or, if absent or null, on all symbols.

    Events are distributed by turnover, or evenly.
    """

    events_per_s: float = Field(ge=0, le=200_000)
    symbols: list[str] | None = Field(default=None, min_length=1)
    evenly: bool = False


class MarketMove(_Body):
    """A new price of a symbol on all exchanges."""

    symbol: str
    price: float = Field(gt=0, le=1e12)


class Depeg(_Body):
    """A new value of a currency, in USD, at one exchange or at all. Without `rate` the currency comes back to its usual value.

    The currency is there after `within_s`, and comes back `hold_s` later in the same time. Without `hold_s` it stays there.
    """

    currency: str = "USDT"
    rate: float | None = Field(default=None, gt=0, le=1e6)
    exchange: ExchangeName | Literal["*"] = "*"
    within_s: float = Field(default=0.0, ge=0, le=86_400)
    hold_s: float | None = Field(default=None, ge=0, le=86_400)


class PacingChange(_Body):
    """Whether an exchange keeps its interval between messages of one topic, or sends every event at once."""

    exchange: ExchangeName | Literal["*"] = "*"
    pacing: bool


class CandlesQuestion(_Body):
    """Which market's candles: those of the last `limit` intervals, or of the last ones that began before `before` (Unix ms)."""

    exchange: ExchangeName
    symbol: str
    interval: Literal["1m", "1h", "1d"] = "1m"
    limit: int = Field(default=100, ge=1, le=1500)
    before: int | None = Field(default=None, ge=0, le=10**14)


STEPS: Final = {"1m": MINUTE_MS, "1h": HOUR_MS, "1d": DAY_MS}
BodyType = TypeVar("BodyType", bound=_Body)


def routes(engine: Engine) -> list[web.RouteDef]:
    """Return the control API's paths."""
    control = _Control(engine)
    return [
        web.get("/control", control.state),
        web.get("/control/connections", control.connections),
        web.post("/control/faults", control.inject),
        web.delete("/control/faults", control.clear),
        web.post("/control/rate", control.set_rate),
        web.get("/control/market", control.prices),
        web.get("/control/candles", control.candles),
        web.post("/control/market", control.move),
        web.post("/control/depeg", control.depeg),
        web.post("/control/pacing", control.set_pacing),
    ]


class _Control:
    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def state(self, request: web.Request) -> web.Response:
        del request
        return _json(self._state())

    async def connections(self, request: web.Request) -> web.Response:
        wanted = request.query.get("exchange")
        listed = [
            _connection(exchange.name, connection)
            for exchange in self._engine.exchanges.values()
            for connection in exchange.connections
            if wanted in {None, exchange.name}
        ]
        return _json({"connections": listed})

    async def inject(self, request: web.Request) -> web.Response:
        try:
            fault = read_fault(await request.read())
        except ValidationError as wrong:
            raise _unprocessable(_reasons(wrong)) from None
        symbol = getattr(fault, "symbol", None)
        if symbol is not None and symbol not in self._engine.market.symbols():
            raise _unprocessable([f"symbol: {symbol} is listed nowhere"])
        self._engine.inject(fault)
        return _json(self._state())

    async def clear(self, request: web.Request) -> web.Response:
        exchange, kind = request.query.get("exchange"), request.query.get("kind")
        if exchange is not None and exchange not in EXCHANGES:
            raise _unprocessable([f"exchange: one of {', '.join(EXCHANGES)}"])
        cleared = self._engine.faults.clear(exchange, kind)
        self._engine.thaw()
        return _json({"cleared": cleared} | self._state())

    async def set_rate(self, request: web.Request) -> web.Response:
        change = await _read(RateChange, request)
        unknown = set(change.symbols or ()) - self._engine.market.symbols()
        if unknown:
            raise _unprocessable([f"symbols: {', '.join(sorted(unknown))} listed nowhere"])
        self._engine.market.focus(change.symbols, evenly=change.evenly)
        self._engine.rate = change.events_per_s
        return _json(self._state())

    async def prices(self, request: web.Request) -> web.Response:
        market, now_ms = self._engine.market, wall_ms()
        symbols = request.query.get("symbols", "").split(",")
        unknown = set(symbols) - market.symbols()
        if unknown:
            raise _unprocessable([f"symbols: {', '.join(sorted(unknown))} listed nowhere"])
        return _json({"prices": {symbol: market.price(symbol, now_ms) for symbol in symbols}})

    async def candles(self, request: web.Request) -> web.Response:
        asked = _asked(CandlesQuestion, request)
        exchange = self._engine.exchanges[asked.exchange]
        listing = next((it for it in exchange.listings.values() if it.symbol == asked.symbol), None)
        if listing is None:
            raise _unprocessable([f"symbol: {asked.symbol} is not listed at {asked.exchange}"])
        step_ms, now_ms = STEPS[asked.interval], wall_ms()
        end_ms = now_ms + 1 if asked.before is None else min(asked.before, now_ms + 1)
        first_ms = start_of(end_ms - 1, step_ms) - (asked.limit - 1) * step_ms
        found = await unhurried(exchange.history.blocks(listing, step_ms, first_ms, end_ms))
        rows = [candle._asdict() | {"closed": candle.start_ms + step_ms <= now_ms} for candle in found]
        return _json({"exchange": asked.exchange, "symbol": asked.symbol, "interval": asked.interval, "candles": rows})

    async def move(self, request: web.Request) -> web.Response:
        change = await _read(MarketMove, request)
        try:
            self._engine.move(change.symbol, change.price)
        except KeyError:
            raise _unprocessable([f"symbol: {change.symbol} is listed nowhere"]) from None
        return _json(self._state())

    async def depeg(self, request: web.Request) -> web.Response:
        change = await _read(Depeg, request)
        pegged = CURRENCIES.keys() - {"USD"}
        if change.currency not in pegged:
            raise _unprocessable([f"currency: one of {', '.join(sorted(pegged))}"])
        exchanges = EXCHANGES if change.exchange == "*" else (change.exchange,)
        self._engine.market.depeg(
            change.currency, change.rate, exchanges, wall_ms(), within_s=change.within_s, hold_s=change.hold_s
        )
        return _json(self._state())

    async def set_pacing(self, request: web.Request) -> web.Response:
        change = await _read(PacingChange, request)
        for exchange in self._engine.exchanges.values():
            if change.exchange in {"*", exchange.name}:
                exchange.publisher.pacing = change.pacing
        return _json(self._state())

    def _state(self) -> dict[str, Any]:
        engine = self._engine
        return {
            "simulated": True,
            "rate": engine.rate,
            "events": engine.events,
            "symbols": len(engine.market.symbols()),
            "depegged": _depegged(engine),
            "faults": [_fault(standing) for standing in engine.faults.standing],
            "exchanges": {name: _exchange(exchange) for name, exchange in engine.exchanges.items()},
        }


def _fault(standing: Standing) -> dict[str, Any]:
    left_s = None if standing.fault.for_s is None else max(standing.ends_ms - wall_ms(), 0) / 1000
    return standing.fault.model_dump() | {"left_s": left_s}


def _depegged(engine: Engine) -> dict[str, dict[str, float]]:
    """Return the currencies that are away from their usual value now, by exchange, each with its value in USD."""
    values: dict[str, dict[str, float]] = {}
    for (exchange, currency), value in engine.market.depegged(wall_ms()).items():
        if exchange in engine.exchanges:
            values.setdefault(exchange, {})[currency] = value
    return values


def _exchange(exchange: Exchange) -> dict[str, Any]:
    listening = Counter[str]()
    for topic in exchange.publisher.topics.values():
        listening[topic.channel.name] += len(topic.subscribers)
    return {
        "listed": len(exchange.listed()),
        "connections": len(exchange.connections),
        "subscriptions": dict(listening),
        "messages_sent": exchange.messages_sent,
        "pacing": exchange.publisher.pacing,
    }


def _connection(exchange: ExchangeName, connection: Connection) -> dict[str, Any]:
    return {
        "exchange": exchange,
        "id": connection.id,
        "age_s": round(time.monotonic() - connection.opened_s, 3),
        "topics": list(connection.topics),
        "control_messages": connection.control_messages,
        "frames_received": connection.frames_received,
        "messages_sent": connection.sent,
    }


def _asked(kind: type[BodyType], request: web.Request) -> BodyType:
    try:
        return kind.model_validate_strings(dict(request.query))
    except ValidationError as wrong:
        raise _unprocessable(_reasons(wrong)) from None


async def _read(kind: type[BodyType], request: web.Request) -> BodyType:
    try:
        return kind.model_validate_json(await request.read())
    except ValidationError as wrong:
        raise _unprocessable(_reasons(wrong)) from None


def _reasons(wrong: ValidationError) -> list[str]:
    """Return the validation errors, each with its field."""
    return [
        f"{'.'.join(str(part) for part in error['loc']) or 'body'}: {error['msg']}" for error in wrong.errors(include_url=False)
    ]


def _unprocessable(reasons: list[str]) -> web.HTTPUnprocessableEntity:
    return web.HTTPUnprocessableEntity(text=encode({"errors": reasons}).decode(), content_type="application/json")


def _json(body: Any) -> web.Response:
    return web.Response(body=encode(body), content_type="application/json")
