"""Messages that wait for the bus: the newest of each channel for a state, all up to a bound for events."""

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from market_pulse.bus import BusError
from market_pulse.exchange.outbox import MOST_EVENTS, Events, Outbox, all_events
from support.waiting import until


def burst(*events: int) -> Events:
    return Events(events=events)


async def publish_until(done: Callable[[], bool], outbox: Outbox[Any]) -> None:
    running = asyncio.create_task(outbox.run())
    await until(done)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


def keeping(published: list[list[Any]], *, failing: int = 0) -> Callable[[Collection[Any]], Awaitable[None]]:
    """Return a function that keeps each command's messages, after `failing` calls that raise."""
    left = failing

    async def publish(messages: Collection[Any]) -> None:
        nonlocal left
        if left:
            left -= 1
            raise BusError("away")
        published.append(list(messages))

    return publish


async def test_of_a_state_the_newest_is_published() -> None:
    published: list[list[int]] = []
    outbox = Outbox(keeping(published))
    assert [outbox.put(*one) for one in (("A", 1), ("B", 2), ("A", 3))] == [False, False, True]
    await publish_until(lambda: bool(published), outbox)
    assert published == [[3, 2]]


async def test_of_events_each_is_published_in_order() -> None:
    published: list[list[Events]] = []
    outbox = Outbox(keeping(published), all_events)
    for channel, event in (("A", 1), ("B", 2), ("A", 3)):
        outbox.put(channel, burst(event))
    await publish_until(lambda: bool(published), outbox)
    assert published == [[burst(1, 3), burst(2)]]


async def test_events_that_could_not_be_published_come_before_the_later_ones() -> None:
    published: list[list[Events]] = []
    outbox = Outbox(keeping(published, failing=1), all_events)
    outbox.put("A", burst(1))
    running = asyncio.create_task(outbox.run())
    await until(lambda: outbox.failing_since_s is not None)
    outbox.put("A", burst(2))
    await until(lambda: bool(published))
    assert published == [[burst(1, 2)]]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_what_is_discarded_before_it_goes_is_not_missed() -> None:
    published: list[list[int]] = []
    outbox = Outbox(keeping(published))
    outbox.put("A", 1)
    outbox.discard("A")
    running = asyncio.create_task(outbox.run())
    await asyncio.sleep(0)
    outbox.put("B", 2)
    await until(lambda: bool(published) or running.done())
    assert published == [[2]]
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


@given(st.lists(st.integers(1, MOST_EVENTS), min_size=1, max_size=6))
def test_every_event_is_there_or_counted(sizes: list[int]) -> None:
    """For any sizes of batches, the newest events are left, and the number of dropped ones before them is reported."""
    joined, count = Events(events=()), 0
    for size in sizes:
        joined = all_events(joined, burst(*range(count, count + size)))
        count += size
    assert joined.events == tuple(range(count))[-MOST_EVENTS:]
    assert joined.dropped + len(joined.events) == count
