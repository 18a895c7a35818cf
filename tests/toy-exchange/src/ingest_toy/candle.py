"""The toy exchange's candles: the channel `c:<symbol>` of another endpoint, and a REST answer with past ones, oldest first."""

import orjson
from msgspec import Struct

from market_pulse.exchange.adapter import Batch, CandleHistory, Channel, Rate, Told, candle, each, frames_of_one
from market_pulse.exchange.fields import Amount, Price, Text, Time, by_member, time, whole
from market_pulse.kinds import EXCHANGE_CANDLE
from market_pulse.messages import Candle, Interval


class Row(Struct):
    """The `data` of a frame, and an element of a REST answer."""

    symbol: Text
    start: Time
    open: Price
    high: Price
    low: Price
    close: Price
    volume: Amount = None
    turnover: Amount = None
    count: object = None
    final: object = None
    sent: object = None


def read_candle(interval: Interval, row: Row) -> Candle:
    """Return a row as a candle."""
    return candle(
        interval,
        time(row.start),
        row.open,
        row.high,
        row.low,
        row.close,
        row.volume,
        row.turnover,
        trades=None if row.count is None else whole(row.count),
        closed=row.final is True,
        exchange_time_ms=None if row.sent is None else time(row.sent),
    )


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return the topic of a symbol's candles of a minute."""
    return (f"c:{native_symbol}",)


def told(row: Row) -> Told:
    """Return the event of a frame."""
    return Told(kind=EXCHANGE_CANDLE, native=row.symbol, message=read_candle(Interval.MINUTE, row))


def path(native_symbol: str, interval: Interval, since_ms: int, until_ms: int) -> str:
    """Return the REST path of past candles."""
    return f"/candles?symbol={native_symbol}&every={interval}&since={since_ms}&until={until_ms}"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read past candles."""
    return each(lambda row: [read_candle(interval, by_member(Row, row))], orjson.loads(answer), "symbol")


CANDLES = Channel(topics=topics, frames={"c": frames_of_one(Row, told)})
HISTORY = CandleHistory(path=path, parse=parse, rows=500, rate=Rate(200, 1.0))
