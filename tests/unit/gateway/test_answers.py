"""Open responses are bounded in number and in bytes, and the address with most of them gives way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.api.answers import MOST_UNREAD_BYTES, MOST_UNREAD_BYTES_PER_ADDRESS, Answer, OpenAnswers, TooManyAnswersError

ONE, TWO, THREE = "192.0.2.1", "192.0.2.2", "192.0.2.3"


class Cut:
    """Records which responses were cut."""

    def __init__(self) -> None:
        self.names: list[str] = []

    def take(self, answers: OpenAnswers, address: str, name: str) -> Answer:
        return answers.take(address, lambda: self.names.append(name))


def test_an_address_gets_no_more_than_its_own() -> None:
    answers, cut = OpenAnswers(most=9, most_per_address=2), Cut()
    first = cut.take(answers, ONE, "first")
    cut.take(answers, ONE, "second")
    with pytest.raises(TooManyAnswersError) as full:
        cut.take(answers, ONE, "third")
    assert full.value.by_address
    cut.take(answers, TWO, "another's")
    answers.give_back(first)
    cut.take(answers, ONE, "third")
    assert not cut.names


def test_one_ipv6_host_has_a_whole_64() -> None:
    answers, cut = OpenAnswers(most=9, most_per_address=1), Cut()
    cut.take(answers, "2001:db8::1", "first")
    with pytest.raises(TooManyAnswersError):
        cut.take(answers, "2001:db8::2:2", "second")


def test_who_has_most_yields_to_a_newcomer() -> None:
    """Its oldest complete response is cut, never one that is still being made."""
    answers, cut = OpenAnswers(most=4, most_per_address=3), Cut()
    cut.take(answers, TWO, "another's")
    cut.take(answers, ONE, "being made")
    for name in ("oldest", "newest"):
        answers.begin(cut.take(answers, ONE, name), 10)
    cut.take(answers, THREE, "newcomer")
    assert cut.names == ["oldest"]
    assert (answers.count, answers.bytes, answers.cut) == (4, 10, 1)


def test_without_anything_unread_the_newcomer_is_refused() -> None:
    answers, cut = OpenAnswers(most=2, most_per_address=2), Cut()
    cut.take(answers, ONE, "first")
    cut.take(answers, ONE, "second")
    with pytest.raises(TooManyAnswersError) as full:
        cut.take(answers, TWO, "third")
    assert not full.value.by_address
    assert not cut.names


def test_bytes_are_bounded_for_one_and_for_all() -> None:
    answers, cut = OpenAnswers(most=999, most_per_address=99), Cut()
    for address in range(MOST_UNREAD_BYTES // MOST_UNREAD_BYTES_PER_ADDRESS):
        answers.begin(cut.take(answers, f"198.51.100.{address}", f"{address}"), MOST_UNREAD_BYTES_PER_ADDRESS)
    answers.begin(cut.take(answers, "198.51.100.0", "shared"), 0)
    with pytest.raises(TooManyAnswersError) as full:
        answers.begin(cut.take(answers, "198.51.100.0", "too much"), 1)
    assert full.value.by_address
    assert not cut.names
    answers.begin(cut.take(answers, ONE, "newcomer"), 1)
    assert cut.names == ["0"]
    assert answers.bytes <= MOST_UNREAD_BYTES


@given(st.lists(st.tuples(st.sampled_from((ONE, TWO, THREE)), st.booleans(), st.integers(0, MOST_UNREAD_BYTES_PER_ADDRESS))))
def test_nothing_is_left_of_answers_that_are_gone(steps: list[tuple[str, bool, int]]) -> None:
    answers = OpenAnswers(most=4, most_per_address=3)
    live: list[Answer] = []
    for address, gone, size in steps:
        try:
            answer = answers.take(address, lambda: None)
            live.append(answer)
            answers.begin(answer, size)
        except TooManyAnswersError:
            pass
        if gone and live:
            answers.give_back(live.pop(0))
        assert 0 <= answers.count <= 4
        assert 0 <= answers.bytes <= MOST_UNREAD_BYTES
    for answer in live:
        answers.give_back(answer)
        answers.give_back(answer)
    assert (answers.count, answers.bytes, answers._open, answers._bytes) == (0, 0, {}, {})
