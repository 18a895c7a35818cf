"""Kraken's public REST API. Errors have the HTTP status 200, and may stand beside a result."""

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, NamedTuple

from aiohttp import web

from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import frames
from .names import old_names

UNKNOWN_PAIR = "EQuery:Unknown asset pair"
NO_PAIR = "EGeneral:Invalid arguments"


class Answer(NamedTuple):
    """The result and the errors of an answer. A result of None is left out."""

    result: Any
    errors: list[str]


def routes(kraken: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(answer: Callable[[Exchange, web.Request], Answer]) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            result, errors = answer(kraken, request)
            body = {"error": errors} if result is None else {"error": errors, "result": result}
            return web.Response(body=encode(body), content_type="application/json")

        return handler

    answers = {"AssetPairs": asset_pairs, "Ticker": ticker, "Time": time, "SystemStatus": system_status}
    return [web.get(f"/0/public/{path}", serve(answer)) for path, answer in answers.items()]


def asset_pairs(kraken: Exchange, request: web.Request) -> Answer:
    """Answer with the pairs, by their names in the vocabulary that is asked for."""
    is_current = _wants_current_names(request)
    found, errors = _named(kraken, request)
    rows = {_key(listing, current=is_current): frames.pair_row(listing, current_names=is_current) for listing in found}
    if "pair" not in request.query:
        rows["AAPLx/USD" if is_current else "AAPLxUSD"] = frames.TOKENISED | ({"quote": "USD"} if is_current else {})
    return Answer(rows or None, errors)


def ticker(kraken: Exchange, request: web.Request) -> Answer:
    """Answer with tickers. Their keys are names of the vocabulary that is asked for, and not the names that are asked for."""
    is_current = _wants_current_names(request)
    found, errors = _named(kraken, request)
    now_ms = kraken.now_ms()
    rows = {
        _key(listing, current=is_current): frames.rest_row(kraken.seen(listing), now_ms)
        for listing in found
        if listing.state != "preopen"
    }
    return Answer(rows or None, errors)


def time(kraken: Exchange, request: web.Request) -> Answer:
    """Answer with the exchange's clock, in whole seconds."""
    del request
    seconds = kraken.now_ms() // 1000
    return Answer({"unixtime": seconds, "rfc1123": format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)}, [])


def system_status(kraken: Exchange, request: web.Request) -> Answer:
    """Answer that the exchange is online."""
    del request
    now = datetime.fromtimestamp(kraken.now_ms() // 1000, UTC)
    return Answer({"status": "online", "timestamp": f"{now:%Y-%m-%dT%H:%M:%SZ}"}, [])


def _wants_current_names(request: web.Request) -> bool:
    return request.query.get("assetVersion") == "1"


def _key(listing: Listing, *, current: bool) -> str:
    return listing.native if current else old_names(listing.base, listing.quote).key


def _named(kraken: Exchange, request: web.Request) -> tuple[list[Listing], list[str]]:
    """Return the listings that `pair` names in any vocabulary, or all listings, and the errors about unknown names."""
    listed = kraken.listed()
    if "pair" not in request.query:
        return listed, []
    by_name: dict[str, Listing] = {}
    for listing in listed:
        old = old_names(listing.base, listing.quote)
        names = (listing.native, listing.native.replace("/", ""), old.key, old.altname, old.wsname)
        by_name.update(dict.fromkeys(names, listing))
    asked = request.query["pair"].split(",")
    if not all(asked):
        return [], [NO_PAIR]
    found = [by_name[name] for name in asked if name in by_name]
    return found, [] if len(found) == len(asked) else [UNKNOWN_PAIR]
