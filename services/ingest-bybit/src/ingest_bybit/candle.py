"""The candles of Bybit: `kline.1` at least once a minute, and REST's `kline` for past ones."""

from functools import partial

from msgspec import Struct

from market_pulse.exchange.adapter import Batch, CandleHistory, Channel, Rate, Told, candle, candles_of, frames_of_several
from market_pulse.exchange.fields import Amount, Price, Text, Time, time
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Candle, Interval

from .answers import result

ROWS = 1000
INTERVALS = {Interval.MINUTE: "1", Interval.HOUR: "60", Interval.DAY: "D"}


class _Kline(Struct):
    start: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount = None
    turnover: Amount = None
    confirm: object = None


class _Frame(Struct):
    topic: Text
    data: list[_Kline]
    ts: Time


class _Row(Struct, array_like=True):
    start: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount = None
    turnover: Amount = None


def _candle(interval: Interval, row: _Kline | _Row, *, closed: bool = False, exchange_time_ms: int | None = None) -> Candle:
    return candle(
        interval,
        time(row.start),
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        row.turnover,
        closed=closed,
        exchange_time_ms=exchange_time_ms,
    )


def _told(frame: _Frame, kline: _Kline) -> Told:
    """Return one candle of a frame. At the end of a minute a frame has two: the closed one and the new one."""
    found = _candle(Interval.MINUTE, kline, closed=kline.confirm is True, exchange_time_ms=time(frame.ts))
    return Told(kind=EXCHANGE_CANDLE, native=frame.topic.removeprefix("kline.1."), message=found)


def path(native_symbol: str, interval: Interval, start_ms: int, end_ms: int) -> str:
    """Return the REST path of candles that began in a range. Both times in the path are inclusive."""
    named = f"category=spot&symbol={native_symbol}&interval={INTERVALS[interval]}"
    return f"/v5/market/kline?{named}&start={start_ms}&end={end_ms - 1}&limit={ROWS}"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read REST's `kline`, newest first. Its rows do not say whether a candle is closed, and the newest may be open.

    Raises:
        FrameError: the answer is an error.
    """
    return candles_of(result(answer), _Row, partial(_candle, interval))


CANDLES = Channel(
    topics=lambda native_symbol: (f"kline.1.{native_symbol}",),
    frames={"kline.1": frames_of_several(_Frame, lambda frame: frame.data, _Kline, _told)},
)
HISTORY = CandleHistory(path=path, parse=parse, rows=ROWS, rate=Rate(600, 5.0))
