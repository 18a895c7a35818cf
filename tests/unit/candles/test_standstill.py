"""How a process finds that it has stood still."""

import pytest

from candles.standstill import CATCH_UP_S, Standstill


def test_a_process_that_looks_often_has_not_stood_still() -> None:
    standstill = Standstill(100.0)
    assert {standstill.look(100 + n / 2) for n in range(100)} == {0}


def test_a_standstill_lasts_until_what_has_waited_is_heard() -> None:
    standstill = Standstill(100.0)
    assert standstill.look(120.0) == 20.0
    assert standstill.look(120.9) == pytest.approx(20.9)
    assert standstill.look(121.8) == pytest.approx(21.8)
    assert standstill.look(120.0 + CATCH_UP_S) == 0


def test_a_process_that_is_not_connected_stands_still() -> None:
    standstill = Standstill(100.0)
    assert standstill.look(100.1, hears=False) == pytest.approx(0.1)
    assert standstill.look(101.0, hears=False) == pytest.approx(1.0)
    assert standstill.look(101.5) == pytest.approx(1.5)
    assert standstill.look(102.4) == pytest.approx(2.4)
    assert standstill.look(101.0 + CATCH_UP_S) == 0
