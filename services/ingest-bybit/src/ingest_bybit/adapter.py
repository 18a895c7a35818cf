"""Bybit v5 spot: `tickers` for price and 24 h figures, `orderbook.1` for bid and ask, which spot tickers lack."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Day,
    Event,
    Listed,
    Pong,
    Quote,
    Rate,
    RefusalKind,
    Refused,
    Skipped,
    amount,
    each,
    listed,
    member,
    positive,
    price,
    text,
    time,
    whole,
    whole_or,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.messages import Symbol

_TICKERS, _BOOK = "tickers.", "orderbook.1."
_NAMED_TOPIC = re.compile(r"((?:tickers|orderbook\.1)\.[^\s\],]+)")


def native(symbol: Symbol) -> str:
    """BTC-USDT is BTCUSDT."""
    return symbol.replace("-", "")


def topics(native_symbol: str) -> tuple[str, ...]:
    """Name a symbol's topics."""
    return _TICKERS + native_symbol, _BOOK + native_symbol


def subscribe(names: Sequence[str], request_id: int) -> str:
    """Write a subscription."""
    return orjson.dumps({"req_id": str(request_id), "op": "subscribe", "args": names}).decode()


def unsubscribe(names: Sequence[str], request_id: int) -> str:
    """Write the end of a subscription."""
    return orjson.dumps({"req_id": str(request_id), "op": "unsubscribe", "args": names}).decode()


def parse(frame: bytes) -> Sequence[Event]:
    """Read one frame."""
    message = orjson.loads(frame)
    topic = message.get("topic")
    if topic is None:
        return [_answer(message)]
    if topic.startswith(_BOOK):
        return _quote(message)
    if topic.startswith(_TICKERS):
        time_ms = time(message["ts"])
        return [_day(message["data"], (whole_or(message.get("cs"), 0), time_ms), time_ms)]
    raise FrameError("unknown", topic[:40])


def _quote(message: dict[str, Any]) -> Sequence[Event]:
    data, time_ms, delta = message["data"], time(message["ts"]), message.get("type") == "delta"
    update = whole(data["u"])
    bids, odd_bids = _prices(data["b"])
    asks, odd_asks = _prices(data["a"])
    quote = Quote(
        native=text(data["s"]),
        bid=max(bids, default=None),
        ask=min(asks, default=None),
        order=(whole_or(data.get("seq"), update), time_ms),  # u begins anew when their service does, seq goes on
        exchange_time_ms=time_ms,
        restarted=update == 1,
        bid_kept=not bids and (bool(odd_bids) or (delta and not data["b"])),
        ask_kept=not asks and (bool(odd_asks) or (delta and not data["a"])),
    )
    return Batch([quote], odd_bids + odd_asks) if odd_bids or odd_asks else [quote]


def _prices(levels: list[Any]) -> tuple[list[float], list[Skipped]]:
    """Return the prices of the levels that are there, and the levels that make no sense.

    A level of size 0 was deleted, and may stand before its successor.
    """
    prices: list[float] = []
    odd: list[Skipped] = []
    for level in levels:
        is_level = type(level) is list and len(level) > 1
        level_price, size = (positive(level[0]), amount(level[1])) if is_level else (None, None)
        if level_price is None or size is None:
            odd.append(Skipped("bad_level", repr(level)[:40]))
        elif size:
            prices.append(level_price)
    return prices, odd


def _day(data: dict[str, Any], order: tuple[int, int], time_ms: int) -> Day:
    return Day(
        native=text(data["symbol"]),
        price=price(data["lastPrice"]),
        open24h=positive(data.get("prevPrice24h")),
        high24h=positive(data.get("highPrice24h")),
        low24h=positive(data.get("lowPrice24h")),
        volume24h=amount(data.get("volume24h")),
        quote_volume24h=amount(data.get("turnover24h")),
        order=order,
        exchange_time_ms=time_ms,
        bid=positive(data.get("bid1Price")),
        ask=positive(data.get("ask1Price")),
    )


def _answer(message: dict[str, Any]) -> Event:
    """Read the answer to a request: one for the whole request, named only by its number."""
    if message.get("op") in {"ping", "pong"} or message.get("ret_msg") == "pong":
        return Pong()
    request_id = message.get("req_id")
    answered = None if request_id is None else str(request_id)
    if message["success"] is True:
        return Acknowledged(answered)
    reason = str(message.get("ret_msg"))
    named = _NAMED_TOPIC.search(reason)
    kind: RefusalKind = "already" if "already subscribed" in reason else "unknown"
    return Refused(answered, named.group(1) if named else None, kind, reason)


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `instruments-info`: the symbols that trade now."""
    return each(_market, _result(answer), "symbol")


def _market(entry: dict[str, Any]) -> list[Listed]:
    if text(entry["status"]) != "Trading":
        return []
    return listed(entry["baseCoin"], entry["quoteCoin"], entry["symbol"], member(entry, "priceFilter", "tickSize"))


def ticker_path(native_symbol: str) -> str:
    """Where REST has a symbol's 24 h ticker."""
    return f"/v5/market/tickers?category=spot&symbol={native_symbol}"


def parse_ticker(answer: bytes) -> Sequence[Event]:
    """Read the 24 h ticker; nothing where the symbol is unknown."""
    message = orjson.loads(answer)
    if message["retCode"] != 0:
        return []
    time_ms = time(message["time"])
    return each(lambda entry: [_day(entry, (0, time_ms), time_ms)], message["result"]["list"], "symbol")


def _result(answer: bytes) -> list[dict[str, Any]]:
    message = orjson.loads(answer)
    if message["retCode"] != 0:
        raise FrameError("refused", f"{message['retCode']}: {message.get('retMsg')}")
    entries: list[dict[str, Any]] = message["result"]["list"]
    return entries


ADAPTER = Adapter(
    exchange="bybit",
    ws_urls=("wss://stream.bybit.com/v5/public/spot",),
    ws_path="/v5/public/spot",
    rest_urls=("https://api.bybit.com",),
    listing_path="/v5/market/instruments-info?category=spot",
    parse_listing=parse_listing,
    ticker_path=ticker_path,
    parse_ticker=parse_ticker,
    native=native,
    topics=topics,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    topics_per_request=10,
    topics_per_connection=800,  # all names together must stay under 21,000 characters
    rates=(Rate(10, 1.0),),
    ping='{"op":"ping"}',
    ping_interval_s=18.0,
    silence_s=10.0,  # level 1 of the book is sent again after 3 s without a change
    refusal_voids_request=True,
    answers_with_state=True,
)
