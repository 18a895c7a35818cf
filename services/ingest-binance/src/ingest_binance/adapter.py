"""Binance spot: its addresses and limits, the requests to a socket and their answers, and the REST listing."""

from collections.abc import Sequence
from typing import Any

import orjson
from msgspec import Struct
from msgspec.json import Decoder

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Data,
    Event,
    GoingAway,
    Listed,
    Rate,
    RefusalKind,
    Refused,
    each,
    frames_of,
    listed,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import by_member, member, text
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Symbol

from .candle import CANDLES, HISTORY
from .ticker import TICKER, RestTicker, day

CHANNELS = {"ticker": TICKER, EXCHANGE_CANDLE.name: CANDLES}
FRAMES = frames_of(CHANNELS)
TOO_MANY_SUBSCRIPTIONS = 4


class _Typed(Struct):
    e: str = "bookTicker"  # the default, because quotes of spot markets have no type; those of futures have one


_head = Decoder(Data[_Typed]).decode


def native(symbol: Symbol) -> str:
    """Return Binance's spelling of a symbol: BTCUSDT for BTC-USDT."""
    return symbol.replace("-", "")


def subscribe(streams: Sequence[str], request_id: int) -> str:
    """Write a request to subscribe to streams."""
    return orjson.dumps({"method": "SUBSCRIBE", "params": streams, "id": request_id}).decode()


def unsubscribe(streams: Sequence[str], request_id: int) -> str:
    """Write a request to unsubscribe from streams."""
    return orjson.dumps({"method": "UNSUBSCRIBE", "params": streams, "id": request_id}).decode()


def declared(frame: bytes) -> Sequence[Event]:
    """Read a frame of a combined stream (`/stream`) as declared."""
    return FRAMES[_head(frame).data.e].declared(frame)


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame, combined or raw (`/ws`): a stream's frame, the answer to a request, or a notice."""
    message = orjson.loads(frame)
    data = message.get("data", message)
    kind = data.get("e")
    if kind is None and "u" in data and "b" in data and "a" in data:
        kind = "bookTicker"
    if isinstance(kind, str) and kind in FRAMES:
        return FRAMES[kind].lenient({"data": data})
    if kind is None:
        return [_answer(message)]
    if kind == "serverShutdown":
        return [GoingAway("the exchange announced a server shutdown")]
    raise FrameError("unknown", str(kind)[:40])


def _answer(message: dict[str, Any]) -> Event:
    request_id = message.get("id")
    answered = None if request_id is None else str(request_id)
    error = message.get("error", message)  # Binance sends errors both nested and flat
    if "code" in error:
        kind: RefusalKind = "later" if error["code"] == TOO_MANY_SUBSCRIPTIONS else "unknown"
        return Refused(request_id=answered, topic=None, kind=kind, reason=f"{error['code']}: {error.get('msg')}")
    if "result" in message:
        return Acknowledged(request_id=answered)
    raise FrameError("unknown")


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `exchangeInfo`: the symbols that trade now, with the tick sizes of their price filters."""
    return each(_market, orjson.loads(answer)["symbols"], "symbol")


def _market(entry: dict[str, Any]) -> list[Listed]:
    if text(entry["status"]) != "TRADING" or not entry.get("isSpotTradingAllowed", True):
        return []
    return listed(entry["baseAsset"], entry["quoteAsset"], entry["symbol"], _tick_size(entry))


def _tick_size(entry: dict[str, Any]) -> object:
    filters = entry.get("filters")
    sizes = (
        member(one, "tickSize")
        for one in (filters if isinstance(filters, list) else ())
        if member(one, "filterType") == "PRICE_FILTER"
    )
    return next(sizes, None)


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST path of a symbol's 24 h ticker."""
    return (f"/api/v3/ticker/24hr?symbol={native_symbol}",)


def parse_ticker(_: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read the 24 h ticker. Return no events if the symbol is unknown."""
    data = orjson.loads(answers[0])
    return [] if "code" in data else [day(by_member(RestTicker, data))]


ADAPTER = Adapter(
    exchange="binance",
    ws_urls=(
        "wss://stream.binance.com:9443/stream",
        "wss://stream.binance.com:443/stream",
        "wss://data-stream.binance.vision/stream",
    ),
    ws_path="/stream",
    channels=CHANNELS,
    rest_urls=("https://api.binance.com", "https://data-api.binance.vision"),
    # Without the parameters the answer would have 7 MB instead of 1 MB.
    listing_path="/api/v3/exchangeInfo?permissions=SPOT&symbolStatus=TRADING&showPermissionSets=false",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/api/v3/time",
    candles=HISTORY,
    native=native,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=declared,
    lenient=lenient,
    topics_per_request=180,
    topics_per_connection=1024,
    rates=(Rate(3, 1.0),),  # Binance allows 5, and counts our pings and pongs
    silence_s=5.0,
    max_age_s=23 * 3600.0,  # Binance cuts connections at 24 h
)
