"""Crypto.com's messages on channels, and the rows of its REST API. Figures are texts, and times are numbers."""

from typing import Any

from simulator.catalogue import coins
from simulator.market import Listing
from simulator.topic import Channel, Message

VALUES = {coin.name: coin.usual_price for coin in coins().values()}  # in USD
UNNUMBERED = -1
NO_REQUEST_ID = -(2**63)
# A perpetual swap, which only the listing of instruments has.
SWAP = {
    "symbol": "BTCUSD-PERP",
    "inst_type": "PERPETUAL_SWAP",
    "display_name": "BTCUSD Perpetual",
    "base_ccy": "BTC",
    "quote_ccy": "USD",
    "quote_decimals": 1,
    "quantity_decimals": 4,
    "price_tick_size": "0.1",
    "qty_tick_size": "0.0001",
    "max_leverage": "100",
    "tradable": True,
    "expiry_timestamp_ms": 0,
    "beta_product": False,
    "underlying_symbol": "BTCUSD-INDEX",
    "contract_size": "1",
    "margin_buy_enabled": False,
    "margin_sell_enabled": False,
}


def price(listing: Listing, value: float) -> str:
    """Write a price with all the market's decimals."""
    return f"{value:.{listing.price_decimals}f}"


def size(listing: Listing, value: float) -> str:
    """Write a size with all the market's decimals."""
    return f"{value:.{listing.size_decimals}f}"


def ticker_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a ticker, which is the same on the channel and in the REST API.

    `c` is the change as a fraction. `vv` is the volume in USD, also if the market's quote is another one.
    """
    volume = listing.volume(now_ms)
    return {
        "h": price(listing, listing.high24h),
        "l": price(listing, listing.low24h),
        "a": price(listing, listing.last),
        "c": f"{(listing.last - listing.open24h) / listing.open24h:.4f}",
        "b": price(listing, listing.bid),
        "bs": size(listing, listing.bid_size),
        "k": price(listing, listing.ask),
        "ks": size(listing, listing.ask_size),
        "i": listing.native,
        "v": f"{volume.base:.4f}",
        "vv": f"{volume.quote * VALUES[listing.quote]:.2f}",
        "oi": "0",
        "t": now_ms,
    }


def trade_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build the last trade."""
    return {
        "d": str(listing.changed_us * 1000),
        "t": now_ms,
        "p": price(listing, listing.last),
        "q": size(listing, listing.last_size),
        "s": listing.last_side.upper(),
        "i": listing.native,
        "m": str(2**62 + listing.trade_id),
    }


def instrument_row(listing: Listing) -> dict[str, Any]:
    """Build a market's entry in get-instruments."""
    return {
        "symbol": listing.native,
        "inst_type": "CCY_PAIR",
        "display_name": f"{listing.base}/{listing.quote}",
        "base_ccy": listing.base,
        "quote_ccy": listing.quote,
        "quote_decimals": listing.price_decimals,
        "quantity_decimals": listing.size_decimals,
        "price_tick_size": price(listing, 1 / listing.scale),
        "qty_tick_size": size(listing, 1 / listing.size_scale),
        "max_leverage": "50",
        "tradable": listing.state == "trading",
        "expiry_timestamp_ms": 0,
        "beta_product": False,
        "margin_buy_enabled": False,
        "margin_sell_enabled": False,
    }


def pushed(channel: str, listing: Listing, row: dict[str, Any], request_id: int | str = UNNUMBERED) -> Message:
    """Put a row into the envelope of a channel. Only the first message after a subscription has the number of its request."""
    result = {
        "instrument_name": listing.native,
        "subscription": f"{channel}.{listing.native}",
        "channel": channel,
        "data": [row],
    }
    return {"id": request_id, "method": "subscribe", "code": 0, "result": result}


ROWS = {"ticker": ticker_row, "trade": trade_row}


def _ticker(listing: Listing, now_ms: int) -> Message:
    return pushed("ticker", listing, ticker_row(listing, now_ms))


def _trade(listing: Listing, now_ms: int) -> Message:
    return pushed("trade", listing, trade_row(listing, now_ms))


CHANNELS = (
    Channel(
        name="ticker",
        build=_ticker,
        snapshot=True,
        prices=("h", "l", "a", "b", "k"),
        optional=("b", "bs", "k", "ks"),
    ),
    Channel(name="trade", build=_trade, on="trade", snapshot=True, prices=("p",), optional=("q",)),
)
