"""Judgments of a stream by the arrival times of its events."""

from collections.abc import Callable

import pytest

from cli.pacing import Arrival, judge

LISTENED_S = 8.0


def as_made(made_s: float) -> float:
    return made_s + 0.002


def every_two_seconds(made_s: float) -> float:
    return (made_s // 2 + 1) * 2


def jittery(made_s: float) -> float:
    return made_s + (made_s * 7.3 % 1) * 0.2


def arrivals(came: Callable[[float], float], events_per_s: int, clock_s: float = 0.0) -> list[Arrival]:
    """Return a snapshot that is minutes old, then events made at an even pace. The publisher's clock is `clock_s` ahead."""
    made = [n / events_per_s for n in range(int(LISTENED_S * events_per_s))]
    return [Arrival(0.001, clock_s - 300), *(Arrival(came(made_s), made_s + clock_s) for made_s in made)]


def handed_over(events: list[Arrival], by_s: float) -> list[Arrival]:
    """Return the events with every second run of eight from another aggregator, whose clock is `by_s` ahead."""
    return [
        event._replace(made_s=event.made_s + by_s, publisher="b") if number // 8 % 2 else event
        for number, event in enumerate(events)
    ]


@pytest.mark.parametrize(
    ("events", "result", "said"),
    [
        pytest.param(arrivals(as_made, 20), "ok", "160 events", id="as they are made"),
        pytest.param(arrivals(as_made, 1), "ok", "8 events", id="a quiet symbol"),
        pytest.param(arrivals(jittery, 20), "ok", "at most", id="a jittery line"),
        pytest.param(arrivals(as_made, 20, clock_s=1.7e9), "ok", "delayed by 0 ms", id="two clocks that differ"),
        pytest.param(handed_over(arrivals(as_made, 20), 600), "ok", "delayed by 0 ms", id="aggregators' clocks that differ"),
        pytest.param(handed_over(arrivals(every_two_seconds, 20), -600), "wrong", "buffers", id="and a buffer on the way"),
        pytest.param(arrivals(every_two_seconds, 20), "wrong", "in 4 pieces", id="a buffer on the way"),
        pytest.param(arrivals(every_two_seconds, 1), "wrong", "buffers", id="a buffer, a quiet symbol"),
        pytest.param(arrivals(as_made, 1)[:1], "wrong", "nothing after it", id="a snapshot and no more"),
        pytest.param([], "wrong", "no price", id="nothing"),
    ],
)
def test_judge(events: list[Arrival], result: str, said: str) -> None:
    found, saw = judge(events, LISTENED_S)
    assert (found, said in saw) == (result, True), saw
