"""On each channel the newest real message wins, also soon after numbers or clocks restart, and no old one ever returns."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pulse.exchange.line import FAR_MS, STALE_MS, Line, Verdict

NOW = 1_786_538_729_776


def verdicts(*messages: tuple[int, int, int]) -> list[str]:
    """Return the verdicts on messages, given as (number, time, arrival), of which the latter two are in ms after NOW."""
    line = Line()
    return [line.take((number, NOW + time_ms), NOW + came_ms).value for number, time_ms, came_ms in messages]


@pytest.mark.parametrize(
    ("messages", "expected"),
    [
        pytest.param([(7, 0, 0), (8, 1, 1)], ["ahead", "ahead"], id="both rise"),
        pytest.param([(7, 0, 0), (7, 0, 9)], ["ahead", "same"], id="a duplicate"),
        pytest.param([(7, 5, 5), (6, 4, 6)], ["ahead", "behind"], id="late"),
        pytest.param([(0, 5, 5), (0, 4, 6)], ["ahead", "behind"], id="late, and there are only times"),
        pytest.param([(7, 5, 5), (8, 4, 6)], ["ahead", "behind"], id="no number makes an earlier time news"),
        pytest.param([(7, 5, 5), (6, 6, 6)], ["ahead", "behind"], id="a lower number a moment later proves nothing"),
        pytest.param([(7, 0, 0), (6, FAR_MS + 1, FAR_MS + 1)], ["ahead", "anew"], id="a lower number much later"),
        pytest.param([(7, 0, 0), (2**52, 1, 1), (8, 2, 2), (9, 5002, 5002)], ["ahead", "ahead", "behind", "anew"], id="leap"),
        pytest.param([(0, 0, 0), (0, 9**9, 1), (0, 2, 2)], ["ahead", "ahead", "anew"], id="a time ahead of our clock"),
        pytest.param([(0, 0, 0), (0, 9**9, 1), (0, 0, 2)], ["ahead", "ahead", "behind"], id="and then a duplicate"),
        pytest.param([(7, 0, 0), (6, 5001, 5001), (8, 4000, 5002)], ["ahead", "anew", "behind"], id="an old one after it"),
        pytest.param([(0, 0, 0), (7, 1, 1), (0, 2, 2)], ["ahead", "ahead", "ahead"], id="some bear no number"),
        pytest.param([(0, 10**7, 10**7), (0, 0, 10**7 + 1)], ["ahead", "behind"], id="an hour-old replay"),
    ],
)
def test_verdicts(messages: list[tuple[int, int, int]], expected: list[str]) -> None:
    assert verdicts(*messages) == expected


def run(of: Iterable[int], step_ms: int, number: int = 10**6) -> list[str]:
    """Return the verdicts on messages without times whose numbers follow a high number."""
    line = Line()
    line.take((number, 0), NOW)
    return [line.take((one, 0), NOW + (at + 1) * step_ms).value for at, one in enumerate(of)]


def test_numbers_without_times_that_rise_for_long_enough_are_a_new_numbering() -> None:
    steps = STALE_MS // 1000
    assert run(range(1, 1 + steps + 3), 1000) == ["behind"] * steps + ["anew", "ahead", "ahead"]


@pytest.mark.parametrize(
    "numbers",
    [
        pytest.param([5] * 200, id="the same one again and again"),
        pytest.param([200 - n for n in range(200)], id="falling"),
        pytest.param([n if n % 30 else 10**6 for n in range(200)], id="and the known one is still told"),
    ],
)
def test_what_does_not_rise_alone_is_no_new_numbering(numbers: list[int]) -> None:
    assert "anew" not in run(numbers, 1000)


def test_disorder_within_a_new_numbering_does_not_delay_it() -> None:
    assert "anew" in run([n + 1 - 2 * (n % 2) for n in range(4, 80)], 1000)


def test_the_exchanges_word_that_it_begins_anew_is_believed_unless_it_is_old() -> None:
    line = Line()
    line.take((7, NOW), NOW)
    assert line.take((1, NOW - 1), NOW, restarted=True) is Verdict.BEHIND
    assert line.take((1, NOW + 1), NOW, restarted=True) is Verdict.ANEW


def test_the_published_order_rises_with_each_message_and_each_tie() -> None:
    line = Line()
    orders = []
    for number, time_ms in [(7, 0), (7, 0), (7, 0), (8, 0), (8, 1)]:
        if line.take((number, NOW + time_ms), NOW) is Verdict.SAME:
            line.tie()
        orders.append(line.order)
    assert all(new[0] >= old[0] and new[1] >= old[1] and new != old for old, new in pairwise(orders))


@dataclass(frozen=True)
class Said:
    """One message: its index among all messages of the exchange, and the time of its arrival here."""

    index: int
    number: int
    time_ms: int
    came_ms: int


KINDS = st.sampled_from(["plain"] * 6 + ["restart", "leap"])
STEPS = st.lists(st.tuples(st.integers(1, 3000), KINDS, st.integers(0, 2000), st.booleans()), max_size=30)


def said(steps: list[tuple[int, str, int, bool]], *, numbered: bool, timed: bool, faults: bool) -> list[Said]:
    """Make one message of an exchange in each step, and deliver the messages late and out of order, some of them twice."""
    found: list[Said] = []
    now_ms, number = NOW, 10**9
    # At the end, enough messages follow in order.
    for index, (gap_ms, kind, late_ms, twice) in enumerate([*steps, *[(2500, "plain", 0, False)] * 40]):
        now_ms += gap_ms
        number += 1
        told = number
        if faults and kind == "restart":
            number = told = min(number, index + 1)
        elif faults and kind == "leap":
            told = 2**50  # only this message has a wild number, and it arrives in time
        came_ms = now_ms + (0 if kind == "leap" else late_ms)
        message = Said(index, told if numbered else 0, now_ms if timed else 0, came_ms)
        found += [message, Said(index, message.number, message.time_ms, message.came_ms + 700)][: 1 + twice]
    return sorted(found, key=lambda one: one.came_ms)


def accepted(messages: list[Said]) -> list[int]:
    line = Line()
    return [one.index for one in messages if line.take((one.number, one.time_ms), one.came_ms) in {Verdict.AHEAD, Verdict.ANEW}]


ways = pytest.mark.parametrize(
    ("numbered", "timed"),
    [pytest.param(True, True, id="both"), pytest.param(False, True, id="times"), pytest.param(True, False, id="numbers")],
)


@ways
@given(steps=STEPS)
def test_disorder_and_duplicates_bring_no_old_message_back(
    numbered: bool, timed: bool, steps: list[tuple[int, str, int, bool]]
) -> None:
    messages = said(steps, numbered=numbered, timed=timed, faults=False)
    indexes = accepted(messages)
    assert indexes == sorted(set(indexes))
    newest = -1
    for one in messages:
        newest = max(newest, one.index)
        assert newest in indexes, "a message that is the newest at its arrival is always taken"


@ways
@given(steps=STEPS)
def test_after_restarts_and_leaps_the_newest_message_wins(
    numbered: bool, timed: bool, steps: list[tuple[int, str, int, bool]]
) -> None:
    messages = said(steps, numbered=numbered, timed=timed, faults=True)
    indexes = accepted(messages)
    assert indexes[-1] == messages[-1].index
    bound_ms = FAR_MS + 2 * 2500 if timed else STALE_MS + 15_000
    last_fault_ms = messages[-1].came_ms - 40 * 2500
    first_right = next(one for one in messages if one.index in indexes and one.came_ms > last_fault_ms)
    assert first_right.came_ms <= last_fault_ms + bound_ms
    if timed:
        assert indexes == sorted(set(indexes)), "times show which messages are old, even against the numbers"
