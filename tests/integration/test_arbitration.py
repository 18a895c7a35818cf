"""Several copies of one ingest publish through one script: no tick is repeated or out of order, and none blocks all others."""

from collections.abc import AsyncIterator
from itertools import count, pairwise

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from ingest_bybit.adapter import ADAPTER as BYBIT
from market_pulse import kinds
from market_pulse.bus import keys
from market_pulse.exchange.adapter import MARKET_EVENTS, Day, Listed, MarketEvent, Quote, Trade
from market_pulse.exchange.merge import Change, Merge
from market_pulse.messages import Symbol, Tick, decode_tick
from support.whole_bus import WholeBus

BTC = Symbol("BTC-USDT")
CHANNEL = kinds.TICK.channel("okx", BTC)
TICK = Tick(exchange="okx", symbol=BTC, price=64000.5, exchange_time_ms=1, received_time_ms=2)


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(redis_url) as opened:
        yield opened


async def publishes(bus: WholeBus, *order: float, price: float = 64000.5) -> bool:
    """Publish a tick with this order, and return whether the script published it. If so, it is the last value too."""
    went_out = await bus.publish_ticks([replace(TICK, price=price, order=order)]) == 0
    (last,) = await bus.last(CHANNEL)
    assert last is not None
    assert (decode_tick(last).price == price) is went_out
    return went_out


@pytest.mark.parametrize(
    ("order", "is_news"),
    [
        pytest.param((5, 7, 1000), False, id="the same"),
        pytest.param((6, 7, 1000), True, id="ahead in one"),
        pytest.param((6, 8, 1001), True, id="ahead in all"),
        pytest.param((5, 6, 1000), False, id="behind in one"),
        pytest.param((6, 6, 1000), False, id="ahead in one and behind in another"),
        pytest.param((5, 7, 1000.0009765625), True, id="ahead by a tie"),
        pytest.param((10, 7, 1000), True, id="compared as numbers, not as texts"),
        pytest.param((5.0, 8, 1000), True, id="the same in other digits is not behind"),
        pytest.param((), True, id="nothing to go by"),
    ],
)
async def test_a_tick_is_news_if_ahead_in_something_and_behind_in_nothing(
    bus: WholeBus, order: tuple[float, ...], is_news: bool
) -> None:
    assert await publishes(bus, 5, 7, 1000, price=1.0)
    assert await publishes(bus, *order, price=2.0) is is_news


@pytest.mark.parametrize(
    "last",
    [
        pytest.param(b'{"v":1,"price":1}', id="a tick without an order"),
        pytest.param(b'{"v":1,"order":[]}', id="an empty order"),
        pytest.param(b'{"v":1,"order":["x",null,{}]}', id="not numbers"),
        pytest.param(b'{"v":1,"order":[-,.,e]}', id="hardly numbers"),
        pytest.param(b"\xff\x00", id="junk"),
    ],
)
async def test_a_last_value_that_says_nothing_stops_no_tick(bus: WholeBus, last: bytes) -> None:
    await bus.client.set(keys.last(CHANNEL), last)
    assert await publishes(bus, 5, 7, 1000)


async def test_somebody_elses_key_stops_no_tick(bus: WholeBus) -> None:
    await bus.client.sadd(keys.last(CHANNEL), "x")
    assert await publishes(bus, 5, 7, 1000)


async def age_last(bus: WholeBus, by_s: float) -> None:
    """Make the last value as old as if no tick had been published for `by_s`."""
    await bus.client.pexpire(keys.last(CHANNEL), round((kinds.TICK.expiry_s - by_s) * 1000))


@pytest.mark.parametrize(
    ("order", "silent_s", "is_news"),
    [
        pytest.param((6, 6), 4, False, id="mixed, a living copy may be ahead"),
        pytest.param((6, 6), 6, True, id="mixed, and no other copy publishes"),
        pytest.param((4, 7), 6, False, id="behind: a copy that was asleep says old things"),
        pytest.param((4, 7), 61, True, id="behind: the numbers have begun anew"),
        pytest.param((5, 7), 61, False, id="the same stays the same"),
    ],
)
async def test_silence_gives_the_others_a_chance(
    bus: WholeBus, order: tuple[float, ...], silent_s: float, is_news: bool
) -> None:
    assert await publishes(bus, 5, 7, price=1.0)
    await age_last(bus, silent_s)
    assert await publishes(bus, *order, price=2.0) is is_news


NOW = 1_786_538_729_776


def bybit(cs: int, ts_ms: int, *, seq: int = 500, quote_ms: int = 0, anew: int | None = None) -> tuple[int, ...]:
    """Return an order like that of Bybit's ticks, of a quote and 24 h figures without a trade. Times are in ms after NOW."""
    order = (-1, seq, NOW + quote_ms, cs, NOW + ts_ms)
    return order if anew is None else (*order, anew)


@pytest.mark.parametrize(
    ("known", "order", "silent_s", "is_news"),
    [
        pytest.param(bybit(9**9, 0), bybit(5, 4000), 0, False, id="a lower number a little later"),
        pytest.param(bybit(9**9, 0), bybit(5, 6000), 0, True, id="a lower number much later: numbers began anew"),
        pytest.param(bybit(9**9, 0), bybit(5, 6000, seq=499, quote_ms=-5), 0, True, id="of a copy that lags on quotes"),
        pytest.param(bybit(5, 6000), bybit(9**9, 0, seq=501, quote_ms=7000), 6, False, id="an old price with a new quote"),
        pytest.param(bybit(5, 6000), bybit(9**9, 0, seq=501, quote_ms=7000), 61, True, id="and no other copy publishes"),
        pytest.param(bybit(5, 6000), bybit(6, 6000, seq=499, quote_ms=-6000), 6, True, id="an old quote with a new price"),
        pytest.param(bybit(5, 0, anew=NOW), bybit(9**9, 1, anew=None), 0, False, id="old numbers beside new ones"),
        pytest.param(bybit(5, 0, anew=NOW), bybit(9**9, 6000), 0, True, id="much later they are the living copy's"),
        pytest.param(bybit(9**9, 0), bybit(5, 0, anew=NOW), 0, True, id="a copy that knows that they began anew"),
        pytest.param(bybit(9**9, 0), bybit(5, -6000, anew=NOW), 6, False, id="but says something old"),
        pytest.param(bybit(5, 0, anew=NOW), bybit(6, 1, anew=NOW - 9), 0, False, id="both know, it was earlier here"),
        pytest.param((-1, -1, -1, 0, NOW + 9**9), (-1, -1, -1, 0, NOW), 0, True, id="the known time is from the future"),
        pytest.param((-1, -1, -1, 0, NOW + 9**9), (-1, -1, -1, 0, NOW + 9**8), 0, False, id="so are both"),
        pytest.param((7, 5, 0, 0, NOW), (3, 6, 0, 0, NOW + 6000), 0, True, id="trades are counted anew"),
        pytest.param((7, 5, 0, 0, NOW + 6000), (8, 6, 0, 0, NOW), 6, True, id="old figures with a newer trade"),
    ],
)
async def test_numbers_are_not_believed_for_ever(
    bus: WholeBus, known: tuple[int, ...], order: tuple[int, ...], silent_s: float, is_news: bool
) -> None:
    first = replace(TICK, price=1.0, order=known, received_time_ms=NOW)
    assert await bus.publish_ticks([first]) == 0
    await age_last(bus, silent_s)
    second = replace(TICK, price=2.0, order=order, received_time_ms=NOW)
    assert (await bus.publish_ticks([second]) == 0) is is_news


async def test_the_last_word_goes_out_whatever_its_order_and_once(bus: WholeBus) -> None:
    assert await publishes(bus, 5, 7, price=1.0)
    for order, suppressed in (((4, 6), 0), ((5, 8), 1), ((), 1)):
        assert await bus.publish_ticks([replace(TICK, price=1.0, order=order, ended="delisted")]) == suppressed
    assert not await publishes(bus, 3, 5, price=2.0), "from a copy that has not received the end yet"
    assert await publishes(bus, 6, 7, price=2.0), "a later tick starts the symbol again"
    assert await bus.publish_ticks([replace(TICK, price=2.0, order=(6, 7), ended="delisted")]) == 0


def bybit_frame(topic: str, cs: int, ts: int, price: float) -> bytes:
    """Return a frame of ETH-USDT on one of the two topics."""
    if topic == "tickers":
        data: dict[str, object] = {"symbol": "ETHUSDT", "lastPrice": str(price), "volume24h": "1", "turnover24h": "1"}
    else:
        data = {"s": "ETHUSDT", "b": [[str(price - 1), "1"]], "a": [[str(price + 1), "1"]], "u": cs, "seq": cs}
    return orjson.dumps({"topic": f"{topic}.ETHUSDT", "type": "snapshot", "cs": cs, "ts": ts, "data": data})


@pytest.mark.parametrize(
    "deaf_hears",
    [
        pytest.param((), id="nothing"),
        pytest.param(("again",), id="the last ticker again and again"),
        pytest.param(("quotes",), id="quotes alone"),
        pytest.param(("again", "quotes"), id="both"),
        pytest.param(("restamped", "quotes"), id="the last ticker with new times, and quotes"),
        pytest.param(("living",), id="the old numbers going on at the old price"),
    ],
)
@pytest.mark.parametrize("first", [0, 1], ids=["the deaf one first", "the other first"])
async def test_two_copies_of_which_one_sees_the_new_numbers(bus: WholeBus, deaf_hears: tuple[str, ...], first: int) -> None:
    listed = Listed(Symbol("ETH-USDT"), "ETHUSDT", 2)
    deaf, seeing = Merge("bybit"), Merge("bybit")
    went_out: list[float] = []

    async def hears(merge: Merge, frame: bytes, at_ms: int) -> None:
        changes = [merge.apply(event, at_ms) for event in BYBIT.parse(frame) if isinstance(event, MARKET_EVENTS)]
        tick = merge.tick(listed) if Change.NEW in changes else None
        if tick is not None and await bus.publish_ticks([tick]) == 0:
            went_out.append(tick.price)

    number, seq = 112_571_857_121, 900
    last = bybit_frame("tickers", number, NOW, 2000.0)
    for merge in (deaf, seeing):
        await hears(merge, last, NOW)
    first_new = None
    for step in range(1, 400):  # a tenth of a second each
        at_ms = NOW + 100 * step
        for who in (first, 1 - first):
            if who == 1:
                if step % 10 == 0:
                    await hears(seeing, bybit_frame("tickers", 5000 + step, at_ms - 20, 1900.0), at_ms)
                await hears(seeing, bybit_frame("orderbook.1", seq + step, at_ms - 20, 1900.0), at_ms)
            elif "quotes" in deaf_hears:
                await hears(deaf, bybit_frame("orderbook.1", seq + step, at_ms - 20, 1900.0), at_ms)
            if who == 0 and step % 10 == 0:
                if "again" in deaf_hears:
                    await hears(deaf, last, at_ms)
                if "restamped" in deaf_hears:
                    await hears(deaf, bybit_frame("tickers", number, at_ms - 20, 2000.0), at_ms)
                if "living" in deaf_hears:
                    await hears(deaf, bybit_frame("tickers", number + step, at_ms - 20, 2000.0), at_ms)
        if first_new is None and 1900.0 in went_out:
            first_new = step
    assert first_new is not None
    assert first_new <= 75
    assert went_out == sorted(went_out, reverse=True), "no old price returns"


async def test_suppressed_ticks_do_not_prolong_the_silence_that_lets_them_out(bus: WholeBus) -> None:
    assert await publishes(bus, 5, 7, price=1.0)
    await age_last(bus, 4.9)
    assert not await publishes(bus, 6, 6, price=2.0)
    await age_last(bus, 5.1)
    assert await publishes(bus, 6, 6, price=2.0)


async def test_a_released_symbol_starts_afresh(bus: WholeBus) -> None:
    assert await publishes(bus, 5, 7)
    await bus.forget(CHANNEL)
    assert await publishes(bus, 5, 7)


async def test_each_symbol_of_a_batch_is_judged_alone(bus: WholeBus) -> None:
    first = replace(TICK, order=(5,))
    other = replace(TICK, symbol=Symbol("ETH-USDT"), order=(5,))
    assert await bus.publish_ticks([first]) == 0
    assert await bus.publish_ticks([first, other]) == 1
    assert await bus.publish_ticks([replace(first, order=(6,)), replace(other, order=(6,))]) == 0


LENGTH = 6
COPIES = 3
_symbols = count()


def history(channel: str) -> list[MarketEvent]:
    """Return a channel's messages. The n-th message of each channel contains n, so that a tick shows its parts."""
    numbers = range(1, LENGTH + 1)
    if channel == "trade":
        return [Trade("X", float(100 + n), 10 * n, n) for n in numbers]
    if channel == "quote":
        return [Quote("X", float(n), None, (100 + n, 0)) for n in numbers]
    return [Day("X", float(100 + n), float(n), None, None, None, None, (1000 + n, n), n, trade_id=10 * n) for n in numbers]


HISTORY = {channel: history(channel) for channel in ("trade", "quote", "day")}
STEPS = st.lists(
    st.tuples(
        st.integers(0, COPIES - 1),
        st.sampled_from([*HISTORY, *HISTORY, *HISTORY, "reconnect"]),
        st.sampled_from(["lost", "waits", "sent", "sent", "sent"]),
    ),
    min_size=20,
    max_size=60,
)


class Copy:
    """One ingest: its merged state, its position on each channel, and the newest tick that waits to be published."""

    def __init__(self, symbol: Symbol) -> None:
        self.listed = Listed(symbol, "X", None)
        self.merge = Merge("okx")
        self.position = dict.fromkeys(HISTORY, 0)
        self.waiting: Tick | None = None
        self.writer = self.merge  # the state that made the waiting tick; by the time it is sent, the state may be a new one

    def hear(self, channel: str, *, lost: bool = False) -> bool:
        """Take the channel's next message, or miss it. The last message of a channel is never missed."""
        position = self.position[channel]
        if position == LENGTH:
            return False
        self.position[channel] = position + 1
        is_heard = not lost or position == LENGTH - 1
        is_news = is_heard and self.merge.apply(HISTORY[channel][position], position) is Change.NEW
        if is_news and (tick := self.merge.tick(self.listed)):
            self.waiting, self.writer = tick, self.merge
        return True


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS, last_words=st.permutations(range(COPIES)))
async def test_copies_that_lag_lose_and_reconnect_make_one_line(
    bus: WholeBus, steps: list[tuple[int, str, str]], last_words: list[int]
) -> None:
    symbol = Symbol(f"X{next(_symbols)}-USDT")
    copies = [Copy(symbol) for _ in range(COPIES)]
    line: list[Tick] = []
    speaker: Merge | None = None

    async def send(copy: Copy) -> None:
        nonlocal speaker
        if copy.waiting is None:
            return
        if await bus.publish_ticks([copy.waiting]) == 0:
            line.append(copy.waiting)
            speaker = copy.writer
        else:
            assert copy.writer is not speaker, "the last publisher is never refused, so while it lives no other copy is needed"
        copy.waiting = None

    for copy in copies:
        copy.hear("day")
    for number, channel, what in steps:
        copy = copies[number]
        if channel == "reconnect":
            copy.merge = Merge("okx")
        elif copy.hear(channel, lost=what == "lost") and what == "sent":
            await send(copy)
    for number in last_words:  # in the end every copy has all messages
        copies[number].merge = Merge("okx")
        for channel in HISTORY:
            copies[number].position[channel] = LENGTH - 1
            copies[number].hear(channel)
        await send(copies[number])

    for before, after in pairwise(line):
        assert after.order != before.order
        assert all(new >= old for new, old in zip(after.order, before.order, strict=True))
    for tick in line:
        assert tick.price == 100 + tick.order[0] / 10, "the price belongs to the trade whose number is in the order"
        assert tick.bid == (tick.order[1] - 100 if tick.order[1] > 0 else None)
        assert tick.open24h == tick.order[3] - 1000
    assert line[-1].order == (10 * LENGTH, 100 + LENGTH, 0, 1000 + LENGTH, LENGTH)


async def test_copies_that_hear_the_same_heartbeats_publish_each_renewal_once_and_the_next_match_at_once(bus: WholeBus) -> None:
    """The copies heard the match at different times, and one of them joins later."""
    listed = Listed(BTC, "BTC-USDT", 2)

    def match(number: int, time_ms: int) -> Day:
        return Day("BTC-USDT", 64000.0 + number, None, None, None, None, None, (number, time_ms), time_ms, trade_id=number)

    async def published(copy: Merge) -> bool:
        tick = copy.tick(listed)
        assert tick is not None
        return await bus.publish_ticks([tick]) == 0

    one, other = Merge("okx"), Merge("okx")
    one.apply(match(7, NOW), NOW + 20)
    assert await published(one)
    for second in range(1, 2000, 97):
        if second > 1000:
            other.apply(match(7, NOW), NOW + 1000 * second - 500)
        for copy, late_ms in ((one, 30), (other, 60)):
            renewed = copy.renew("BTC-USDT", 7, NOW + 1000 * second + late_ms)
            assert await published(copy) is (copy is one) if renewed else copy is other
    # The first copy is gone.
    assert other.renew("BTC-USDT", 7, NOW + 2_000_060)
    assert await published(other)
    other.apply(match(8, NOW + 2_000_900), NOW + 2_000_950)
    assert await published(other)
    one.apply(match(8, NOW + 2_000_900), NOW + 2_000_990)
    assert not await published(one)
