"""The candles of Crypto.com: the channel `candlestick.1m`, whose first data are 300 past ones, and REST for older ones."""

from functools import partial

from msgspec import Struct

from market_pulse.exchange.adapter import Batch, CandleHistory, Channel, Rate, Told, candle, candles_of, frames_of_several
from market_pulse.exchange.fields import Amount, Price, Text, Time, time
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Candle, Interval

from .answers import data
from .ticker import check_unnumbered

ROWS = 300
TIMEFRAMES = {Interval.MINUTE: "1m", Interval.HOUR: "1h", Interval.DAY: "1D"}
"""Crypto.com's names of our intervals. It also takes `M1` or `1d`, but answers with another name than the one asked for."""
CHANNEL = "candlestick.1m"


class _Row(Struct, kw_only=True):
    """A candle, from a socket or from REST. A socket's row also has `ut`, when it last changed."""

    o: Price
    h: Price
    l: Price  # noqa: E741 - the exchange's name
    c: Price
    v: Amount = None
    t: Time


class _Result(Struct):
    subscription: Text
    data: list[_Row]


class _Frame(Struct):
    id: object
    code: object
    result: _Result


def _candle(interval: Interval, row: _Row) -> Candle:
    return candle(interval, time(row.t), row.o, row.h, row.l, row.c, row.v)


def _rows(frame: _Frame) -> object:
    check_unnumbered(frame.id, frame.code)
    return frame.result.data


def _told(frame: _Frame, row: _Row) -> Told:
    native = frame.result.subscription.removeprefix(f"{CHANNEL}.")
    return Told(kind=EXCHANGE_CANDLE, native=native, message=_candle(Interval.MINUTE, row))


def path(native_symbol: str, interval: Interval, start_ms: int, end_ms: int) -> str:
    """Return the REST path of as many candles as began in a range, back from its end.

    The path does not say from when, because Crypto.com reads `start_ts` differently from its documentation.
    """
    count = min(ROWS, -(-(end_ms - start_ms) // interval.step_ms))
    named = f"instrument_name={native_symbol}&timeframe={TIMEFRAMES[interval]}"
    return f"/exchange/v1/public/get-candlestick?{named}&count={count}&end_ts={end_ms - 1}"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read `get-candlestick`, oldest first. Its rows do not say whether a candle is closed, and the newest may be open.

    Raises:
        FrameError: the answer is an error.
    """
    return candles_of(data(answer), _Row, partial(_candle, interval))


CANDLES = Channel(
    topics=lambda native_symbol: (f"{CHANNEL}.{native_symbol}",),
    frames={CHANNEL: frames_of_several(_Frame, _rows, _Row, _told)},
)
HISTORY = CandleHistory(path=path, parse=parse, rows=ROWS, rate=Rate(100, 1.0))
