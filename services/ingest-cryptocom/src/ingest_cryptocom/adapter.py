"""Crypto.com Exchange v1 spot: its addresses and limits, the requests to a socket and their answers, and the REST API."""

from collections.abc import Sequence
from typing import Any

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Event,
    Listed,
    Rate,
    RefusalKind,
    Refused,
    Reply,
    each,
    frames_of,
    listed,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import text
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Symbol

from .answers import data
from .candle import CANDLES, HISTORY
from .ticker import TICKER, UNNUMBERED, rows

CHANNELS = {"ticker": TICKER, EXCHANGE_CANDLE.name: CANDLES}
FRAMES = frames_of(CHANNELS)
TOPIC_WITHIN = 160  # bytes of a frame in which its topic is named
TRY_LATER = {40107, 42901}  # too many channels, too many requests
UNKNOWN_INSTRUMENT = 40004
_TOPIC = b'"subscription":"'


def native(symbol: Symbol) -> str:
    """Return Crypto.com's spelling of a symbol: BTC-USD is BTC_USD."""
    return symbol.replace("-", "_")


def subscribe(topics: Sequence[str], request_id: int) -> str:
    """Write a subscription."""
    return _request("subscribe", topics, request_id)


def unsubscribe(topics: Sequence[str], request_id: int) -> str:
    """Write the end of a subscription."""
    return _request("unsubscribe", topics, request_id)


def _request(method: str, topics: Sequence[str], request_id: int) -> str:
    return orjson.dumps({"id": request_id, "method": method, "params": {"channels": topics}}).decode()


def declared(frame: bytes) -> Sequence[Event]:
    """Read a frame with market data. Its channel is the beginning of the topic, for example `ticker` in `ticker.BTC_USD`."""
    begins = frame.find(_TOPIC, 0, TOPIC_WITHIN) + len(_TOPIC)
    channel = _channel(frame[begins : frame.find(b'"', begins)].decode())
    if channel not in FRAMES:
        raise FrameError("unknown")
    return FRAMES[channel].declared(frame)


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame: a channel's frame, which may also acknowledge a request, a refusal, or a heartbeat to answer."""
    message = orjson.loads(frame)
    match message:
        case {"code": 0, "result": {"subscription": str(topic), "data": _}} if _channel(topic) in FRAMES:
            return _with_acknowledgement(topic, message)
        case {"method": "subscribe", "code": 0, "channel": str(topic), **rest}:
            return [Acknowledged(request_id=_request_id(rest), topic=topic)]
        case {"method": "public/heartbeat", "id": int(number)}:
            return [Reply(orjson.dumps({"id": number, "method": "public/respond-heartbeat"}).decode())]
        case {"method": "unsubscribe", "code": 0, "id": int(number)}:
            return [Acknowledged(request_id=str(number))]
        case {"method": "subscribe" | "unsubscribe", "code": int(code), **rest} if code != 0:
            return [_refused(code, rest)]
    raise FrameError("unknown")


def _channel(topic: str) -> str:
    return topic.rpartition(".")[0]


def _with_acknowledgement(topic: str, message: dict[str, Any]) -> Sequence[Event]:
    """Read a frame with market data. If it has the number of a request, it acknowledges the request."""
    request_id = _request_id(message)
    found = FRAMES[_channel(topic)].lenient({**message, "id": UNNUMBERED})
    if request_id is None:
        return found
    return Batch([Acknowledged(request_id=request_id, topic=topic), *found], found.skipped if isinstance(found, Batch) else ())


def _request_id(message: dict[Any, Any]) -> str | None:
    """Return the number of the request that a message answers, or None if it answers none."""
    number = message.get("id")
    return str(number) if type(number) is int and number >= 0 else None


def _refused(code: int, message: dict[Any, Any]) -> Refused:
    channel = message.get("channel")
    kind: RefusalKind = "later" if code in TRY_LATER else "unknown"
    return Refused(
        request_id=_request_id(message),
        topic=channel if isinstance(channel, str) else None,
        kind=kind,
        reason=f"{code}: {message.get('message')}",
    )


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `get-instruments`: the currency pairs that trade now. Contracts have other types."""
    return each(_market, data(answer), "symbol")


def _market(entry: dict[str, Any]) -> list[Listed]:
    if text(entry["inst_type"]) != "CCY_PAIR" or entry["tradable"] is not True:
        return []
    return listed(entry["base_ccy"], entry["quote_ccy"], entry["symbol"], entry.get("price_tick_size"))


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST path of a symbol's ticker."""
    return (f"/exchange/v1/public/get-tickers?instrument_name={native_symbol}",)


def parse_ticker(native_symbol: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read the ticker, which has the same rows as a socket's frame. Return no events if the instrument is unknown."""
    del native_symbol
    return rows(data(answers[0], {UNKNOWN_INSTRUMENT: []}))


ADAPTER = Adapter(
    exchange="cryptocom",
    ws_urls=("wss://stream.crypto.com/exchange/v1/market",),
    ws_path="/exchange/v1/market",
    channels=CHANNELS,
    rest_urls=("https://api.crypto.com",),
    listing_path="/exchange/v1/public/get-instruments",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/exchange/v1/public/get-tickers?instrument_name=BTC_USD",  # there is no path that returns only the time
    candles=HISTORY,
    native=native,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=declared,
    lenient=lenient,
    topics_per_request=50,
    topics_per_connection=400,
    # 100 a second are allowed, but in the second of the opening only a part of them, in proportion to the time left.
    rates=(Rate(5, 1.0),),
    silence_s=30.0,
    answers_with_state=True,
)
