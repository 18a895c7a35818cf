"""The ticker of Kraken: the channel `ticker`, which sends the whole state when the best bid or ask changes."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from market_pulse.exchange.adapter import Channel, Data, Day, Event, Frames, each
from market_pulse.exchange.fields import (
    Amount,
    Figure,
    Instant,
    Price,
    Signed,
    Text,
    amount,
    by_member,
    instant_us,
    positive,
    text,
)

MOST_DECIMALS = 10  # of a pair's prices


class Ticker(Struct, kw_only=True):
    """The one row of a frame. Figures are JSON numbers."""

    symbol: Text
    bid: Figure = None
    ask: Figure = None
    last: Price
    volume: Amount = None
    vwap: Figure = None
    low: Figure = None
    high: Figure = None
    change: Signed = None
    timestamp: Instant


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return the one topic of a symbol. It is the symbol, since each request names the channel."""
    return (native_symbol,)


def days(ticker: Ticker) -> list[Event]:
    """Return the 24 h figures with the last price and the quote, or nothing if the pair has never traded."""
    time_us = instant_us(ticker.timestamp)
    if time_us == 0:
        return []
    day = day_of(ticker.symbol, ticker.last, high=ticker.high, low=ticker.low, volume=ticker.volume, vwap=ticker.vwap)
    if ticker.change is not None:
        day.open24h = opened(ticker.last, ticker.change)
    day.bid, day.ask = ticker.bid, ticker.ask
    # The time in microseconds orders messages within a millisecond.
    day.order = (time_us, time_us // 1000)
    day.exchange_time_ms = time_us // 1000
    return [day]


def day_of(
    native: str, price: float, *, high: float | None, low: float | None, volume: float | None, vwap: float | None
) -> Day:
    """Return 24 h figures without a time. The quote volume is that of all trades at their mean price."""
    quote_volume = amount(volume * vwap) if volume is not None and vwap is not None else None
    return Day(
        native=native,
        price=price,
        open24h=None,
        high24h=high,
        low24h=low,
        volume24h=volume,
        quote_volume24h=quote_volume,
        order=None,
        exchange_time_ms=None,
        quote_volume_estimated=quote_volume is not None,
    )


def opened(last: float, change: float) -> float | None:
    """Return the price 24 h ago, or None if it is not above zero. Subtracting adds decimals that a price cannot have."""
    return positive(round(last - change, MOST_DECIMALS))


def _lenient(message: dict[str, Any]) -> Sequence[Event]:
    return each(_row, message["data"], "symbol")


def _row(row: dict[str, Any]) -> list[Event]:
    # A pair that has never traded has no price, so it would be rejected.
    if instant_us(text(row["timestamp"])) == 0:
        return []
    return days(by_member(Ticker, row))


_decode = Decoder(Data[tuple[Ticker]]).decode

TICKER = Channel(
    topics=topics, frames={"ticker": Frames(declared=lambda frame: days(_decode(frame).data[0]), lenient=_lenient)}
)
