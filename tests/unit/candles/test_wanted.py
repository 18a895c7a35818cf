"""Which symbols have candles: the featured ones always, others first come, first served."""

from candles.redis_time import RedisTime
from candles.wanted import Wanted
from market_pulse.messages import Symbol

A, B, C, D, E = (Symbol(f"{name}-USDT") for name in "ABCDE")


def turned_away(wanted: Wanted) -> list[Symbol]:
    return list(wanted.turned_away)


def test_featured_symbols_always_have_candles() -> None:
    wanted = Wanted([A, B, A], most=4, grace_s=60)
    assert wanted.update(0, set()) == (A, B)
    assert wanted.update(1, {A, C}) == (A, B, C)
    assert wanted.update(2, None) == (A, B, C), "no answer changes nothing"


def test_first_come_first_served() -> None:
    wanted = Wanted([A], most=3, grace_s=60)
    assert wanted.update(0, {C}) == (A, C)
    assert wanted.update(1, {B, C, D, E}) == (A, C, B), "of those that came together, the first by name"
    assert turned_away(wanted) == [D, E]
    assert wanted.update(2, {B, D}) == (A, B, D), "C lingers, but yields to a wanted one"
    assert turned_away(wanted) == []
    assert wanted.update(3, {B, C, D}) == (A, B, D)
    assert turned_away(wanted) == [C]


def test_a_symbol_lingers_for_the_grace() -> None:
    wanted = Wanted([A], most=3, grace_s=60)
    wanted.update(0, {B, C})
    assert set(wanted.update(60, {C})) == {A, B, C}
    assert wanted.update(60.1, {C}) == (A, C)
    assert wanted.update(200, {B, C, D})[:2] == (A, C), "it lost its place"


def test_the_longest_unwanted_yields_first() -> None:
    wanted = Wanted([], most=2, grace_s=60)
    wanted.update(0, {A, B})
    wanted.update(1, {B})
    wanted.update(2, set())
    assert wanted.update(3, {C}) == (B, C)


def test_redis_time_follows_redis_and_no_setting_of_the_machines_clock() -> None:
    machine_ms, monotonic_s = 1_000_000, 50.0
    time = RedisTime(lambda: machine_ms, lambda: monotonic_s)
    assert time.now_ms() == 1_000_000
    machine_ms = 0
    monotonic_s += 2
    assert time.now_ms() == 1_002_000
    time.compare(ahead_ms=600_000)
    assert time.now_ms() == 402_000
