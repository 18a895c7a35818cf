"""Past candles, and then exactly the tickers that follow: on a played bus, in virtual time, with faults of all kinds."""

import asyncio
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing, contextmanager
from itertools import pairwise
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from market_pulse.client import candles, candles_then_tickers
from market_pulse.messages import Candle, Symbol, Ticker, bar_of, encode
from support.played_bus import BTC, MINUTE, TICKERS, Market, PlayedBus
from support.virtual_time import now_ms, run_virtually

FAULTS = (
    "lost tickers",
    "counting begins again",
    "candles miss tickers",
    "cut",
    "redis restarts",
    "candles are away",
    "nothing",
)
STEPS = st.lists(
    st.tuples(
        st.sampled_from((20, 100, 300, 1_000, 30_000)), st.integers(1, 25), st.sampled_from(FAULTS), st.sampled_from("abc")
    ),
    max_size=12,
)
CLOCKS_MS = {"a": 0, "b": 600_000, "c": -600_000}


class Play:
    """One market on one bus, and all that a reader was told."""

    def __init__(self) -> None:
        self.bus, self.market = PlayedBus(), Market(seq=1_000)
        self.told: list[Candle | Ticker] = []
        self.gaps: list[tuple[int, int | None]] = []  # how many were told before, and how many are missing
        self.final: dict[int, Candle] = {}
        self.begun_again = False
        self._published_ms = 0

    def on_gap(self, symbol: Symbol, missed: int | None) -> None:
        assert symbol == BTC
        self.gaps.append((len(self.told), missed))

    async def tick(self, count: int, every_ms: int, publisher: str = "a", *, heard: bool = True, listen: bool = True) -> None:
        """Publish tickers, and a candle each second. `listen`: whether the service of candles runs."""
        for number in range(count):
            one = self.market.ticker(100 + number % 7, now_ms() + CLOCKS_MS[publisher], publisher)
            if heard:
                self.bus.publish(TICKERS, encode(one))
            if heard and listen:
                self.market.heard(one)
                self.publish_candles()
            await asyncio.sleep(every_ms / 1000)

    def publish_candles(self) -> None:
        ended, self.market.ended = self.market.ended, []
        loop = asyncio.get_running_loop()
        for candle in ended:
            closed = replace(candle, closed=True, volume=1.0, quote_volume=100.0)
            loop.call_later(3, self._publish, closed)
            loop.call_later(8, self._publish, replace(closed, volume=2.0, revision=1))
        known = self.market.open
        if known is not None and (ended or now_ms() >= self._published_ms + 1_000):
            self._published_ms = now_ms()
            self._publish(known)

    def _publish(self, candle: Candle) -> None:
        if candle.closed:
            self.final[candle.start_ms] = candle
        self.bus.publish_candle(replace(candle, published_time_ms=now_ms()))

    async def read(self, source: AsyncGenerator[Candle | Ticker], pause_s: float) -> None:
        async with aclosing(source):
            async for one in source:
                self.told.append(one)
                await asyncio.sleep(pause_s)

    async def suffer(self, fault: str) -> None:
        match fault:
            case "lost tickers":
                await self.tick(5, 20, heard=False)
            case "counting begins again":
                self.market.seq += 1_600_000_000_000
                self.begun_again = True
            case "candles miss tickers":
                await self.tick(5, 20, listen=False)
            case "cut":
                self.bus.cut()
            case "redis restarts":
                self.bus.stop()
                await self.tick(3, 50)
                self.bus.up = True
            case "candles are away":
                await self.tick(10, 8_000, listen=False)

    @property
    def candles(self) -> list[Candle]:
        return [one for one in self.told if isinstance(one, Candle)]

    @property
    def tickers(self) -> list[Ticker]:
        return [one for one in self.told if isinstance(one, Ticker)]


@contextmanager
def on(bus: PlayedBus) -> Iterator[None]:
    with (
        patch("market_pulse.client.candle_stream.Reader", bus),
        patch("market_pulse.client.candle_stream.now_ms", now_ms),
        patch("market_pulse.client.prices.now_ms", now_ms),
    ):
        yield


async def played(
    play: Play, source: AsyncGenerator[Candle | Ticker], steps: list[tuple[int, int, str, str]], pause_s: float
) -> None:
    """Play the steps and then a quiet minute, while a reader reads from the first on."""
    await play.tick(200, 1_000)
    reading = asyncio.create_task(play.read(source, pause_s))
    for every_ms, count, fault, publisher in steps:
        await play.tick(count, every_ms, publisher)
        await play.suffer(fault)
    await play.tick(300, 200)
    await asyncio.sleep(12)  # until the last correction has come
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    if reading.done() and not reading.cancelled():
        reading.result()


def check_order(play: Play) -> None:
    """New intervals come in order, all others are told as missing, and no state of an interval goes back."""
    newest: dict[int, Candle] = {}
    for candle in play.candles:
        if candle.start_ms not in newest:
            assert candle.start_ms > max(newest, default=-1)
        else:
            known = newest[candle.start_ms]
            assert (candle.closed, candle.revision) >= (known.closed, known.revision)
            if candle.last_seq is not None and known.last_seq is not None:
                assert candle.last_seq >= known.last_seq
            assert candle != known
        newest[candle.start_ms] = candle
    starts = sorted(newest)
    missing = sum((later - earlier) // MINUTE.step_ms - 1 for earlier, later in pairwise(starts))
    first_ticker = next((at for at, one in enumerate(play.told) if isinstance(one, Ticker)), len(play.told))
    told = sum(missed or 0 for at, missed in play.gaps if at < first_ticker and isinstance(play.told[at], Candle))
    assert told == missing


def check_seam(play: Play) -> None:
    """Each number after the last candle's is handed out or told as missing."""
    assert play.tickers, "it goes on live"
    at = play.told.index(play.tickers[0])
    assert all(isinstance(one, Ticker) for one in play.told[at:])
    last = max(play.candles, key=lambda one: (one.start_ms, one.closed, one.last_seq or -1))
    numbers = [ticker.seq for ticker in play.tickers]
    gaps = [missed for before, missed in play.gaps if before >= at]
    if last.last_seq is None:
        assert None in gaps
        return
    assert all(later >= earlier for earlier, later in pairwise(numbers))
    assert numbers[0] > last.last_seq
    if None in gaps:
        assert play.begun_again, "only then is it not known how many are missing"
    else:
        assert numbers[-1] - last.last_seq == len(set(numbers)) + sum(missed or 0 for missed in gaps)
    assert numbers[-1] == play.market.seq


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, pause_s=st.sampled_from([0, 0.1]))
def test_whatever_fails_no_ticker_is_lost_or_doubled_at_the_seam_untold(
    steps: list[tuple[int, int, str, str]], pause_s: float
) -> None:
    async def main() -> None:
        play = Play()
        with on(play.bus):
            await played(play, candles_then_tickers("BTC", limit=3, on_gap=play.on_gap), steps, pause_s)
        check_order(play)
        check_seam(play)

    run_virtually(main())


@settings(max_examples=25, deadline=None)
@given(steps=STEPS, pause_s=st.sampled_from([0, 0.5, 20]))
def test_whatever_fails_candles_stay_in_order_and_gaps_are_told(steps: list[tuple[int, int, str, str]], pause_s: float) -> None:
    async def main() -> None:
        play = Play()
        with on(play.bus):
            await played(play, candles("BTC", limit=3, on_gap=play.on_gap), steps, pause_s)
        check_order(play)
        if pause_s < 1:
            newest = {candle.start_ms: candle for candle in play.candles}
            assert play.market.open is not None
            assert newest[max(newest)].start_ms == play.market.open.start_ms
            for start, bar in play.bus.kept.items():
                if start in newest and start > max(newest) - 5 * MINUTE.step_ms:
                    assert bar_of(newest[start]) == bar, "what closed meanwhile was read"

    run_virtually(main())


@pytest.mark.parametrize("publishers", ["a", "ab", "ca", "abc"])
@pytest.mark.parametrize("offset_s", [0, 0.4, 20, 57, 59.9])
def test_where_nothing_fails_there_is_no_gap_at_all(publishers: str, offset_s: float) -> None:
    """Whenever the reader comes, also while an interval ends, the first ticker is the one after the last candle's last."""

    async def main() -> None:
        play = Play()
        with on(play.bus):
            await asyncio.sleep(offset_s)
            for publisher in publishers:
                await play.tick(20, 5_000, publisher)
            await play.tick(30, 20, publishers[-1])  # most of these are not in a published candle yet
            reading = asyncio.create_task(play.read(candles_then_tickers("BTC", limit=2, on_gap=play.on_gap), 0))
            for _ in range(10):
                for publisher in publishers:
                    await play.tick(20, 20, publisher)
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
        check_seam(play)
        at = len(play.candles)
        assert [gap for gap in play.gaps if gap[0] >= at] == []
        if publishers == "a":
            assert play.gaps == [], "clocks that agree leave out no minute"

    run_virtually(main())
