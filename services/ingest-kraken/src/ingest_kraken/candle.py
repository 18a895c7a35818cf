"""The candles of Kraken: the channel `ohlc`, sent with each trade, and REST's `OHLC` for past ones."""

from msgspec import Struct

from market_pulse.exchange.adapter import Batch, CandleHistory, Channel, Rate, Told, candle, candles_of, frames_of_several
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import Amount, Figure, Instant, Price, Text, Time, amount, instant_us, time_of_s, whole_or
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Candle, Interval

from .answers import result

ROWS = 720


class _Candle(Struct, kw_only=True):
    """A candle of a frame. Figures are JSON numbers. Its `timestamp` is the end of the candle, so it is not read."""

    symbol: Text
    open: Price
    high: Price
    low: Price
    close: Price
    vwap: Figure = None
    volume: Amount = None
    trades: object = None
    interval_begin: Instant
    interval: object


class _Frame(Struct):
    """A frame. Its `timestamp` is when it was sent, and may be missing."""

    data: list[_Candle]
    timestamp: object = None


class _Row(Struct, array_like=True):
    start_s: Time
    open: Price
    high: Price
    low: Price
    close: Price
    vwap: Figure = None
    volume: Amount = None
    trades: object = None


def _candle(
    interval: Interval, start_ms: int, row: _Candle | _Row, *, closed: bool = False, exchange_time_ms: int | None = None
) -> Candle:
    quote_volume = amount(row.volume * row.vwap) if row.volume is not None and row.vwap is not None else None
    return candle(
        interval,
        start_ms,
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        quote_volume,
        trades=whole_or(row.trades, None),
        vwap=row.vwap,
        closed=closed,
        exchange_time_ms=exchange_time_ms,
    )


def _told(frame: _Frame, row: _Candle) -> Told:
    if row.interval != 1:
        raise FrameError("unknown", f"a candle of {row.interval!r:.40} minutes")
    start_ms = instant_us(row.interval_begin) // 1000
    found = _candle(Interval.MINUTE, start_ms, row, exchange_time_ms=_sent_ms(frame.timestamp))
    return Told(kind=EXCHANGE_CANDLE, native=row.symbol, message=found)


def _sent_ms(timestamp: object) -> int | None:
    try:
        return instant_us(timestamp) // 1000
    except FrameError:
        return None


def path(native_symbol: str, interval: Interval, start_ms: int, end_ms: int) -> str:
    """Return the REST path of candles that began at a moment or later. It cannot say until when.

    Kraken may leave out the candle that began at `since`, so the path asks for one more.
    """
    del end_ms
    since_s = (start_ms - interval.step_ms) // 1000
    return f"/0/public/OHLC?pair={native_symbol}&interval={interval.step_ms // 60_000}&since={since_s}&assetVersion=1"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read `OHLC`, oldest first. Beside the pair's rows is the start of the newest closed candle. An open one comes after it.

    Return no candles if the pair is unknown. The pair may have another name than the one that was asked for.

    Raises:
        FrameError: the answer is an error.
    """
    found, errors = result(answer)
    last_s = found.pop("last", None)
    if not found:
        return Batch((), errors)
    (rows,) = found.values()
    last_ms = 1000 * whole_or(last_s, 0)

    def read_row(row: _Row) -> Candle:
        start_ms = time_of_s(row.start_s)
        return _candle(interval, start_ms, row, closed=start_ms <= last_ms)

    candles = candles_of(rows, _Row, read_row)
    return Batch(candles, [*candles.skipped, *errors])


CANDLES = Channel(
    topics=lambda native_symbol: (native_symbol,),  # as for the ticker: each request names the channel
    frames={"ohlc": frames_of_several(_Frame, lambda frame: frame.data, _Candle, _told)},
)
HISTORY = CandleHistory(
    path=path,
    parse=parse,
    rows=ROWS,
    rate=Rate(1, 1.0),  # the limit is not published; clients keep to one request a second
    reach=ROWS,
)
