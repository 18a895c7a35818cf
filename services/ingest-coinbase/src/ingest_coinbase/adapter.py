"""Coinbase Exchange: its addresses and limits, the requests to a socket and their answers, and the REST listing."""

import re
from collections.abc import Sequence
from typing import Any

import orjson

from market_pulse.exchange.adapter import (
    Adapter,
    Batch,
    Day,
    Event,
    GoingAway,
    Listed,
    Rate,
    Refused,
    Subscribed,
    by_beginning,
    each,
    frames_of,
    listed,
)
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import amount, instant_us, positive, price, text
from market_pulse.messages import Symbol

from .candle import HISTORY
from .ticker import TICKER, quote_volume, trade_number

CHANNELS = {"ticker": TICKER}
FRAMES = frames_of(CHANNELS)
WIRE_CHANNELS = ["ticker", "heartbeat"]
USDC_BOOKS = {"USDT-USDC", "EURC-USDC"}
"""The products in USDC with a book of their own. Each other one is another name of the product in USD."""
_NAMED = re.compile(r"(\S+-\S+) is not a valid product")
_SLOW = ("ErrSlowConsume", "ErrSlowRead", "Message too big")  # Coinbase closes the socket after such an error


def native(symbol: Symbol) -> str:
    """Return Coinbase's spelling of a symbol, which is ours: BTC-USD."""
    return symbol


def subscribe(products: Sequence[str], _: int) -> str:
    """Write a subscription. It has no number, because no answer would repeat it."""
    return _request("subscribe", products)


def unsubscribe(products: Sequence[str], _: int) -> str:
    """Write the end of a subscription."""
    return _request("unsubscribe", products)


def _request(kind: str, products: Sequence[str]) -> str:
    return orjson.dumps({"type": kind, "product_ids": products, "channels": WIRE_CHANNELS}).decode()


def lenient(frame: bytes) -> Sequence[Event]:
    """Read any frame: a channel's frame, the state of the socket that answers each request, or an error."""
    message = orjson.loads(frame)
    match message:
        case {"type": str(channel)} if channel in FRAMES:
            return FRAMES[channel].lenient(message)
        case {"type": "subscriptions", "channels": list(channels)}:
            return [Subscribed(_live(channels))]
        case {"type": "error", **rest}:
            return [_error(str(rest.get("message")), rest.get("reason"))]
    raise FrameError("unknown")


def _live(channels: list[Any]) -> frozenset[str]:
    """Return the products to all of whose channels the socket is subscribed."""
    products = {channel["name"]: {text(product) for product in channel["product_ids"]} for channel in channels}
    return frozenset(set.intersection(*(products.get(name, set()) for name in WIRE_CHANNELS)))


def _error(message: str, reason: object) -> Event:
    told = f"{message}: {reason}" if isinstance(reason, str) else message
    if any(slow in told for slow in _SLOW):
        return GoingAway(told)
    named = _NAMED.fullmatch(reason) if isinstance(reason, str) else None
    return Refused(request_id=None, topic=named.group(1) if named else None, kind="unknown", reason=told)


def parse_listing(answer: bytes) -> Batch[Listed]:
    """Read `/products`: the products that trade now, each book once. Delisted products stay in the list."""
    entries = orjson.loads(answer)
    if not isinstance(entries, list):
        raise FrameError("refused", str(entries)[:100])
    return each(_market, entries, "id")


def _market(entry: dict[str, Any]) -> list[Listed]:
    is_closed = any(entry.get(mode) for mode in ("trading_disabled", "cancel_only", "auction_mode"))
    is_alias = text(entry["quote_currency"]) == "USDC" and text(entry["id"]) not in USDC_BOOKS
    if text(entry["status"]) != "online" or is_closed or is_alias:
        return []
    # The name has the base of the book: that of an auction names the auction, whatever its base currency is.
    if entry["id"] != f"{entry['base_currency']}-{entry['quote_currency']}":
        return []
    return listed(entry["base_currency"], entry["quote_currency"], entry["id"], entry.get("quote_increment"))


def ticker_paths(native_symbol: str) -> tuple[str, ...]:
    """Return the REST paths of a symbol's last match with the quote, and of its figures of 24 h."""
    return f"/products/{native_symbol}/ticker", f"/products/{native_symbol}/stats"


def parse_ticker(native_symbol: str, answers: Sequence[bytes]) -> Sequence[Event]:
    """Read both parts of the ticker, which do not name the product. Return no events if the product is unknown."""
    last, stats = (orjson.loads(answer) for answer in answers)
    if "message" in last or "message" in stats:
        return []
    time_ms, trade_id = instant_us(last["time"]) // 1000, trade_number(last.get("trade_id"))
    last_price, volume = price(last["price"]), amount(last.get("volume"))
    figures = Day(
        native=native_symbol,
        price=last_price,
        open24h=positive(stats.get("open")),
        high24h=positive(stats.get("high")),
        low24h=positive(stats.get("low")),
        volume24h=volume,
        quote_volume24h=quote_volume(volume, last_price),
        order=(trade_id or 0, time_ms),
        exchange_time_ms=time_ms,
        trade_id=trade_id,
        bid=positive(last.get("bid")),
        ask=positive(last.get("ask")),
    )
    figures.quote_volume_estimated = volume is not None
    return [figures]


ADAPTER = Adapter(
    exchange="coinbase",
    ws_urls=("wss://ws-feed.exchange.coinbase.com",),
    ws_path="/",
    channels=CHANNELS,
    rest_urls=("https://api.exchange.coinbase.com",),
    listing_path="/products",
    parse_listing=parse_listing,
    ticker_paths=ticker_paths,
    parse_ticker=parse_ticker,
    clock_path="/time",
    candles=HISTORY,
    native=native,
    subscribe=subscribe,
    unsubscribe=unsubscribe,
    declared=by_beginning(FRAMES, '{"type":"%s"'),
    lenient=lenient,
    topics_per_request=50,
    topics_per_connection=200,
    rates=(Rate(8, 1.0),),
    silence_s=15.0,  # a heartbeat comes each second for each product
    refusal_voids_request=True,
    answers_with_state=True,
    echoes_request_id=False,
    times_of="event",
    first_request_s=5.0,
)
