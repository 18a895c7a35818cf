"""The toy exchange's adapter: addresses and limits, WebSocket requests and their answers, and the REST listing.

Its candles come from a WebSocket endpoint of their own.
"""

from collections.abc import Sequence

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Batch,
    Endpoint,
    Event,
    Listed,
    Rate,
    Refused,
    by_beginning,
    each,
    frames_of,
    listed,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import by_member
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Symbol

from .candle import CANDLES, HISTORY
from .ticker import TICKER, Ticker, day

CHANNELS = {"ticker": TICKER}
CANDLE_CHANNELS = {EXCHANGE_CANDLE.name: CANDLES}
FRAMES = frames_of({**CHANNELS, **CANDLE_CHANNELS})
DECLARED = by_beginning(FRAMES, '{"channel":"%s"')


def native(symbol: Symbol) -> str:
    """Return a symbol in the exchange's spelling: BTC-USDT is BTC/USDT."""
    return symbol.replace("-", "/")


def subscribe(names: Sequence[str], request_id: int) -> str:
    """Return the request that subscribes to topics."""
    return orjson.dumps({"do": "sub", "what": names, "no": request_id}).decode()


def unsubscribe(names: Sequence[str], request_id: int) -> str:
    """Return the request that unsubscribes from topics."""
    return orjson.dumps({"do": "unsub", "what": names, "no": request_id}).decode()


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame: a channel's message, or the answer to a request."""
    match orjson.loads(frame):
        case {"ok": int(number)}:
            return [Acknowledged(request_id=str(number))]
        case {"no": int(number), "why": str(reason)}:
            return [Refused(request_id=str(number), topic=None, kind="unknown", reason=reason)]
        case {"channel": str(channel), **message} if channel in FRAMES:
            return FRAMES[channel].lenient(message)
    raise FrameError("unknown")


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read the list of markets."""
    return each(_market, orjson.loads(answer), "name")


def _market(entry: dict[str, object]) -> list[Listed]:
    return listed(entry["base"], entry["quote"], entry["name"], entry.get("step"))


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST path of a symbol's ticker, which is complete in one answer."""
    return (f"/ticker?symbol={native_symbol}",)


def parse_ticker(_: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read a REST ticker."""
    return [day(by_member(Ticker, orjson.loads(answers[0])))]


ADAPTER = Adapter(
    exchange="toy",
    ws_urls=("wss://toy.invalid/stream",),
    ws_path="/stream",
    rest_urls=("https://toy.invalid",),
    listing_path="/markets",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/time",
    native=native,
    channels=CHANNELS,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=DECLARED,
    lenient=lenient,
    topics_per_request=50,
    topics_per_connection=500,
    rates=(Rate(5, 1.0),),
    silence_s=10.0,
    further=(
        Endpoint(
            exchange="toy",
            ws_urls=("wss://toy.invalid/candles",),
            ws_path="/candles",
            channels=CANDLE_CHANNELS,
            subscribe=subscribe,
            unsubscribe=unsubscribe,
            declared=DECLARED,
            lenient=lenient,
            topics_per_request=50,
            topics_per_connection=100,
            rates=(Rate(5, 1.0),),
            silence_s=10.0,
        ),
    ),
    candles=HISTORY,
)
