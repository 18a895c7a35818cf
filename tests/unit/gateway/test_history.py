"""Histories for charts: thinned without jitter, in columns, and read once for many clients."""

import asyncio
from typing import cast

import orjson
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gateway.api.history import AHEAD_MS, MOST_SHARED, MOST_SOURCES, Histories, History, in_columns, thinned
from gateway.api.problems import ProblemError
from gateway.api.reads import SHARED_FOR_S
from market_pulse.bus import BusError, Reader
from market_pulse.messages import Bar, Interval, Point, Resolution, Symbol
from support.played_candles import candle_bytes

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
SECOND, MINUTE = Resolution
NOW_MS = 1_790_000_000_000


def at(second: int, price: float = 1.0, **sources: float) -> Point:
    return Point(time_ms=NOW_MS + second * 1000, price=price, sources=sources)


@pytest.mark.parametrize(
    ("seconds", "max_points", "expected", "step_ms"),
    [
        pytest.param([], 2, [], 1000, id="nothing"),
        pytest.param([7], 2, [7], 1000, id="one"),
        pytest.param([3, 4, 5], 3, [3, 4, 5], 1000, id="as many as may be"),
        pytest.param(range(1, 11), 6, [2, 4, 6, 8, 10], 2000, id="every second one, the newest among them"),
        pytest.param(range(11), 7, [0, 2, 4, 6, 8, 10], 2000, id="both ends"),
        pytest.param(range(10), 6, [0, 2, 4, 6, 8, 9], 2000, id="the newest beside them"),
        pytest.param([0, 1, 2, 3, 17, 18, 19], 6, [0, 19], 4000, id="a gap counts as if there were points"),
        pytest.param(range(10), 2, [0, 9], 10_000, id="two"),
    ],
)
def test_thinned(seconds: list[int], max_points: int, expected: list[int], step_ms: int) -> None:
    """NOW_MS is a multiple of every step here, so second 0 is too."""
    times = [NOW_MS + second * 1000 for second in seconds]
    kept, step = thinned(times, 1000, max_points, times[-1] if times else NOW_MS)
    assert ([(times[one] - NOW_MS) // 1000 for one in kept], step) == (expected, step_ms)


@given(
    st.sampled_from(Resolution),
    st.integers(2, 1440),
    st.integers(0, 5_000),
    st.integers(-AHEAD_MS, AHEAD_MS),
    st.integers(1, 300_000),
)
def test_a_full_history_is_thinned_alike_at_any_moment(
    resolution: Resolution, max_points: int, moment_ms: int, clock_off_ms: int, later_ms: int
) -> None:
    """At any phase and clock offset the points are within bounds, one step apart, and the same in later calls with as many points."""

    def chosen(read_ms: int) -> tuple[int, list[int], int]:
        newest = resolution.step_of(read_ms + clock_off_ms)
        times = range(newest - (resolution.points - 1) * resolution.step_ms, newest + 1, resolution.step_ms)
        shown = [time_ms for time_ms in times if time_ms > read_ms - resolution.span_ms]
        kept, step_ms = thinned(shown, resolution.step_ms, max_points, read_ms)
        assert len(kept) <= max_points
        assert kept[-1] == len(shown) - 1
        return len(shown), [shown[one] for one in kept], step_ms

    known, before, step_ms = chosen(NOW_MS + moment_ms)
    known_after, after, step_after_ms = chosen(NOW_MS + moment_ms + later_ms)
    # With another clock there may be a point more or less, depending on the moment. If that point is one too many, the step grows.
    assume(known_after == known)
    assert step_after_ms == step_ms
    common = [time_ms for time_ms in before[:-1] if time_ms >= after[0]]
    assert common == after[: len(common)]


def test_columns() -> None:
    """A value is None where the exchange had no price. Points that a wrong clock wrote into the future are left out."""
    points = [at(0, 1.5, okx=1.4), at(1, 1.6, okx=1.5, binance=1.7), at(2, 1.7), at(3 + AHEAD_MS // 1000, 9.9)]
    assert orjson.loads(in_columns(BTC, SECOND, points, NOW_MS + 2000).json(10)) == {
        "symbol": "BTC-USDT",
        "resolution": "1s",
        "stepMs": 1000,
        "times": [NOW_MS, NOW_MS + 1000, NOW_MS + 2000],
        "prices": [1.5, 1.6, 1.7],
        "sources": {"binance": [None, 1.7, None], "okx": [1.4, 1.5, None]},
    }
    thin = orjson.loads(in_columns(BTC, SECOND, points, NOW_MS + 2000).json(2))
    assert (thin["prices"], thin["sources"]["okx"]) == ([1.6, 1.7], [1.5, None])


def test_the_number_of_columns_is_bounded() -> None:
    points = [at(0, **{f"exchange{number}": 1.0}) for number in range(MOST_SOURCES + 5)]
    assert len(in_columns(BTC, SECOND, points, NOW_MS).sources) == MOST_SOURCES


class BusInMemory:
    """Replaces the bus, because a real one cannot be made to fail at a chosen moment."""

    def __init__(self) -> None:
        self.reads: list[tuple[Resolution, Symbol, int]] = []
        self.kept: dict[str | None, list[Bar]] = {}
        self.lasts: dict[str, bytes] = {}
        self.fails = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def history(self, resolution: Resolution, symbol: Symbol, since_ms: int) -> list[Point]:
        self.reads.append((resolution, symbol, since_ms))
        await self.gate.wait()
        if self.fails:
            raise BusError("away")
        return [at(-len(self.reads))]

    async def bars(self, interval: Interval, symbol: Symbol, exchange: str | None, *, limit: int) -> list[Bar]:
        assert (interval, limit) == (Interval.MINUTE, MINUTE.points)
        self.reads.append((MINUTE, symbol, 0))
        await self.gate.wait()
        return self.kept.get(exchange, [])

    async def last(self, *channels: str) -> list[bytes | None]:
        return [self.lasts.get(channel) for channel in channels]


class Clock:
    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def histories(bus: BusInMemory, clock: Clock) -> Histories:
    return Histories(cast("Reader", bus), lambda _: ("okx", "bybit"), clock, lambda: NOW_MS)


async def test_who_asks_within_a_second_shares_a_read() -> None:
    bus, clock = BusInMemory(), Clock()
    subject = histories(bus, clock)
    known = await asyncio.gather(*(subject.get((SECOND, BTC)) for _ in range(20)))
    clock.now_s += SHARED_FOR_S - 0.001
    assert [await subject.get((SECOND, BTC))] * 20 == known
    assert bus.reads == [(SECOND, BTC, NOW_MS - 600_000 + 1)]
    await asyncio.gather(subject.get((SECOND, Symbol("SOL-USDT"))), subject.get((SECOND, ETH)))
    assert bus.reads[1:] == [(SECOND, "SOL-USDT", NOW_MS - 600_000 + 1), (SECOND, ETH, NOW_MS - 600_000 + 1)]
    clock.now_s += 0.001
    assert (await subject.get((SECOND, BTC))).times != known[0].times
    assert len(bus.reads) == 4


async def test_a_slow_read_is_shared_for_as_long_as_it_takes() -> None:
    bus, clock = BusInMemory(), Clock()
    subject = histories(bus, clock)
    bus.gate.clear()
    first = asyncio.create_task(subject.get((SECOND, BTC)))
    await asyncio.sleep(0)
    clock.now_s += 2.5
    second = asyncio.create_task(subject.get((SECOND, BTC)))
    await asyncio.sleep(0)
    first.cancel()  # its client has gone
    bus.gate.set()
    assert (await second).times == [NOW_MS - 1000]
    assert len(bus.reads) == 1


async def test_a_failure_is_shared_too_and_then_forgotten() -> None:
    bus, clock = BusInMemory(), Clock()
    subject = histories(bus, clock)
    bus.fails = True
    failed = await asyncio.gather(*(subject.get((SECOND, BTC)) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in failed] == [BusError] * 3
    assert len(bus.reads) == 1
    bus.fails = False
    clock.now_s += SHARED_FOR_S
    assert (await subject.get((SECOND, BTC))).times


async def test_what_is_kept_and_what_is_under_way_is_bounded() -> None:
    """The oldest result makes room. While all reads are under way, a further one is refused."""
    bus, clock = BusInMemory(), Clock()
    subject = histories(bus, clock)
    symbols = [Symbol(f"A{number}-USDT") for number in range(MOST_SHARED + 1)]
    for symbol in symbols:
        await subject.get((SECOND, symbol))
    await subject.get((SECOND, symbols[-1]))
    assert len(bus.reads) == MOST_SHARED + 1
    await subject.get((SECOND, symbols[0]))
    assert len(bus.reads) == MOST_SHARED + 2

    clock.now_s += SHARED_FOR_S
    bus.gate.clear()
    waiting = [
        asyncio.create_task(subject.get((SECOND, symbol), f"{number % 4}")) for number, symbol in enumerate(symbols[:-1])
    ]
    await asyncio.sleep(0)
    with pytest.raises(ProblemError, match="too many"):
        await subject.get((SECOND, symbols[-1]))
    bus.gate.set()
    await asyncio.gather(*waiting)
    assert await subject.get((SECOND, symbols[-1]))


async def test_one_address_leaves_room_for_the_reads_of_others() -> None:
    bus, clock = BusInMemory(), Clock()
    subject = histories(bus, clock)
    bus.gate.clear()
    symbols = [Symbol(f"A{number}-USDT") for number in range(MOST_SHARED)]
    waiting = [asyncio.create_task(subject.get((SECOND, symbol), "a")) for symbol in symbols]
    await asyncio.sleep(0)
    waiting.append(asyncio.create_task(subject.get((MINUTE, BTC), "b")))
    waiting.append(asyncio.create_task(subject.get((SECOND, symbols[0]), "a")))
    await asyncio.sleep(0)
    bus.gate.set()
    *answers, others, shared = await asyncio.gather(*waiting, return_exceptions=True)
    refused = [answer for answer in answers if isinstance(answer, ProblemError)]
    assert [(one.status, one.code) for one in refused] == [(429, "busy")] * (MOST_SHARED - MOST_SHARED // 4)
    assert isinstance(others, History)
    assert isinstance(shared, History), "sharing a read that is under way is not limited"
    assert await subject.get((SECOND, symbols[-1]), "a")


async def test_minutes_are_the_opens_of_candles() -> None:
    """A minute without a candle of ours has no point, and the open candle is the last one. Other bytes on its channel are ignored."""
    bus, minute_ms = BusInMemory(), 60_000
    start = Interval.MINUTE.start_of(NOW_MS)

    def bars(*minutes: int, price: float) -> list[Bar]:
        return [Bar(start + minute * minute_ms, price + minute, 9e9, 1.0, 1.0) for minute in minutes]

    bus.kept = {None: bars(-1440, -3, -1, price=100.0), "okx": bars(-3, -2, -1, price=200.0), "bybit": bars(-1, price=300.0)}
    bus.lasts = {
        "candle:1m:BTC-USDT": candle_bytes(start, open=107.0),
        "candles:1m:okx:BTC-USDT": candle_bytes(start - minute_ms, exchange="okx", open=1.0),
        "candles:1m:bybit:BTC-USDT": b"no candle",
    }
    body = orjson.loads((await histories(bus, Clock()).get((MINUTE, BTC))).json(1440))
    assert body == {
        "symbol": "BTC-USDT",
        "resolution": "1m",
        "stepMs": 60_000,
        "times": [start - 3 * minute_ms, start - minute_ms, start],
        "prices": [97.0, 99.0, 107.0],
        "sources": {"bybit": [None, 299.0, None], "okx": [197.0, 199.0, None]},
    }
