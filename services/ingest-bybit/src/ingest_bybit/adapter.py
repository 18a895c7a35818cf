"""Bybit v5 spot: its addresses and limits, the requests to a socket and their answers, and the REST listing."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Event,
    Listed,
    Pong,
    Rate,
    RefusalKind,
    Refused,
    by_beginning,
    each,
    frames_of,
    listed,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import by_member, member, text, time
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Symbol

from .answers import result
from .candle import CANDLES, HISTORY
from .ticker import TICKER, Ticker, day

CHANNELS = {"ticker": TICKER, EXCHANGE_CANDLE.name: CANDLES}
FRAMES = frames_of(CHANNELS)
_NAMED_TOPIC = re.compile(rf"((?:{'|'.join(map(re.escape, FRAMES))})\.[^\s\],]+)")


def native(symbol: Symbol) -> str:
    """Return Bybit's spelling of a symbol: BTCUSDT for BTC-USDT."""
    return symbol.replace("-", "")


def subscribe(names: Sequence[str], request_id: int) -> str:
    """Write a request to subscribe to topics."""
    return orjson.dumps({"req_id": str(request_id), "op": "subscribe", "args": names}).decode()


def unsubscribe(names: Sequence[str], request_id: int) -> str:
    """Write a request to unsubscribe from topics."""
    return orjson.dumps({"req_id": str(request_id), "op": "unsubscribe", "args": names}).decode()


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame: a channel's frame, or the answer to a request."""
    message = orjson.loads(frame)
    topic = message.get("topic")
    if topic is None:
        return [_answer(message)]
    for name, frames in FRAMES.items():
        if topic.startswith(f"{name}."):
            return frames.lenient(message)
    raise FrameError("unknown", topic[:40])


def _answer(message: dict[str, Any]) -> Event:
    """Read the answer to a request. There is one answer for the whole request, and it names the request by its number."""
    if message.get("op") in {"ping", "pong"} or message.get("ret_msg") == "pong":
        return Pong()
    request_id = message.get("req_id")
    answered = None if request_id is None else str(request_id)
    if message["success"] is True:
        return Acknowledged(request_id=answered)
    reason = str(message.get("ret_msg"))
    named = _NAMED_TOPIC.search(reason)
    kind: RefusalKind = "already" if "already subscribed" in reason else "unknown"
    return Refused(request_id=answered, topic=named.group(1) if named else None, kind=kind, reason=reason)


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `instruments-info`: the symbols that trade now."""
    return each(_market, result(answer), "symbol")


def _market(entry: dict[str, Any]) -> list[Listed]:
    if text(entry["status"]) != "Trading":
        return []
    return listed(entry["baseCoin"], entry["quoteCoin"], entry["symbol"], member(entry, "priceFilter", "tickSize"))


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST path of a symbol's 24 h ticker."""
    return (f"/v5/market/tickers?category=spot&symbol={native_symbol}",)


def parse_ticker(_: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read the 24 h ticker. Return no events if the symbol is unknown."""
    message = orjson.loads(answers[0])
    if message["retCode"] != 0:
        return []
    time_ms = time(message["time"])
    return each(lambda entry: [day(by_member(Ticker, entry), time_ms)], message["result"]["list"], "symbol")


ADAPTER = Adapter(
    exchange="bybit",
    ws_urls=("wss://stream.bybit.com/v5/public/spot",),
    ws_path="/v5/public/spot",
    channels=CHANNELS,
    rest_urls=("https://api.bybit.com",),
    listing_path="/v5/market/instruments-info?category=spot",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/v5/market/time",
    candles=HISTORY,
    native=native,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=by_beginning(FRAMES, '{"topic":"%s.', '{"type":"snapshot","topic":"%s.'),
    lenient=lenient,
    topics_per_request=10,
    topics_per_connection=800,  # because Bybit allows 21,000 characters for all names together
    rates=(Rate(10, 1.0),),
    ping='{"op":"ping"}',
    ping_interval_s=18.0,
    silence_s=10.0,  # Bybit sends level 1 of the order book again after 3 s without a change
    refusal_voids_request=True,
    answers_with_state=True,
)
