"""Plays tickers, exchanges' candles and time to one symbol's series."""

from candles.live import Heard
from candles.series import Series
from market_pulse.exchange.adapter import candle
from market_pulse.messages import Bar, Candle, Interval, Symbol

BTC = Symbol("BTC-USDT")
MINUTE_MS = 60_000
DAY_MS = 86_400_000
T0 = 20_000 * DAY_MS + 14 * 3_600_000  # an hour begins


def heard(seq: int, time_ms: int, price: float | None = 100.0, quality: str = "ok") -> Heard:
    return Heard(symbol=BTC, seq=seq, price=price, quality=quality, aggregated_time_ms=time_ms, received_time_ms=time_ms - 5)


def share(
    exchange: str, start_ms: int, volume: float | None, *, closed: bool = True, close: float = 100.0, revision: int = 0
) -> Candle:
    made = candle(
        Interval.MINUTE, start_ms, close, close, close, close, volume,
        None if volume is None else volume * close, trades=3, buy_volume=None if volume is None else volume / 2, closed=closed,
    )  # fmt: skip
    made.exchange, made.symbol, made.revision = exchange, BTC, revision
    return made


def bar(start_ms: int, price: float = 100.0, volume: float | None = 1.0, revision: int = 0) -> Bar:
    return Bar(start_ms, price, price, price, price, volume, revision=revision)


class Played:
    """A series at a moment, which `at` moves on. `closed` has all closed candles so far."""

    def __init__(self, now_ms: int = T0, seq: int = 0) -> None:
        self.now_ms = now_ms
        self.series = Series(BTC, now_ms)
        self.seq = seq
        self.closed: list[Candle] = []

    def at(self, now_ms: int) -> None:
        self.now_ms = now_ms
        self.series.advance(now_ms)
        self.closed += self.series.take_closed()

    def hear(
        self, price: float | None = 100.0, *, after_ms: int = 0, quality: str = "ok", lost: int = 0, late_ms: int = 0
    ) -> None:
        """Hear the next ticker `after_ms` later. `lost` tickers before it were not heard."""
        self.now_ms += after_ms
        self.seq += 1 + lost
        self.series.hear(heard(self.seq, self.now_ms - late_ms, price, quality), self.now_ms)
        self.at(self.now_ms)

    def hear_exchange(self, made: Candle) -> None:
        assert made.exchange is not None
        self.series.hear_exchange(made.exchange, made, self.now_ms)
        self.at(self.now_ms)

    def learn(self, interval: Interval, **bars: list[Bar]) -> None:
        self.series.learn(interval, bars, self.now_ms)
        self.at(self.now_ms)

    def open(self, interval: Interval = Interval.MINUTE) -> Candle | None:
        return self.series.open_candle(interval, self.now_ms)

    def of(self, interval: Interval) -> list[Candle]:
        return [one for one in self.closed if one.interval is interval]


def ohlc(one: Candle | Bar | None) -> tuple[float, float, float, float] | None:
    return None if one is None else (one.open, one.high, one.low, one.close)
