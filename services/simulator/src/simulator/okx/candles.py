"""OKX's candles: the channel `candle1m` of the business socket, and the rows of `candles`, which are the same."""

from typing import Final

from simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS, Candle
from simulator.market import Listing
from simulator.topic import Channel, Closing, Message
from simulator.wire import trimmed

from .frames import price, size

EIGHT_HOURS_MS: Final = 8 * HOUR_MS
STEPS: Final[dict[str, tuple[int, int]]] = (
    {f"{n}m": (n * MINUTE_MS, 0) for n in (1, 3, 5, 15, 30)}
    | {f"{n}H": (n * HOUR_MS, 0) for n in (1, 2, 4)}
    | {f"{n}H": (n * HOUR_MS, EIGHT_HOURS_MS) for n in (6, 12)}
    | {f"{n}Hutc": (n * HOUR_MS, 0) for n in (6, 12)}
    | {"1D": (DAY_MS, EIGHT_HOURS_MS), "1Dutc": (DAY_MS, 0)}
)
"""The intervals by their names, and how long before the multiples of the interval they begin: six hours and longer by UTC+8."""
DEFAULT_ROWS, MOST_ROWS, REACH_ROWS = 100, 300, 1440


def row(listing: Listing, candle: Candle, *, closed: bool) -> list[str]:
    """Build a candle."""
    turnover = trimmed(candle.turnover, 9)
    prices = (price(listing, value) for value in candle[1:5])
    return [str(candle.start_ms), *prices, size(listing, candle.volume), turnover, turnover, "1" if closed else "0"]


def _message(listing: Listing, candle: Candle, *, closed: bool) -> Message:
    arg = {"channel": "candle1m", "instId": listing.native}
    return {"arg": arg, "data": [row(listing, listing.stated(candle), closed=closed)]}


def _open(listing: Listing, now_ms: int) -> Message:
    del now_ms
    return _message(listing, listing.tape.newest(), closed=False)


def _closed(listing: Listing, now_ms: int, candle: Candle, newer: Candle | None) -> Message:
    del now_ms, newer
    return _message(listing, candle, closed=True)


CHANNEL: Final = Channel(
    name="candle1m",
    build=_open,
    on="trade",
    interval_ms=1000,
    closing=Closing(_closed, (0, 300)),
    snapshot=True,
    prices=(1, 2, 3, 4),
)
