"""Binance's candles: the stream `@kline_1m`, and the rows of `klines`."""

from typing import Any, Final

from simulator.candles import DAY_MS, HOUR_MS, MINUTE_MS, Candle
from simulator.market import Listing
from simulator.topic import Channel, Closing, Message
from simulator.wire import eight

STEPS: Final = (
    {f"{n}m": n * MINUTE_MS for n in (1, 3, 5, 15, 30)} | {f"{n}h": n * HOUR_MS for n in (1, 2, 4, 6, 8, 12)} | {"1d": DAY_MS}
)
DEFAULT_ROWS, MOST_ROWS = 500, 1000


def kline(listing: Listing, now_ms: int, candle: Candle, *, closed: bool) -> Message:
    """Build a `@kline_1m` event. The numbers of the first and the last trade fit the count."""
    row = listing.stated(candle)
    return {
        "e": "kline",
        "E": now_ms,
        "s": listing.native,
        "k": {
            "t": row.start_ms,
            "T": row.start_ms + MINUTE_MS - 1,
            "s": listing.native,
            "i": "1m",
            "f": max(0, listing.trade_id - row.trades + 1),
            "L": listing.trade_id,
            "o": eight(row.open),
            "c": eight(row.close),
            "h": eight(row.high),
            "l": eight(row.low),
            "v": eight(row.volume),
            "n": row.trades,
            "x": closed,
            "q": eight(row.turnover),
            "V": eight(row.bought),
            "Q": eight(row.bought * row.turnover / row.volume if row.volume else 0),
            "B": "0",
        },
    }


def rest_row(candle: Candle, step_ms: int) -> list[Any]:
    """Build a row of `klines`."""
    return [
        candle.start_ms,
        eight(candle.open),
        eight(candle.high),
        eight(candle.low),
        eight(candle.close),
        eight(candle.volume),
        candle.start_ms + step_ms - 1,
        eight(candle.turnover),
        candle.trades,
        eight(candle.bought),
        eight(candle.bought * candle.turnover / candle.volume if candle.volume else 0),
        "0",
    ]


def _open(listing: Listing, now_ms: int) -> Message:
    return kline(listing, now_ms, listing.tape.newest(), closed=False)


def _closed(listing: Listing, now_ms: int, candle: Candle, newer: Candle | None) -> Message:
    del newer
    return kline(listing, now_ms, candle, closed=True)


CHANNEL: Final = Channel(
    name="kline_1m",
    build=_open,
    on="trade",
    interval_ms=2000,
    closing=Closing(_closed, (200, 2000)),
    prices=("o", "c", "h", "l"),
)
