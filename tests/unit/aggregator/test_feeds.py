"""Which exchanges count as away: by the statuses of their ingests' copies, and by their silence while we were connected."""

from collections.abc import Iterable
from math import inf

import pytest
from msgspec.structs import replace

from aggregator.feeds import MAX_COPIES, MAX_EXCHANGES, REDIS_SILENT_AFTER_S, Feeds
from market_pulse.messages import FeedState, FeedStatus, Tick, decode_status
from support.samples import status_bytes

from .examples import NOW_MS, B, O, Y, by_exchange, tick


class Listening:
    """Feeds and their clock. Each step is a second in which Redis answers."""

    def __init__(self) -> None:
        self.feeds = Feeds()
        self.now_s = 1000.0
        self.feeds.look(self.now_s, 0.0)

    def say(self, *states: FeedState, exchange: str = B, age_s: float = 0.0) -> None:
        """Publish a status for each copy."""
        for copy, state in zip("abc", states, strict=False):
            self.feeds.take(status(exchange, state, copy), age_s)

    def pass_s(self, seconds: float, silent_s: float = 0.0, step_s: float = 1.0) -> None:
        end_s = self.now_s + seconds
        while self.now_s < end_s:
            self.now_s = min(end_s, self.now_s + step_s)
            self.feeds.look(self.now_s, silent_s)

    def away(self, *exchanges: str, age_s: float = 0.0) -> set[str]:
        return set(self.feeds.away(ticks(exchanges or (B,), age_s), NOW_MS))


def ticks(exchanges: Iterable[str], age_s: float = 0.0) -> dict[str, Tick]:
    return by_exchange(*(tick(exchange, 1.0, age_s=age_s) for exchange in exchanges))


def status(exchange: str, state: FeedState, instance: str = "a") -> FeedStatus:
    return replace(decode_status(status_bytes(exchange, state)), instance=instance)


@pytest.mark.parametrize(
    ("state", "is_away"),
    [
        ("connected", False),
        ("degraded", False),
        ("connecting", True),
        ("reconnecting", True),
        ("blocked", True),
        ("down", True),
    ],
)
def test_what_one_copy_says_counts_at_once(state: FeedState, is_away: bool) -> None:
    listening = Listening()
    listening.say("connected")
    assert listening.away() == set()
    listening.say(state)
    assert (listening.away() == {B}) == is_away
    listening.say("connected")
    assert listening.away() == set()


@pytest.mark.parametrize(
    ("states", "is_away"),
    [
        (("blocked", "connected"), False),
        (("down", "blocked", "degraded"), False),
        (("blocked", "blocked"), True),
        (("reconnecting", "down", "connecting"), True),
    ],
)
def test_one_copy_that_hears_is_enough(states: tuple[FeedState, ...], is_away: bool) -> None:
    listening = Listening()
    listening.say(*states)
    assert (listening.away() == {B}) == is_away


def test_exchanges_are_told_apart() -> None:
    listening = Listening()
    listening.say("blocked", exchange=B)
    listening.say("connected", exchange=O)
    assert listening.away(B, O) == {B}


def test_a_copy_that_has_fallen_silent_counts_for_fifteen_seconds() -> None:
    """One of two copies is killed while the other is blocked; then the other dies too."""
    listening = Listening()
    listening.say("connected", "blocked")
    for _ in range(14):
        listening.pass_s(1)
        assert listening.away() == set()
        listening.feeds.take(status(B, "blocked", "b"))
    listening.pass_s(1)
    assert listening.away() == {B}
    listening.pass_s(60)
    assert listening.away() == {B}, "and stays away without further statuses"
    listening.say("connected")
    assert listening.away() == set()


def test_one_that_was_never_heard_is_away_once_we_have_listened_for_long_enough() -> None:
    listening = Listening()
    listening.pass_s(14.9)
    assert listening.away(B, O) == set()
    listening.pass_s(0.3)
    assert listening.away(B, O) == {B, O}
    listening.say("degraded", exchange=O)
    assert listening.away(B, O) == {B}


def test_one_that_was_never_heard_is_away_at_once_if_its_tick_is_old() -> None:
    """At the start Redis has no status from the last fifteen seconds, but an older tick, so the ingest has died."""
    assert Listening().away(age_s=15) == {B}
    assert Listening().away(age_s=14.9) == set()


def test_a_quiet_market_with_an_open_feed_is_not_away() -> None:
    listening = Listening()
    listening.say("connected")
    assert listening.away(age_s=3600) == set()


def test_what_was_kept_is_as_old_as_it_is() -> None:
    listening = Listening()
    listening.say("connected", age_s=12)
    listening.pass_s(2)
    assert listening.away() == set()
    listening.pass_s(1)
    assert listening.away() == {B}


@pytest.mark.parametrize("silent_s", [REDIS_SILENT_AFTER_S + 0.1, inf])
def test_time_without_redis_does_not_count(silent_s: float) -> None:
    """This holds for exchanges with and without a known status. All known states are kept."""
    listening = Listening()
    listening.say("connected")
    listening.say("blocked", exchange=O)
    listening.pass_s(10)
    listening.pass_s(300, silent_s)
    assert listening.away(B, Y, O) == {O}
    listening.pass_s(14)
    assert listening.away(B, Y, O) == {O}
    listening.pass_s(1)
    assert listening.away(B, Y, O) == {B, Y, O}


def test_one_that_was_away_is_not_taken_for_open_after_a_gap() -> None:
    listening = Listening()
    listening.say("connected")
    listening.pass_s(15)
    listening.pass_s(30, inf)
    assert listening.away() == {B}


def test_time_asleep_does_not_count() -> None:
    """Statuses from the time of the sleep are still waiting to be read."""
    listening = Listening()
    listening.say("connected")
    listening.pass_s(3600, step_s=3600)
    assert listening.away() == set()
    listening.pass_s(15)
    assert listening.away() == {B}


def test_a_short_silence_of_redis_is_none() -> None:
    """Between two pings no message has to come."""
    listening = Listening()
    listening.pass_s(15.2, 5.1)
    assert listening.away() == {B}


def test_looking_often_is_as_good_as_looking_each_second() -> None:
    listening = Listening()
    listening.say("connected")
    listening.pass_s(14.7, step_s=0.01)
    assert listening.away() == set()
    listening.pass_s(0.6, step_s=0.01)
    assert listening.away() == {B}


def test_memory_is_bounded() -> None:
    """A new copy takes the place of the one that has been silent for longest."""
    listening = Listening()
    for number in range(10 * MAX_COPIES):
        listening.feeds.take(status(B, "connected", f"copy {number}"))
    for number in range(10 * MAX_EXCHANGES):
        listening.feeds.take(status(f"exchange {number}", "connected"))
    copies = listening.feeds._copies
    assert (len(copies), len(copies[B])) == (MAX_EXCHANGES, MAX_COPIES)
    assert f"copy {10 * MAX_COPIES - 1}" in copies[B]
