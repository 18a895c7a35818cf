"""Crypto.com's public REST API."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import frames

BAD_NAME = 40004


class ApiError(Exception):
    """A request that Crypto.com refuses with a code and HTTP status 400."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(reason)
        self.code, self.reason = code, reason


def routes(cryptocom: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(path: str, answer: Callable[[Exchange, web.Request], list[Any]]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            body: dict[str, Any] = {"id": frames.UNNUMBERED, "method": path, "code": 0}
            status = 200
            try:
                body["result"] = {"data": answer(cryptocom, request)}
            except ApiError as refused:
                status, body = 400, body | {"code": refused.code, "message": refused.reason}
            return web.Response(body=encode(body), status=status, content_type="application/json")

        return handler

    answers = {"public/get-instruments": instruments, "public/get-tickers": tickers}
    return [web.get(f"/exchange/v1/{path}", serve(path, answer)) for path, answer in answers.items()]


def instruments(cryptocom: Exchange, request: web.Request) -> list[Any]:
    """Answer with all instruments, among them markets that do not trade, and contracts."""
    del request
    return [*(frames.instrument_row(listing) for listing in cryptocom.listed()), frames.SWAP]


def tickers(cryptocom: Exchange, request: web.Request) -> list[Any]:
    """Answer with the ticker that `instrument_name` names, or with all tickers."""
    now_ms = cryptocom.now_ms()
    return [frames.ticker_row(cryptocom.seen(listing), now_ms) for listing in _named(cryptocom, request)]


def _named(cryptocom: Exchange, request: web.Request) -> list[Listing]:
    name = request.query.get("instrument_name")
    if name is None:
        return [listing for listing in cryptocom.listed() if listing.state == "trading"]
    listing = cryptocom.find(name)
    if listing is None:
        raise ApiError(BAD_NAME, "Invalid instrument_name")
    return [listing]
