"""Toy exchange: one channel `t:<symbol>` with everything in it, symbols spelled BTC/USDT."""

from collections.abc import Sequence

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Day,
    Event,
    Listed,
    Rate,
    Refused,
    amount,
    each,
    listed,
    positive,
    price,
    text,
    time,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.messages import Symbol


def native(symbol: Symbol) -> str:
    """BTC-USDT is BTC/USDT."""
    return symbol.replace("-", "/")


def topics(native_symbol: str) -> tuple[str, ...]:
    """Name a symbol's one channel."""
    return (f"t:{native_symbol}",)


def subscribe(names: Sequence[str], request_id: int) -> str:
    """Write a subscription."""
    return orjson.dumps({"do": "sub", "what": names, "no": request_id}).decode()


def unsubscribe(names: Sequence[str], request_id: int) -> str:
    """Write the end of a subscription."""
    return orjson.dumps({"do": "unsub", "what": names, "no": request_id}).decode()


def parse(frame: bytes) -> Sequence[Event]:
    """Read one frame."""
    match orjson.loads(frame):
        case {"ok": int(number)}:
            return [Acknowledged(str(number))]
        case {"no": int(number), "why": str(reason)}:
            return [Refused(str(number), None, "unknown", reason)]
        case {"t": dict(ticker)}:
            return [_day(ticker)]
    raise FrameError("unknown")


def _day(ticker: dict[str, object]) -> Day:
    time_ms = time(ticker["time"])
    return Day(
        native=text(ticker["symbol"]),
        price=price(ticker["last"]),
        open24h=positive(ticker.get("open")),
        high24h=positive(ticker.get("high")),
        low24h=positive(ticker.get("low")),
        volume24h=amount(ticker.get("volume")),
        quote_volume24h=amount(ticker.get("turnover")),
        order=(0, time_ms),
        exchange_time_ms=time_ms,
    )


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read the list of markets."""
    return each(_market, orjson.loads(answer), "name")


def _market(entry: dict[str, object]) -> list[Listed]:
    return listed(entry["base"], entry["quote"], entry["name"], entry.get("step"))


def ticker_path(native_symbol: str) -> str:
    """Where REST has a symbol's ticker."""
    return f"/ticker?symbol={native_symbol}"


def parse_ticker(answer: bytes) -> Sequence[Event]:
    """Read the ticker."""
    return [_day(orjson.loads(answer))]


ADAPTER = Adapter(
    exchange="toy",
    ws_urls=("wss://toy.invalid/stream",),
    ws_path="/stream",
    rest_urls=("https://toy.invalid",),
    listing_path="/markets",
    parse_listing=parse_listing,
    ticker_path=ticker_path,
    parse_ticker=parse_ticker,
    native=native,
    topics=topics,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    parse=parse,
    topics_per_request=50,
    topics_per_connection=500,
    rates=(Rate(5, 1.0),),
    silence_s=10.0,
)
