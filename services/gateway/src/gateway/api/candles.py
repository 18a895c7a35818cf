"""Past candles as clients get them: objects, which are encoded once for all requests of a second."""

import asyncio
import time
from array import array
from bisect import bisect_left
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec
import orjson
from msgspec import Struct

from gateway.stream.candles import AHEAD_MS, LatestCandle
from market_pulse.bus import Reader
from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE
from market_pulse.messages import Bar, Interval, Origin, Symbol
from market_pulse.process.clock import now_ms

from .reads import SharedReads

MOST_CANDLES = 1500  # in one answer
MOST_SHARED = 64  # symbols' past candles in memory; some 20 MB if all are whole days

_encode = msgspec.json.Encoder().encode


class Of(NamedTuple):
    """Candles of a symbol and an interval: an exchange's, or ours if no exchange is named."""

    symbol: Symbol
    interval: Interval
    exchange: str | None = None

    @property
    def channel(self) -> str:
        """The channel of the open candle. An exchange has candles of a minute only."""
        if self.exchange is None:
            return CANDLES[self.interval].channel(self.symbol)
        return EXCHANGE_CANDLE.channel(self.exchange, self.symbol)


class PastCandle(Struct, gc=False, rename="camel"):
    """A closed candle, made from its bar."""

    start: int
    end: int
    open: float
    high: float
    low: float
    close: float
    volume: float | None
    quote_volume: float | None
    trades: int | None
    revision: int
    missed: int | None
    origin: Origin
    closed: bool = True


class Past:
    """A symbol's closed candles, oldest first, as JSON objects in one text: the n-th begins at `starts[n]`."""

    __slots__ = ("_ends", "_step_ms", "_text", "starts")

    def __init__(self, of: Of, bars: Iterable[Bar]) -> None:
        known: dict[int, Bar] = {}
        for bar in bars:
            other = known.get(bar.start_ms)
            if other is None or bar.revision >= other.revision:
                known[bar.start_ms] = bar
        self._step_ms = of.interval.step_ms
        self.starts = array("q", sorted(known))
        self._ends = array("I", [0])  # where each object ends in the text, the comma behind it included
        text = bytearray()
        for start_ms in self.starts:
            text += _encode(_past_candle(of, known[start_ms]))
            text += b","
            self._ends.append(len(text))
        self._text = bytes(text)

    def reaches(self, now_ms: int) -> bool:
        """Return whether the newest one ended at most two intervals ago."""
        return bool(self.starts) and self.starts[-1] + 3 * self._step_ms >= now_ms

    def objects(self, first: int, end: int) -> bytes:
        """Return the objects from one index to before another one, with commas between them."""
        return self._text[self._ends[first] : max(self._ends[first], self._ends[end] - 1)] if first < end else b""


def _past_candle(of: Of, bar: Bar) -> PastCandle:
    origin: Origin = "exchange" if of.exchange is not None else "exchanges" if bar.missed is None else "live"
    return PastCandle(
        bar.start_ms,
        bar.start_ms + of.interval.step_ms,
        bar.open,
        bar.high,
        bar.low,
        bar.close,
        bar.volume,
        bar.quote_volume,
        bar.trades,
        bar.revision,
        bar.missed,
        origin,
    )


class Candles(SharedReads[Of, Past]):
    """The past candles on the bus.

    Args:
        bus: the bus to read from.
        rest: waits for some seconds.
    """

    def __init__(self, bus: Reader, rest: Callable[[float], Awaitable[None]] = asyncio.sleep) -> None:
        super().__init__(self._of, "candles", MOST_SHARED)
        self._bus, self._rest = bus, rest
        self._encoding = asyncio.Lock()

    async def _of(self, of: Of) -> Past:
        bars = await self._bus.bars(of.interval, of.symbol, of.exchange, limit=of.interval.kept)
        # A day takes some milliseconds. Rest for as long after each, so that a flood of requests for ever other candles leaves
        # half of the time to the streams.
        async with self._encoding:
            began_s = time.thread_time()
            past = Past(of, past_ones(of, bars, now_ms()))
            await self._rest(time.thread_time() - began_s)
        return past


def past_ones(of: Of, bars: Iterable[Bar], at_ms: int) -> list[Bar]:
    """Return the bars of whole intervals that began until AHEAD_MS after a moment. A later one would hide the true ones."""
    return [bar for bar in bars if bar.start_ms == of.interval.start_of(bar.start_ms) and bar.start_ms <= at_ms + AHEAD_MS]


def answer(
    of: Of, past: Past, latest: Sequence[LatestCandle], *, limit: int, before_ms: int | None = None, at_ms: int | None = None
) -> bytes:
    """Return the JSON of the newest candles, oldest first.

    Args:
        of: whose candles they are.
        past: the closed ones.
        latest: candles as they were published, oldest first. Of those, only the ones after `past` count.
        limit: the most candles to return.
        before_ms: only closed candles that began before this moment.
        at_ms: only the candle that holds this moment.
    """
    newest = past.starts[-1] if past.starts else -1
    later = [one for one in latest if one.start_ms > newest]
    first, end = 0, len(past.starts)
    if at_ms is not None:
        wanted = of.interval.start_of(at_ms)
        first = bisect_left(past.starts, wanted)
        end = first + (first < end and past.starts[first] == wanted)
        later = [one for one in later if one.start_ms == wanted]
    elif before_ms is not None:
        end = bisect_left(past.starts, before_ms)
        later = [one for one in later if one.closed and one.start_ms < before_ms]
    later = later[-limit:]
    first = max(first, end - (limit - len(later)))
    texts = [past.objects(first, end), *(one.data for one in later)]
    candles = b",".join(text for text in texts if text)
    head = orjson.dumps({"symbol": of.symbol, "interval": of.interval, "exchange": of.exchange})
    return b'%b,"candles":[%b]}' % (head[:-1], candles)
