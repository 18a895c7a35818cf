"""Bybit's market REST API for the category spot."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import frames

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
            code, reason, result = 0, "OK", {}
            try:
                result = answer(bybit, request)
            except ApiError as refused:
                code, reason = refused.code, refused.reason
            envelope = {"retCode": code, "retMsg": reason, "result": result, "retExtInfo": {}, "time": bybit.now_ms()}
            return web.Response(body=encode(envelope), content_type="application/json")

        return handler

    answers = {"instruments-info": instruments, "tickers": tickers, "orderbook": orderbook, "time": time}
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
