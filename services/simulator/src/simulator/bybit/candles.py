"""Bybit's candles: the topic `kline.1`, and the rows of `kline`."""

from typing import Any, Final

from simulator.candles import DAY_MS, MINUTE_MS, Candle
from simulator.market import Listing
from simulator.topic import Channel, Closing, Message
from simulator.wire import trimmed

from .frames import price, size

STEPS: Final = {str(minutes): minutes * MINUTE_MS for minutes in (1, 3, 5, 15, 30, 60, 120, 240, 360, 720)} | {"D": DAY_MS}
DEFAULT_ROWS, MOST_ROWS = 200, 1000


def item(listing: Listing, now_ms: int, candle: Candle, *, closed: bool) -> dict[str, Any]:
    """Build a candle of the topic."""
    row = listing.stated(candle)
    return {
        "start": row.start_ms,
        "end": row.start_ms + MINUTE_MS - 1,
        "interval": "1",
        "open": price(listing, row.open),
        "close": price(listing, row.close),
        "high": price(listing, row.high),
        "low": price(listing, row.low),
        "volume": size(listing, row.volume),
        "turnover": trimmed(row.turnover, 8),
        "confirm": closed,
        "timestamp": now_ms,
    }


def rest_row(listing: Listing, candle: Candle) -> list[str]:
    """Build a row of `kline`."""
    prices = (price(listing, value) for value in candle[1:5])
    return [str(candle.start_ms), *prices, size(listing, candle.volume), trimmed(candle.turnover, 8)]


def _message(listing: Listing, now_ms: int, items: list[dict[str, Any]]) -> Message:
    return {"type": "snapshot", "topic": f"kline.1.{listing.native}", "data": items, "ts": now_ms}


def _open(listing: Listing, now_ms: int) -> Message:
    return _message(listing, now_ms, [item(listing, now_ms, listing.tape.newest(), closed=False)])


def _closed(listing: Listing, now_ms: int, candle: Candle, newer: Candle | None) -> Message:
    items = [item(listing, now_ms, candle, closed=True)]
    if newer is not None:
        items.append(item(listing, now_ms, newer, closed=False))
    return _message(listing, now_ms, items)


CHANNEL: Final = Channel(
    name="kline.1",
    build=_open,
    on="trade",
    interval_ms=1000,
    closing=Closing(_closed, (0, 300), joined=True),
    snapshot=True,
    prices=("open", "close", "high", "low"),
)
