"""The clock that an aggregator uses: its machine's or Redis's, without leaps when one of them is set."""

import pytest

from aggregator.clock import MOST_WITNESSES, Clock

NOW_MS = 1_700_000_000_000
TEN_MINUTES_MS = 600_000


class World:
    """The true time, Redis's clock, and a machine's clock with a skew."""

    def __init__(self, ahead_ms: int = 0, redis_ahead_ms: int = 0) -> None:
        self.true_ms = NOW_MS
        self.ahead_ms, self.redis_ahead_ms = ahead_ms, redis_ahead_ms
        self.clock = Clock(5.0, lambda: self.true_ms + self.ahead_ms, lambda: self.true_ms / 1000)

    def pass_time(self, ms: int = 400) -> None:
        self.true_ms += ms

    def compare(self) -> None:
        self.pass_time()
        self.clock.compare(self.ahead_ms - self.redis_ahead_ms)

    def hear(self, *ahead_ms: int) -> None:
        for number, ahead in enumerate(ahead_ms):
            self.clock.hear(f"exchange{number}", self.true_ms + ahead)

    @property
    def error_ms(self) -> int:
        return self.clock.now_ms() - self.true_ms


SKEWS_MS = [TEN_MINUTES_MS, -TEN_MINUTES_MS, 5_001, -5_001]


@pytest.mark.parametrize("ahead_ms", [0, 4_999, -4_999])
def test_a_clock_that_is_near_enough_is_believed(ahead_ms: int) -> None:
    world = World(ahead_ms)
    world.compare()
    assert (world.clock.is_off, world.clock.is_corrected, world.error_ms, world.clock.changes) == (False, False, ahead_ms, 0)


@pytest.mark.parametrize("ahead_ms", SKEWS_MS)
@pytest.mark.parametrize("ingests_ms", [(), (0, 0, 0), (0, TEN_MINUTES_MS, 0), (100, -100)])
def test_a_clock_that_is_off_gives_way_to_redis_s(ahead_ms: int, ingests_ms: tuple[int, ...]) -> None:
    world = World(ahead_ms)
    world.hear(*ingests_ms)
    world.compare()
    assert (world.clock.is_off, world.clock.is_corrected, world.error_ms, world.clock.changes) == (True, True, 0, 1)


@pytest.mark.parametrize("redis_ahead_ms", SKEWS_MS)
def test_where_the_ingests_have_our_time_redis_is_wrong(redis_ahead_ms: int) -> None:
    world = World(redis_ahead_ms=redis_ahead_ms)
    world.hear(0, -20, 30)
    world.compare()
    assert (world.clock.is_off, world.clock.is_corrected, world.error_ms) == (True, False, 0)


def test_witnesses_that_come_late_are_heard() -> None:
    """At first Redis's clock is the only witness."""
    world = World(redis_ahead_ms=TEN_MINUTES_MS)
    world.compare()
    assert world.error_ms == TEN_MINUTES_MS
    world.hear(0, 0)
    world.compare()
    assert (world.error_ms, world.clock.changes) == (0, 2)


@pytest.mark.parametrize("step_ms", [TEN_MINUTES_MS, -TEN_MINUTES_MS])
def test_time_goes_on_while_the_machine_s_clock_is_set(step_ms: int) -> None:
    """The clock is set wrong, then right, then wrong in the other direction. The aggregator's time does not leap."""
    world = World()
    world.hear(0, 0)
    world.compare()
    for ahead_ms in (step_ms, 0, -step_ms):
        world.ahead_ms = ahead_ms
        world.pass_time()
        assert world.error_ms == 0, "before any witness was asked"
        world.compare()
        assert (world.error_ms, world.clock.is_off) == (0, ahead_ms != 0)
        world.hear(0, 0)
        for _ in range(10):
            world.compare()
            assert world.error_ms == 0
    assert world.clock.changes == 3


def test_it_is_right_again_only_well_within_the_limit() -> None:
    world = World(6_000)
    seen = []
    for ahead_ms in (6_000, 4_000, 2_600, 2_400, 4_000, 5_100):
        world.ahead_ms = ahead_ms
        world.compare()
        seen.append(world.clock.is_off)
    assert seen == [True, True, True, False, False, True]


def test_a_correction_does_not_leap_with_each_comparison() -> None:
    world = World(TEN_MINUTES_MS)
    world.compare()
    told = []
    for jitter_ms in (3, -4, 200, -200):
        world.pass_time()
        world.clock.compare(TEN_MINUTES_MS + jitter_ms)
        told.append(world.error_ms)
    assert told == [0, 0, 0, 0]


def test_witnesses_are_bounded_in_number() -> None:
    world = World()
    world.hear(*range(10 * MOST_WITNESSES))
    assert len(world.clock._ahead_of) == MOST_WITNESSES
