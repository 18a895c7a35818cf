"""The candles of OKX: `candle1m`, at most once a second and only on the endpoint `business`, and REST for past ones."""

from functools import partial

from msgspec import Struct

from market_pulse.exchange.adapter import Batch, CandleHistory, Channel, Rate, Told, candle, candles_of, frames_of_several
from market_pulse.exchange.fields import Amount, Price, Text, Time, time
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Candle, Interval

from .answers import data

ROWS = 300
BARS = {Interval.MINUTE: "1m", Interval.HOUR: "1H", Interval.DAY: "1Dutc"}
"""OKX's names of our intervals. A day that is named without `utc` begins at 16:00 UTC."""
CHANNEL = "candle1m"


class _Row(Struct, array_like=True):
    """A candle of a spot pair, from a socket or from REST."""

    start: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount = None
    volume_in_currency: object = None
    quote_volume: Amount = None
    confirm: object = None


class _Argument(Struct, rename="camel"):
    inst_id: Text


class _Frame(Struct):
    arg: _Argument
    data: list[_Row]


def _candle(interval: Interval, row: _Row) -> Candle:
    return candle(
        interval,
        time(row.start),
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        row.quote_volume,
        closed=row.confirm == "1",
    )


def _told(frame: _Frame, row: _Row) -> Told:
    return Told(kind=EXCHANGE_CANDLE, native=frame.arg.inst_id, message=_candle(Interval.MINUTE, row))


def path(native_symbol: str, interval: Interval, start_ms: int, end_ms: int) -> str:
    """Return the REST path of candles that began in a range. The path says after which moment and before which, exclusively.

    OKX calls an older candle one that comes after, because the newest come first.
    """
    named = f"instId={native_symbol}&bar={BARS[interval]}"
    return f"/api/v5/market/candles?{named}&after={end_ms}&before={start_ms - 1}&limit={ROWS}"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read `candles`, newest first.

    Raises:
        FrameError: the answer is an error.
    """
    return candles_of(data(answer), _Row, partial(_candle, interval))


CANDLES = Channel(
    topics=lambda native_symbol: (f"{CHANNEL}:{native_symbol}",),
    frames={CHANNEL: frames_of_several(_Frame, lambda frame: frame.data, _Row, _told)},
)
HISTORY = CandleHistory(path=path, parse=parse, rows=ROWS, rate=Rate(40, 2.0))
