"""When tickers are due: at most 50 of a symbol in any second, and a heartbeat each second. Times are in seconds."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.schedule import Schedule
from market_pulse.messages import Symbol

A, B = Symbol("A-USDT"), Symbol("B-USDT")
ALL = 1000


def schedule() -> Schedule:
    return Schedule(50, 1.0)


def publish_times(subject: Schedule, changes_s: list[float]) -> list[float]:
    """Return when A is published if it changes at these times and each poll comes exactly when A is due."""
    published_s: list[float] = []
    for index, change_s in enumerate(changes_s):
        subject.touch(A, change_s)
        until_s = changes_s[index + 1] if index + 1 < len(changes_s) else change_s + 0.5
        while A in subject.changed() and (due_s := max(change_s, subject.next_s() or 0)) <= until_s:
            published_s += [due_s] * (A in subject.due(due_s, ALL))
    return published_s


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


def test_a_few_changes_in_a_row_go_at_once_and_the_next_waits() -> None:
    subject = schedule()
    for _ in range(6):
        assert subject.touch(A, 5.0)
        assert subject.due(5.0, ALL) == [A]
    assert subject.touch(A, 5.001)
    assert not subject.touch(A, 5.002), "a further change is already pending"
    assert subject.due(5.01, ALL) == []
    assert subject.next_s() == pytest.approx(5 + 1 / 45)
    assert subject.changed() == [A]
    assert subject.due(5.0223, ALL) == [A]
    assert subject.changed() == []


def test_the_right_to_go_at_once_comes_back() -> None:
    subject = schedule()
    changes_s = [5.0] * 6 + [5.5] * 6
    assert publish_times(subject, changes_s) == changes_s


def test_a_symbol_that_always_changes_goes_out_evenly() -> None:
    published_s = publish_times(schedule(), [5 + change / 1000 for change in range(3000)])
    assert published_s[:6] == pytest.approx([5 + change / 1000 for change in range(6)])
    distances_s = [after - before for before, after in pairwise(published_s[10:])]
    assert distances_s == pytest.approx([1 / 45] * len(distances_s), abs=0.0011)


@given(st.sampled_from([1, 2.5, 9, 10, 50, 1000]), st.lists(st.floats(0, 0.2), min_size=1, max_size=200))
def test_no_second_sees_more_than_the_rate(max_rate_hz: float, pauses_s: list[float]) -> None:
    now_s, changes_s = 0.0, []
    for pause_s in pauses_s:
        now_s += pause_s if pause_s > 0.1 else pause_s / 100
        changes_s.append(now_s)
    published_s = publish_times(Schedule(max_rate_hz, 1.0), changes_s)
    for index, start_s in enumerate(published_s):
        assert sum(when_s < start_s + 1 - 1e-9 for when_s in published_s[index:]) <= math.ceil(max_rate_hz)


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
    for _ in range(6):
        subject.touch(A, 5.0)
        subject.due(5.0, ALL)
    subject.touch(A, 5.002)
    subject.drop(A)
    subject.drop(B)
    assert subject.next_s() is None
    assert subject.due(99.0, ALL) == []


steps = st.lists(st.tuples(st.floats(0, 0.5), st.sampled_from([A, B]), st.sampled_from(["touch", "due", "drop"])), max_size=60)


@given(steps)
def test_no_change_is_lost_and_the_rate_holds(events: list[tuple[float, Symbol, str]]) -> None:
    """For any events, each change is published, the rate limit holds, and no due ticker is missed."""
    subject = schedule()
    now_s = 0.0
    published_s: dict[Symbol, list[float]] = {}
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
                times_s = published_s.setdefault(one, [])
                times_s.append(now_s)
                assert sum(when_s > now_s - 1 + 1e-9 for when_s in times_s) <= 50
                changed.discard(one)
    assert set(subject.changed()) == changed
    assert set(subject.due(now_s + 1.0, ALL)) == changed | set(published_s)
