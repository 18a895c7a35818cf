"""The ticker of Binance: `@ticker` once a second for the 24 h figures, `@trade` and `@bookTicker` in real time."""

from msgspec import Struct, field

from market_pulse.exchange.adapter import Channel, Day, Quote, Trade, frames_of_one
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import Amount, Figure, Price, Text, Time, Whole, time, whole


class _Ticker(Struct):
    event_time: Time = field(name="E")
    symbol: Text = field(name="s")
    last: Price = field(name="c")
    bid: Figure = field(name="b", default=None)
    ask: Figure = field(name="a", default=None)
    open: Figure = field(name="o", default=None)
    high: Figure = field(name="h", default=None)
    low: Figure = field(name="l", default=None)
    volume: Amount = field(name="v", default=None)
    quote_volume: Amount = field(name="q", default=None)
    last_id: object = field(name="L", default=None)


class RestTicker(_Ticker, rename="camel"):
    """The answer of `ticker/24hr`: the same figures under longer names."""

    event_time: Time = field(name="closeTime")
    symbol: Text
    last: Price = field(name="lastPrice")
    bid: Figure = field(name="bidPrice", default=None)
    ask: Figure = field(name="askPrice", default=None)
    open: Figure = field(name="openPrice", default=None)
    high: Figure = field(name="highPrice", default=None)
    low: Figure = field(name="lowPrice", default=None)
    volume: Amount = None
    quote_volume: Amount = None
    last_id: object = None


class _Trade(Struct):
    event_time: Time = field(name="E")
    symbol: Text = field(name="s")
    trade_id: Whole = field(name="t")
    price: Price = field(name="p")


class _Quote(Struct):
    update_id: Whole = field(name="u")
    symbol: Text = field(name="s")
    bid: Figure = field(name="b")
    ask: Figure = field(name="a")


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return a symbol's streams. Streams spell the symbol in lower case, payloads in upper case."""
    name = native_symbol.lower()
    return f"{name}@ticker", f"{name}@trade", f"{name}@bookTicker"


def day(ticker: _Ticker) -> Day:
    """Return the 24 h figures, with the last price, and the best bid and ask."""
    time_ms = time(ticker.event_time)
    return Day(
        native=ticker.symbol,
        price=ticker.last,
        open24h=ticker.open,
        high24h=ticker.high,
        low24h=ticker.low,
        volume24h=ticker.volume,
        quote_volume24h=ticker.quote_volume,
        order=(0, time_ms),
        exchange_time_ms=time_ms,
        trade_id=_trade_id(ticker.last_id),
        bid=ticker.bid,
        ask=ticker.ask,
    )


def _trade_id(number: object) -> int | None:
    """Read the number of the last trade of the 24 h: -1 if nothing was traded, None if the message does not have it."""
    if number == -1:
        return -1
    try:
        return whole(number)
    except FrameError:
        return None


def _trade(trade: _Trade) -> Trade:
    return Trade(
        native=trade.symbol,
        price=trade.price,
        trade_id=whole(trade.trade_id),
        exchange_time_ms=time(trade.event_time),
    )


def _quote(quote: _Quote) -> Quote:
    return Quote(native=quote.symbol, bid=quote.bid, ask=quote.ask, order=(whole(quote.update_id), 0))


TICKER = Channel(
    topics=topics,
    frames={
        "24hrTicker": frames_of_one(_Ticker, day),
        "trade": frames_of_one(_Trade, _trade),
        "bookTicker": frames_of_one(_Quote, _quote),
    },
)
