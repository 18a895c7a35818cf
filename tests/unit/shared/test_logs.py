"""Repeated log lines are limited, and suppressed lines are counted."""

import pytest
import structlog

from market_pulse.process.logs import REPEAT_INTERVAL_S, REPEATS, RepeatLimit, hide, scrub


class World:
    """A limit with its clock, and the lines that passed it."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.passed: list[structlog.typing.EventDict] = []
        self._limit = RepeatLimit(lambda: self.now_s)

    def say(self, event: str, level: str = "warning", times: int = 1) -> None:
        for _ in range(times):
            try:
                self.passed.append(self._limit(None, level, {"event": event}))
            except structlog.DropEvent:
                continue


def test_a_few_go_through_then_one_an_interval_that_tells_of_the_rest() -> None:
    world = World()
    world.say("feed lost", times=REPEATS + 95)
    assert world.passed == [{"event": "feed lost"}] * REPEATS
    world.now_s = REPEAT_INTERVAL_S
    world.say("feed lost", times=4)
    assert world.passed[REPEATS:] == [{"event": "feed lost", "held_back": 95}]
    world.now_s = 2 * REPEAT_INTERVAL_S
    world.say("feed lost")
    assert world.passed[REPEATS + 1 :] == [{"event": "feed lost", "held_back": 3}]


def test_what_has_become_rare_is_let_through_as_before() -> None:
    world = World()
    world.say("feed lost", times=REPEATS + 1)
    world.now_s = REPEAT_INTERVAL_S
    world.say("feed lost")
    world.now_s = 2 * REPEAT_INTERVAL_S
    world.say("feed lost", times=100)
    assert world.passed[REPEATS + 1 :] == [{"event": "feed lost"}] * REPEATS


def test_another_message_is_not_held_back() -> None:
    world = World()
    world.say("feed lost", times=100)
    world.say("feed connected", level="info")
    assert world.passed[-1] == {"event": "feed connected"}


@pytest.mark.parametrize("level", ["error", "critical", "exception", "debug"])
def test_errors_and_what_was_asked_for_always_go_through(level: str) -> None:
    world = World()
    world.say("it broke", level=level, times=100)
    assert len(world.passed) == 100


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("at redis://user:word@h:1/0, twice: http://word@p", "at redis://***@h:1/0, twice: http://***@p"),
        ("redis://:w/o@r?d@h", "redis://***@h"),
        ("GET /api/realtime?symbols=BTC&api_key=abc&x=1", "GET /api/realtime?symbols=BTC&api_key=***&x=1"),
        ("wss://h/ws?token=abc'", "wss://h/ws?token=***'"),
        ("with it's/secret in it, and it's%2Fsecret", "with *** in it, and ***"),
        ("as b\"it's/secret\" and 'it\\\\'s/secret'".replace("\\\\", "\\"), "as b\"***\" and '***'"),
        ("nothing secret: https://h/path?symbols=BTC a@b", "nothing secret: https://h/path?symbols=BTC a@b"),
    ],
)
def test_what_is_secret_is_not_shown(text: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("market_pulse.process.logs._hidden", set())
    hide("it's/secret", "short")
    assert scrub(text) == shown
    assert scrub("a short text") == "a short text"
