"""Bybit's market REST API for the category spot."""

import inspect
from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.candles import start_of
from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import candles, frames

BAD_PARAMETER = 10001
MAX_LEVELS = 200


class ApiError(Exception):
    """A request that Bybit refuses with a retCode, in an answer with HTTP status 200."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def routes(bybit: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(answer: Callable[[Exchange, web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            code, reason = 0, "OK"
            result: Any = {}
            try:
                answered = answer(bybit, request)
                result = await answered if inspect.isawaitable(answered) else answered
            except ApiError as refused:
                code, reason = refused.code, refused.reason
            envelope = {"retCode": code, "retMsg": reason, "result": result, "retExtInfo": {}, "time": bybit.now_ms()}
            return web.Response(body=encode(envelope), content_type="application/json")

        return handler

    answers = {"instruments-info": instruments, "tickers": tickers, "orderbook": orderbook, "time": time, "kline": kline}
    return [web.get(f"/v5/market/{path}", serve(answer)) for path, answer in answers.items()]


def instruments(bybit: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with the instruments that are trading."""
    listings = [listing for listing in _named(bybit, request) if listing.state == "trading"]
    return {"category": "spot", "list": [frames.instrument_row(listing) for listing in listings]}


def tickers(bybit: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with the tickers: 24 h figures, best bid and ask."""
    now_ms = bybit.now_ms()
    rows = [frames.ticker_row(bybit.seen(listing), now_ms) for listing in _named(bybit, request)]
    return {"category": "spot", "list": rows}


def orderbook(bybit: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with a snapshot of an order book."""
    limit = request.query.get("limit", "1")
    if "symbol" not in request.query or not limit.isdecimal() or not 1 <= int(limit) <= MAX_LEVELS:
        raise ApiError(BAD_PARAMETER, "params error: symbol or limit")
    listing = bybit.seen(_named(bybit, request)[0])
    now_ms = bybit.now_ms()
    book: dict[str, Any] = {"s": listing.native, **frames.sides(listing, int(limit))}
    return book | {"ts": now_ms, "u": listing.update_id, "seq": listing.sequence, "cts": now_ms - 1}


async def kline(bybit: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with candles, the newest first: from a start without an end the first ones, otherwise the newest ones."""
    if "symbol" not in request.query:
        raise ApiError(BAD_PARAMETER, "params error: symbol invalid")
    listing = _named(bybit, request)[0]
    step_ms = candles.STEPS.get(request.query.get("interval", ""))
    if step_ms is None:
        raise ApiError(BAD_PARAMETER, "Invalid period!")
    first_ms, end_ms, limit = (_whole(request, name) for name in ("start", "end", "limit"))
    rows = min(max(candles.DEFAULT_ROWS if limit is None else limit, 1), candles.MOST_ROWS)
    stop_ms = bybit.now_ms() + 1 if end_ms is None else min(end_ms, bybit.now_ms()) + 1
    if first_ms is not None and end_ms is None:
        stop_ms = min(stop_ms, first_ms + -first_ms % step_ms + rows * step_ms)
    earliest_ms = start_of(stop_ms - 1, step_ms) - (rows - 1) * step_ms
    found = await bybit.candles(listing, step_ms, max(first_ms or 0, earliest_ms), stop_ms)
    rows_of = [candles.rest_row(listing, candle) for candle in reversed(found)]
    return {"category": "spot", "symbol": listing.native, "list": rows_of}


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ApiError(BAD_PARAMETER, f"params error: {name} invalid")
    return None if text is None else int(text)


def time(bybit: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with the exchange's clock."""
    del request
    now_ms = bybit.now_ms()
    return {"timeSecond": str(now_ms // 1000), "timeNano": str(now_ms * 1_000_000)}


def _named(bybit: Exchange, request: web.Request) -> list[Listing]:
    """Return the listing that `symbol` names, or all of them.

    Raises:
        ApiError: the category is not spot, or the symbol is unknown.
    """
    if request.query.get("category") != "spot":
        raise ApiError(BAD_PARAMETER, "params error: category invalid")
    if "symbol" not in request.query:
        return bybit.listed()
    listing = bybit.find(request.query["symbol"])
    if listing is None:
        raise ApiError(BAD_PARAMETER, "Not supported symbols")
    return [listing]
