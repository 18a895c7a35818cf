"""The flush clock: time is an argument, so nothing here waits."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.flush import FlushClock


def test_the_first_flush_is_due_at_once() -> None:
    assert FlushClock().wait_s(0.0) == 0.0


def test_a_flush_is_followed_by_a_pause_as_long_as_its_work() -> None:
    """However long that took because others had the core."""
    clock = FlushClock()
    clock.flushed(10.0, 10.5, 0.03)
    assert clock.wait_s(10.51) == pytest.approx(0.02)
    assert clock.wait_s(10.54) == 0.0


def test_a_cap_holds_from_start_to_start() -> None:
    clock = FlushClock(max_hz=10)
    clock.flushed(5.0, 5.001, 0.001)
    assert clock.wait_s(5.001) == pytest.approx(0.099)


@given(st.floats(0, 2), st.none() | st.floats(0.1, 1000))
def test_writing_takes_at_most_half_the_time(took_s: float, max_hz: float | None) -> None:
    clock = FlushClock(max_hz)
    clock.flushed(100.0, 100.0 + took_s, took_s)
    assert clock.wait_s(100.0 + took_s) >= took_s - 1e-9
