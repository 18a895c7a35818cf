"""The candles of Binance: `@kline_1m` every two seconds while there are trades, and `klines` for past ones."""

from functools import partial

import orjson
from msgspec import Struct, field

from market_pulse.exchange.adapter import Batch, CandleHistory, Channel, Rate, Told, candle, candles_of, frames_of_one
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import Amount, Price, Text, Time, time, whole_or
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Candle, Interval

ROWS = 1000


class _Kline(Struct):
    start: Time = field(name="t")
    interval: Text = field(name="i")
    open: Price = field(name="o")
    high: Price = field(name="h")
    low: Price = field(name="l")
    close: Price = field(name="c")
    volume: Amount = field(name="v", default=None)
    quote_volume: Amount = field(name="q", default=None)
    trades: object = field(name="n", default=None)
    buy_volume: Amount = field(name="V", default=None)
    is_closed: object = field(name="x", default=None)


class _Frame(Struct):
    event_time: Time = field(name="E")
    symbol: Text = field(name="s")
    kline: _Kline = field(name="k")


class _Row(Struct, array_like=True):
    start: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount = None
    end: object = None
    quote_volume: Amount = None
    trades: object = None
    buy_volume: Amount = None


def _candle(interval: Interval, row: _Kline | _Row, *, closed: bool = False, exchange_time_ms: int | None = None) -> Candle:
    return candle(
        interval,
        time(row.start),
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        row.quote_volume,
        trades=whole_or(row.trades, None),
        buy_volume=row.buy_volume,
        closed=closed,
        exchange_time_ms=exchange_time_ms,
    )


def _told(frame: _Frame) -> Told:
    kline = frame.kline
    if kline.interval != "1m":
        raise FrameError("unknown", f"a candle of {kline.interval:.40}")
    found = _candle(Interval.MINUTE, kline, closed=kline.is_closed is True, exchange_time_ms=time(frame.event_time))
    return Told(kind=EXCHANGE_CANDLE, native=frame.symbol, message=found)


def path(native_symbol: str, interval: Interval, start_ms: int, end_ms: int) -> str:
    """Return the REST path of candles that began in a range. Both times in the path are inclusive."""
    return f"/api/v3/klines?symbol={native_symbol}&interval={interval}&startTime={start_ms}&endTime={end_ms - 1}&limit={ROWS}"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read `klines`. Its rows do not say whether a candle is closed, and the newest may be open.

    Raises:
        FrameError: the answer is an error.
    """
    return candles_of(orjson.loads(answer), _Row, partial(_candle, interval))


CANDLES = Channel(
    topics=lambda native_symbol: (f"{native_symbol.lower()}@kline_1m",), frames={"kline": frames_of_one(_Frame, _told)}
)
HISTORY = CandleHistory(
    path=path,
    parse=parse,
    rows=ROWS,
    rate=Rate(3000, 60.0),  # a request for candles costs 2 of the 6000 a minute
)
