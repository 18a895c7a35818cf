"""OKX v5 spot: its addresses and limits, the requests to a socket and their answers, and the REST listing."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Endpoint,
    Event,
    GoingAway,
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
from market_pulse.exchange.fields import text
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Symbol

from .answers import data
from .candle import CANDLES, HISTORY
from .ticker import TICKER

CHANNELS = {"ticker": TICKER}
FRAMES = frames_of({**CHANNELS, EXCHANGE_CANDLE.name: CANDLES})
DECLARED = by_beginning(FRAMES, '{"arg":{"channel":"%s"')
RATES = (Rate(2, 1.0), Rate(450, 3600.0, pings_count=False))  # OKX allows 480 requests an hour
PING_INTERVAL_S = 15.0  # OKX closes a connection after 30 s without traffic
_NAMED = re.compile(r"channel:([^\s,]+),\s*instId:([^\s,]+)")
UPGRADE_NOTICE = "64008"
TRY_LATER = {"60014", "64007", "50011"}


def _urls(path: str) -> tuple[str, ...]:
    """Return an endpoint's addresses. OKX serves the US and the EEA from hosts of their own."""
    return tuple(f"wss://{host}.okx.com:8443{path}" for host in ("ws", "wsus", "wseea"))


def native(symbol: Symbol) -> str:
    """Return OKX's spelling of a symbol, which is ours: BTC-USDT."""
    return symbol


def subscribe(topics: Sequence[str], request_id: int) -> str:
    """Write a subscription."""
    return _request("subscribe", topics, request_id)


def unsubscribe(topics: Sequence[str], request_id: int) -> str:
    """Write the end of a subscription."""
    return _request("unsubscribe", topics, request_id)


def _request(op: str, topics: Sequence[str], request_id: int) -> str:
    args = [{"channel": channel, "instId": instrument} for channel, _, instrument in (topic.partition(":") for topic in topics)]
    return orjson.dumps({"id": str(request_id), "op": op, "args": args}).decode()


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame: a channel's frame, an answer to one argument of a request, or a notice."""
    if frame == b"pong":
        return [Pong()]
    message = orjson.loads(frame)
    if message.get("data") is not None:
        channel = message["arg"]["channel"]
        if isinstance(channel, str) and channel in FRAMES:
            return FRAMES[channel].lenient(message)
    return _answer(message)


def _answer(message: dict[str, Any]) -> Sequence[Event]:
    match message:
        case {"event": "subscribe" | "unsubscribe", "arg": {"channel": str(channel), "instId": str(instrument)}, **rest}:
            return [Acknowledged(request_id=_request_id(rest), topic=f"{channel}:{instrument}")]
        case {"event": "error", "code": str(code), **rest}:
            return [_refused(code, str(rest.get("msg", "")), _request_id(rest))]
        case {"event": "notice", "code": str(code), **rest}:
            return [GoingAway(f"notice {code}: {rest.get('msg')}")] if code == UPGRADE_NOTICE else []
        case {"event": "channel-conn-count"}:
            return []
    raise FrameError("unknown")


def _request_id(message: dict[Any, Any]) -> str | None:
    return str(message["id"]) if "id" in message else None


def _refused(code: str, reason: str, request_id: str | None) -> Refused:
    named = _NAMED.search(reason)
    kind: RefusalKind = "later" if code in TRY_LATER else "unknown"
    return Refused(
        request_id=request_id, topic=":".join(named.groups()) if named else None, kind=kind, reason=f"{code}: {reason}"
    )


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `instruments`: the spot pairs that are live now."""
    return each(_market, data(answer), "instId")


def _market(entry: dict[str, Any]) -> list[Listed]:
    if text(entry["state"]) != "live":
        return []
    return listed(entry["baseCcy"], entry["quoteCcy"], entry["instId"], entry.get("tickSz"))


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST path of a symbol's ticker."""
    return (f"/api/v5/market/ticker?instId={native_symbol}",)


def parse_ticker(_: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read the ticker, which has the same rows as a socket's frame. Return no events if the instrument is unknown."""
    message = orjson.loads(answers[0])
    return TICKER.frames["tickers"].lenient(message) if message["code"] == "0" else []


BUSINESS = Endpoint(
    exchange="okx",
    ws_urls=_urls("/ws/v5/business"),
    ws_path="/ws/v5/business",
    channels={EXCHANGE_CANDLE.name: CANDLES},
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=DECLARED,
    lenient=lenient,
    topics_per_request=100,
    topics_per_connection=1000,
    rates=RATES,
    ping="ping",
    ping_interval_s=PING_INTERVAL_S,
    silence_s=30.0,
    answers_with_state=True,
)
"""The endpoint that has the candles. The endpoint of the ticker refuses them."""

ADAPTER = Adapter(
    exchange="okx",
    ws_urls=_urls("/ws/v5/public"),
    ws_path="/ws/v5/public",
    channels=CHANNELS,
    further=(BUSINESS,),
    rest_urls=("https://www.okx.com", "https://us.okx.com", "https://eea.okx.com"),
    listing_path="/api/v5/public/instruments?instType=SPOT",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/api/v5/public/time",
    candles=HISTORY,
    native=native,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=DECLARED,
    lenient=lenient,
    topics_per_request=100,
    topics_per_connection=1000,
    rates=RATES,
    ping="ping",
    ping_interval_s=PING_INTERVAL_S,
    silence_s=30.0,
    answers_with_state=True,
)
