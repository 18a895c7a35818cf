"""The course of a currency that leaves its usual value: the way there, the stay, and the way back."""

import pytest

from simulator.peg import Peg

NOW_MS = 1_786_538_789_464


@pytest.mark.parametrize(
    ("after_s", "expected"),
    [
        pytest.param(-1, 1.0, id="before"),
        pytest.param(0, 1.0, id="at the start"),
        pytest.param(5, 0.5, id="half of the way, by its logarithm"),
        pytest.param(10, 0.25, id="there"),
        pytest.param(30, 0.25, id="held"),
        pytest.param(35, 0.5, id="half of the way back"),
        pytest.param(40, 1.0, id="back"),
        pytest.param(4000, 1.0, id="for good"),
    ],
)
def test_there_and_back(after_s: float, expected: float) -> None:
    peg = Peg().moved(0.25, NOW_MS, within_s=10, hold_s=20)
    assert peg.at(NOW_MS + after_s * 1000) == pytest.approx(expected)


def test_without_a_hold_it_stays() -> None:
    assert Peg().moved(0.95, NOW_MS, within_s=10).at(NOW_MS + 1e12) == pytest.approx(0.95)


def test_at_once() -> None:
    assert Peg().moved(0.95, NOW_MS, within_s=0).at(NOW_MS) == pytest.approx(0.95)


def test_a_new_course_starts_where_the_old_one_is() -> None:
    peg = Peg().moved(0.25, NOW_MS, within_s=10).moved(1.0, NOW_MS + 5000, within_s=10)
    assert peg.at(NOW_MS + 5000) == pytest.approx(0.5)
    assert peg.at(NOW_MS + 15_000) == 1.0
