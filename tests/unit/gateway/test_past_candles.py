"""The answer with candles: which ones, in which order, and each one once."""

import asyncio
from typing import Any, cast

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.candles import Candles as PastCandles
from gateway.api.candles import Of, Past, answer, past_ones
from gateway.api.models import Candles
from gateway.stream.candles import AHEAD_MS, LatestCandle, read_candle
from market_pulse.bus import Reader
from market_pulse.messages import Bar, Interval, Symbol
from support.played_candles import MINUTE_MS, candle_bytes
from support.samples import NOW_MS

START_MS = Interval.MINUTE.start_of(NOW_MS)
OF = Of(Symbol("BTC-USDT"), Interval.MINUTE)


def bar(minute: int, close: float = 1.5, **given: Any) -> Bar:
    return Bar(START_MS + minute * MINUTE_MS, 1.0, 2.0, 0.5, close, **given)


def latest(minute: int, **given: Any) -> LatestCandle:
    data = candle_bytes(START_MS + minute * MINUTE_MS, **given)
    return read_candle(OF.interval, None, OF.symbol, data, NOW_MS + max(0, minute) * MINUTE_MS, live=True)


def told(body: bytes) -> list[tuple[int, bool]]:
    candles = orjson.loads(body)["candles"]
    return [((one["start"] - START_MS) // MINUTE_MS, one["closed"]) for one in candles]


def test_the_form_of_an_answer() -> None:
    past = Past(OF, [bar(-2, volume=3.5, quote_volume=1e-9, trades=7, revision=1), bar(-1, missed=0)])
    body = answer(OF, past, [latest(0)], limit=10)
    common = {"open": 1.0, "high": 2.0, "low": 0.5, "close": 1.5, "closed": True}
    unknown = {"volume": None, "quoteVolume": None, "trades": None}
    before, last = START_MS - 2 * MINUTE_MS, START_MS - MINUTE_MS
    assert orjson.loads(body) == {
        "symbol": "BTC-USDT",
        "interval": "1m",
        "exchange": None,
        "candles": [
            {"start": before, "end": last, **common, "volume": 3.5, "quoteVolume": 1e-9, "trades": 7, "revision": 1}
            | {"missed": None, "origin": "exchanges"},
            {"start": last, "end": START_MS, **common, **unknown, "revision": 0, "missed": 0, "origin": "live"},
            orjson.loads(latest(0).data),
        ],
    }
    assert latest(0).data in body, "as it was published"
    Candles.model_validate(orjson.loads(body))
    of = Of(OF.symbol, Interval.MINUTE, "okx")
    assert orjson.loads(answer(of, Past(of, [bar(0)]), [], limit=1))["candles"][0]["origin"] == "exchange"
    assert of.channel == "candles:1m:okx:BTC-USDT"
    assert answer(OF, Past(OF, []), [], limit=1) == b'{"symbol":"BTC-USDT","interval":"1m","exchange":null,"candles":[]}'


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param({}, [(-3, True), (-2, True), (-1, True), (0, True), (1, False)], id="all"),
        pytest.param({"limit": 1}, [(1, False)], id="the newest"),
        pytest.param({"limit": 3}, [(-1, True), (0, True), (1, False)], id="the newest ones"),
        pytest.param({"before_ms": START_MS - MINUTE_MS}, [(-3, True), (-2, True)], id="before a start"),
        pytest.param({"before_ms": START_MS - MINUTE_MS + 1, "limit": 1}, [(-1, True)], id="before a moment"),
        pytest.param(
            {"before_ms": START_MS + 9 * MINUTE_MS}, [(-3, True), (-2, True), (-1, True), (0, True)], id="no open one"
        ),
        pytest.param({"before_ms": 0}, [], id="before all"),
        pytest.param({"at_ms": START_MS - 1}, [(-1, True)], id="a closed one"),
        pytest.param({"at_ms": START_MS - MINUTE_MS}, [(-1, True)], id="its first moment"),
        pytest.param({"at_ms": START_MS + MINUTE_MS + 5}, [(1, False)], id="the open one"),
        pytest.param({"at_ms": START_MS + 2 * MINUTE_MS}, [], id="in the future"),
        pytest.param({"at_ms": 0}, [], id="none"),
    ],
)
def test_which_candles(asked: dict[str, int], expected: list[tuple[int, bool]]) -> None:
    """The candle of minute 0 was closed after the past ones were read, and the one of minute -1 is among them already."""
    past = Past(OF, [bar(-3), bar(-2), bar(-1)])
    published = [latest(-1), latest(0, closed=True), latest(1)]
    assert told(answer(OF, past, published, **{"limit": 500, **asked})) == expected


def test_of_two_bars_with_one_start_the_higher_revision_counts_and_of_equal_ones_the_later() -> None:
    past = Past(OF, [bar(0, 1.1, revision=1), bar(0, 1.2), bar(1, 1.3), bar(1, 1.4), bar(-1, 1.5)])
    candles = orjson.loads(answer(OF, past, [], limit=9))["candles"]
    assert [one["close"] for one in candles] == [1.5, 1.1, 1.4]


@given(
    st.sets(st.integers(-50, 50)),
    st.lists(st.integers(-50, 60), unique=True, max_size=4).map(sorted),
    st.integers(1, 60),
    st.none() | st.integers(-60 * MINUTE_MS, 70 * MINUTE_MS),
)
def test_any_answer_is_ascending_within_its_limit_and_leaves_no_newer_one_out(
    minutes: set[int], published: list[int], limit: int, before: int | None
) -> None:
    before_ms = None if before is None else START_MS + before
    states = [latest(minute, closed=minute != published[-1]) for minute in published]
    got = [minute for minute, _ in told(answer(OF, Past(OF, map(bar, minutes)), states, limit=limit, before_ms=before_ms))]
    newest = max(minutes, default=-1000)
    known = minutes | {one for one in published if one > newest and (before is None or one != published[-1])}
    if before_ms is not None:
        known = {minute for minute in known if START_MS + minute * MINUTE_MS < before_ms}
    assert got == sorted(known)[-limit:]


async def test_candles_are_encoded_one_after_another_with_rests_between() -> None:
    """So a flood of requests for ever other candles cannot keep the streams waiting."""

    class Bus:
        async def bars(self, *_: Any, **__: Any) -> list[Bar]:
            return [bar(-1)]

    rested, may_go_on = [], asyncio.Event()

    async def rest(seconds: float) -> None:
        rested.append(seconds)
        await may_go_on.wait()

    candles = PastCandles(cast("Reader", Bus()), rest)
    reads = [asyncio.ensure_future(candles.get(Of(Symbol(f"{base}-USDT"), Interval.MINUTE))) for base in "ABC"]
    await asyncio.sleep(0.01)
    assert len(rested) == 1
    assert rested[0] > 0
    may_go_on.set()
    assert [list(past.starts) for past in await asyncio.gather(*reads)] == [[START_MS - MINUTE_MS]] * 3
    assert len(rested) == 3


def test_a_bar_from_the_future_or_of_no_interval_does_not_hide_the_true_candles() -> None:
    off_grid = Bar(START_MS - 1, 1.0, 2.0, 0.5, 1.5)
    past = Past(OF, past_ones(OF, [bar(-1), off_grid, bar(AHEAD_MS // MINUTE_MS + 1)], NOW_MS))
    assert told(answer(OF, past, [latest(0)], limit=10)) == [(-1, True), (0, False)]
