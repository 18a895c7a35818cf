"""The ticker of OKX: `tickers`, which sends the whole state after each trade or change of the best quote."""

from msgspec import Struct, field

from market_pulse.exchange.adapter import Channel, Day, frames_of_rows
from market_pulse.exchange.fields import Amount, Figure, Price, Text, Time, time


class Ticker(Struct, rename="camel", kw_only=True):
    """One row of `tickers`, from a socket or from REST."""

    inst_id: Text
    last: Price
    ask_px: Figure = None
    bid_px: Figure = None
    open24h: Figure = None
    high24h: Figure = None
    low24h: Figure = None
    vol_ccy24h: Amount = field(name="volCcy24h", default=None)  # `camel` would make it volCcy24H
    vol24h: Amount = None
    ts: Time


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return the one topic of a symbol, as `channel:instrument`."""
    return (f"tickers:{native_symbol}",)


def day(ticker: Ticker) -> Day:
    """Return the 24 h figures, with the last price and the quote, for which no other channel is subscribed to."""
    time_ms = time(ticker.ts)
    return Day(
        native=ticker.inst_id,
        price=ticker.last,
        open24h=ticker.open24h,
        high24h=ticker.high24h,
        low24h=ticker.low24h,
        volume24h=ticker.vol24h,
        quote_volume24h=ticker.vol_ccy24h,
        order=(0, time_ms),
        exchange_time_ms=time_ms,
        bid=ticker.bid_px,
        ask=ticker.ask_px,
    )


TICKER = Channel(topics=topics, frames={"tickers": frames_of_rows(Ticker, day, "instId")})
