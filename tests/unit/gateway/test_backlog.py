"""Events that must not be conflated: each is sent, or dropped and counted."""

from itertools import count, islice

import orjson
from hypothesis import given
from hypothesis import strategies as st

from gateway.stream.backlog import MOST_WAITING, Backlog
from gateway.stream.sse import message_event


def event(number: int) -> bytes:
    return message_event("trades", b"%d" % number)


def told(text: bytes) -> list[tuple[int, int]]:
    """Return each event's number, with the number of events dropped before it."""
    data = [orjson.loads(line.removeprefix(b"data: ")) for line in text.split(b"\n\n") if line]
    return [(one.get("dropped", 0), one["data"]) for one in data]


def test_each_event_is_sent_in_order() -> None:
    backlog = Backlog()
    for number in range(3):
        backlog.put(event(number))
    assert backlog.text() == b"".join(map(event, range(3)))


def test_beyond_the_bound_the_oldest_are_dropped_and_counted() -> None:
    backlog = Backlog()
    for number in range(MOST_WAITING + 5):
        backlog.put(event(number))
    assert told(backlog.text())[0] == (5, 5)
    assert len(told(backlog.text())) == MOST_WAITING


@given(st.lists(st.integers(0, 3 * MOST_WAITING), min_size=1, max_size=4))
def test_each_event_is_either_sent_or_counted(sizes: list[int]) -> None:
    """This holds for any grouping, here of several flushes that a client did not read."""
    numbers = count()
    backlog = Backlog()
    for size in sizes:
        later = Backlog()
        for number in islice(numbers, size):
            later.put(event(number))
        backlog.extend(later)
    events = told(backlog.text()) if backlog.events else []
    assert len(events) + sum(dropped for dropped, _ in events) == sum(sizes)
    sent = [number for _, number in events]
    assert sent == sorted(set(sent))
    assert len(sent) <= MOST_WAITING
