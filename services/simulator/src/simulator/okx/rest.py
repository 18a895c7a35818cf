"""OKX's public market REST API."""

import inspect
from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.candles import start_of
from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import candles, frames

MAX_LEVELS = 400
EMPTY_PARAMETER, WRONG_PARAMETER, UNKNOWN_INSTRUMENT = "50014", "51000", "51001"


class ApiError(Exception):
    """A request that OKX refuses with a code. The HTTP status is 400 if the request itself is wrong."""

    def __init__(self, code: str, reason: str, status: int = 400) -> None:
        super().__init__(reason)
        self.code, self.reason, self.status = code, reason, status


def routes(okx: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(answer: Callable[[Exchange, web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            status, envelope = 200, {"code": "0", "msg": ""}
            rows: list[Any] = []
            try:
                answered = answer(okx, request)
                rows = await answered if inspect.isawaitable(answered) else answered
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
        "market/candles": recent_candles,
        "market/history-candles": history_candles,
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


async def recent_candles(okx: Exchange, request: web.Request) -> list[Any]:
    """Answer with candles of the last 1,440 intervals."""
    return await _candles(okx, request, candles.REACH_ROWS)


async def history_candles(okx: Exchange, request: web.Request) -> list[Any]:
    """Answer with candles of any age."""
    return await _candles(okx, request, None)


async def _candles(okx: Exchange, request: web.Request, reach: int | None) -> list[Any]:
    """Return the newest candles that are older than `after` and newer than `before`, both exclusive, the newest first."""
    listing = _named(okx, request)
    if request.query.get("bar", "1m") not in candles.STEPS:
        raise ApiError(WRONG_PARAMETER, "Parameter bar error")
    step_ms, shift_ms = candles.STEPS[request.query.get("bar", "1m")]
    after_ms, before_ms, limit = (_whole(request, name) for name in ("after", "before", "limit"))
    rows, now_ms = min(max(candles.DEFAULT_ROWS if limit is None else limit, 1), candles.MOST_ROWS), okx.now_ms()
    stop_ms = now_ms + 1 if after_ms is None else min(after_ms, now_ms + 1)
    first_ms = start_of(stop_ms - 1, step_ms, shift_ms) - (rows - 1) * step_ms
    if before_ms is not None:
        first_ms = max(first_ms, before_ms + 1)
    if reach is not None:
        first_ms = max(first_ms, start_of(now_ms, step_ms, shift_ms) - (reach - 1) * step_ms)
    found = await okx.candles(listing, step_ms, first_ms, stop_ms, shift_ms=shift_ms)
    return [candles.row(listing, it, closed=it.start_ms + step_ms <= now_ms) for it in reversed(found)]


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ApiError(WRONG_PARAMETER, f"Parameter {name} error")
    return None if text is None else int(text)


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
