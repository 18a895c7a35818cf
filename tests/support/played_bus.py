"""A played market on any bus: tickers of several publishers, and candles made of them, with the faults that a test asks for.

`PlayedBus` is a bus in memory. Its answers and messages take time, so that they overtake each other as in a network.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Self

from msgspec.structs import replace

from market_pulse.bus import BusError, Last
from market_pulse.kinds import CANDLES, TICKER
from market_pulse.messages import Bar, Candle, Interval, Symbol, Ticker, bar_of, encode
from support.samples import ticker

BTC = Symbol("BTC-USDT")
MINUTE = Interval.MINUTE
CANDLE = CANDLES[MINUTE].channel(BTC)
TICKERS = TICKER.channel(BTC)


class Market:
    """Makes tickers, and the candles of them as design section 6 says: by `seq`, never before the open candle."""

    def __init__(self, seq: int = 0) -> None:
        self.seq = seq
        self.open: Candle | None = None
        self.ended: list[Candle] = []
        """Candles whose interval is over, but which were not published as closed yet."""

    def ticker(self, price: float, time_ms: int, publisher: str = "a") -> Ticker:
        self.seq += 1
        return replace(ticker(BTC, self.seq, price=price, time_ms=time_ms), publisher=publisher)

    def heard(self, one: Ticker) -> None:
        """Add a ticker to the open candle."""
        price = one.price or 0.0
        start = MINUTE.start_of(one.aggregated_time_ms)
        known = self.open
        if known is None or start > known.start_ms:
            if known is not None:
                self.ended.append(known)
            self.open = Candle(
                symbol=BTC, interval=MINUTE, start_ms=start, end_ms=start + MINUTE.step_ms,
                open=price, high=price, low=price, close=price, volume=0.0, quote_volume=0.0, closed=False, origin="live",
                first_seq=one.seq, last_seq=one.seq, seen=1, missed=0, received_time_ms=one.aggregated_time_ms,
            )  # fmt: skip
            return
        first, seen = known.first_seq or 0, (known.seen or 0) + 1
        self.open = replace(
            known, high=max(known.high, price), low=min(known.low, price), close=price, last_seq=one.seq, seen=seen,
            missed=one.seq - first + 1 - seen, received_time_ms=one.aggregated_time_ms,
        )  # fmt: skip


class PlayedBus:
    """Redis in memory, as the client uses it: `Reader.open` may be replaced by `open`."""

    def __init__(self, latency_s: float = 0.01) -> None:
        self.latency_s = latency_s
        self.up = True
        self.values: dict[str, tuple[bytes, float]] = {}
        self.kept: dict[int, Bar] = {}
        self._listeners: list[_Subscriber] = []
        self._cut = asyncio.Event()

    @asynccontextmanager
    async def open(self, _: str) -> AsyncIterator[Self]:
        yield self

    def publish(self, channel: str, data: bytes) -> None:
        if not self.up:
            return
        loop = asyncio.get_running_loop()
        self.values[channel] = data, loop.time()
        for one in self._listeners:
            loop.call_later(self.latency_s, one.deliver, one.connection, channel, data)

    def publish_candle(self, candle: Candle) -> None:
        known = self.kept.get(candle.start_ms)
        if self.up and candle.closed and (known is None or known.revision <= candle.revision):
            self.kept[candle.start_ms] = bar_of(candle)
        if self.up:
            self.publish(CANDLE, encode(candle))

    def cut(self) -> None:
        """End all connections."""
        for one in self._listeners:
            one.connection += 1
        self._listeners.clear()
        self._cut.set()
        self._cut = asyncio.Event()

    def stop(self) -> None:
        """End the server: it loses all data."""
        self.up = False
        self.values.clear()
        self.kept.clear()
        self.cut()

    def subscriber(self, on_message: Any, on_subscribed: Any) -> "_Subscriber":
        return _Subscriber(self, on_message, on_subscribed)

    async def last(self, *channels: str) -> list[bytes | None]:
        return [None if one is None else one.message for one in await self.last_aged(*channels)]

    async def last_aged(self, *channels: str) -> list[Last | None]:
        await self._asked()
        now_s = asyncio.get_running_loop().time()
        found = [self.values.get(channel) for channel in channels]
        answer = [None if one is None else Last(one[0], round((now_s - one[1]) * 1000)) for one in found]
        await asyncio.sleep(self.latency_s)
        return answer

    async def bars(
        self, _: Interval, __: Symbol, ___: str | None = None, *, before_ms: int | None = None, limit: int = 500
    ) -> list[Bar]:
        await self._asked()
        answer = [self.kept[start] for start in sorted(self.kept) if before_ms is None or start < before_ms][-limit:]
        await asyncio.sleep(self.latency_s)
        return answer

    async def listings(self) -> dict[str, frozenset[Symbol]]:
        return {}

    async def _asked(self) -> None:
        await asyncio.sleep(self.latency_s)
        if not self.up:
            raise BusError("away")


class _Subscriber:
    def __init__(self, bus: PlayedBus, on_message: Any, on_subscribed: Any) -> None:
        self._bus, self._on_message, self._on_subscribed = bus, on_message, on_subscribed
        self.channels: Sequence[str] = ()
        self.connection = 0

    async def subscribe(self, *channels: str) -> None:
        self.channels = channels

    async def attempt(self) -> None:
        if not self._bus.up:
            raise BusError("away")

    def deliver(self, connection: int, channel: str, data: bytes) -> None:
        if connection == self.connection and channel in self.channels:
            self._on_message(channel, data)

    async def run(self) -> None:
        lost = False
        while True:
            if self._bus.up:
                cut = self._bus._cut
                self._bus._listeners.append(self)
                asking = asyncio.create_task(self._on_subscribed(lost))
                await cut.wait()
                asking.cancel()
                await asyncio.gather(asking, return_exceptions=True)
                lost = True
            await asyncio.sleep(0.2)
