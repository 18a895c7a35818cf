"""Binance's messages on streams, and the rows of its REST API."""

from typing import Any

from simulator.candles import DAY_MS
from simulator.market import Listing
from simulator.topic import Channel, Message, Topic
from simulator.wire import eight, encode

from . import candles

CLOSES_BEFORE_EVENT_MS = 5
STATUS = {"trading": "TRADING", "suspended": "BREAK", "preopen": "HALT"}


def ticker(listing: Listing, now_ms: int) -> Message:
    """Build a `@ticker` event: 24 h figures, last trade, best bid and ask."""
    opened, last, volume = listing.open24h, listing.last, listing.volume(now_ms)
    closed_ms = now_ms - CLOSES_BEFORE_EVENT_MS
    return {
        "e": "24hrTicker",
        "E": now_ms,
        "s": listing.native,
        "p": eight(last - opened),
        "P": f"{(last - opened) / opened * 100:.3f}",
        "w": eight(volume.quote / volume.base),
        "x": eight(opened),
        "c": eight(last),
        "Q": eight(listing.last_size),
        "b": eight(listing.bid),
        "B": eight(listing.bid_size),
        "a": eight(listing.ask),
        "A": eight(listing.ask_size),
        "o": eight(opened),
        "h": eight(listing.high24h),
        "l": eight(listing.low24h),
        "v": eight(volume.base),
        "q": eight(volume.quote),
        "O": closed_ms - DAY_MS,
        "C": closed_ms,
        "F": max(0, listing.trade_id - volume.trades + 1),
        "L": listing.trade_id,
        "n": volume.trades,
    }


def mini_ticker(listing: Listing, now_ms: int) -> Message:
    """Build a `@miniTicker` event: 24 h figures without bid and ask."""
    volume = listing.volume(now_ms)
    return {
        "e": "24hrMiniTicker",
        "E": now_ms,
        "s": listing.native,
        "c": eight(listing.last),
        "o": eight(listing.open24h),
        "h": eight(listing.high24h),
        "l": eight(listing.low24h),
        "v": eight(volume.base),
        "q": eight(volume.quote),
    }


def book_ticker(listing: Listing, now_ms: int) -> Message:
    """Build a `@bookTicker` message, which has no event type and no time."""
    del now_ms
    return {
        "u": listing.update_id,
        "s": listing.native,
        "b": eight(listing.bid),
        "B": eight(listing.bid_size),
        "a": eight(listing.ask),
        "A": eight(listing.ask_size),
    }


def trade(listing: Listing, now_ms: int) -> Message:
    """Build a `@trade` event of the last trade."""
    return {
        "e": "trade",
        "E": now_ms,
        "s": listing.native,
        "t": listing.trade_id,
        "p": eight(listing.last),
        "q": eight(listing.last_size),
        "T": now_ms,
        "m": listing.last_side == "sell",
        "M": True,
    }


def agg_trade(listing: Listing, now_ms: int) -> Message:
    """Build an `@aggTrade` event of the last trade."""
    return {
        "e": "aggTrade",
        "E": now_ms,
        "s": listing.native,
        "a": listing.trade_id,
        "p": eight(listing.last),
        "q": eight(listing.last_size),
        "f": listing.trade_id,
        "l": listing.trade_id,
        "T": now_ms,
        "m": listing.last_side == "sell",
        "M": True,
    }


def partial_depth(listing: Listing, now_ms: int) -> Message:
    """Build a `@depth20` message: a book's best levels, without event type, symbol and time."""
    del now_ms
    return {"lastUpdateId": listing.update_id, **_sides(listing, 20)}


def depth(listing: Listing, limit: int) -> dict[str, Any]:
    """Build a REST order book of up to `limit` levels a side."""
    return {"lastUpdateId": listing.update_id, **_sides(listing, limit)}


def full_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a REST 24 h ticker of type FULL."""
    event = ticker(listing, now_ms)
    return {
        "symbol": listing.native,
        "priceChange": event["p"],
        "priceChangePercent": event["P"],
        "weightedAvgPrice": event["w"],
        "prevClosePrice": event["x"],
        "lastPrice": event["c"],
        "lastQty": event["Q"],
        "bidPrice": event["b"],
        "bidQty": event["B"],
        "askPrice": event["a"],
        "askQty": event["A"],
        "openPrice": event["o"],
        "highPrice": event["h"],
        "lowPrice": event["l"],
        "volume": event["v"],
        "quoteVolume": event["q"],
        "openTime": event["O"],
        "closeTime": event["C"],
        "firstId": event["F"],
        "lastId": event["L"],
        "count": event["n"],
    }


def mini_row(listing: Listing, now_ms: int) -> dict[str, Any]:
    """Build a REST 24 h ticker of type MINI."""
    left_out = {
        *("priceChange", "priceChangePercent", "weightedAvgPrice", "prevClosePrice", "lastQty"),
        *("bidPrice", "bidQty", "askPrice", "askQty"),
    }
    return {key: value for key, value in full_row(listing, now_ms).items() if key not in left_out}


def book_row(listing: Listing) -> dict[str, Any]:
    """Build a REST best bid and ask."""
    return {
        "symbol": listing.native,
        "bidPrice": eight(listing.bid),
        "bidQty": eight(listing.bid_size),
        "askPrice": eight(listing.ask),
        "askQty": eight(listing.ask_size),
    }


def symbol_row(listing: Listing) -> dict[str, Any]:
    """Build a symbol's entry in exchangeInfo."""
    tick, step = eight(1 / listing.scale), eight(1 / listing.size_scale)
    return {
        "symbol": listing.native,
        "status": STATUS[listing.state],
        "baseAsset": listing.base,
        "baseAssetPrecision": 8,
        "quoteAsset": listing.quote,
        "quotePrecision": 8,
        "quoteAssetPrecision": 8,
        "baseCommissionPrecision": 8,
        "quoteCommissionPrecision": 8,
        "orderTypes": ["LIMIT", "LIMIT_MAKER", "MARKET", "STOP_LOSS", "STOP_LOSS_LIMIT", "TAKE_PROFIT"],
        "icebergAllowed": True,
        "ocoAllowed": True,
        "quoteOrderQtyMarketAllowed": True,
        "allowTrailingStop": True,
        "cancelReplaceAllowed": True,
        "isSpotTradingAllowed": True,
        "isMarginTradingAllowed": False,
        "filters": [
            {"filterType": "PRICE_FILTER", "minPrice": tick, "maxPrice": "10000000.00000000", "tickSize": tick},
            {"filterType": "LOT_SIZE", "minQty": step, "maxQty": "90000000.00000000", "stepSize": step},
            {"filterType": "NOTIONAL", "minNotional": "5.00000000", "applyMinToMarket": True, "avgPriceMins": 5},
        ],
        "permissions": [],
        "permissionSets": [["SPOT"]],
        "defaultSelfTradePreventionMode": "EXPIRE_MAKER",
        "allowedSelfTradePreventionModes": ["EXPIRE_TAKER", "EXPIRE_MAKER", "EXPIRE_BOTH"],
    }


def wrap(topic: Topic, payload: bytes) -> bytes:
    """Put a message into the envelope of combined streams."""
    return b'{"stream":' + encode(topic.name) + b',"data":' + payload + b"}"


def _sides(listing: Listing, limit: int) -> dict[str, list[list[str]]]:
    """Return a plausible book behind the best bid and ask: one step between levels."""
    step = 1 / listing.scale
    levels = [number for number in range(limit) if listing.bid - number * step > step / 2]
    return {
        "bids": [[eight(listing.bid - n * step), eight(listing.bid_size * (1 + n % 7))] for n in levels],
        "asks": [[eight(listing.ask + n * step), eight(listing.ask_size * (1 + n % 7))] for n in range(limit)],
    }


_QUOTES = ("b", "B", "a", "A")

CHANNELS = (
    candles.CHANNEL,
    Channel(
        name="ticker",
        build=ticker,
        interval_ms=1000,
        prices=("c", "b", "a", "o", "h", "l"),
        optional=("w", "x", "Q", *_QUOTES),
        open24h="o",
    ),
    Channel(name="miniTicker", build=mini_ticker, interval_ms=1000, prices=("c", "o", "h", "l"), open24h="o"),
    Channel(name="bookTicker", build=book_ticker, prices=("b", "a"), optional=_QUOTES),
    Channel(name="trade", build=trade, on="trade", prices=("p",), optional=("q",)),
    Channel(name="aggTrade", build=agg_trade, on="trade", prices=("p",), optional=("q",)),
    Channel(name="depth20@100ms", build=partial_depth, interval_ms=100, prices=("bids", "asks"), optional=("bids", "asks")),
    Channel(name="depth20", build=partial_depth, interval_ms=1000, prices=("bids", "asks"), optional=("bids", "asks")),
)
