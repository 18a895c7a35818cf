"""The API's routes. They read and check the request, and return bytes that are already encoded where possible."""

from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Depends, Header, Query, Request
from starlette.responses import Response

from gateway.stream.fields import cut_down
from gateway.stream.topic import NoRoom
from market_pulse.bus import BusError
from market_pulse.kinds import TICKER
from market_pulse.messages import Resolution, Symbol
from market_pulse.process.bounded_http import owner_of
from market_pulse.process.clock import now_ms

from . import models
from .answers import SharedResponse
from .event_stream import FIELDS, StreamQuery, client_of, read_fields
from .gateway import Gateway
from .history import SHARED_FOR_S
from .problems import RETRY_AFTER_S, ProblemError

FIRST_TICKER_WITHIN_S = 3.0
LISTING_MAX_AGE_S = 10
MOST_POINTS = max(resolution.points for resolution in Resolution)

_SYMBOLS = StreamQuery.model_fields["symbols"]
Symbols = Annotated[list[str], Query(description=_SYMBOLS.description, examples=_SYMBOLS.examples)]
Fields = Annotated[list[str] | None, Query(description=FIELDS, examples=[["price,changePercent24h"]])]
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


@api.get("/ticker/{symbol:path}", response_model=models.Ticker | models.TickerFields, responses=_NO_ROOM, tags=["ticker"])
async def ticker(request: Request, symbol: str, fields: Fields = None) -> Response:
    """Return a symbol's last ticker. If the gateway does not follow the symbol yet, it waits up to 3 s for the first one."""
    wished = read_fields(fields)
    name = _gateway(request).listings.one_named(symbol)
    found, no_room = await _tickers(request, (name,))
    if name in no_room:
        reason = no_room[name].reason
        detail = f"{name} has no room: {_gateway(request).hub.explain(no_room[name])}"
        status = 429 if reason == "share" else 503
        raise ProblemError(status, "no_room", detail, retry_after_s=RETRY_AFTER_S, symbol=name, reason=reason)
    known = found[name]
    if known is None and not _gateway(request).intake.connected:
        raise BusError("not connected")
    if known is None:
        raise ProblemError(503, "no_price_yet", f"no price of {name} has come yet", retry_after_s=RETRY_AFTER_S)
    return _json(cut_down(known, wished))


@api.get("/ticker", response_model=models.Tickers, responses=PROBLEMS, tags=["ticker"])
async def tickers(request: Request, symbols: Symbols, fields: Fields = None) -> Response:
    """Return the last tickers of several symbols."""
    wished = read_fields(fields)
    found, no_room = await _tickers(request, _gateway(request).listings.named(symbols))
    known = b",".join(cut_down(data, wished) for data in found.values() if data is not None)
    missing = orjson.dumps([symbol for symbol, data in found.items() if data is None])
    reasons = orjson.dumps({symbol: why.reason for symbol, why in no_room.items()})
    return _json(b'{"tickers":[%b],"missing":%b,"noRoom":%b}' % (known, missing, reasons))


@api.get("/history/{symbol:path}", response_model=models.History, responses=_BUSY, tags=["history"])
async def history(
    request: Request, symbol: str, resolution: Resolution = Resolution.MINUTE, max_points: MaxPoints = MOST_POINTS
) -> Response:
    """Return a symbol's past prices: each second of the last ten minutes, or each minute of the last day.

    This request does not make the gateway subscribe to the symbol. If no client has asked for its prices lately, the history
    may be old or empty.
    """
    name = _gateway(request).listings.one_named(symbol)
    gateway = _gateway(request)
    await gateway.listings.check((name,))
    known = await gateway.histories.get(resolution, name, owner_of(client_of(request.scope)))
    return _json(known.json(max_points), _caching(gateway, SHARED_FOR_S))


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
    return SharedResponse(listings.json, headers=caching, media_type="application/json")


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
            await hub.topics.wait_live([channel for channel in wished.values() if channel in wanted], FIRST_TICKER_WITHIN_S)
        found = {name: hub.newest(channel) for name, channel in wished.items()}
        unpriced = [name for name in names if not _has_price(found[name])]
        no_room = {name: why for name in unpriced if (why := hub.no_room(wished[name])) is not None}
        return found | dict.fromkeys(no_room), no_room
    finally:
        hub.topics.release(wished.values(), owner)


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
