"""The ticker of Coinbase: `ticker`, sent with each match, and `heartbeat`, which each second names the last match."""

from msgspec import Struct

from market_pulse.exchange.adapter import Alive, Channel, Day, frames_of_whole
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import Amount, Figure, Instant, Price, Text, instant_us, whole, whole_or


class Ticker(Struct, kw_only=True):
    """A frame of `ticker`. The quote is that at the time of the match."""

    product_id: Text
    price: Price
    open_24h: Figure = None
    volume_24h: Amount = None
    low_24h: Figure = None
    high_24h: Figure = None
    best_bid: Figure = None
    best_ask: Figure = None
    time: Instant
    trade_id: object = None


class Heartbeat(Struct):
    """A frame of `heartbeat`."""

    last_trade_id: object
    product_id: Text


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return the one topic of a symbol. A request subscribes to both channels of it."""
    return (native_symbol,)


def trade_number(value: object) -> int | None:
    """Read the number of a trade, or return None for a product without trades."""
    try:
        return whole(value)
    except FrameError:
        return None


def quote_volume(volume: float | None, price: float) -> float | None:
    """Estimate the turnover of 24 h at the last price, because Coinbase gives only the volume."""
    return None if volume is None else volume * price


def day(ticker: Ticker) -> Day:
    """Return the 24 h figures, with the last price and the quote, for which no other channel is subscribed to."""
    time_ms, trade_id = instant_us(ticker.time) // 1000, trade_number(ticker.trade_id)
    figures = Day(
        native=ticker.product_id,
        price=ticker.price,
        open24h=ticker.open_24h,
        high24h=ticker.high_24h,
        low24h=ticker.low_24h,
        volume24h=ticker.volume_24h,
        quote_volume24h=quote_volume(ticker.volume_24h, ticker.price),
        order=(trade_id or 0, time_ms),
        exchange_time_ms=time_ms,
        trade_id=trade_id,
        bid=ticker.best_bid,
        ask=ticker.best_ask,
    )
    figures.quote_volume_estimated = ticker.volume_24h is not None
    return figures


def alive(heartbeat: Heartbeat) -> Alive:
    """Return the proof that the socket lives, with the last match of a product."""
    return Alive(heartbeat.product_id, whole_or(heartbeat.last_trade_id, 0) or None)


TICKER = Channel(
    topics=topics,
    frames={"ticker": frames_of_whole(Ticker, day), "heartbeat": frames_of_whole(Heartbeat, alive)},
)
