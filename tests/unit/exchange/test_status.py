"""A feed's status as a function of the facts of one moment and of the status before."""

from dataclasses import replace

import pytest

from market_pulse.exchange.status import LONGEST_REASON, Facts, condition, status_of
from market_pulse.messages import MOST_TURNED_AWAY, FeedState, Symbol
from support.facts import CONNECTED

BEFORE = status_of(CONNECTED)
LOST = replace(CONNECTED, phase="reconnecting", phase_reason="closed", since_ms=8_000, delivered=())


@pytest.mark.parametrize(
    ("facts", "state", "reason"),
    [
        pytest.param(CONNECTED, "connected", None, id="all well"),
        pytest.param(replace(CONNECTED, simulated=True), "connected", "simulated prices", id="simulated"),
        pytest.param(
            replace(CONNECTED, simulated=True, anew=["B", "A"]),
            "connected",
            "simulated prices; numbers or times began anew: A, B",
            id="two notes",
        ),
        pytest.param(replace(CONNECTED, refused={"B", "A"}), "degraded", "2 of 6 symbols refused: A, B", id="refused"),
        pytest.param(
            replace(CONNECTED, overdue=set("FEDCBA")), "degraded", "6 of 6 symbols without data: A, B, C, D, E", id="many"
        ),
        pytest.param(
            replace(CONNECTED, held_back=["A"]),
            "degraded",
            "1 of 6 symbols held back, numbered below what was known: A",
            id="held back",
        ),
        pytest.param(
            replace(CONNECTED, refused={"A"}, overdue={"B"}), "degraded", "1 of 6 symbols refused: A", id="refused comes first"
        ),
        pytest.param(
            replace(CONNECTED, halted={None: "maintenance"}, overdue={"A"}),
            "degraded",
            "closed by the exchange: maintenance",
            id="closed",
        ),
        pytest.param(
            replace(CONNECTED, halted={"B": "news", "A": "auction"}),
            "degraded",
            "2 of 6 symbols halted by the exchange: A, B (auction)",
            id="halted",
        ),
        pytest.param(
            replace(LOST, halted={None: "maintenance"}),
            "degraded",
            "closed by the exchange: maintenance",
            id="closed from the start",
        ),
        pytest.param(
            replace(LOST, phase="down", phase_reason="stopped", halted={None: "maintenance"}), "down", "stopped", id="stopped"
        ),
        pytest.param(replace(LOST, refused={"A"}), "reconnecting", "closed", id="nothing is missing on no socket"),
        pytest.param(
            replace(LOST, phase_reason="x" * 1000), "reconnecting", "x" * LONGEST_REASON, id="an exchange's text of any length"
        ),
    ],
)
def test_condition(facts: Facts, state: FeedState, reason: str | None) -> None:
    assert condition(facts) == (state, reason)


@pytest.mark.parametrize(
    ("facts", "since_ms"),
    [
        pytest.param(CONNECTED, 1_000, id="nothing has changed"),
        pytest.param(LOST, 8_000, id="lost since the last look"),
        pytest.param(replace(CONNECTED, since_ms=8_000), 8_000, id="lost and found since the last look"),
        pytest.param(replace(CONNECTED, overdue={"A"}), 9_000, id="a symbol is missing from now on"),
    ],
)
def test_since_when(facts: Facts, since_ms: int) -> None:
    assert status_of(facts, BEFORE).since_ms == since_ms


def test_since_when_a_symbol_was_missing_and_came_back() -> None:
    missing = status_of(replace(CONNECTED, overdue={"A"}), BEFORE)
    assert status_of(replace(CONNECTED, overdue={"A"}, now_ms=9_100), missing).since_ms == 9_000
    back = status_of(replace(CONNECTED, now_ms=9_200), missing)
    assert (back.state, back.since_ms) == ("connected", 9_200)


def test_the_rest_of_a_status() -> None:
    turned_away = [Symbol(f"A{number}-USDT") for number in range(MOST_TURNED_AWAY + 1)]
    status = status_of(replace(CONNECTED, turned_away=turned_away))
    assert (status.symbols, status.reconnects, status.last_tick_time_ms) == (2, 2, None)
    assert status.turned_away == tuple(turned_away[:-1])
    assert status.turned_away_count == MOST_TURNED_AWAY + 1
    assert status_of(replace(LOST, delivered={"A"})).symbols == 0, "symbols that a lost socket delivered do not count"
