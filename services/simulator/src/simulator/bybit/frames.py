"""Bybit's messages on topics, and the rows of its REST API."""

from typing import Any

from simulator.market import Listing
from simulator.topic import Channel, Message
from simulator.wire import trimmed

COLLATERAL = frozenset({"BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "LTC", "LINK", "AVAX", "DOT", "TRX", "USDC"})
STATUS = {"trading": "Trading", "suspended": "Closed", "preopen": "PreLaunch"}


def price(listing: Listing, value: float) -> str:
    """Write a price in the market's decimals, without trailing zeros."""
    return trimmed(value, listing.price_decimals)


def size(listing: Listing, value: float) -> str:
    """Write a size in the market's decimals, without trailing zeros."""
    return trimmed(value, listing.size_decimals)


def ticker(listing: Listing, now_ms: int) -> Message:
    """Build a `tickers` message: always complete, and without bid and ask."""
    return {
        "topic": f"tickers.{listing.native}",
        "ts": now_ms,
        "type": "snapshot",
        "cs": listing.sequence,
        "data": _day(listing, now_ms),
    }


def level1(listing: Listing, now_ms: int) -> Message:
    """Build an `orderbook.1` message: the best bid and ask, always complete."""
    return {
        "topic": f"orderbook.1.{listing.native}",
        "ts": now_ms,
        "type": "snapshot",
        "data": {
            "s": listing.native,
            "b": [[price(listing, listing.bid), size(listing, listing.bid_size)]],
            "a": [[price(listing, listing.ask), size(listing, listing.ask_size)]],
            "u": listing.update_id,
            "seq": listing.sequence,
        },
        "cts": now_ms - 1,
    }


def level50(listing: Listing, now_ms: int) -> Message:
    """Build an `orderbook.50` message: fifty levels a side, always complete."""
    return {
        "topic": f"orderbook.50.{listing.native}",
        "ts": now_ms,
        "type": "snapshot",
        "data": {"s": listing.native, **sides(listing, 50), "u": listing.update_id, "seq": listing.sequence},
        "cts": now_ms - 1,
    }


def trade(listing: Listing, now_ms: int) -> Message:
    """Build a `publicTrade` message of the last trade."""
    return {
        "topic": f"publicTrade.{listing.native}",
        "ts": now_ms,
        "type": "snapshot",
        "data": [
            {
                "i": f"22900000{listing.trade_id:011d}",
                "T": now_ms,
                "p": price(listing, listing.last),
                "v": size(listing, listing.last_size),
                "S": "Buy" if listing.last_side == "buy" else "Sell",
                "seq": listing.sequence,
                "s": listing.native,
                "BT": False,
                "RPI": False,
            }
        ],
    }


def ticker_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a REST ticker: the topic's fields, with the best bid and ask."""
    best = {
        "symbol": listing.native,
        "bid1Price": price(listing, listing.bid),
        "bid1Size": size(listing, listing.bid_size),
        "ask1Price": price(listing, listing.ask),
        "ask1Size": size(listing, listing.ask_size),
    }
    return best | _day(listing, now_ms)


def instrument_row(listing: Listing) -> dict[str, Any]:
    """Build an instrument's entry in instruments-info."""
    tick, step = trimmed(1 / listing.scale, listing.price_decimals), trimmed(1 / listing.size_scale, listing.size_decimals)
    return {
        "symbolId": listing.trade_id % 10_000,
        "symbol": listing.native,
        "baseCoin": listing.base,
        "quoteCoin": listing.quote,
        "innovation": "0",
        "symbolType": "",
        "status": STATUS[listing.state],
        "marginTrading": "utaOnly" if listing.base in COLLATERAL else "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": step,
            "quotePrecision": trimmed(10.0**-8, 8),
            "minOrderQty": step,
            "maxOrderQty": "10000000",
            "minOrderAmt": "5",
            "maxOrderAmt": "8000000",
        },
        "priceFilter": {"tickSize": tick},
        "riskParameters": {"priceLimitRatioX": "0.01", "priceLimitRatioY": "0.02"},
    }


def sides(listing: Listing, limit: int) -> dict[str, list[list[str]]]:
    """Return a plausible book behind the best bid and ask: one step between levels."""
    step = 1 / listing.scale
    bids = [
        [price(listing, listing.bid - n * step), size(listing, listing.bid_size * (1 + n % 7))]
        for n in range(limit)
        if listing.bid - n * step > step / 2
    ]
    asks = [[price(listing, listing.ask + n * step), size(listing, listing.ask_size * (1 + n % 7))] for n in range(limit)]
    return {"b": bids, "a": asks}


def _day(listing: Listing, now_ms: int) -> dict[str, str]:
    opened, last, volume = listing.open24h, listing.last, listing.volume(now_ms)
    return {
        "symbol": listing.native,
        "lastPrice": price(listing, last),
        "highPrice24h": price(listing, listing.high24h),
        "lowPrice24h": price(listing, listing.low24h),
        "prevPrice24h": price(listing, opened),
        "volume24h": size(listing, volume.base),
        "turnover24h": trimmed(volume.quote, 8),
        "price24hPcnt": trimmed((last - opened) / opened, 4),
        "usdIndexPrice": trimmed(last, 6) if listing.base in COLLATERAL else "",
    }


CHANNELS = (
    Channel(
        name="tickers",
        build=ticker,
        on="trade",
        interval_ms=50,
        snapshot=True,
        prices=("lastPrice", "highPrice24h", "lowPrice24h", "prevPrice24h"),
        optional=("usdIndexPrice", "price24hPcnt"),
        open24h="prevPrice24h",
    ),
    Channel(name="orderbook.1", build=level1, interval_ms=10, snapshot=True, prices=("b", "a"), optional=("b", "a")),
    Channel(name="orderbook.50", build=level50, interval_ms=20, snapshot=True, prices=("b", "a"), optional=("b", "a")),
    Channel(name="publicTrade", build=trade, on="trade", prices=("p",), optional=("v",)),
)
