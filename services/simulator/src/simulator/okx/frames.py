"""OKX's messages on channels, and the rows of its REST API. Nearly all values are strings, times included."""

from collections.abc import Callable
from typing import Any

from simulator.candles import DAY_MS, HOUR_MS
from simulator.market import Listing
from simulator.topic import Channel, Message
from simulator.wire import trimmed

STATE = {"trading": "live", "suspended": "suspend", "preopen": "preopen"}
LISTED_MS = 1_611_907_686_000


def price(listing: Listing, value: float) -> str:
    """Write a price in the market's decimals, without trailing zeros."""
    return trimmed(value, listing.price_decimals)


def size(listing: Listing, value: float) -> str:
    """Write a size in the market's decimals, without trailing zeros."""
    return trimmed(value, listing.size_decimals)


def ticker_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a ticker, which is the same on the channel and in the REST API."""
    volume = listing.volume(now_ms)
    return {
        "instType": "SPOT",
        "instId": listing.native,
        "last": price(listing, listing.last),
        "lastSz": size(listing, listing.last_size),
        "askPx": price(listing, listing.ask),
        "askSz": size(listing, listing.ask_size),
        "bidPx": price(listing, listing.bid),
        "bidSz": size(listing, listing.bid_size),
        "open24h": price(listing, listing.open24h),
        "high24h": price(listing, listing.high24h),
        "low24h": price(listing, listing.low24h),
        "sodUtc0": price(listing, listing.price_at(now_ms - now_ms % DAY_MS)),
        "sodUtc8": price(listing, listing.price_at(now_ms - (now_ms + 8 * HOUR_MS) % DAY_MS)),
        "volCcy24h": trimmed(volume.quote, 9),
        "vol24h": size(listing, volume.base),
        "ts": str(now_ms),
    }


def trade_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build the last trade: one taker order at one price."""
    return {
        "instId": listing.native,
        "tradeId": str(listing.trade_id),
        "px": price(listing, listing.last),
        "sz": size(listing, listing.last_size),
        "side": listing.last_side,
        "ts": str(now_ms),
        "count": "1",
        "source": "0",
        "seqId": listing.sequence,
    }


def best_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a `bbo-tbt` row: one level a side."""
    return {**sides(listing, 1), "ts": str(now_ms), "seqId": listing.sequence}


def books5_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a `books5` row: five levels a side."""
    return {**sides(listing, 5), "instId": listing.native, "ts": str(now_ms), "seqId": listing.sequence}


def instrument_row(listing: Listing) -> dict[str, Any]:
    """Build an instrument. Before it opens, most of its fields are empty."""
    opened = listing.state != "preopen"
    tick, lot = trimmed(1 / listing.scale, listing.price_decimals), trimmed(1 / listing.size_scale, listing.size_decimals)
    return {
        "instType": "SPOT",
        "instId": listing.native,
        "baseCcy": listing.base,
        "quoteCcy": listing.quote,
        "settleCcy": "",
        "uly": "",
        "instFamily": "",
        "ctVal": "",
        "ctMult": "",
        "ctValCcy": "",
        "ctType": "",
        "optType": "",
        "stk": "",
        "lever": "10" if opened else "",
        "state": STATE[listing.state],
        "tickSz": tick if opened else "",
        "lotSz": lot if opened else "",
        "minSz": lot if opened else "",
        "maxMktSz": "1000000" if opened else "",
        "maxLmtSz": "9999999999" if opened else "",
        "listTime": str(LISTED_MS),
        "expTime": "",
        "ruleType": "normal",
        "tradeQuoteCcyList": [listing.quote],
        "instIdCode": listing.trade_id % 100_000,
    }


def sides(listing: Listing, limit: int) -> dict[str, list[list[str]]]:
    """Return a plausible book behind the best bid and ask: price, size, "0", number of orders; one step between levels."""
    step = 1 / listing.scale

    def level(at: float, amount: float, number: int) -> list[str]:
        return [price(listing, at), size(listing, amount * (1 + number % 7)), "0", str(1 + number % 7)]

    levels = range(limit)
    bids = [level(listing.bid - n * step, listing.bid_size, n) for n in levels if listing.bid - n * step > step / 2]
    return {"asks": [level(listing.ask + n * step, listing.ask_size, n) for n in levels], "bids": bids}


def pushed(channel: str, row: Callable[[Listing, int], dict[str, Any]]) -> Callable[[Listing, int], Message]:
    """Return the function that builds a channel's message around one row."""

    def build(listing: Listing, now_ms: int) -> Message:
        return {"arg": {"channel": channel, "instId": listing.native}, "data": [row(listing, now_ms)]}

    return build


_SIDES = ("asks", "bids")

CHANNELS = (
    Channel(
        name="tickers",
        build=pushed("tickers", ticker_row),
        interval_ms=100,
        snapshot=True,
        prices=("last", "askPx", "bidPx", "open24h", "high24h", "low24h"),
        optional=("askPx", "askSz", "bidPx", "bidSz", "sodUtc0", "sodUtc8"),
        open24h="open24h",
    ),
    Channel(name="trades", build=pushed("trades", trade_row), on="trade", prices=("px",), optional=("sz",)),
    Channel(name="bbo-tbt", build=pushed("bbo-tbt", best_row), interval_ms=10, snapshot=True, prices=_SIDES, optional=_SIDES),
    Channel(name="books5", build=pushed("books5", books5_row), interval_ms=100, snapshot=True, prices=_SIDES, optional=_SIDES),
)
