"""Delays grow up to a cap, and are random, so that clients do not all retry at once."""

from hypothesis import given
from hypothesis import strategies as st

from market_pulse.process.backoff import backoff_s


@given(st.integers(1, 10_000))
def test_bounds(failures: int) -> None:
    assert 0.1 <= backoff_s(failures) <= min(60.0, 2.0 ** min(failures - 1, 10))  # 1, 2, 4 ... 60


def test_many_clients_spread_over_the_whole_delay() -> None:
    delays = [backoff_s(7) for _ in range(500)]
    assert min(delays) < 15
    assert max(delays) > 45
