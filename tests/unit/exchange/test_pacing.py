"""No rolling window ever holds more messages than allowed."""

from hypothesis import given
from hypothesis import strategies as st

from market_pulse.exchange.adapter import Rate
from market_pulse.exchange.pacing import Pacer

RATES = (Rate(3, 1.0), Rate(10, 60.0))


@given(st.lists(st.floats(0, 5), min_size=1, max_size=60))
def test_no_window_is_overrun(pauses: list[float]) -> None:
    pacer, now_s, sent = Pacer(RATES), 0.0, []
    for pause in pauses:
        now_s += pause
        now_s += pacer.delay_s(now_s)
        pacer.sent(now_s)
        sent.append(now_s)
    for rate in RATES:
        for first, last in zip(sent, sent[rate.messages :], strict=False):
            assert last - first >= rate.window_s - 1e-6


def test_pings_use_up_only_the_windows_in_which_they_count() -> None:
    pacer = Pacer((Rate(2, 1.0), Rate(3, 3600.0, pings_count=False)))
    for second in range(100):
        pacer.sent(second, ping=True)
    assert pacer.delay_s(101.0) == 0


def test_a_free_window_does_not_delay() -> None:
    pacer = Pacer(RATES)
    for _ in range(3):
        assert pacer.delay_s(0.0) == 0
        pacer.sent(0.0)
    assert pacer.delay_s(0.25) == 0.75
