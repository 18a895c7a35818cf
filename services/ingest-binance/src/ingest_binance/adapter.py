"""Binance spot: `@ticker` once a second for the 24 h figures, `@trade` and `@bookTicker` in real time for price and quote."""

from collections.abc import Sequence
from typing import Any

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Day,
    Event,
    GoingAway,
    Listed,
    Quote,
    Rate,
    RefusalKind,
    Refused,
    Trade,
    amount,
    each,
    listed,
    member,
    positive,
    price,
    text,
    time,
    whole,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.messages import Symbol

TOO_MANY_SUBSCRIPTIONS = 4


def native(symbol: Symbol) -> str:
    """BTC-USDT is BTCUSDT."""
    return symbol.replace("-", "")


def topics(native_symbol: str) -> tuple[str, ...]:
    """Name a symbol's streams; they are lower case, payloads are upper case."""
    name = native_symbol.lower()
    return f"{name}@ticker", f"{name}@trade", f"{name}@bookTicker"


def subscribe(streams: Sequence[str], request_id: int) -> str:
    """Write a subscription."""
    return orjson.dumps({"method": "SUBSCRIBE", "params": streams, "id": request_id}).decode()


def unsubscribe(streams: Sequence[str], request_id: int) -> str:
    """Write the end of a subscription."""
    return orjson.dumps({"method": "UNSUBSCRIBE", "params": streams, "id": request_id}).decode()


def parse(frame: bytes) -> Sequence[Event]:
    """Read one frame, combined (`/stream`) or raw (`/ws`)."""
    message = orjson.loads(frame)
    data = message.get("data", message)
    match data.get("e"):
        case None:
            return _untyped(message, data)
        case "trade":
            return [Trade(text(data["s"]), price(data["p"]), whole(data["t"]), time(data["E"]))]
        case "24hrTicker":
            return [_day(data)]
        case "bookTicker":  # as their futures name it; spot's has no type
            return [_quote(data)]
        case "serverShutdown":
            return [GoingAway("the exchange announced a server shutdown")]
    raise FrameError("unknown", str(data.get("e"))[:40])


def _untyped(message: dict[str, Any], data: dict[str, Any]) -> Sequence[Event]:
    """Read what carries no event type: quotes, and the answers to requests."""
    if "u" in data and "b" in data and "a" in data:
        return [_quote(data)]
    request_id = message.get("id")
    answered = None if request_id is None else str(request_id)
    error = message.get("error", message)  # seen nested and flat
    if "code" in error:
        kind: RefusalKind = "later" if error["code"] == TOO_MANY_SUBSCRIPTIONS else "unknown"
        return [Refused(answered, None, kind, f"{error['code']}: {error.get('msg')}")]
    if "result" in message:
        return [Acknowledged(answered)]
    raise FrameError("unknown")


def _quote(data: dict[str, Any]) -> Quote:
    return Quote(text(data["s"]), positive(data["b"]), positive(data["a"]), (whole(data["u"]), 0))


def _trade_id(number: object) -> int | None:
    """Read the last trade of the 24 h; -1 where nothing was traded, None where the message does not tell."""
    if number == -1:
        return -1
    try:
        return whole(number)
    except FrameError:
        return None


def _day(data: dict[str, Any]) -> Day:
    time_ms = time(data["E"])
    return Day(
        native=text(data["s"]),
        price=price(data["c"]),
        open24h=positive(data.get("o")),
        high24h=positive(data.get("h")),
        low24h=positive(data.get("l")),
        volume24h=amount(data.get("v")),
        quote_volume24h=amount(data.get("q")),
        order=(0, time_ms),
        exchange_time_ms=time_ms,
        trade_id=_trade_id(data.get("L")),
        bid=positive(data.get("b")),
        ask=positive(data.get("a")),
    )


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `exchangeInfo`: the symbols that trade now, with the tick size of their price filter."""
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


def ticker_path(native_symbol: str) -> str:
    """Where REST has a symbol's 24 h ticker."""
    return f"/api/v3/ticker/24hr?symbol={native_symbol}"


def parse_ticker(answer: bytes) -> Sequence[Event]:
    """Read the 24 h ticker; nothing where the symbol is unknown."""
    data = orjson.loads(answer)
    if "code" in data:
        return []
    time_ms = time(data["closeTime"])
    return [
        Day(
            native=text(data["symbol"]),
            price=price(data["lastPrice"]),
            open24h=positive(data.get("openPrice")),
            high24h=positive(data.get("highPrice")),
            low24h=positive(data.get("lowPrice")),
            volume24h=amount(data.get("volume")),
            quote_volume24h=amount(data.get("quoteVolume")),
            order=(0, time_ms),
            exchange_time_ms=time_ms,
            trade_id=_trade_id(data.get("lastId")),
            bid=positive(data.get("bidPrice")),
            ask=positive(data.get("askPrice")),
        )
    ]


ADAPTER = Adapter(
    exchange="binance",
    ws_urls=(
        "wss://stream.binance.com:9443/stream",
        "wss://stream.binance.com:443/stream",
        "wss://data-stream.binance.vision/stream",
    ),
    ws_path="/stream",
    rest_urls=("https://api.binance.com", "https://data-api.binance.vision"),
    listing_path="/api/v3/exchangeInfo?permissions=SPOT&symbolStatus=TRADING&showPermissionSets=false",  # one MB in seven
    parse_listing=parse_listing,
    ticker_path=ticker_path,
    parse_ticker=parse_ticker,
    native=native,
    topics=topics,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    topics_per_request=180,
    topics_per_connection=1024,
    rates=(Rate(3, 1.0),),  # 5 are allowed, and our pings and pongs count too
    silence_s=5.0,
    max_age_s=23 * 3600.0,  # cut at 24 h
)
