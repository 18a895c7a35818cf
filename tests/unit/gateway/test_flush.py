"""The flush clock. Time is an argument, so no test waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.stream.flush import SHORTEST_REST_S, FlushClock


def test_the_first_flush_is_due_at_once() -> None:
    assert FlushClock().wait_s(0.0) == 0.0


def test_a_flush_is_followed_by_a_pause_as_long_as_its_work() -> None:
    """The pause is as long as the work itself, without the time for which other processes had the core."""
    clock = FlushClock()
    clock.flushed(10.0, 10.5, 0.03)
    assert clock.wait_s(10.51) == pytest.approx(0.02)
    assert clock.wait_s(10.54) == 0.0


def test_a_cap_holds_from_start_to_start() -> None:
    clock = FlushClock(max_hz=10)
    clock.flushed(5.0, 5.001, 0.001)
    assert clock.wait_s(5.001) == pytest.approx(0.099)


def test_short_pauses_are_taken_together() -> None:
    clock = FlushClock()
    waits_s = []
    for start_s in (5.0, 5.0004, 5.0008):
        clock.flushed(start_s, start_s + 0.0004, 0.0004)
        waits_s.append(clock.wait_s(start_s + 0.0004))
    assert waits_s == [0.0, 0.0, pytest.approx(0.0012)]


@given(
    st.lists(st.tuples(st.sampled_from([0.0, 0.0002, 0.01]), st.sampled_from([0.0003, 0.0008, 0.05])), min_size=1, max_size=50),
    st.none() | st.floats(0.1, 1000),
)
def test_writing_takes_at_most_half_the_time(flushes: list[tuple[float, float]], max_hz: float | None) -> None:
    """Exceptions are the flush that is under way, and pauses that are too short to make."""
    clock, now_s, worked_s = FlushClock(max_hz), 100.0, 0.0
    for pause_s, took_s in flushes:
        start_s = now_s + pause_s
        start_s += clock.wait_s(start_s)
        assert worked_s <= (start_s - 100.0) / 2 + SHORTEST_REST_S
        now_s = start_s + took_s
        worked_s += took_s
        clock.flushed(start_s, now_s, took_s)
