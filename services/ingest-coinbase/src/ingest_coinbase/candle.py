"""The past candles of Coinbase. None of its channels has candles of a minute, so the newest come from REST as well."""

from datetime import UTC, datetime
from functools import partial

import orjson
from msgspec import Struct

from market_pulse.exchange.adapter import Batch, CandleHistory, Rate, candle, candles_of
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import Amount, Price, Time, time_of_s
from market_pulse.messages import Candle, Interval

ROWS = 300


class _Row(Struct, array_like=True):
    """A candle. The low comes before the open."""

    start_s: Time
    low: Price
    high: Price
    open: Price
    close: Price
    volume: Amount = None


def _candle(interval: Interval, row: _Row) -> Candle:
    return candle(interval, time_of_s(row.start_s), row.open, row.high, row.low, row.close, row.volume)


def path(native_symbol: str, interval: Interval, start_ms: int, end_ms: int) -> str:
    """Return the REST path of candles that began in a range.

    Both times in the path are inclusive. A range of more than 300 candles is refused, so its end is the start of the last one.
    """
    start, end = _instant(start_ms), _instant(interval.start_of(end_ms - 1))
    return f"/products/{native_symbol}/candles?granularity={interval.step_ms // 1000}&start={start}&end={end}"


def _instant(time_ms: int) -> str:
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%dT%H:%M:%SZ}"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read `candles`, newest first. No row says whether a candle is closed, and minutes without trades have no row.

    Raises:
        FrameError: the answer is an error, for example because the product is unknown.
    """
    rows = orjson.loads(answer)
    if isinstance(rows, dict):
        raise FrameError("refused", str(rows.get("message"))[:100])
    return candles_of(rows, _Row, partial(_candle, interval))


HISTORY = CandleHistory(
    path=path,
    parse=parse,
    rows=ROWS,
    rate=Rate(10, 1.0),
    settled_s=15.0,  # the newest row may be of an earlier moment
)
