"""By how much prices have changed in an hour, a week and a month, from past candles. All requests of a while share a read."""

import asyncio
import time
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from gateway.stream.fields import Fields, cut_down
from market_pulse.bus import BusError, Reader
from market_pulse.messages import Bar, Interval, Symbol
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger

HOUR_MS = Interval.HOUR.step_ms
SPANS = {
    "changePercent1h": (HOUR_MS, Interval.MINUTE),
    "changePercent7d": (7 * 24 * HOUR_MS, Interval.HOUR),
    "changePercent30d": (30 * 24 * HOUR_MS, Interval.HOUR),
}
"""How far back each change reaches, and which candles say the price of that moment."""
FRESH_FOR_S = 10.0  # then the prices of the past are read again
KNOWN_FOR_S = 300.0  # if they cannot be read, they still count for this long
WAIT_S = 0.5  # an answer waits no longer for a read
AGAIN_AFTER_S = 1.0  # a failed read is not tried again before
MOST_SYMBOLS_A_READ = 50
MOST_KNOWN = 5_000  # symbols
LONGEST_GAP = 12  # candles without a trade before the moment
PERCENT_DECIMALS = 4

log = get_logger()


class _Priced(Struct):
    price: float | None = None


_priced = msgspec.json.Decoder(_Priced).decode


class _Known(NamedTuple):
    """A symbol's prices of the past, one for each of SPANS, and when they were read."""

    prices: tuple[float | None, ...]
    read_s: float


class Changes:
    """The prices of an hour, a week and a month ago.

    Args:
        bus: the bus to read from.
        clock: monotonic seconds.
        wall_clock_ms: Unix milliseconds.
    """

    def __init__(
        self, bus: Reader, clock: Callable[[], float] = time.monotonic, wall_clock_ms: Callable[[], int] = now_ms
    ) -> None:
        self._bus, self._clock, self._now_ms = bus, clock, wall_clock_ms
        self._known: dict[Symbol, _Known] = {}  # the one read last is the last
        self._wanted: dict[Symbol, None] = {}
        self._reading: asyncio.Task[None] | None = None
        self._not_before_s = 0.0

    async def of(self, symbols: Collection[Symbol]) -> Mapping[Symbol, tuple[float | None, ...]]:
        """Return the past prices of symbols, one for each of SPANS: None where it is not known. Waits at most WAIT_S."""
        now = self._clock()
        old = [one for one in symbols if one not in self._known or now - self._known[one].read_s >= FRESH_FOR_S]
        if old and now >= self._not_before_s:
            self._wanted |= dict.fromkeys(old)
            if self._reading is None or self._reading.done():
                self._reading = asyncio.create_task(self._read())
            await asyncio.wait({self._reading}, timeout=WAIT_S)
        now = self._clock()
        unknown: tuple[float | None, ...] = (None,) * len(SPANS)
        return {
            one: known.prices if (known := self._known.get(one)) and now - known.read_s < KNOWN_FOR_S else unknown
            for one in symbols
        }

    async def _read(self) -> None:
        """Read what is wanted until nothing is."""
        while self._wanted:
            symbols = list(self._wanted)[:MOST_SYMBOLS_A_READ]
            now_ms = self._now_ms()
            asked = [(interval, one, now_ms - span_ms) for one in symbols for span_ms, interval in SPANS.values()]
            try:
                bars = await self._bus.bars_at(asked)
            except BusError as failed:
                log.debug("past prices not read", cause=str(failed))
                self._wanted.clear()
                self._not_before_s = self._clock() + AGAIN_AFTER_S
                return
            prices = [price_at(bar, interval, at_ms) for bar, (interval, _, at_ms) in zip(bars, asked, strict=True)]
            read_s = self._clock()
            for nth, symbol in enumerate(symbols):
                self._wanted.pop(symbol, None)
                self._known.pop(symbol, None)
                self._known[symbol] = _Known(tuple(prices[nth * len(SPANS) : (nth + 1) * len(SPANS)]), read_s)
            while len(self._known) > MOST_KNOWN:
                del self._known[next(iter(self._known))]


def price_at(bar: Bar | None, interval: Interval, at_ms: int) -> float | None:
    """Return the price of a moment by the newest candle that began until then: its open if it holds the moment, else its close.

    A candle that ended more than LONGEST_GAP intervals before says nothing about the moment.
    """
    if bar is None or at_ms - bar.start_ms >= (LONGEST_GAP + 1) * interval.step_ms:
        return None
    return bar.open if at_ms - bar.start_ms < interval.step_ms else bar.close


def with_changes(ticker: bytes, prices: tuple[float | None, ...], fields: Fields) -> bytes:
    """Return a ticker's JSON, cut down to the wished fields, with those of SPANS that are wished."""
    price = _priced(ticker).price
    changes = {
        name: None if past is None or price is None else round((price / past - 1) * 100, PERCENT_DECIMALS)
        for name, past in zip(SPANS, prices, strict=True)
        if fields is None or name in fields
    }
    cut = cut_down(ticker, fields)
    return b"%b,%b" % (cut[:-1], msgspec.json.encode(changes)[1:]) if changes else cut
