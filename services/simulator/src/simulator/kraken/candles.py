"""Kraken's candles: the channel `ohlc`, which never says that a candle is closed, and the rows of `OHLC`."""

from datetime import UTC, datetime
from typing import Any, Final

from simulator.candles import MINUTE_MS, Candle
from simulator.market import Listing
from simulator.topic import Channel, Message
from simulator.wire import number

from .frames import LOT_DECIMALS, price

STEPS: Final = {str(minutes): minutes * MINUTE_MS for minutes in (1, 5, 15, 30, 60, 240, 1440, 10080, 21600)}
MOST_ROWS, SNAPSHOT_ROWS = 720, 10
WARNING: Final = "timestamp is deprecated, use interval_begin"


def item(listing: Listing, candle: Candle) -> dict[str, Any]:
    """Build a candle of the channel. Its `timestamp` is its end."""
    begin, end = (f"{_seconds(candle.start_ms + ms)}" for ms in (0, MINUTE_MS))
    return {
        "symbol": listing.native,
        "open": price(listing, candle.open),
        "high": price(listing, candle.high),
        "low": price(listing, candle.low),
        "close": price(listing, candle.close),
        "trades": candle.trades,
        "volume": number(candle.volume, LOT_DECIMALS),
        "vwap": price(listing, candle.turnover / candle.volume),
        "interval_begin": f"{begin}.000000000Z",
        "interval": 1,
        "timestamp": f"{end}.000000Z",
    }


def snapshot(listing: Listing, now_ms: int, candles: list[Candle]) -> Message:
    """Build the first message of a subscription. It has the time at which it is sent, which the others have not."""
    sent = f"{_seconds(now_ms)}.{now_ms % 1000:03}000000Z"
    return {"channel": "ohlc", "type": "snapshot", "timestamp": sent, "data": [item(listing, candle) for candle in candles]}


def rest_row(listing: Listing, candle: Candle) -> list[Any]:
    """Build a row of `OHLC`. Without a trade its mean price is zero."""
    prices = (f"{value:.{listing.price_decimals}f}" for value in candle[1:5])
    mean = f"{candle.turnover / candle.volume:.{listing.price_decimals}f}" if candle.trades else "0.0"
    return [candle.start_ms // 1000, *prices, mean, f"{candle.volume:.{LOT_DECIMALS}f}", candle.trades]


def _seconds(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}"


def _update(listing: Listing, now_ms: int) -> Message:
    del now_ms
    return {"channel": "ohlc", "type": "update", "data": [item(listing, listing.stated(listing.tape.newest()))]}


CHANNEL: Final = Channel(name="ohlc", build=_update, on="trade", snapshot=True, prices=("open", "high", "low", "close", "vwap"))
