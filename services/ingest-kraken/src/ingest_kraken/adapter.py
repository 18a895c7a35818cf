"""Kraken spot, WebSocket v2: its addresses and limits, the requests to a socket and their answers, and the REST API."""

from collections.abc import Sequence
from typing import Any

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Alive,
    Batch,
    Endpoint,
    Event,
    Halted,
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
from market_pulse.exchange.fields import amount, positive, price, text
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Symbol

from .answers import result
from .candle import CANDLES, HISTORY
from .ticker import TICKER, day_of

CHANNELS = {"ticker": TICKER}
FRAMES = frames_of({**CHANNELS, EXCHANGE_CANDLE.name: CANDLES})
DECLARED = by_beginning(FRAMES, '{"channel":"%s"')
RATES = (Rate(10, 1.0),)  # the limit is not published; clients keep to 20 a second
TOPICS_PER_CONNECTION = 180  # 188 are known to work
# The names of WebSocket v1 and of the REST API that differ from those of WebSocket v2.
RENAMED = {"XBT": "BTC", "XDG": "DOGE"}
ONLINE = "online"


def native(symbol: Symbol) -> str:
    """Return Kraken's spelling of a symbol: BTC-USD is BTC/USD."""
    return symbol.replace("-", "/")


def subscribe(topics: Sequence[str], request_id: int) -> str:
    """Write a subscription to frames at each change of the best bid or ask. By default they are sent only at trades."""
    return _request("subscribe", {"channel": "ticker", "symbol": topics, "event_trigger": "bbo", "snapshot": True}, request_id)


def unsubscribe(topics: Sequence[str], request_id: int) -> str:
    """Write the end of a subscription."""
    return _request("unsubscribe", {"channel": "ticker", "symbol": topics, "event_trigger": "bbo"}, request_id)


def subscribe_to_candles(topics: Sequence[str], request_id: int) -> str:
    """Write a subscription to candles of a minute. The snapshot has the last ten, also those that a lost socket missed."""
    params = {"channel": "ohlc", "symbol": topics, "interval": 1, "snapshot": True}
    return _request("subscribe", params, request_id)


def unsubscribe_from_candles(topics: Sequence[str], request_id: int) -> str:
    """Write the end of a subscription to candles."""
    return _request("unsubscribe", {"channel": "ohlc", "symbol": topics, "interval": 1}, request_id)


def _request(method: str, params: dict[str, Any], request_id: int) -> str:
    return orjson.dumps({"method": method, "params": params, "req_id": request_id}).decode()


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame: a channel's frame, an answer about one symbol of a request, a heartbeat, or the state of the exchange."""
    message = orjson.loads(frame)
    match message:
        case {"channel": str(channel), "data": _} if channel in FRAMES:
            return FRAMES[channel].lenient(message)
        case {"channel": "heartbeat"}:
            return [Alive()]
        case {"channel": "status", "data": [{"system": str(system)}]}:  # its connection_id may be any number of any size
            return [] if system == ONLINE else [Halted(f"status {system}")]
        case {"method": "pong"}:
            return [Pong()]
        case {"method": "subscribe" | "unsubscribe", "success": True, "result": {"symbol": str(symbol)}, **rest}:
            return [Acknowledged(request_id=_request_id(rest), topic=symbol)]
        case {"error": str(reason), **rest} | {"Error": str(reason), **rest}:
            return [_refused(reason, rest)]
    raise FrameError("unknown")


def _request_id(message: dict[Any, Any]) -> str | None:
    return str(message["req_id"]) if "req_id" in message else None


def _refused(reason: str, message: dict[Any, Any]) -> Refused:
    kind: RefusalKind = "unknown"
    if reason == "Already subscribed":
        kind = "already"
    elif reason == "Exceeded msg rate":
        kind = "later"
    symbol = message.get("symbol")
    return Refused(_request_id(message), symbol if isinstance(symbol, str) else None, kind, reason)


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `AssetPairs`: the currency pairs that trade now. Errors may stand beside a part of the pairs."""
    pairs, errors = result(answer)
    entries = [{**entry, "pair": key} if isinstance(entry, dict) else entry for key, entry in pairs.items()]
    found = each(_market, entries, "pair")
    return Batch(found, [*found.skipped, *errors])


def _market(entry: dict[str, Any]) -> list[Listed]:
    # A share of a company is a tokenized_asset.
    if text(entry["status"]) != ONLINE or text(entry["aclass_base"]) != "currency":
        return []
    base, quote = _base_and_quote(entry)
    return listed(base, quote, f"{base}/{quote}", entry.get("tick_size"))


def _base_and_quote(entry: dict[str, Any]) -> list[str]:
    """Return a pair's base and quote in the names of WebSocket v2."""
    if "/" in entry["pair"]:
        return [text(entry["base"]), text(entry["quote"])]
    # The answer has the old names although assetVersion=1 asks for the current ones: XXBTZUSD is XBT/USD.
    base, quote = text(entry["wsname"]).split("/")
    return [RENAMED.get(name, name) for name in (base, quote)]


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST path of a symbol's ticker."""
    return (f"/0/public/Ticker?pair={native_symbol}&assetVersion=1",)


def parse_ticker(native_symbol: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read the ticker. It has no time and no price of 24 h ago: `o` is the price at 00:00 UTC.

    The one entry may have another name than the one that was asked for. Return no events if the pair is unknown.
    """
    tickers, errors = result(answers[0])
    if not tickers:
        return []
    (ticker,) = tickers.values()
    # The second figure of each pair is that of the last 24 h.
    day = day_of(
        native_symbol,
        price(ticker["c"][0]),
        high=positive(ticker["h"][1]),
        low=positive(ticker["l"][1]),
        volume=amount(ticker["v"][1]),
        vwap=positive(ticker["p"][1]),
    )
    day.bid, day.ask = positive(ticker["b"][0]), positive(ticker["a"][0])
    return Batch([day], errors)


CANDLE_SOCKET = Endpoint(
    exchange="kraken",
    ws_urls=("wss://ws.kraken.com/v2",),
    ws_path="/v2",
    channels={EXCHANGE_CANDLE.name: CANDLES},
    subscribe=subscribe_to_candles,
    unsubscribe=unsubscribe_from_candles,
    declared=DECLARED,
    lenient=lenient,
    topics_per_request=100,
    topics_per_connection=TOPICS_PER_CONNECTION,
    rates=RATES,
    ping='{"method":"ping"}',
    ping_interval_s=20.0,
    silence_s=10.0,
    answers_with_state=True,
)
"""A socket of its own for the candles. A request names one channel, and a refusal names none. Tickers may fill their socket."""

ADAPTER = Adapter(
    exchange="kraken",
    ws_urls=("wss://ws.kraken.com/v2",),
    ws_path="/v2",
    channels=CHANNELS,
    further=(CANDLE_SOCKET,),
    rest_urls=("https://api.kraken.com",),
    listing_path="/0/public/AssetPairs?assetVersion=1",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/0/public/Time",
    candles=HISTORY,
    native=native,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=DECLARED,
    lenient=lenient,
    topics_per_request=100,
    topics_per_connection=TOPICS_PER_CONNECTION,
    rates=RATES,
    ping='{"method":"ping"}',
    ping_interval_s=20.0,
    silence_s=10.0,  # heartbeats come each second
    answers_with_state=True,
)
