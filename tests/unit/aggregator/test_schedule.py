"""When tickers are due: 20 ms between two of a symbol, a heartbeat each second. Times are seconds of no particular clock."""

from hypothesis import given
from hypothesis import strategies as st

from aggregator.schedule import Schedule
from market_pulse.model import Symbol

A, B = Symbol("A-USDT"), Symbol("B-USDT")
ALL = 1000


def schedule() -> Schedule:
    return Schedule(0.02, 1.0)


def test_a_first_change_is_due_at_once() -> None:
    subject = schedule()
    assert subject.next_s() is None
    assert subject.touch(A, 5.0)
    assert (subject.next_s() or 0) < 5.0
    assert subject.due(5.0, ALL) == [A]
    assert subject.due(5.0, ALL) == []


def test_changes_of_one_moment_are_due_together() -> None:
    subject = schedule()
    subject.touch(A, 5.0)
    subject.touch(B, 5.0)
    assert subject.due(5.0, ALL) == [A, B]


def test_a_second_change_waits_and_further_ones_are_the_same() -> None:
    subject = schedule()
    subject.touch(A, 5.0)
    subject.due(5.0, ALL)
    assert subject.touch(A, 5.001)
    assert not subject.touch(A, 5.002)
    assert subject.due(5.01, ALL) == []
    assert subject.next_s() == 5.02
    assert subject.changed() == [A]
    assert subject.due(5.02, ALL) == [A]
    assert subject.changed() == []


def test_heartbeat() -> None:
    subject = schedule()
    subject.touch(A, 5.0)
    subject.due(5.0, ALL)
    subject.touch(B, 5.5)
    subject.due(5.5, ALL)
    assert subject.next_s() == 6.0
    assert subject.due(6.0, ALL) == [A]
    assert subject.next_s() == 6.5


def test_a_change_puts_the_heartbeat_off() -> None:
    subject = schedule()
    subject.touch(A, 5.0)
    subject.due(5.0, ALL)
    subject.touch(A, 5.9)
    subject.due(5.9, ALL)
    assert subject.due(6.0, ALL) == []
    assert subject.due(6.9, ALL) == [A]


def test_changes_go_before_heartbeats_and_the_rest_next_time() -> None:
    subject = schedule()
    subject.touch(A, 5.0)
    subject.due(5.0, ALL)
    subject.touch(B, 6.0)
    assert subject.due(6.0, 1) == [B]
    assert subject.due(6.0, 1) == [A]
    assert subject.due(6.0, 1) == []


def test_a_dropped_symbol_is_never_due() -> None:
    subject = schedule()
    for when_s in (5.0, 5.001):
        subject.touch(A, when_s)
        subject.due(when_s, ALL)
    subject.touch(A, 5.002)
    subject.drop(A)
    subject.drop(B)
    assert subject.next_s() is None
    assert subject.due(99.0, ALL) == []


steps = st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from([A, B]), st.sampled_from(["touch", "due", "drop"])), max_size=60)


@given(steps)
def test_no_change_is_lost_and_the_rate_holds(events: list[tuple[float, Symbol, str]]) -> None:
    """Whatever happens when: what changed goes out, not too often, and what is due next is never missed."""
    subject = schedule()
    now_s = 0.0
    published_s: dict[Symbol, float] = {}
    changed: set[Symbol] = set()
    for step_s, symbol, what in events:
        now_s += step_s
        if what == "touch":
            subject.touch(symbol, now_s)
            changed.add(symbol)
        elif what == "drop":
            subject.drop(symbol)
            changed.discard(symbol)
            published_s.pop(symbol, None)
        else:
            expected_s = subject.next_s()
            due = subject.due(now_s, ALL)
            assert bool(due) == (expected_s is not None and expected_s <= now_s)
            for one in due:
                assert now_s - published_s.get(one, -1.0) >= 0.02 - 1e-9
                published_s[one] = now_s
                changed.discard(one)
    assert set(subject.changed()) == changed
    assert set(subject.due(now_s + 1.0, ALL)) == changed | set(published_s)
