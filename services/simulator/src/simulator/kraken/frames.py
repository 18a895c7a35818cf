"""Kraken's messages on channels, whose figures are JSON numbers, and the rows of its REST API, whose figures are texts."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from simulator.candles import DAY_MS
from simulator.market import Listing
from simulator.topic import Channel, Message
from simulator.wire import number

from .names import old_names

STATUS: Final = {"trading": "online", "suspended": "cancel_only", "preopen": "post_only"}
LOT_DECIMALS: Final = 8
FEWEST_REST_DECIMALS: Final = 5
# A share of a company, which only the listing has.
TOKENISED: Final = {
    "altname": "AAPLxUSD",
    "wsname": "AAPLx/USD",
    "aclass_base": "tokenized_asset",
    "base": "AAPLx",
    "aclass_quote": "currency",
    "quote": "ZUSD",
    "pair_decimals": 2,
    "cost_decimals": 5,
    "lot_decimals": 8,
    "ordermin": "0.005",
    "tick_size": "0.01",
    "status": "online",
    "execution_venue": "international",
}


def instant(time_us: int) -> str:
    """Write a time in Unix microseconds as RFC 3339, with six decimals of a second."""
    seconds, us = divmod(time_us, 1_000_000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{us:06d}Z"


def price(listing: Listing, value: float) -> orjson.Fragment:
    """Write a price as a JSON number with all the pair's decimals."""
    return number(value, listing.price_decimals)


def ticker_row(listing: Listing, event_us: int, now_ms: int) -> dict[str, Any]:
    """Build a ticker as of an event, in Unix microseconds. A pair that never traded has no orders, and the time 0."""
    opened = listing.state != "preopen"
    volume = listing.volume(now_ms)
    change = listing.last - listing.open24h
    return {
        "symbol": listing.native,
        "bid": price(listing, listing.bid if opened else 0),
        "bid_qty": number(listing.bid_size if opened else 0, LOT_DECIMALS),
        "ask": price(listing, listing.ask if opened else 0),
        "ask_qty": number(listing.ask_size if opened else 0, LOT_DECIMALS),
        "last": price(listing, listing.last if opened else 0),
        "volume": number(volume.base if opened else 0, LOT_DECIMALS),
        "vwap": price(listing, volume.quote / volume.base if opened else 0),
        "low": price(listing, listing.low24h if opened else 0),
        "high": price(listing, listing.high24h if opened else 0),
        "change": price(listing, change if opened else 0),
        "change_pct": number(change / listing.open24h * 100 if opened else 0, 2),
        "trades": volume.trades if opened else 0,
        "timestamp": instant(event_us if opened else 0),
    }


def trade_row(listing: Listing, event_us: int, now_ms: int) -> dict[str, Any]:
    """Build the last trade, which happened at an event, in Unix microseconds."""
    del now_ms
    return {
        "symbol": listing.native,
        "side": listing.last_side,
        "price": price(listing, listing.last),
        "qty": number(listing.last_size, LOT_DECIMALS),
        "ord_type": "limit",
        "trade_id": listing.trade_id,
        "timestamp": instant(event_us),
    }


def rest_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a REST ticker. Pairs of figures are today's, since 00:00 UTC, and those of the last 24 h; `o` is today's open."""
    decimals = max(listing.price_decimals, FEWEST_REST_DECIMALS)
    midnight_ms = now_ms - now_ms % DAY_MS
    today = [hour for hour in listing.hours if hour.start_ms >= midnight_ms] or [listing.hours[-1]]
    base, quote = sum(hour.volume for hour in today), sum(hour.turnover for hour in today)
    day = listing.volume(now_ms)

    def write(value: float) -> str:
        return f"{value:.{decimals}f}"

    def best(value: float, size: float) -> list[str]:
        return [write(value), str(int(size) or 1), f"{size:.3f}"]

    return {
        "a": best(listing.ask, listing.ask_size),
        "b": best(listing.bid, listing.bid_size),
        "c": [write(listing.last), f"{listing.last_size:.8f}"],
        "v": [f"{base:.8f}", f"{day.base:.8f}"],
        "p": [write(quote / base if base else 0), write(day.quote / day.base)],
        "t": [sum(hour.count for hour in today), day.trades],
        "l": [write(min(hour.low for hour in today)), write(listing.low24h)],
        "h": [write(max(hour.high for hour in today)), write(listing.high24h)],
        "o": write(listing.price_at(midnight_ms)),
    }


def pair_row(listing: Listing, *, current_names: bool) -> dict[str, Any]:
    """Build a pair's entry in AssetPairs, in the current names or in the old ones."""
    old = old_names(listing.base, listing.quote)
    return {
        "altname": old.altname,
        "wsname": old.wsname,
        "aclass_base": "currency",
        "base": listing.base if current_names else old.base,
        "aclass_quote": "currency",
        "quote": listing.quote if current_names else old.quote,
        "lot": "unit",
        "cost_decimals": LOT_DECIMALS,
        "pair_decimals": listing.price_decimals,
        "lot_decimals": listing.size_decimals,
        "lot_multiplier": 1,
        "leverage_buy": [2, 3] if listing.base in {"BTC", "ETH"} else [],
        "leverage_sell": [2, 3] if listing.base in {"BTC", "ETH"} else [],
        "fees": [[0, 0.4], [10_000, 0.35], [50_000, 0.24]],
        "fees_maker": [[0, 0.25], [10_000, 0.2], [50_000, 0.14]],
        "fee_volume_currency": "USD" if current_names else "ZUSD",
        "margin_call": 80,
        "margin_stop": 40,
        "ordermin": f"{1 / listing.size_scale:.{listing.size_decimals}f}",
        "costmin": "0.5",
        "tick_size": f"{1 / listing.scale:.{listing.price_decimals}f}",
        "status": STATUS[listing.state],
    }


def message(channel: str, kind: str, row: dict[str, Any]) -> Message:
    """Put a row into the envelope of a channel. The kind is `snapshot` or `update`."""
    return {"channel": channel, "type": kind, "data": [row]}


def channels(event_us: Callable[[Listing], int]) -> tuple[Channel, ...]:
    """Return the channels. `event_us` gives the time of a listing's last event, in Unix microseconds of the exchange's clock.

    The channel `ticker` exists once for each event that can trigger it, because a subscription names that event.
    """

    def ticker(listing: Listing, now_ms: int) -> Message:
        return message("ticker", "update", ticker_row(listing, event_us(listing), now_ms))

    def trade(listing: Listing, now_ms: int) -> Message:
        return message("trade", "update", trade_row(listing, event_us(listing), now_ms))

    prices, quotes = ("last", "bid", "ask", "low", "high", "vwap"), ("bid", "bid_qty", "ask", "ask_qty")
    return (
        Channel(name="ticker", build=ticker, on="book", snapshot=True, prices=prices, optional=quotes),
        Channel(name="ticker:trades", build=ticker, on="trade", snapshot=True, prices=prices, optional=quotes),
        Channel(name="trade", build=trade, on="trade", prices=("price",), optional=("qty",)),
    )
