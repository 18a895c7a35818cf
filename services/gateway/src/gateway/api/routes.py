"""The API's routes. They read and check the request, and return bytes that are already encoded where possible."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from pydantic import Field
from starlette.responses import Response

from gateway.stream.candles import LatestCandle
from gateway.stream.fields import Fields as ChosenFields
from gateway.stream.topic import NoRoom, Topic
from market_pulse.bus import BusError
from market_pulse.kinds import TICKER, Kind
from market_pulse.messages import LARGEST_INTEGER, Interval, Resolution, Symbol
from market_pulse.process.bounded_http import owner_of
from market_pulse.process.clock import now_ms

from . import models
from .answers import SharedResponse
from .candles import MOST_CANDLES, Of, Past
from .candles import answer as candles_of
from .changes import SPANS, with_changes
from .event_stream import FIELDS, StreamQuery, client_of, read_fields
from .gateway import Gateway
from .problems import RETRY_AFTER_S, ProblemError
from .reads import SHARED_FOR_S

FIRST_WITHIN_S = 3.0
ASK_AGAIN_S = 0.5
LISTING_MAX_AGE_S = 10
MOST_POINTS = max(resolution.points for resolution in Resolution)

_SYMBOLS = StreamQuery.model_fields["symbols"]
Symbols = Annotated[list[str], Query(description=_SYMBOLS.description, examples=_SYMBOLS.examples)]
Fields = Annotated[list[str] | None, Query(description=FIELDS, examples=[["price,changePercent24h"]])]
Moment = Annotated[int, Field(ge=0, le=LARGEST_INTEGER)]
MaxPoints = Annotated[int, Query(ge=2, le=MOST_POINTS, description="The most points to return. A longer history is thinned")]

PROBLEMS: dict[int | str, dict[str, Any]] = {
    400: {
        "description": "A text is not a symbol (`suggestions` has the symbols that it may mean), there are too many "
        "symbols, or a parameter is repeated",
        **models.PROBLEM,
    },
    404: {"description": "No exchange lists this symbol; `suggestions` has near matches", **models.PROBLEM},
    422: {"description": "A parameter is missing or out of range", **models.PROBLEM},
    503: {"description": "Not possible right now; see Retry-After", **models.PROBLEM},
}
_NO_ROOM: dict[int | str, dict[str, Any]] = {
    429: {"description": "Room is short, and this address has used up its share of symbols; see Retry-After", **models.PROBLEM},
    **PROBLEMS,
}
_BUSY: dict[int | str, dict[str, Any]] = {
    429: {"description": "Too many histories are being read for this address; see Retry-After", **models.PROBLEM},
    **PROBLEMS,
}


_TickerAnswer = models.TickerAnswer | models.TickerAnswerFields
_REPEATABLE = frozenset({"symbols", "fields"})


def one_of_each(request: Request) -> None:
    """Refuse a request that gives a parameter twice. Otherwise one of the two values would be ignored silently."""
    given = request.query_params
    for field in request.scope["route"].dependant.query_params:
        if field.alias not in _REPEATABLE and len(given.getlist(field.alias)) > 1:
            raise ProblemError(400, "repeated_parameter", f"{field.alias} is given more than once: give it once")
    if "symbol" in request.path_params and "symbols" in given:
        raise ProblemError(400, "repeated_parameter", "name symbols in the path or in `symbols`, not in both")


api = APIRouter(prefix="/api", dependencies=[Depends(one_of_each)])


@api.get("/ticker/{symbol:path}", response_model=_TickerAnswer, responses=_NO_ROOM, tags=["ticker"])
async def ticker(request: Request, symbol: str, fields: Fields = None) -> Response:
    """Return a symbol's last ticker. If the gateway does not follow the symbol yet, it waits up to 3 s for the first one."""
    wished = read_fields(fields, SPANS)
    name = _gateway(request).listings.one_named(symbol)
    found, no_room = await _tickers(request, (name,))
    if name in no_room:
        raise _no_room_problem(_gateway(request), name, no_room[name], TICKER)
    known = found[name]
    if known is None and not _gateway(request).intake.connected:
        raise BusError("not connected")
    if known is None:
        raise ProblemError(503, "no_price_yet", f"no price of {name} has come yet", retry_after_s=RETRY_AFTER_S)
    changes = await _changes(request, (name,), wished)
    return _json(with_changes(known, changes[name], wished))


@api.get("/ticker", response_model=models.Tickers, responses=PROBLEMS, tags=["ticker"])
async def tickers(request: Request, symbols: Symbols, fields: Fields = None) -> Response:
    """Return the last tickers of several symbols."""
    wished = read_fields(fields, SPANS)
    found, no_room = await _tickers(request, _gateway(request).listings.named(symbols))
    changes = await _changes(request, [symbol for symbol, data in found.items() if data is not None], wished)
    known = b",".join(with_changes(found[symbol] or b"", changes[symbol], wished) for symbol in changes)
    missing = orjson.dumps([symbol for symbol, data in found.items() if data is None])
    reasons = orjson.dumps({symbol: why.reason for symbol, why in no_room.items()})
    return _json(b'{"tickers":[%b],"missing":%b,"noRoom":%b}' % (known, missing, reasons))


@api.get("/history/{symbol:path}", response_model=models.History, responses=_BUSY, tags=["history"])
async def history(
    request: Request, symbol: str, resolution: Resolution = Resolution.MINUTE, max_points: MaxPoints = MOST_POINTS
) -> Response:
    """Return a symbol's past prices: each second of the last ten minutes, or each minute of the last day.

    Seconds are kept only while clients ask for the symbol's prices, so this history may be old or empty. Minutes are those of
    `/api/candles`, and are asked for in the same way.
    """
    gateway = _gateway(request)
    name = gateway.listings.one_named(symbol)
    await gateway.listings.check((name,))
    owner = owner_of(client_of(request.scope))
    if resolution is Resolution.MINUTE:
        of = Of(name, Interval.MINUTE)
        with _held(gateway, of.channel, owner):
            await _past(gateway, of, owner)
            known = await gateway.histories.get((resolution, name), owner)
    else:
        known = await gateway.histories.get((resolution, name), owner)
    return _json(known.json(max_points), _caching(gateway, SHARED_FOR_S))


@api.get("/candles/{symbol:path}", response_model=models.Candles, responses=_NO_ROOM, tags=["history"])
async def candles(
    request: Request,
    symbol: str,
    interval: Interval = Interval.MINUTE,
    limit: Annotated[int, Query(ge=1, le=MOST_CANDLES, description="The most candles to return, the newest ones")] = 500,
    before: Annotated[Moment | None, Query(description="Only closed candles that began before this moment, Unix ms")] = None,
    at: Annotated[Moment | None, Query(description="Only the candle that holds this moment, Unix ms")] = None,
    exchange: Annotated[str | None, Query(description="Return this exchange's candles instead of ours, by the minute")] = None,
) -> Response:
    """Return a symbol's candles. If the gateway does not follow them yet, it waits up to 3 s for them.

    The list is empty if no candle has come by then. Ask again a little later: past candles come from the exchanges.
    """
    if before is not None and at is not None:
        raise ProblemError(400, "two_moments", "give `before` or `at`, not both")
    if exchange is not None and interval is not Interval.MINUTE:
        detail = f"an exchange's candles are kept by the minute (interval=1m), not {interval}; without `exchange` you get ours"
        raise ProblemError(400, "interval_not_kept", detail)
    gateway = _gateway(request)
    name = gateway.listings.one_named(symbol)
    await gateway.listings.check((name,))
    if exchange is not None:
        gateway.listings.check_exchange(exchange, name)
    of = Of(name, interval, exchange)
    owner = owner_of(client_of(request.scope))
    with _held(gateway, of.channel, owner) as topic:
        if before is None and gateway.intake.connected and of.channel in gateway.hub.topics.wanted:
            await gateway.hub.topics.wait_live([of.channel], FIRST_WITHIN_S)
        past = await _past(gateway, of, owner)
        latest = [state for state in topic.states() if isinstance(state, LatestCandle)]
        if not past.starts and not latest and (no_room := gateway.hub.no_room(of.channel)):
            raise _no_room_problem(gateway, name, no_room, topic.kind)
    body = candles_of(of, past, latest, limit=limit, before_ms=before, at_ms=at)
    return _json(body, _caching(gateway, SHARED_FOR_S))


@api.get(
    "/symbols",
    response_model=models.SymbolListing,
    responses={status: PROBLEMS[status] for status in (400, 422)},
    tags=["what there is"],
)
async def symbols(
    request: Request,
    q: Annotated[str | None, Query(max_length=65, description="Only symbols that contain this text")] = None,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """Return the symbols that a client can ask for, and the exchanges that list each."""
    gateway = _gateway(request)
    listings, caching = gateway.listings, _caching(gateway, LISTING_MAX_AGE_S)
    if q is not None:
        return _json(listings.matching(q), caching)
    caching["ETag"] = listings.etag
    if if_none_match is not None and listings.etag in if_none_match:
        return Response(status_code=304, headers=caching)
    return SharedResponse(listings.shared, headers=caching, media_type="application/json")


@api.get("/status", response_model=models.Status, tags=["what there is"])
async def status(request: Request) -> Response:
    """Return the state of each exchange's feed and of this gateway."""
    gateway = _gateway(request)
    hub = gateway.hub
    time_ms = now_ms()
    exchanges = hub.statuses.current(time_ms)
    return _json(
        orjson.dumps(
            {
                "simulated": hub.statuses.simulated,
                "exchanges": {name: orjson.Fragment(one.json(with_room=True)) for name, one in exchanges.items()},
                "gateway": {
                    "instance": gateway.instance,
                    "time": time_ms,
                    "uptimeS": round(gateway.uptime_s, 1),
                    "streams": len(hub.streams),
                    "symbols": sorted(hub.topics.symbols),
                    "roomIsShort": hub.topics.room_is_short,
                    "beyondShare": hub.topics.beyond_share,
                    "channels": hub.topics.by_kind,
                    "busConnected": gateway.intake.connected,
                    "resyncs": hub.stats.resyncs,
                    "draining": gateway.draining,
                },
            }
        )
    )


async def _tickers(request: Request, names: tuple[Symbol, ...]) -> tuple[dict[Symbol, bytes | None], dict[Symbol, NoRoom]]:
    """Return each symbol's ticker as of now, and the symbols that have no price for want of room, with the reason.

    The symbols are held meanwhile, so that the gateway subscribes to them. If that is new, their first tickers are awaited. A
    symbol without a price for want of room has no ticker.
    """
    gateway = _gateway(request)
    await gateway.listings.check(names)
    hub = gateway.hub
    owner = owner_of(client_of(request.scope))
    wished = {name: TICKER.channel(name) for name in names}
    hub.topics.hold(wished.values(), owner)
    try:
        if gateway.intake.connected:
            wanted = hub.topics.wanted  # do not wait for channels beyond the share: they are not subscribed to
            await hub.topics.wait_live([channel for channel in wished.values() if channel in wanted], FIRST_WITHIN_S)
        found = {name: hub.newest(channel) for name, channel in wished.items()}
        unpriced = [name for name in names if not _has_price(found[name])]
        no_room = {name: why for name in unpriced if (why := hub.no_room(wished[name])) is not None}
        return found | dict.fromkeys(no_room), no_room
    finally:
        hub.topics.release(wished.values(), owner)


@contextmanager
def _held(gateway: Gateway, channel: str, owner: str) -> Iterator[Topic]:
    """Hold a channel, so that the gateway subscribes to it. It stays subscribed for a while after."""
    topics = gateway.hub.topics
    topics.hold([channel], owner)
    try:
        yield topics[channel]
    finally:
        topics.release([channel], owner)


async def _past(gateway: Gateway, of: Of, owner: str) -> Past:
    """Return the past candles of a held channel.

    If there are no recent ones, wait for them until the channel has been held for FIRST_WITHIN_S: a symbol that nobody has
    asked for may have none, or only old ones.
    """
    topics = gateway.hub.topics
    while True:
        past = await gateway.candles.get(of, owner)
        waits = gateway.intake.connected and of.channel in topics.wanted
        if past.reaches(now_ms()) or not waits or topics.held_for_s(of.channel) >= FIRST_WITHIN_S:
            return past
        await asyncio.sleep(ASK_AGAIN_S)


async def _changes(
    request: Request, names: Sequence[Symbol], wished: ChosenFields
) -> Mapping[Symbol, tuple[float | None, ...]]:
    """Return the past prices of symbols, by which their changes are told. They are read only if a wished field needs them."""
    gateway = _gateway(request)
    if not gateway.intake.connected or (wished is not None and wished.isdisjoint(SPANS)):
        return dict.fromkeys(names, (None,) * len(SPANS))
    return await gateway.changes.of(names)


def _no_room_problem(gateway: Gateway, name: Symbol, no_room: NoRoom, kind: Kind) -> ProblemError:
    detail = f"{name} has no room: {gateway.hub.explain(no_room, kind)}"
    status = 429 if no_room.reason == "share" else 503
    return ProblemError(status, "no_room", detail, retry_after_s=RETRY_AFTER_S, symbol=name, reason=no_room.reason)


def _has_price(ticker: bytes | None) -> bool:
    return ticker is not None and orjson.loads(ticker)["price"] is not None


def _caching(gateway: Gateway, max_age_s: float) -> dict[str, str]:
    """Return headers that let caches keep an answer. If this gateway needs keys, shared caches must not keep it."""
    return {"Cache-Control": f"{'private' if gateway.settings.api_keys else 'public'}, max-age={max_age_s:.0f}"}


def _json(body: bytes, headers: dict[str, str] | None = None) -> Response:
    return Response(body, headers=headers or {"Cache-Control": "no-store"}, media_type="application/json")


def _gateway(request: Request) -> Gateway:
    gateway: Gateway = request.app.state.gateway
    return gateway
