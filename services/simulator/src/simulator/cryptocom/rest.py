"""Crypto.com's public REST API."""

import inspect
from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.candles import start_of
from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import candles, frames

BAD_VALUE, BAD_NAME = 40003, 40004


class ApiError(Exception):
    """A request that Crypto.com refuses with a code and HTTP status 400."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def routes(cryptocom: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(path: str, answer: Callable[[Exchange, web.Request], Any]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            body: dict[str, Any] = {"id": frames.UNNUMBERED, "method": path, "code": 0}
            status = 200
            try:
                answered = answer(cryptocom, request)
                body["result"] = await answered if inspect.isawaitable(answered) else {"data": answered}
            except ApiError as refused:
                status, body = 400, body | {"code": refused.code, "message": refused.reason}
            return web.Response(body=encode(body), status=status, content_type="application/json")

        return handler

    answers = {"public/get-instruments": instruments, "public/get-tickers": tickers, "public/get-candlestick": candlestick}
    return [web.get(f"/exchange/v1/{path}", serve(path, answer)) for path, answer in answers.items()]


def instruments(cryptocom: Exchange, request: web.Request) -> list[Any]:
    """Answer with all instruments, among them markets that do not trade, and contracts."""
    del request
    return [*(frames.instrument_row(listing) for listing in cryptocom.listed()), frames.SWAP]


def tickers(cryptocom: Exchange, request: web.Request) -> list[Any]:
    """Answer with the ticker that `instrument_name` names, or with all tickers."""
    now_ms = cryptocom.now_ms()
    return [frames.ticker_row(cryptocom.seen(listing), now_ms) for listing in _named(cryptocom, request)]


async def candlestick(cryptocom: Exchange, request: web.Request) -> dict[str, Any]:
    """Answer with the newest candles after `start_ts` and before `end_ts`, the oldest first."""
    if "instrument_name" not in request.query:
        raise ApiError(BAD_NAME, "Invalid instrument_name")
    listing = _named(cryptocom, request)[0]
    asked = request.query.get("timeframe", "M1")
    name = candles.OLD_NAMES.get(asked, asked)
    step_ms = candles.STEPS.get(name)
    if step_ms is None:
        raise ApiError(BAD_VALUE, "Invalid timeframe")
    start_ms, end_ms, count = (_whole(request, parameter) for parameter in ("start_ts", "end_ts", "count"))
    rows = min(max(candles.DEFAULT_ROWS if count is None else count, 1), candles.MOST_ROWS)
    stop_ms = min(cryptocom.now_ms() + 1, cryptocom.now_ms() + 1 if end_ms is None else end_ms)
    first_ms = start_of(stop_ms - 1, step_ms) - (rows - 1) * step_ms
    if start_ms is not None:
        first_ms = max(first_ms, start_ms + 1)
    found = await cryptocom.candles(listing, step_ms, first_ms, stop_ms)
    data = [candles.rest_row(listing, candle) for candle in found]
    return {"interval": name, "data": data, "instrument_name": listing.native}


def _whole(request: web.Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is not None and not (text.isascii() and text.isdecimal() and len(text) <= 15):
        raise ApiError(BAD_VALUE, f"Invalid {name}")
    return None if text is None else int(text)


def _named(cryptocom: Exchange, request: web.Request) -> list[Listing]:
    name = request.query.get("instrument_name")
    if name is None:
        return [listing for listing in cryptocom.listed() if listing.state == "trading"]
    listing = cryptocom.find(name)
    if listing is None:
        raise ApiError(BAD_NAME, "Invalid instrument_name")
    return [listing]
