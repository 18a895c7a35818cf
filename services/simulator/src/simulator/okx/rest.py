"""OKX's public market REST API."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import frames

MAX_LEVELS = 400
EMPTY_PARAMETER, WRONG_PARAMETER, UNKNOWN_INSTRUMENT = "50014", "51000", "51001"


class ApiError(Exception):
    """A request that OKX refuses with a code. The HTTP status is 400 if the request itself is wrong."""

    def __init__(self, code: str, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.code, self.reason, self.status = code, reason, status


def routes(okx: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(answer: Callable[[Exchange, web.Request], list[Any]]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            status, envelope = 200, {"code": "0", "msg": ""}
            rows: list[Any] = []
            try:
                rows = answer(okx, request)
            except ApiError as refused:
                status, envelope = refused.status, {"code": refused.code, "msg": refused.reason}
            return web.Response(body=encode(envelope | {"data": rows}), status=status, content_type="application/json")

        return handler

    answers = {
        "public/instruments": instruments,
        "public/time": time,
        "market/tickers": tickers,
        "market/ticker": ticker,
        "market/books": books,
    }
    return [web.get(f"/api/v5/{path}", serve(answer)) for path, answer in answers.items()]


def instruments(okx: Exchange, request: web.Request) -> list[Any]:
    """Answer with all instruments that are listed."""
    _require_spot(request)
    listings = [_named(okx, request)] if "instId" in request.query else okx.listed()
    return [frames.instrument_row(listing) for listing in listings]


def tickers(okx: Exchange, request: web.Request) -> list[Any]:
    """Answer with all tickers."""
    _require_spot(request)
    now_ms = okx.now_ms()
    return [frames.ticker_row(okx.seen(listing), now_ms) for listing in okx.listed() if listing.state == "trading"]


def ticker(okx: Exchange, request: web.Request) -> list[Any]:
    """Answer with one ticker."""
    return [frames.ticker_row(okx.seen(_named(okx, request)), okx.now_ms())]


def books(okx: Exchange, request: web.Request) -> list[Any]:
    """Answer with a snapshot of an order book."""
    limit = request.query.get("sz", "1")
    if not limit.isdecimal() or not 1 <= int(limit) <= MAX_LEVELS:
        raise ApiError(WRONG_PARAMETER, "Parameter sz error")
    listing = okx.seen(_named(okx, request))
    return [{**frames.sides(listing, int(limit)), "ts": str(okx.now_ms()), "seqId": listing.sequence}]


def time(okx: Exchange, request: web.Request) -> list[Any]:
    """Answer with the exchange's clock."""
    del request
    return [{"ts": str(okx.now_ms())}]


def _require_spot(request: web.Request) -> None:
    kind = request.query.get("instType")
    if kind is None:
        raise ApiError(EMPTY_PARAMETER, "Parameter instType can not be empty.")
    if kind != "SPOT":
        raise ApiError(WRONG_PARAMETER, "Parameter instType error")


def _named(okx: Exchange, request: web.Request) -> Listing:
    native = request.query.get("instId")
    if native is None:
        raise ApiError(EMPTY_PARAMETER, "Parameter instId can not be empty.")
    listing = okx.find(native)
    if listing is None:
        raise ApiError(UNKNOWN_INSTRUMENT, "Instrument ID, Instrument ID code, or Spread ID doesn't exist.", status=200)
    return listing
