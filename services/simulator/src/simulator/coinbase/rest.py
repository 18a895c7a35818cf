"""Coinbase's public market REST API."""

from collections.abc import Callable
from typing import Any

from aiohttp import web

from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import candles, frames

Find = Callable[[str], Listing | None]


def routes(coinbase: Exchange, find: Find, aliases: Callable[[], dict[str, Listing]]) -> list[web.RouteDef]:
    """Return the REST API's routes.

    Args:
        coinbase: the exchange.
        find: returns the product of a name or alias, or None if that is not traded.
        aliases: returns the products that have a second name, by that name.
    """

    async def products(request: web.Request) -> web.Response:
        del request
        rows = [frames.product_row(listing, listing.native, listing.quote) for listing in coinbase.listed()]
        return _json(rows + [frames.product_row(listing, name, "USDC") for name, listing in aliases().items()])

    async def ticker(request: web.Request) -> web.Response:
        clock_ms = coinbase.faults.clock_ms("coinbase")
        return _json(frames.ticker_row(coinbase.seen(_named(find, request)), clock_ms))

    async def stats(request: web.Request) -> web.Response:
        return _json(frames.stats_row(coinbase.seen(_named(find, request))))

    async def time(request: web.Request) -> web.Response:
        del request
        now_ms = coinbase.now_ms()
        return _json({"iso": f"{frames.instant(now_ms)[:-4]}Z", "epoch": now_ms / 1000})

    async def currencies(request: web.Request) -> web.Response:
        del request
        names = dict.fromkeys(name for listing in coinbase.listed() for name in (listing.base, listing.quote))
        return _json([{"id": name, "name": name, "status": "online", "details": {"type": "crypto"}} for name in names])

    async def past_candles(request: web.Request) -> web.Response:
        return await candles.answer(coinbase, _named(find, request), request)

    answers = {
        "/products": products,
        "/products/{id}/ticker": ticker,
        "/products/{id}/stats": stats,
        "/products/{id}/candles": past_candles,
        "/currencies": currencies,
        "/time": time,
    }
    return [web.get(path, answer) for path, answer in answers.items()]


def _named(find: Find, request: web.Request) -> Listing:
    listing = find(request.match_info["id"])
    if listing is None:
        raise web.HTTPNotFound(text=encode({"message": "NotFound"}).decode(), content_type="application/json")
    return listing


def _json(body: Any) -> web.Response:
    return web.Response(body=encode(body), content_type="application/json")
