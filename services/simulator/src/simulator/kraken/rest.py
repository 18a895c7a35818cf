"""Kraken's public REST API. Errors have the HTTP status 200, and may stand beside a result."""

import inspect
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, NamedTuple

from aiohttp import web

from simulator.candles import start_of
from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

from . import candles, frames
from .names import old_names

UNKNOWN_PAIR = "EQuery:Unknown asset pair"
NO_PAIR = "EGeneral:Invalid arguments"


class Answer(NamedTuple):
    """The result and the errors of an answer. A result of None is left out."""

    result: Any
    errors: list[str]


Answering = Callable[[Exchange, web.Request], Answer | Awaitable[Answer]]


def routes(kraken: Exchange) -> list[web.RouteDef]:
    """Return the REST API's routes."""

    def serve(answer: Answering) -> Callable[[web.Request], Any]:
        async def handler(request: web.Request) -> web.Response:
            answered = answer(kraken, request)
            result, errors = await answered if inspect.isawaitable(answered) else answered
            body = {"error": errors} if result is None else {"error": errors, "result": result}
            return web.Response(body=encode(body), content_type="application/json")

        return handler

    answers: dict[str, Answering] = {
        "AssetPairs": asset_pairs,
        "Ticker": ticker,
        "Time": time,
        "SystemStatus": system_status,
        "OHLC": ohlc,
    }
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


async def ohlc(kraken: Exchange, request: web.Request) -> Answer:
    """Answer with the newest 720 closed candles and the open one, or with those of them that began at `since` or later."""
    found, errors = _named(kraken, request)
    step_ms = candles.STEPS.get(request.query.get("interval", "1"))
    if "pair" not in request.query or step_ms is None:
        return Answer(None, [NO_PAIR])
    if errors or len(found) != 1:
        return Answer(None, errors or [UNKNOWN_PAIR])
    now_ms, since = kraken.now_ms(), request.query.get("since", "")
    newest_ms = start_of(now_ms, step_ms)
    first_ms = newest_ms - candles.MOST_ROWS * step_ms
    # A time of another unit than seconds is later than now, and is ignored.
    if since.isascii() and since.isdecimal() and len(since) <= 15 and int(since) * 1000 <= now_ms:
        first_ms = max(first_ms, min(int(since) * 1000, newest_ms))
    rows = await kraken.candles(found[0], step_ms, first_ms, now_ms + 1)
    key = _key(found[0], current=_wants_current_names(request))
    closed = [candle.start_ms // 1000 for candle in rows if candle.start_ms + step_ms <= now_ms]
    last = closed[-1] if closed else (newest_ms - step_ms) // 1000
    return Answer({key: [candles.rest_row(found[0], candle) for candle in rows], "last": last}, [])


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
