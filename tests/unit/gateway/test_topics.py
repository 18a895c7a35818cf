"""The symbols to which the gateway subscribes on the bus, with room for all and without."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from gateway.stream.topics import LINGER_S, Topics
from market_pulse.kinds import CANDLES
from market_pulse.messages import Interval, Symbol

BTC = "ticker:BTC-USDT"
NAMES = [f"ticker:A{number}-USDT" for number in range(8)]
SHARE = 2


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def short_of_room() -> Topics:
    topics = Topics(Clock(), [BTC], SHARE)
    topics.room_is_short = True
    return topics


async def test_while_there_is_room_everything_is_asked_for_and_lingers() -> None:
    clock = Clock()
    topics = Topics(clock, [BTC], SHARE)
    topics.hold(NAMES, "a")
    assert topics.wanted == {BTC, *NAMES}
    assert topics.beyond_share == 0
    topics.release(NAMES, "a")
    clock.now += LINGER_S - 1
    topics.expire()
    assert topics.wanted == {BTC, *NAMES}
    clock.now += 2
    topics.expire()
    assert topics.wanted == {BTC}


async def test_once_room_is_short_one_address_has_its_share_and_the_first_it_asked_for() -> None:
    topics = Topics(Clock(), [BTC], SHARE)
    topics.hold([NAMES[3], BTC, NAMES[1]], "a")
    topics.hold([NAMES[0], NAMES[1]], "a")
    topics.changed.clear()
    topics.room_is_short = True
    assert topics.changed.is_set()
    assert topics.wanted == {BTC, NAMES[3], NAMES[1]}
    assert topics.beyond_share == 1
    topics.room_is_short = False
    assert topics.wanted == {BTC, NAMES[3], NAMES[1], NAMES[0]}


async def test_streams_and_requests_of_one_address_count_together() -> None:
    topics = short_of_room()
    for name in NAMES:
        topics.hold([name], "a")
    assert topics.wanted == {BTC, *NAMES[:SHARE]}
    topics.hold(NAMES[SHARE:], "b")
    assert topics.wanted == {BTC, *NAMES[: 2 * SHARE]}, "another address has a share of its own"


async def test_what_is_given_back_makes_room_for_what_has_waited_longest() -> None:
    topics = short_of_room()
    topics.hold(NAMES[:4], "a")
    topics.changed.clear()
    topics.release([NAMES[0]], "a")
    assert topics.changed.is_set()
    assert topics.wanted == {BTC, NAMES[1], NAMES[2]}
    topics.release([NAMES[3]], "a")
    assert topics.wanted == {BTC, NAMES[1], NAMES[2]}


async def test_while_room_is_short_nothing_lingers() -> None:
    topics = short_of_room()
    topics.hold(NAMES[:2], "a")
    topics.release(NAMES[:2], "a")
    assert topics.wanted == {BTC}
    topics.hold(NAMES[1:2], "b")
    assert topics.wanted == {BTC, NAMES[1]}


async def test_what_lingers_when_room_becomes_short_goes_at_once() -> None:
    topics = Topics(Clock(), [BTC], SHARE)
    topics.hold(NAMES, "a")
    topics.release(NAMES, "a")
    topics.room_is_short = True
    assert topics.wanted == {BTC}


async def test_what_is_featured_counts_towards_no_share_however_often_it_is_held() -> None:
    topics = short_of_room()
    for symbols in ([BTC], [BTC, NAMES[0]], [BTC]):
        topics.hold(symbols, "a")
    for symbols in ([BTC], [BTC, NAMES[0]], [BTC]):
        topics.release(symbols, "a")
    assert topics.wanted == {BTC}


async def test_nothing_is_left_of_addresses_that_went() -> None:
    topics = Topics(Clock(), [BTC], SHARE)
    for number in range(100):
        topics.hold([BTC, *NAMES], f"address {number}")
        topics.release([*NAMES, BTC], f"address {number}")
    assert not topics._addresses


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.booleans(), st.sets(st.sampled_from([BTC, *NAMES]), min_size=1)), max_size=40)
)
async def test_whatever_is_held_and_released(steps: list[tuple[str, bool, set[Symbol]]]) -> None:
    topics = short_of_room()
    held: dict[str, Counter[Symbol]] = {name: Counter() for name in "abc"}
    for owner, take, symbols in steps:
        if take:
            topics.hold(sorted(symbols), owner)
            held[owner].update(symbols)
        elif given_back := sorted(symbol for symbol in symbols if held[owner][symbol]):
            topics.release(given_back, owner)
            held[owner].subtract(given_back)
        mine = {name: {symbol for symbol, count in counts.items() if count and symbol != BTC} for name, counts in held.items()}
        wanted = topics.wanted
        assert BTC in wanted
        assert wanted - {BTC} <= set().union(*mine.values())
        for names in mine.values():
            assert len(names & wanted) >= min(len(names), SHARE), "each address has its share"
        assert len(wanted) - 1 <= sum(min(len(names), SHARE) for names in mine.values()), "and no address has more"
        assert topics.beyond_share == len(set().union(*mine.values()) - wanted)


async def test_each_kind_has_a_share_of_its_own_and_a_featured_symbols_candles_need_none() -> None:
    candles = CANDLES[Interval.MINUTE]
    topics = Topics(Clock(), [BTC], SHARE, {candles: 1})
    topics.room_is_short = True
    mine = [candles.channel(f"A{number}-USDT") for number in range(3)]
    featured = [candles.channel("BTC-USDT"), "candles:1m:okx:BTC-USDT"]
    for channels in (featured, NAMES[:3], mine):
        topics.hold(channels, "a")
    assert topics.wanted == {BTC, *featured, *NAMES[:SHARE], mine[0]}
    assert topics.by_kind == {"ticker": 1 + SHARE, "candle:1m": 2, "candles:1m": 1}
    assert topics.symbols == {"BTC-USDT", "A0-USDT", "A1-USDT"}
    topics.release([*featured, *NAMES[:3], *mine], "a")
    assert topics.wanted == {BTC}
