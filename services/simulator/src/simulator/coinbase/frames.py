"""Coinbase's messages on channels, and the rows of its REST API. Figures are strings, but sequences and trade ids are not."""

import uuid
from datetime import UTC, datetime
from typing import Any

from simulator.market import Listing
from simulator.topic import Message
from simulator.wire import trimmed

STABLE = {"USD", "USDT", "USDC", "EUR"}
DAYS = 30


def instant(time_ms: int, number: int = 0) -> str:
    """Write a time in RFC 3339 with microseconds. `number` makes up the last three digits."""
    second = datetime.fromtimestamp(time_ms // 1000, UTC)
    return f"{second:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03}{number % 1000:03}Z"


def price(listing: Listing, value: float) -> str:
    """Write a price in the market's decimals, without trailing zeros."""
    return trimmed(value, listing.price_decimals)


def quoted(listing: Listing, value: float) -> str:
    """Write a price of the book in all of the market's decimals."""
    return f"{value:.{listing.price_decimals}f}"


def ticker(listing: Listing, clock_ms: int) -> Message:
    """Build a ticker, which has the last match and its time. `clock_ms` is how far the exchange's clock is ahead."""
    volume = listing.volume(listing.traded_ms).base
    return {
        "type": "ticker",
        "sequence": listing.sequence,
        "product_id": listing.native,
        "price": price(listing, listing.last),
        "open_24h": price(listing, listing.open24h),
        "volume_24h": f"{volume:.8f}",
        "low_24h": price(listing, listing.low24h),
        "high_24h": price(listing, listing.high24h),
        "volume_30d": f"{volume * DAYS:.8f}",
        "best_bid": quoted(listing, listing.bid),
        "best_bid_size": f"{listing.bid_size:.8f}",
        "best_ask": quoted(listing, listing.ask),
        "best_ask_size": f"{listing.ask_size:.8f}",
        "side": listing.last_side,
        "time": instant(listing.traded_ms + clock_ms, listing.trade_id),
        "trade_id": listing.trade_id,
        "last_size": trimmed(listing.last_size, listing.size_decimals),
    }


def match(listing: Listing, clock_ms: int) -> Message:
    """Build a match. Its side is the maker's, so it is the opposite of the ticker's."""
    return {
        "type": "match",
        "trade_id": listing.trade_id,
        "maker_order_id": str(uuid.UUID(int=2 * listing.trade_id)),
        "taker_order_id": str(uuid.UUID(int=2 * listing.trade_id + 1)),
        "side": "sell" if listing.last_side == "buy" else "buy",
        "size": trimmed(listing.last_size, listing.size_decimals),
        "price": price(listing, listing.last),
        "product_id": listing.native,
        "sequence": listing.sequence,
        "time": instant(listing.traded_ms + clock_ms, listing.trade_id),
    }


def heartbeat(listing: Listing, now_ms: int) -> Message:
    """Build a heartbeat, which names the last match."""
    return {
        "type": "heartbeat",
        "sequence": listing.sequence,
        "last_trade_id": listing.trade_id,
        "product_id": listing.native,
        "time": instant(now_ms, listing.sequence),
    }


def product_row(listing: Listing, native: str, quote: str) -> dict[str, Any]:
    """Build a product under one of its names. A delisted product stays in the list."""
    is_delisted = listing.state == "suspended"
    return {
        "id": native,
        "base_currency": listing.base,
        "quote_currency": quote,
        "quote_increment": quoted(listing, 1 / listing.scale),
        "base_increment": f"{1 / listing.size_scale:.{listing.size_decimals}f}",
        "display_name": native,
        "min_market_funds": "1",
        "margin_enabled": False,
        "post_only": False,
        "limit_only": False,
        "cancel_only": False,
        "status": "delisted" if is_delisted else "online",
        "status_message": "",
        "trading_disabled": is_delisted,
        "fx_stablecoin": {listing.base, quote} <= STABLE,
        "max_slippage_percentage": "0.02000000",
        "auction_mode": listing.state == "preopen",
        "high_bid_limit_percentage": "",
    }


def ticker_row(listing: Listing, clock_ms: int) -> dict[str, Any]:
    """Build the part of a REST ticker that has the last match and the quote."""
    return {
        "ask": price(listing, listing.ask),
        "bid": price(listing, listing.bid),
        "volume": f"{listing.volume(listing.traded_ms).base:.8f}",
        "trade_id": listing.trade_id,
        "price": price(listing, listing.last),
        "size": trimmed(listing.last_size, listing.size_decimals),
        "time": instant(listing.traded_ms + clock_ms, listing.trade_id),
        "rfq_volume": "0.000000",
    }


def stats_row(listing: Listing) -> dict[str, Any]:
    """Build the part of a REST ticker that has the figures of 24 h. It has no time, trade id or quote."""
    volume = listing.volume(listing.traded_ms).base
    return {
        "open": price(listing, listing.open24h),
        "high": price(listing, listing.high24h),
        "low": price(listing, listing.low24h),
        "last": price(listing, listing.last),
        "volume": f"{volume:.8f}",
        "volume_30day": f"{volume * DAYS:.8f}",
        "rfq_volume_24hour": "0.000000",
        "rfq_volume_30day": "0.000000",
    }
