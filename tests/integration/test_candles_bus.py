"""How candles of several copies are merged in Redis. Nothing that is kept goes back."""

import itertools
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from market_pulse.bus import keys
from market_pulse.bus.candles import before
from market_pulse.kinds import CANDLES
from market_pulse.messages import Bar, Candle, Interval, Symbol, bar_of, decode_candle
from support.contract import problems_of
from support.listening import listening
from support.waiting import until
from support.whole_bus import WholeBus

MINUTE = Interval.MINUTE
BTC = Symbol("BTC-USDT")
CHANNEL = CANDLES[MINUTE].channel(BTC)
START = 1_700_000_040_000
STEP = MINUTE.step_ms


def live(
    first: int, last: int, prices: Sequence[float] = (100.0,), *, start: int = START, seen: int | None = None, **more: Any
) -> Candle:
    seen = last - first + 1 if seen is None else seen
    made = Candle(
        symbol=BTC,
        interval=MINUTE,
        start_ms=start,
        end_ms=start + STEP,
        open=prices[0],
        high=max(prices),
        low=min(prices),
        close=prices[-1],
        closed=False,
        origin="live",
        first_seq=first,
        last_seq=last,
        seen=seen,
        missed=last - first + 1 - seen,
        received_time_ms=start + 1,
        published_time_ms=start + 2,
    )
    return replace(made, **more)


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(redis_url) as opened:
        yield opened


async def publish(bus: WholeBus, *candles: Candle) -> list[Candle | None]:
    """Publish candles one after the other. Return what each answer says."""
    answers = [(await bus.publish_candles(MINUTE, [one]))[0] for one in candles]
    return [None if answer is None else decode_candle(answer) for answer in answers]


async def heard_by(bus: WholeBus, ear: Any) -> list[Candle]:
    """Return all candles that were published, as a listener has them."""
    await bus.client.publish(CHANNEL, b"end")
    await until(lambda: ear.heard and ear.heard[-1][1] == b"end")
    del ear.heard[-1]
    return [decode_candle(message) for _, message in ear.heard]


async def kept(bus: WholeBus, channel: str = CHANNEL) -> Candle | None:
    [message] = await bus.last(channel)
    return None if message is None else decode_candle(message)


async def test_a_candle_is_published_and_kept_as_it_is(bus: WholeBus) -> None:
    full = live(
        3, 9, (0.1, 0.30000000000000004, 1e-7), volume=1.5, quote_volume=2.25, vwap=1.5, trades=7, buy_volume=0.1,
        exchanges=("binance", "okx"),
    )  # fmt: skip
    async with listening(bus, CHANNEL) as ear:
        assert await publish(bus, full) == [None]
        assert await publish(bus, replace(full, closed=True)) == [None]
        assert await heard_by(bus, ear) == [full, replace(full, closed=True)]
    assert [problem for channel, message in ear.heard for problem in problems_of(channel, message)] == []
    assert await kept(bus) == replace(full, closed=True)
    assert await bus.bars(MINUTE, BTC) == [bar_of(replace(full, closed=True))]
    for key in (keys.last(CHANNEL), keys.bars(MINUTE, BTC)):
        assert 3500 < await bus.client.ttl(key) <= 3600


async def test_two_copies_merge(bus: WholeBus) -> None:
    early = live(3, 9, (100.0, 105.0, 101.0), exchanges=("okx",), volume=1.0)
    late = live(6, 12, (104.0, 99.0, 102.0), seen=6, exchanges=("bybit", "okx"), volume=2.0)
    assert await publish(bus, early) == [None]
    [merged] = await publish(bus, late)
    assert merged is not None
    assert (merged.open, merged.high, merged.low, merged.close) == (100.0, 105.0, 99.0, 102.0)
    assert (merged.first_seq, merged.last_seq, merged.seen, merged.missed) == (3, 12, 7, 3)
    assert (merged.volume, merged.exchanges) == (2.0, ("bybit", "okx"))
    assert await kept(bus) == merged


@pytest.mark.parametrize(
    ("copies", "missed"),
    [
        pytest.param([live(6, 9, missed=3), live(6, 12, missed=3)], 3, id="it lacks its beginning"),
        pytest.param([live(6, 12, missed=3), live(3, 9)], 3, id="the other one has it; so many were not seen by one copy"),
        pytest.param([live(3, 12), live(6, 12, missed=3)], 0, id="another one has had it"),
        pytest.param([live(6, 9, missed=3), live(6, 9)], 0, id="its copy has learnt that there was no other"),
        pytest.param([live(3, 9), live(3, 9, missed=4, closed=True)], 4, id="it lacks its end"),
        pytest.param([live(3, 9, missed=4, closed=True), live(3, 12, closed=True)], 0, id="the other one has the end"),
    ],
)
async def test_a_merged_candle_says_that_it_lacks_its_beginning_or_end(
    bus: WholeBus, copies: list[Candle], missed: int
) -> None:
    await publish(bus, *copies)
    merged = await kept(bus)
    assert merged is not None
    assert merged.missed == missed


async def test_nothing_goes_back(bus: WholeBus) -> None:
    old, new = live(3, 9, (100.0,)), live(10, 12, (101.0,), start=START + STEP)
    await publish(bus, old, new)
    async with listening(bus, CHANNEL) as ear:
        await publish(bus, live(3, 8, (100.0,)), new, live(10, 11, (101.0,), start=START + STEP))
        await publish(bus, live(10, 12, (101.0,), start=START + STEP))
        await publish(bus, replace(old, closed=True))
        assert await kept(bus) == new
        await publish(bus, replace(old, closed=True))
        await publish(bus, live(1, 2, start=START - STEP))
        assert await heard_by(bus, ear) == [replace(old, closed=True)], "a candle closes late"
    assert await kept(bus, before(CHANNEL)) == replace(old, closed=True)
    assert await bus.bars(MINUTE, BTC) == [bar_of(replace(old, closed=True))]


async def test_a_closed_candle_that_changes_has_the_next_revision(bus: WholeBus) -> None:
    one = live(3, 9, (100.0, 101.0), closed=True, volume=1.0, exchanges=("okx",))
    other = live(3, 10, (100.0, 102.0), closed=True, volume=1.0, exchanges=("okx",))
    [_, answer] = await publish(bus, one, other)
    assert answer == replace(other, revision=1)
    [answer] = await publish(bus, one)
    assert answer == replace(other, revision=1), "a copy that knows less learns it"
    fewer = replace(other, volume=0.5, exchanges=())
    assert await publish(bus, fewer) == [replace(other, revision=1)], "not the volumes of fewer exchanges"
    corrected = replace(other, volume=3.0, revision=2)
    assert await publish(bus, corrected, other) == [None, corrected]
    assert await bus.bars(MINUTE, BTC) == [bar_of(corrected)]


async def test_a_correction_from_history_replaces_all(bus: WholeBus) -> None:
    from_history = live(1, 1, (95.0,), closed=True, origin="exchanges", revision=1, volume=2.0)
    from_history = replace(from_history, first_seq=None, last_seq=None, seen=None, missed=None)
    await publish(bus, live(3, 9, (100.0,), closed=True), from_history)
    assert await kept(bus) == from_history
    assert await bus.bars(MINUTE, BTC) == [bar_of(from_history)]
    assert bar_of(from_history).missed is None
    await publish(bus, live(3, 9, (100.0,), closed=True))
    assert await kept(bus) == from_history


@pytest.mark.parametrize(
    ("known", "replaces"),
    [
        pytest.param(Bar(START, 1.0, 1.0, 1.0, 1.0), True, id="from history"),
        pytest.param(Bar(START, 1.0, 1.0, 1.0, 1.0, missed=3), True, id="live, with more missing"),
        pytest.param(Bar(START, 1.0, 1.0, 1.0, 1.0, missed=0), False, id="live, with less missing"),
        pytest.param(Bar(START, 1.0, 1.0, 1.0, 1.0, revision=1), False, id="corrected since"),
    ],
)
async def test_a_late_copy_and_a_bar(bus: WholeBus, known: Bar, replaces: bool) -> None:
    """A copy that was frozen closes a candle of which only the bar is left."""
    await publish(bus, live(20, 21, start=START + 2 * STEP), live(30, 31, start=START + 3 * STEP))
    await bus.keep_bars(MINUTE, BTC, [known])
    late = live(3, 9, (100.0,), closed=True, seen=6)
    async with listening(bus, CHANNEL) as ear:
        await publish(bus, late)
        expected = replace(late, revision=1)
        assert await heard_by(bus, ear) == ([expected] if replaces else [])
    assert await bus.bars(MINUTE, BTC) == [bar_of(expected) if replaces else known]


async def test_what_others_wrote_under_our_keys_is_in_nobodys_way(bus: WholeBus) -> None:
    one = live(3, 9, closed=True)
    await bus.client.rpush(keys.last(CHANNEL), "a list")
    await bus.client.set(keys.last(before(CHANNEL)), '{"start":"never"}')
    await bus.client.set(keys.bars(MINUTE, BTC), "not a set")
    async with listening(bus, CHANNEL) as ear:
        assert await publish(bus, one) == [None]
        assert await heard_by(bus, ear) == [one]
    assert await kept(bus) == one
    assert await bus.renew_bars([(MINUTE, BTC), (Interval.HOUR, BTC)]) == [-1, 0]


async def test_a_candle_from_the_future_does_not_keep_out_the_others(bus: WholeBus) -> None:
    now = MINUTE.start_of(await bus.time_ms())
    await publish(bus, live(50, 51, start=now + 10 * STEP), live(3, 4, start=now))
    last = await kept(bus)
    assert last is not None
    assert last.start_ms == now


async def test_only_as_many_bars_as_are_kept(bus: WholeBus) -> None:
    await bus.keep_bars(MINUTE, BTC, [Bar(START + at * STEP, 1.0, 1.0, 1.0, 1.0) for at in range(MINUTE.kept)])
    await publish(bus, live(3, 9, start=START + MINUTE.kept * STEP, closed=True))
    assert await bus.renew_bars([(MINUTE, BTC)]) == [MINUTE.kept]
    [first, *_] = await bus.bars(MINUTE, BTC, limit=2000)
    assert first.start_ms == START + STEP


tickers = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=8)


@st.composite
def copies(draw: st.DrawFn) -> list[Candle]:
    """Candles of copies that have heard the same tickers, each from some moment to some other."""
    prices = draw(tickers)
    made = []
    for _ in range(draw(st.integers(1, 4))):
        first = draw(st.integers(0, len(prices) - 1))
        last = draw(st.integers(first, len(prices) - 1))
        made.append(live(first + 1, last + 1, prices[first : last + 1]))
    return made


@given(copies())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_the_order_of_copies_and_repetitions_do_not_matter(redis_url: str, found: list[Candle]) -> None:
    async with WholeBus.open(redis_url) as bus:
        results = []
        for order in itertools.islice(itertools.permutations(found), 6):
            await bus.client.flushall()
            newest: tuple[int, int, int] = (0, 0, 0)
            for one in (*order, *order):
                await publish(bus, one)
                last = await kept(bus)
                assert last is not None
                assert last.last_seq is not None
                now = (last.start_ms, last.last_seq, last.revision)
                assert now >= newest, "nothing goes back"
                newest = now
            results.append(last)
        first = results[0]
        assert all(orjson.dumps(content(one)) == orjson.dumps(content(first)) for one in results)
        assert first is not None
        assert first.open == min(found, key=lambda one: one.first_seq or 0).open
        assert first.close == max(found, key=lambda one: one.last_seq or 0).close
        assert first.high == max(one.high for one in found)
        assert first.low == min(one.low for one in found)
        assert first.seen == max(one.seen or 0 for one in found)
        assert first.missed == (first.last_seq or 0) - (first.first_seq or 0) + 1 - (first.seen or 0)


def content(one: Candle | None) -> list[Any]:
    assert one is not None
    return [one.open, one.high, one.low, one.close, one.first_seq, one.last_seq, one.seen, one.missed]
