"""The terse exchange's ticker: it comes with each match, with the time of the match and without a quote volume."""

from msgspec import Struct

from market_pulse.exchange.adapter import Channel, Day, frames_of_whole
from market_pulse.exchange.fields import Amount, Figure, Instant, Price, Text, Whole, instant_us, whole


class Ticker(Struct):
    """A frame."""

    symbol: Text
    price: Price
    match: Whole
    time: Instant
    bid: Figure = None
    ask: Figure = None
    open: Figure = None
    high: Figure = None
    low: Figure = None
    volume: Amount = None


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return the topic of a symbol, which stands for its matches and its heartbeats."""
    return (native_symbol,)


def day(ticker: Ticker) -> Day:
    """Return the 24 h figures with the last price. The quote volume is estimated at that price."""
    match, time_ms = whole(ticker.match), instant_us(ticker.time) // 1000
    return Day(
        native=ticker.symbol,
        price=ticker.price,
        open24h=ticker.open,
        high24h=ticker.high,
        low24h=ticker.low,
        volume24h=ticker.volume,
        quote_volume24h=None if ticker.volume is None else ticker.volume * ticker.price,
        order=(match, time_ms),
        exchange_time_ms=time_ms,
        trade_id=match,
        bid=ticker.bid,
        ask=ticker.ask,
        quote_volume_estimated=ticker.volume is not None,
    )


TICKER = Channel(topics=topics, frames={"ticker": frames_of_whole(Ticker, day)})
