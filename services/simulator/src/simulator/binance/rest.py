"""Binance's public market data REST API."""

import inspect
from collections.abc import Callable
from typing import Any

import orjson
from aiohttp import web

from simulator.candles import start_of
from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import candles, frames

MAX_LEVELS = 5000
MAX_INVENTED_LEVELS = 500


class ApiError(Exception):
    """A request that Binance refuses with HTTP 400."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def routes(binance: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(answer: Callable[[Exchange, web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            try:
                answered = answer(binance, request)
                return _json(await answered if inspect.isawaitable(answered) else answered)
            except ApiError as refused:
                return _json({"code": refused.code, "msg": refused.reason}, status=400)

        return handler

    answers = {
        "ping": lambda *_: {},
        "time": lambda binance, _: {"serverTime": binance.now_ms()},
        "exchangeInfo": exchange_info,
        "ticker/24hr": day_ticker,
        "ticker/bookTicker": book_ticker,
        "depth": depth,
        "klines": klines,
    }
    return [web.get(f"/api/v3/{path}", serve(answer)) for path, answer in answers.items()]


def exchange_info(binance: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with the listed symbols. One unknown symbol fails the whole request."""
    named = _named(binance, request)
    listings = binance.listed() if named is None else named
    status, permissions = request.query.get("symbolStatus"), request.query.get("permissions", "SPOT")
    return {
        "timezone": "UTC",
        "serverTime": binance.now_ms(),
        "rateLimits": [
            {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": 6000},
            {"rateLimitType": "RAW_REQUESTS", "interval": "MINUTE", "intervalNum": 5, "limit": 61000},
        ],
        "exchangeFilters": [],
        "symbols": [
            frames.symbol_row(listing)
            for listing in listings
            if "SPOT" in permissions and status in {None, frames.STATUS[listing.state]}
        ],
    }


def day_ticker(binance: Exchange, request: web.Request) -> Any:
    """Answer with 24 h tickers: one object for `symbol`, otherwise an array."""
    kind = request.query.get("type", "FULL")
    if kind not in {"FULL", "MINI"}:
        raise ApiError(-1140, "Invalid type.")
    row = frames.full_row if kind == "FULL" else frames.mini_row
    now_ms = binance.now_ms()
    return _one_or_many(binance, request, lambda listing: row(listing, now_ms))


def book_ticker(binance: Exchange, request: web.Request) -> Any:
    """Answer with best bids and asks: one object for `symbol`, otherwise an array."""
    return _one_or_many(binance, request, frames.book_row)


def depth(binance: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with a snapshot of an order book."""
    named = _named(binance, request)
    limit = request.query.get("limit", "100")
    if named is None:
        raise ApiError(-1102, "Mandatory parameter 'symbol' was not sent, was empty/null, or malformed.")
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_LEVELS:
        raise ApiError(-1100, "Illegal characters found in parameter 'limit'.")
    return frames.depth(binance.seen(named[0]), min(int(limit), MAX_INVENTED_LEVELS))


async def klines(binance: Exchange, request: web.Request) -> list[Any]:
    """Answer with candles, the oldest first. From a start, the first ones; otherwise the newest ones until the end."""
    named, interval = _named(binance, request), request.query.get("interval")
    if named is None or interval is None:
        missing = "interval" if named else "symbol"
        raise ApiError(-1102, f"Mandatory parameter '{missing}' was not sent, was empty/null, or malformed.")
    step_ms = candles.STEPS.get(interval)
    if step_ms is None:
        raise ApiError(-1120, "Invalid interval.")
    first_ms, end_ms, limit = (_whole(request, name) for name in ("startTime", "endTime", "limit"))
    rows = min(candles.DEFAULT_ROWS if limit is None else limit, candles.MOST_ROWS)
    stop_ms = binance.now_ms() + 1 if end_ms is None else min(end_ms, binance.now_ms()) + 1
    if first_ms is None:
        first_ms = start_of(stop_ms - 1, step_ms) - (rows - 1) * step_ms
    found = await binance.candles(named[0], step_ms, first_ms, min(stop_ms, first_ms + rows * step_ms))
    return [candles.rest_row(candle, step_ms) for candle in found]


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '^[0-9]{{1,20}}$'.")
    return None if text is None else int(text)


def _one_or_many(binance: Exchange, request: web.Request, row: Callable[[Listing], dict[str, Any]]) -> Any:
    named = _named(binance, request)
    rows = [row(binance.seen(listing)) for listing in (binance.listed() if named is None else named)]
    return rows[0] if "symbol" in request.query else rows


def _named(binance: Exchange, request: web.Request) -> list[Listing] | None:
    """Return the listings that `symbol` or `symbols` name, or None if neither is given.

    Raises:
        ApiError: one of them is unknown, or `symbols` is no JSON array of names.
    """
    if "symbol" in request.query:
        names: list[Any] = [request.query["symbol"]]
    elif "symbols" in request.query:
        names = _array(request.query["symbols"])
    else:
        return None
    found = [binance.find(name) if isinstance(name, str) else None for name in names]
    if None in found:
        raise ApiError(-1121, "Invalid symbol.")
    return [listing for listing in found if listing is not None]


def _array(text: str) -> list[Any]:
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not names:
        raise ApiError(-1100, "Illegal characters found in parameter 'symbols'.")
    return names


def _json(body: Any, status: int = 200) -> web.Response:
    return web.Response(body=encode(body), status=status, content_type="application/json")
