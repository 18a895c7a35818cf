"""The toy exchange's ticker: the channel `t:<symbol>`, which has all figures."""

from msgspec import Struct

from market_pulse.exchange.adapter import Channel, Day, frames_of_one
from market_pulse.exchange.fields import Amount, Figure, Price, Text, Time, time


class Ticker(Struct):
    """The `data` of a frame. The REST ticker has the same members."""

    time: Time
    symbol: Text
    last: Price
    open: Figure = None
    high: Figure = None
    low: Figure = None
    volume: Amount = None
    turnover: Amount = None


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return the topic of a symbol's only channel."""
    return (f"t:{native_symbol}",)


def day(ticker: Ticker) -> Day:
    """Return the 24 h figures with the last price."""
    time_ms = time(ticker.time)
    return Day(
        native=ticker.symbol,
        price=ticker.last,
        open24h=ticker.open,
        high24h=ticker.high,
        low24h=ticker.low,
        volume24h=ticker.volume,
        quote_volume24h=ticker.turnover,
        order=(0, time_ms),
        exchange_time_ms=time_ms,
    )


TICKER = Channel(topics=topics, frames={"t": frames_of_one(Ticker, day)})
