"""Candles on streams: which one is newer, none closed is lost, and each client gets the bytes that were published."""

import random
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stream.candles import AHEAD_MS, LATER_BY_MS, LatestCandle, read_candle
from gateway.stream.kinds import Asked
from gateway.stream.topic import MOST_PARTS
from market_pulse.kinds import CANDLES, TICKER
from market_pulse.messages import CodecError, Interval, Symbol
from market_pulse.tickers import STALE_AFTER_MS
from support.played_candles import MINUTE_MS, candle_bytes
from support.samples import NOW_MS, ticker_bytes

from .test_hub import FakeSink, World, turn

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")
MINUTE = CANDLES[Interval.MINUTE]
START_MS = Interval.MINUTE.start_of(NOW_MS)
CHANNEL = MINUTE.channel(BTC)


@pytest.fixture
async def world() -> World:
    return World()


def read(start: int = 0, *, at_ms: int = 0, live: bool = True, **given: Any) -> LatestCandle:
    data = candle_bytes(START_MS + start * MINUTE_MS, **given)
    return read_candle(Interval.MINUTE, None, "BTC-USDT", data, NOW_MS + at_ms, live=live, age_ms=None if live else 0)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param(read(1), read(0, closed=True, last_seq=9), True, id="a later start"),
        pytest.param(read(0, closed=True, last_seq=9), read(1), False, id="an earlier start"),
        pytest.param(read(last_seq=5), read(last_seq=4), True, id="a larger seq"),
        pytest.param(read(last_seq=4), read(last_seq=5), False, id="a smaller seq"),
        pytest.param(read(last_seq=4, closed=True), read(last_seq=4), True, id="closed"),
        pytest.param(read(last_seq=4), read(last_seq=4, closed=True), False, id="open again"),
        pytest.param(read(closed=True, revision=1), read(closed=True), True, id="a revision"),
        pytest.param(read(closed=True), read(closed=True, revision=1), False, id="the one before a revision"),
        pytest.param(
            read(closed=True, revision=1, last_seq=None), read(closed=True, last_seq=9), True, id="one of the exchanges"
        ),
        pytest.param(read(volume=4.0), read(), True, id="equal, but came later"),
        pytest.param(read(live=False), read(), False, id="equal, and a last value"),
        pytest.param(read(live=False, published_time_ms=START_MS + 1), read(), True, id="a last value that is younger"),
        pytest.param(read(last_seq=1, at_ms=LATER_BY_MS + 1), read(last_seq=9), True, id="counting began anew"),
        pytest.param(read(last_seq=1, at_ms=LATER_BY_MS), read(last_seq=9), False, id="not yet anew"),
        pytest.param(read(last_seq=1, at_ms=LATER_BY_MS + 1), read(last_seq=9, closed=True), False, id="closed stays closed"),
        pytest.param(read(-1, at_ms=LATER_BY_MS + 1), read(0), True, id="a clock that was set back"),
        pytest.param(
            read(-1, at_ms=LATER_BY_MS + 1, closed=True, revision=1), read(0), False, id="a late correction of an earlier one"
        ),
    ],
)
def test_which_candle_is_newer(one: LatestCandle, other: LatestCandle, *, expected: bool) -> None:
    assert one.supersedes(other) is expected
    assert one.supersedes(None)


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param({"symbol": "ETH-USDT"}, id="another symbol"),
        pytest.param({"interval": Interval.HOUR}, id="another interval"),
        pytest.param({"exchange": "okx"}, id="an exchange's"),
    ],
)
def test_a_candle_of_another_channel_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(CodecError):
        read(**wrong)
    with pytest.raises(CodecError):
        read_candle(Interval.MINUTE, None, "BTC-USDT", b'{"v":1}', NOW_MS, live=True)


@pytest.mark.parametrize("closed", [False, True])
async def test_a_candle_from_the_future_does_not_hold_back_the_true_ones(world: World, *, closed: bool) -> None:
    sink = world.open(BTC, kinds=(Asked(MINUTE),))
    sink.take()
    publish(world, (world.wall_ms - START_MS + AHEAD_MS) // MINUTE_MS + 1, closed=closed)
    publish(world)
    await turn()
    assert told(sink) == [(0, 1, False)]


@pytest.mark.parametrize(("from_ms", "given"), [(1, {}), (0, {"end_ms": START_MS + MINUTE_MS - 1})])
def test_a_candle_of_no_interval_is_refused(from_ms: int, given: dict[str, int]) -> None:
    data = candle_bytes(START_MS + from_ms, **given)
    with pytest.raises(CodecError, match="no interval"):
        read_candle(Interval.MINUTE, None, "BTC-USDT", data, NOW_MS, live=True)


def test_a_candles_age() -> None:
    assert read().staleness(NOW_MS + STALE_AFTER_MS - 1) == 0
    assert read().staleness(NOW_MS + STALE_AFTER_MS) == 1


def publish(world: World, start: int = 0, channel: str = CHANNEL, **given: Any) -> bytes:
    data = candle_bytes(START_MS + start * MINUTE_MS, **given)
    world.hub.on_message(channel, data)
    return data


def told(sink: FakeSink) -> list[tuple[int, int, bool]]:
    """Return the candles that a client got: start in minutes, last seq, and whether closed."""
    return [
        ((data["start"] - START_MS) // MINUTE_MS, data["lastSeq"], data["closed"])
        for data in (event["data"] for event in sink.take() if event["type"] == "candle")
    ]


async def test_a_stream_gets_the_newest_candle_at_once_and_then_each_change(world: World) -> None:
    first = world.open(BTC, kinds=(Asked(MINUTE),))
    assert first.take()[0]["data"]["kinds"] == ["candle:1m"]
    data = publish(world)[:-1] + b',"later":[1.50]}'
    world.hub.on_message(CHANNEL, data)
    await turn()
    [written] = first.written
    assert b'data: {"type":"candle","data":' + data + b"}\n\n" in written, "the bytes, unchanged, and without an id"
    assert b"id:" not in written
    late = world.open(BTC, ETH, kinds=(Asked(TICKER), Asked(MINUTE, BTC)))
    connected, snapshot = late.take()
    assert connected["data"]["kinds"] == ["ticker", "candle:1m:BTC-USDT"]
    assert snapshot == {"type": "candle", "data": orjson.loads(data)}
    assert world.hub.topics.wanted == {CHANNEL, "ticker:BTC-USDT", "ticker:ETH-USDT"}


async def test_tickers_and_candles_come_on_one_stream_and_only_tickers_are_cut_down(world: World) -> None:
    sink = world.open(BTC, kinds=(Asked(TICKER), Asked(MINUTE)), fields=frozenset({"price"}))
    sink.take()
    world.hub.on_message(TICKER.channel(BTC), ticker_bytes(BTC, 1, time_ms=world.wall_ms))
    data = publish(world)
    await turn()
    ticker, candle = sink.take()
    assert ticker == {"type": "ticker", "data": {"price": 64000.0}}
    assert candle["data"] == orjson.loads(data)


async def test_an_old_candle_is_not_sent_again(world: World) -> None:
    """A ticker is, as stale. A candle says by its times how old it is."""
    sink = world.open(BTC, kinds=(Asked(MINUTE),))
    data = publish(world)
    await turn()
    sink.take()
    assert world.hub.topics[CHANNEL].is_live(world.wall_ms)
    world.pass_time(STALE_AFTER_MS / 1000)
    await turn()
    assert told(sink) == []
    assert not world.hub.topics[CHANNEL].is_live(world.wall_ms)
    assert world.hub.newest(CHANNEL) == data


async def test_a_slow_client_gets_the_closed_candle_and_then_the_open_one(world: World) -> None:
    sink, quick = (world.open(BTC, kinds=(Asked(MINUTE),)) for _ in range(2))
    stream = next(one for one in world.hub.streams if one.sink is sink)
    for each in (sink, quick):
        each.take()
    sink.unsent = 1
    for last_seq, closed in ((1, False), (2, False), (3, True)):
        publish(world, last_seq=last_seq, closed=closed)
        await turn()
    publish(world, 1, last_seq=4)
    await turn()
    publish(world, 1, last_seq=5)
    publish(world, 0, last_seq=3, closed=True, revision=1)
    await turn()
    assert told(quick) == [(0, 1, False), (0, 2, False), (0, 3, True), (1, 4, False), (1, 5, False), (0, 3, True)]
    sink.unsent = 0
    world.hub.writable(stream)
    assert told(sink) == [(0, 3, True), (1, 5, False)]


async def test_a_new_stream_gets_the_closed_candle_that_waits_before_the_open_one(world: World) -> None:
    world.open(BTC, kinds=(Asked(MINUTE),))
    publish(world, 0, last_seq=1, closed=True)
    publish(world, 1, last_seq=2)
    joiner = world.open(BTC, kinds=(Asked(MINUTE),))
    assert told(joiner) == [(0, 1, True), (1, 2, False)]
    publish(world, 1, last_seq=3)
    await turn()
    assert told(joiner) == [(1, 3, False)]


async def test_memory_is_bounded_whatever_is_corrected(world: World) -> None:
    sink = world.open(BTC, kinds=(Asked(MINUTE),))
    stream = next(one for one in world.hub.streams if one.sink is sink)
    sink.unsent = 1
    publish(world, 0)
    for start in range(-500, 0):
        publish(world, start, closed=True)
        await turn()
    assert len(stream.missed) <= MOST_PARTS
    sink.take()
    sink.unsent = 0
    world.hub.writable(stream)
    assert (0, 1, False) in told(sink), "the newest is among them"


async def test_no_correction_is_lost_if_the_last_ten_candles_are_corrected_at_once(world: World) -> None:
    sink = world.open(BTC, kinds=(Asked(MINUTE),))
    publish(world, 0)
    await turn()
    sink.take()
    corrected = range(-10, 0)
    for start in corrected:
        publish(world, start, closed=True, revision=1)
    publish(world, 0, last_seq=2)
    await turn()
    assert told(sink) == [*((start, 1, True) for start in corrected), (0, 2, False)]


async def test_a_stream_hears_of_room_once_for_each_symbol(world: World) -> None:
    """Room is told for a symbol: that of its ticker, or that of its candles where the stream does not have the ticker."""
    both = world.open(BTC, kinds=(Asked(TICKER), Asked(MINUTE)))
    candles = world.open(BTC, kinds=(Asked(MINUTE),))
    for sink in (both, candles):
        sink.take()
    world.turn_away(BTC)
    await turn()
    for sink in (both, candles):
        assert [one for one in sink.summary() if one.startswith("room")] == ["room BTC-USDT full"]
    world.hub.on_message(TICKER.channel(BTC), ticker_bytes(BTC, 1, time_ms=world.wall_ms))
    world.pass_time(1)
    await turn()
    assert "room BTC-USDT None" in both.summary()
    assert candles.summary() == []
    publish(world)
    world.pass_time(1)
    await turn()
    assert candles.summary() == ["candle", "room BTC-USDT None"]


MESSAGES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(1, 12), st.integers(0, 2), st.booleans()).map(
        lambda drawn: (drawn[0], drawn[1] + 12 * drawn[0], drawn[2] if drawn[3] else 0, drawn[3])
    ),
    max_size=30,
)


@given(MESSAGES, st.randoms(use_true_random=False))
async def test_no_client_goes_back_and_none_loses_a_closed_candle(
    messages: list[tuple[int, int, int, bool]], chance: random.Random
) -> None:
    """For any order of messages, a quick client, a slow one and one with a rate end alike, and get each candle's last state."""
    world = World()
    sinks = {name: FakeSink() for name in ("quick", "slow", "rate")}
    streams = {
        name: world.hub.open(sink, (BTC,), 1000.0 if name == "rate" else None, kinds=(Asked(MINUTE),))
        for name, sink in sinks.items()
    }
    got: dict[str, dict[int, list[tuple[int, int, bool]]]] = {name: {} for name in sinks}

    def collect() -> None:
        for name, sink in sinks.items():
            for event in sink.take():
                if event["type"] == "candle":
                    data = event["data"]
                    got[name].setdefault(data["start"], []).append((data["lastSeq"], data["revision"], data["closed"]))

    best: dict[int, tuple[int, int, bool]] = {}
    newest = -1
    for start, last_seq, revision, closed in messages:
        publish(world, start, last_seq=last_seq, revision=revision, closed=closed)
        order, start_ms = (last_seq, revision, closed), START_MS + start * MINUTE_MS
        if (start >= newest or closed) and order >= best.get(start_ms, order):
            best[start_ms] = order
            newest = max(newest, start)
        if chance.random() < 0.5:
            sinks["slow"].unsent = chance.choice((0, 1))
            if not sinks["slow"].unsent:
                world.hub.writable(streams["slow"])
            world.now += 0.01
            await turn()
            collect()
    sinks["slow"].unsent = 0
    world.now += 1.0
    await turn()
    world.hub.writable(streams["slow"])
    await turn()
    collect()
    for name in sinks:
        assert {start: states[-1] for start, states in got[name].items()} == best, name
        for states in got[name].values():
            assert all(before <= after for before, after in pairwise(states)), name
