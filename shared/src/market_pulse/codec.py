"""The model as bytes and back. Pure: knows no channel and no Redis.

A message is one JSON object, camelCase, version 1. A point of a history is an entry of a stream: fields and values.
"""

from collections.abc import Iterable, Mapping
from math import inf
from operator import itemgetter
from typing import Any, cast

import orjson

from .messages import MOST_TURNED_AWAY, FeedStatus, Point, Source, Symbol, Tick, Ticker, is_symbol

VERSION = 1
LARGEST_INTEGER = 2**53  # what a JSON number carries exactly
LONGEST_STATUS = 2_000  # bytes, beside the symbols that it names
_TICK_FIGURES = ("bid", "ask", "open24h", "high24h", "low24h", "volume24h", "quoteVolume24h")
_TICK_FIELDS = (
    "exchange", "symbol", "price", "exchangeTime", "receivedTime", "publishedTime", "dp", *_TICK_FIGURES, "lagUnknown", "ended"
)  # fmt: skip
_TICK_FIELDS_OF = itemgetter(*_TICK_FIELDS)  # in the order of Tick's fields
_PLAIN_FIGURES = frozenset({float, type(None)})  # what JSON was read as is finite
_PLAIN_INTEGERS = frozenset({int, type(None)})


class CodecError(ValueError):
    """A message is not what its channel carries. The message is skipped and counted; nothing else is affected."""


def encode_tick(tick: Tick, published_time_ms: int) -> bytes:
    """Write a tick as it goes over the bus, stamped with the moment at which it does."""
    return orjson.dumps(
        {
            "v": VERSION,
            # publish_ticks.lua searches for these two, so they stand at the front.
            "ended": tick.ended,
            "order": tick.order,
            "exchange": tick.exchange,
            "symbol": tick.symbol,
            "price": tick.price,
            "bid": tick.bid,
            "ask": tick.ask,
            "open24h": tick.open24h,
            "high24h": tick.high24h,
            "low24h": tick.low24h,
            "volume24h": tick.volume24h,
            "quoteVolume24h": tick.quote_volume24h,
            "dp": tick.dp,
            "lagUnknown": tick.lag_unknown,
            "exchangeTime": tick.exchange_time_ms,
            "receivedTime": tick.received_time_ms,
            "publishedTime": published_time_ms,
        }
    )


def decode_tick(data: bytes) -> Tick:
    """Read a tick from the bus. Unknown fields are passed over; optional ones may be missing or null; its order is not read.

    Raises:
        CodecError: no JSON object, a field of the wrong type, or a price that is missing, not finite or not above zero.
    """
    message = _object(data)
    try:
        fields = _TICK_FIELDS_OF(message)
    except KeyError:
        return _read_tick(message)
    exchange, symbol, price, exchange_time_ms, received_time_ms, published_time_ms, dp = fields[:7]
    lag_unknown, ended = fields[14:]
    is_plain = (
        (type(exchange) is str and type(symbol) is str and type(price) is float and type(received_time_ms) is int)
        and _PLAIN_INTEGERS.issuperset((type(exchange_time_ms), type(published_time_ms), type(dp)))
        and _PLAIN_FIGURES.issuperset(map(type, fields[7:14]))
        and (exchange and symbol and price > 0 and type(lag_unknown) is bool and ended is None)
        and (-LARGEST_INTEGER <= (exchange_time_ms or 0) <= LARGEST_INTEGER and 0 <= received_time_ms <= LARGEST_INTEGER)
        and (-LARGEST_INTEGER <= (published_time_ms or 0) <= LARGEST_INTEGER and 0 <= (dp or 0) <= LARGEST_INTEGER)
    )
    return Tick(*fields) if is_plain else _read_tick(message)


def _read_tick(message: dict[str, Any]) -> Tick:
    """Read a tick field by field, as others may write it.

    Our own ticks have every field, and figures with a point: they are read at once, in four fifths of the time.
    """
    price = _required_number(message, "price")
    if price <= 0:
        raise CodecError("a tick needs a price above zero")
    bid, ask, open24h, high24h, low24h, volume24h, quote_volume24h = (_number(message, name) for name in _TICK_FIGURES)
    return Tick(
        _text(message, "exchange"),
        Symbol(_text(message, "symbol")),
        price,
        _integer(message, "exchangeTime"),
        _required_integer(message, "receivedTime"),
        _integer(message, "publishedTime"),
        _integer(message, "dp"),
        bid,
        ask,
        open24h,
        high24h,
        low24h,
        volume24h,
        quote_volume24h,
        message.get("lagUnknown") is True,
        None if message.get("ended") is None else _text(message, "ended"),
    )


def encode_ticker(ticker: Ticker) -> bytes:
    """Write a ticker as it goes over the bus."""
    head, tail = encode_ticker_around_seq(ticker)
    return b"%b%d%b" % (head, ticker.seq, tail)


def encode_ticker_around_seq(ticker: Ticker) -> tuple[bytes, bytes]:
    """Write a ticker in two parts, between which its sequence number belongs: Redis counts it when it publishes."""
    head = orjson.dumps({"v": VERSION, "symbol": ticker.symbol})
    tail = orjson.dumps(
        {
            "price": ticker.price,
            "dp": ticker.dp,
            "bid": ticker.bid,
            "ask": ticker.ask,
            "change24h": ticker.change24h,
            "changePercent24h": ticker.change_percent24h,
            "open24h": ticker.open24h,
            "high24h": ticker.high24h,
            "low24h": ticker.low24h,
            "volume24h": ticker.volume24h,
            "quoteVolume24h": ticker.quote_volume24h,
            "quality": ticker.quality,
            "confidence": ticker.confidence,
            "spreadBps": ticker.spread_bps,
            "sourcesUsed": ticker.sources_used,
            "sourcesTotal": ticker.sources_total,
            "sources": [_source(source) for source in ticker.sources],
            "exchangeTime": ticker.exchange_time_ms,
            "receivedTime": ticker.received_time_ms,
            "aggregatedTime": ticker.aggregated_time_ms,
            "publisher": ticker.publisher,
            "agreedPrice": ticker.agreed_price,
            "agreedTime": ticker.agreed_time_ms,
            "pricedTime": ticker.priced_time_ms,
        }
    )
    return head[:-1] + b',"seq":', b"," + tail[1:]


def decode_ticker(data: bytes) -> Ticker:
    """Read a ticker from the bus.

    Raises:
        CodecError: no JSON object, or a field is missing or of the wrong type.
    """
    message = _object(data)
    try:
        return Ticker(
            symbol=Symbol(_text(message, "symbol")),
            seq=_required_integer(message, "seq"),
            price=_number(message, "price"),
            dp=_required_integer(message, "dp"),
            bid=_number(message, "bid"),
            ask=_number(message, "ask"),
            change24h=_number(message, "change24h"),
            change_percent24h=_number(message, "changePercent24h"),
            open24h=_number(message, "open24h"),
            high24h=_number(message, "high24h"),
            low24h=_number(message, "low24h"),
            volume24h=_number(message, "volume24h"),
            quote_volume24h=_number(message, "quoteVolume24h"),
            quality=cast("Any", _text(message, "quality")),
            confidence=_number(message, "confidence"),
            spread_bps=_number(message, "spreadBps"),
            sources_used=_required_integer(message, "sourcesUsed"),
            sources_total=_required_integer(message, "sourcesTotal"),
            sources=tuple(_decode_source(source) for source in message["sources"]),
            exchange_time_ms=_integer(message, "exchangeTime"),
            received_time_ms=_integer(message, "receivedTime"),
            aggregated_time_ms=_required_integer(message, "aggregatedTime"),
            publisher=None if message.get("publisher") is None else _text(message, "publisher"),
            agreed_price=_number(message, "agreedPrice"),
            agreed_time_ms=_integer(message, "agreedTime"),
            priced_time_ms=_integer(message, "pricedTime"),
        )
    except (KeyError, TypeError, AttributeError) as wrong:
        raise CodecError(f"not a ticker: {wrong!r}") from wrong


def encode_status(status: FeedStatus) -> bytes:
    """Write a feed's status as it goes over the bus."""
    room = {"turnedAway": status.turned_away, "turnedAwayCount": status.turned_away_count}
    return orjson.dumps(state_of(status) | room)


def state_of(status: FeedStatus) -> dict[str, object]:
    """Return a status's fields as they are written, without the symbols that found no room: those change each second."""
    return {
        "v": VERSION,
        "exchange": status.exchange,
        "state": status.state,
        "reason": status.reason,
        "since": status.since_ms,
        "symbols": status.symbols,
        "lastTickTime": status.last_tick_time_ms,
        "reconnects": status.reconnects,
        "instance": status.instance,
        "simulated": status.simulated,
    }


def decode_status(data: bytes) -> FeedStatus:
    """Read a feed's status from the bus.

    Raises:
        CodecError: no JSON object, or a field is missing, of the wrong type, or longer than what is shown to everybody may be.
    """
    message = _object(data)
    turned_away = _symbols(message, "turnedAway", MOST_TURNED_AWAY)
    if len(data) - sum(len(f'"{symbol}",'.encode()) for symbol in turned_away) > LONGEST_STATUS:
        raise CodecError(f"a status of {len(data)} bytes")
    reason = message.get("reason")
    count = _integer(message, "turnedAwayCount")  # none in a status of an ingest that does not count them yet
    return FeedStatus(
        exchange=_text(message, "exchange"),
        state=cast("Any", _text(message, "state")),
        reason=None if reason is None else str(reason),
        since_ms=_required_integer(message, "since"),
        symbols=_required_integer(message, "symbols"),
        last_tick_time_ms=_integer(message, "lastTickTime"),
        reconnects=_required_integer(message, "reconnects"),
        instance=_text(message, "instance"),
        simulated=message.get("simulated") is True,
        turned_away=turned_away,
        turned_away_count=max(len(turned_away), count or 0),
    )


def encode_points(points: Iterable[Point]) -> bytes:
    """Write points as the entries of their streams, in a JSON array: of each its id, then its fields, each with its value.

    The first field is `price`; every other one is named after an exchange and has that exchange's own price.
    """
    return orjson.dumps([_entry(point) for point in points])


def decode_point(entry_id: bytes, fields: Mapping[bytes, bytes]) -> Point:
    """Read a point from a stream's entry.

    Raises:
        CodecError: the id is no whole millisecond, `price` is missing, or a value is not finite or not above zero.
    """
    time, _, nth = entry_id.partition(b"-")
    try:
        time_ms = int(time)
        prices = {name.decode(): float(value) for name, value in fields.items()}
    except ValueError as wrong:
        raise CodecError(f"not a point: {wrong}") from wrong
    if nth != b"0" or not 0 <= time_ms <= LARGEST_INTEGER:
        raise CodecError("a point needs a time of its own")
    for price in prices.values():
        if not 0 < price < inf:
            raise CodecError("a point's prices are finite and above zero")
    if "price" not in prices:
        raise CodecError("a point needs a price")
    return Point(time_ms=time_ms, price=prices.pop("price"), sources=prices)


def _entry(point: Point) -> list[str]:
    entry = [f"{point.time_ms}-0", "price", repr(point.price)]
    for exchange, price in point.sources.items():
        entry += exchange, repr(price)
    return entry


def _source(source: Source) -> dict[str, object]:
    return {
        "exchange": source.exchange,
        "price": source.price,
        "usedPrice": source.used_price,
        "weight": source.weight,
        "ageMs": source.age_ms,
        "state": source.state,
        "reason": source.reason,
    }


def _decode_source(message: dict[str, Any]) -> Source:
    return Source(
        exchange=_text(message, "exchange"),
        price=_required_number(message, "price"),
        used_price=_number(message, "usedPrice"),
        weight=_required_number(message, "weight"),
        age_ms=_required_integer(message, "ageMs"),
        state=cast("Any", _text(message, "state")),
        reason=message.get("reason"),
    )


def _object(data: bytes) -> dict[str, Any]:
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as wrong:
        raise CodecError(f"not JSON: {wrong}") from wrong
    if type(message) is not dict:
        raise CodecError("not a JSON object")
    return message


def _text(message: dict[str, Any], name: str) -> str:
    value = message.get(name)
    if type(value) is not str or not value:
        raise CodecError(f"{name} must be a text")
    return value


def _symbols(message: dict[str, Any], name: str, most: int) -> tuple[Symbol, ...]:
    """Read a list of symbols; one that is missing is empty."""
    values = message.get(name)
    if values is None:
        return ()
    if type(values) is not list or len(values) > most or not all(type(value) is str and is_symbol(value) for value in values):
        raise CodecError(f"{name} must be a list of at most {most} symbols")
    return tuple(map(Symbol, values))


def _number(message: dict[str, Any], name: str) -> float | None:
    value = message.get(name)
    if value is None or type(value) is float:
        return value  # what JSON was read as is finite
    if type(value) is int:
        return float(value)
    raise CodecError(f"{name} must be a number or null")


def _required_number(message: dict[str, Any], name: str) -> float:
    value = _number(message, name)
    if value is None:
        raise CodecError(f"{name} is missing")
    return value


def _integer(message: dict[str, Any], name: str) -> int | None:
    value = message.get(name)
    if value is None or (type(value) is int and -LARGEST_INTEGER <= value <= LARGEST_INTEGER):
        return value
    if type(value) is float and value.is_integer() and abs(value) <= LARGEST_INTEGER:
        return int(value)
    raise CodecError(f"{name} must be a whole number or null")


def _required_integer(message: dict[str, Any], name: str) -> int:
    value = _integer(message, name)
    if value is None:
        raise CodecError(f"{name} is missing")
    return value
