"""The terse exchange's adapter: answers without a number, heartbeats, notices, and a REST ticker in two parts.

Its sockets have no candles: the candles come from REST alone.
"""

from collections.abc import Sequence

import orjson

from market_pulse.exchange.adapter import (
    Acknowledged,
    Adapter,
    Alive,
    Batch,
    Day,
    Event,
    Halted,
    Listed,
    Rate,
    Refused,
    Reply,
    Subscribed,
    by_beginning,
    each,
    frames_of,
    listed,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import amount, positive, price, text, whole
from market_pulse.messages import Symbol

from .candle import HISTORY
from .ticker import TICKER

CHANNELS = {"ticker": TICKER}
FRAMES = frames_of(CHANNELS)


def native(symbol: Symbol) -> str:
    """Return a symbol in the exchange's spelling, which is ours."""
    return symbol


def subscribe(names: Sequence[str], _: int) -> str:
    """Return the request that subscribes to topics. Nothing in it tells two requests apart."""
    return orjson.dumps({"type": "subscribe", "to": names}).decode()


def unsubscribe(names: Sequence[str], _: int) -> str:
    """Return the request that unsubscribes from topics."""
    return orjson.dumps({"type": "unsubscribe", "from": names}).decode()


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame: a channel's message, the answer to a request, a heartbeat, a ping, or a notice."""
    match orjson.loads(frame):
        case {"type": str(channel), **message} if channel in FRAMES:
            return FRAMES[channel].lenient(message)
        case {"type": "subscriptions", "to": list(names)}:
            return [Subscribed(frozenset(map(text, names)))]
        case {"type": "subscribed", "to": str(name)}:
            return [Acknowledged(None, name)]
        case {"type": "error", "to": str(name), "why": str(reason)}:
            return [Refused(None, name, "unknown", reason)]
        case {"type": "error", "why": str(reason)}:
            return [Refused(None, None, "unknown", reason)]
        case {"type": "heartbeat", "symbol": str(symbol), "match": number}:
            return [Alive(symbol, whole(number))]
        case {"type": "heartbeat"}:
            return [Alive()]
        case {"type": "ping", "id": number}:
            return [Reply(orjson.dumps({"type": "pong", "id": whole(number)}).decode())]
        case {"type": "closed", "why": str(reason), "symbol": str(symbol)}:
            return [Halted(reason, symbol)]
        case {"type": "closed", "why": str(reason)}:
            return [Halted(reason)]
    raise FrameError("unknown")


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read the list of markets."""
    return each(_market, orjson.loads(answer), "name")


def _market(entry: dict[str, object]) -> list[Listed]:
    return listed(entry["base"], entry["quote"], entry["name"], entry.get("step"))


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST paths of a symbol's last price and of its 24 h figures."""
    return f"/price?symbol={native_symbol}", f"/day?symbol={native_symbol}"


def parse_ticker(native_symbol: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read the two parts of a REST ticker, which have no name and no time. Return no events if the symbol is unknown."""
    last, figures = (orjson.loads(answer) for answer in answers)
    if "why" in last or "why" in figures:
        return []
    return [
        Day(
            native=native_symbol,
            price=price(last["price"]),
            open24h=positive(figures.get("open")),
            high24h=positive(figures.get("high")),
            low24h=positive(figures.get("low")),
            volume24h=amount(figures.get("volume")),
            quote_volume24h=None,
            order=None,
            exchange_time_ms=None,
        )
    ]


ADAPTER = Adapter(
    exchange="terse",
    ws_urls=("wss://terse.invalid/stream", "wss://elsewhere.terse.invalid/stream"),
    ws_path="/stream",
    rest_urls=("https://terse.invalid", "https://elsewhere.terse.invalid"),
    listing_path="/markets",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/time",
    native=native,
    channels=CHANNELS,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=by_beginning(FRAMES, '{"type":"%s"'),
    lenient=lenient,
    topics_per_request=50,
    topics_per_connection=200,
    rates=(Rate(5, 1.0),),
    silence_s=10.0,
    refusal_voids_request=True,
    answers_with_state=True,
    echoes_request_id=False,
    times_of="event",
    first_request_s=5.0,
    candles=HISTORY,
)
