"""Crypto.com's candles: the channel `candlestick`, which never calls a candle closed, and the rows of `get-candlestick`."""

from collections.abc import Iterable
from typing import Any, Final

from simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS, Candle
from simulator.market import Listing
from simulator.topic import Channel, Closing, Message

from .frames import UNNUMBERED, price, size

STEPS: Final = {f"{n}m": n * MINUTE_MS for n in (1, 5, 15, 30)} | {f"{n}h": n * HOUR_MS for n in (1, 2, 4, 12)} | {"1D": DAY_MS}
_MINUTES, _HOURS = (1, 5, 15, 30), (1, 2, 4, 12)
OLD_NAMES: Final = {f"M{n}": f"{n}m" for n in _MINUTES} | {f"H{n}": f"{n}h" for n in _HOURS} | {"D1": "1D", "1d": "1D"}
"""The names in use by the old ones, which are still accepted."""
DEFAULT_ROWS, MOST_ROWS, SNAPSHOT_MINUTES = 25, 300, 300


def rest_row(listing: Listing, candle: Candle) -> dict[str, Any]:
    """Build a row of `get-candlestick`."""
    opened, high, low, closed = (price(listing, value) for value in candle[1:5])
    return {"o": opened, "h": high, "l": low, "c": closed, "v": size(listing, candle.volume), "t": candle.start_ms}


def message(listing: Listing, now_ms: int, candles: Iterable[Candle], request_id: int | str = UNNUMBERED) -> Message:
    """Build a message of the channel. `ut` is the last change of a candle, which is within its minute."""
    rows = [rest_row(listing, candle) | {"ut": min(now_ms, candle.start_ms + MINUTE_MS - 4)} for candle in candles]
    result = {
        "instrument_name": listing.native,
        "subscription": f"candlestick.1m.{listing.native}",
        "channel": "candlestick",
        "interval": "1m",
        "data": rows,
    }
    return {"id": request_id, "method": "subscribe", "code": 0, "result": result}


def _open(listing: Listing, now_ms: int) -> Message:
    return message(listing, now_ms, [listing.stated(listing.tape.newest())])


def _closed(listing: Listing, now_ms: int, candle: Candle, newer: Candle | None) -> Message:
    return message(listing, now_ms, [listing.stated(it) for it in (candle, newer) if it is not None])


CHANNEL: Final = Channel(
    name="candlestick.1m",
    build=_open,
    on="trade",
    interval_ms=1000,
    closing=Closing(_closed, (0, 300), joined=True),
    snapshot=True,
    prices=("o", "h", "l", "c"),
)
