"""Reads past candles from Redis: our own and the exchanges'. History comes late and in pieces, so it is read repeatedly."""

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from market_pulse.bus import CandlesBus
from market_pulse.messages import Bar, Candle, CodecError, Interval, Symbol, decode_candle
from market_pulse.process.logs import get_logger

from .metrics import BAD_MESSAGES
from .series import Series

SOON_S = (0.0, 2.0, 5.0, 10.0, 20.0, 40.0)
"""How long after a symbol became wanted all of its history is read: an exchange needs seconds to give it."""
ALL_EACH_S = 300.0
"""How often all history is read later. Exchanges' hours and days live ten minutes in Redis."""
NEWEST_EACH_S = 60.0
NEWEST = 10
"""How many of each exchange's newest candles are read between these times."""

EXCHANGES_EACH_S = 10.0
PORTION = 200  # starts: some ten milliseconds of work

log = get_logger()


@dataclass(slots=True)
class Reading:
    """When a symbol's history is to be read next. Times are seconds by a monotonic clock."""

    wanted_s: float
    times: int = 0
    newest_s: float = 0.0
    resumed: bool = False

    @property
    def all_s(self) -> float:
        """When all of it is to be read next."""
        if self.times < len(SOON_S):
            return self.wanted_s + SOON_S[self.times]
        return self.wanted_s + SOON_S[-1] + (self.times - len(SOON_S) + 1) * ALL_EACH_S


class Loader:
    """Reads past candles into series. `readings` has one entry per symbol."""

    def __init__(self, bus: CandlesBus) -> None:
        self._bus = bus
        self._readings: dict[Symbol, Reading] = {}
        self._exchanges: list[str] = []
        self._exchanges_s = float("-inf")

    def keep(self, symbols: Collection[Symbol], now_s: float) -> None:
        """Begin with the symbols that are new, and forget those that are gone."""
        self._readings = {symbol: self._readings.get(symbol) or Reading(now_s) for symbol in symbols}

    def again(self, now_s: float) -> None:
        """Begin anew with all symbols, because messages were lost."""
        self._readings = {symbol: Reading(now_s, resumed=reading.resumed) for symbol, reading in self._readings.items()}

    def due(self, now_s: float) -> list[Symbol]:
        """Return the symbols of which something is to be read now."""
        return [symbol for symbol, one in self._readings.items() if one.all_s <= now_s or one.newest_s <= now_s]

    def has_resumed(self, symbol: Symbol) -> bool:
        """Return whether our own candles in Redis have been read. Before that, nothing of the symbol is published."""
        reading = self._readings.get(symbol)
        return reading is not None and reading.resumed

    async def read(self, series: Series, now_s: float, now_ms: int) -> None:
        """Read what is due of a symbol. At first read our own candles.

        Raises:
            BusError: Redis did not answer. The symbol is still due.
        """
        reading = self._readings[series.symbol]
        if not reading.resumed:
            await self._resume(series)
            reading.resumed = True
        is_all = reading.all_s <= now_s
        if now_s - self._exchanges_s > EXCHANGES_EACH_S or not self._exchanges:
            self._exchanges, self._exchanges_s = await self._bus.exchanges(), now_s
        for interval in Interval:
            found: dict[str, list[Bar]] = {}
            for exchange in self._exchanges:
                limit = interval.kept if is_all else NEWEST
                found[exchange] = await self._bus.bars(interval, series.symbol, exchange, limit=limit)
            await _teach(series, interval, found, now_ms)
        reading.newest_s = now_s + NEWEST_EACH_S
        while reading.all_s <= now_s:
            reading.times += 1

    async def _resume(self, series: Series) -> None:
        kept: dict[Interval, tuple[list[Bar], list[Candle]]] = {}
        for interval in Interval:
            bars = await self._bus.bars(interval, series.symbol, limit=interval.kept)
            candles = [
                candle
                for message in await self._bus.last_candles(interval, series.symbol)
                if (candle := read_candle(message)) is not None and candle.symbol == series.symbol
            ]
            kept[interval] = bars, [candle for candle in candles if candle.interval is interval]
        for interval, (bars, last) in kept.items():
            series.resume(interval, bars, last)


async def _teach(series: Series, interval: Interval, found: Mapping[str, list[Bar]], now_ms: int) -> None:
    """Pass past candles on in portions, so that tickers are heard and candles published in between."""
    starts = sorted({bar.start_ms for bars in found.values() for bar in bars})
    for at in range(0, len(starts), PORTION):
        first_ms, last_ms = starts[at], starts[min(at + PORTION, len(starts)) - 1]
        portion = {name: [bar for bar in bars if first_ms <= bar.start_ms <= last_ms] for name, bars in found.items()}
        series.learn(interval, portion, now_ms)
        await asyncio.sleep(0)


def read_candle(message: bytes) -> Candle | None:
    """Read a candle. If the message is not a candle, count it and return None."""
    try:
        return decode_candle(message)
    except CodecError as wrong:
        BAD_MESSAGES.inc()
        log.debug("candle skipped", cause=str(wrong))
        return None
