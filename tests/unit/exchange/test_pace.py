"""The length of a suspicious silence depends on the symbol's own past, not on its price or quote currency."""

import pytest

from market_pulse.exchange.pace import Pace


def heard_at(*seconds: float) -> Pace:
    pace = Pace()
    for second in seconds:
        pace.heard(round(1_000_000 + 1000 * second))
    return pace


@pytest.mark.parametrize(
    ("seconds", "limit_s"),
    [
        pytest.param([], None, id="never heard"),
        pytest.param([8.0 * n for n in range(15)], None, id="not often enough to know"),
        pytest.param([0.01 * n for n in range(200)], None, id="a burst alone"),
        pytest.param([0.5 * n for n in range(100)], 5.0, id="twice a second"),
        pytest.param([8.0 * n for n in range(30)], 80.0, id="each 8 s"),
        pytest.param(
            [40 * m + 0.01 * n for m in range(4) for n in range(25)], 397.6, id="bursts, and long pauses between them"
        ),
        pytest.param([0, 600, *(600 + n for n in range(60))], 2803.9, id="a pause longer than anybody waits for"),
    ],
)
def test_limit(seconds: list[float], limit_s: float | None) -> None:
    assert heard_at(*seconds).limit_s() == (limit_s if limit_s is None else pytest.approx(limit_s, rel=0.01))


def test_a_long_pause_is_forgotten_little_by_little() -> None:
    limit_s = heard_at(0, 30, *(30 + n for n in range(3600))).limit_s()
    assert limit_s is not None
    assert 10 <= limit_s < 30


def test_what_lies_between_two_sockets_is_not_measured() -> None:
    pace = heard_at(*(float(n) for n in range(40)))
    pace.pause()
    pace.heard(1_000_000_000)
    assert pace.limit_s() == pytest.approx(10.0)


def test_a_clock_that_goes_back_or_leaps_does_no_harm() -> None:
    pace = heard_at(*(float(n) for n in range(40)), 10.0, 11.0)
    assert pace.limit_s() == pytest.approx(10.0)
