"""How long a socket may be silent: proofs of life count like data, and an exchange that is closed may be silent for long."""

import json
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from market_pulse.exchange.adapter import Listed
from market_pulse.exchange.merge import Merge
from market_pulse.exchange.metrics import Stats
from market_pulse.exchange.socket import QUIET_LIMIT_S, SILENT_FROM_THE_START_LIMIT_S, Connection
from market_pulse.messages import Symbol, Tick
from support.exchanges import ADAPTERS

TERSE = replace(ADAPTERS["terse-exchange"], silence_s=10.0)
MATCH = {"type": "ticker", "symbol": "A-USD", "price": 1.5, "match": 7, "time": "2026-08-12T12:46:29Z"}
HALTED = {"type": "closed", "why": "auction", "symbol": "A-USD"}
CLOSED = {"type": "closed", "why": "maintenance"}
BEAT = {"type": "heartbeat"}


class Played:
    """A connection that carries two symbols, without a socket, on a clock that the test sets."""

    def __init__(self) -> None:
        self.ticks: list[Tick] = []
        self.connection = Connection(TERSE, "ws://x", Merge("terse"), self.ticks.append, None, Stats())
        self.now_s = 1000.0
        self.connection._clock = lambda: self.now_s
        self.connection.want({name: Listed(Symbol(name), name, 2) for name in ("A-USD", "B-USD")})

    def hears(self, *messages: dict[str, Any]) -> None:
        for message in messages:
            self.connection.receive(json.dumps(message, separators=(",", ":")).encode(), 1_786_538_800_000)

    @property
    def silent_s(self) -> float:
        """How long the socket has been silent."""
        return self.now_s - self.connection._heard_s

    @property
    def limit_s(self) -> float:
        """How long the socket may be silent."""
        return self.connection._silence_limit_s()


@pytest.fixture
async def played() -> Played:
    return Played()


@pytest.mark.parametrize(
    ("messages", "limit_s"),
    [
        pytest.param([], SILENT_FROM_THE_START_LIMIT_S, id="nothing yet"),
        pytest.param([MATCH], QUIET_LIMIT_S, id="a symbol of unknown pace"),
        pytest.param([BEAT], 10.0, id="heartbeats"),
        pytest.param([MATCH, BEAT], 10.0, id="heartbeats and a match"),
        pytest.param([MATCH, BEAT, CLOSED], QUIET_LIMIT_S, id="closed"),
        pytest.param([MATCH, BEAT, CLOSED, MATCH], 10.0, id="open again"),
        pytest.param([MATCH, BEAT, HALTED], 10.0, id="one symbol is halted"),
        pytest.param([MATCH, BEAT, HALTED, HALTED | {"symbol": "B-USD"}], QUIET_LIMIT_S, id="all symbols are halted"),
        pytest.param([MATCH, BEAT, HALTED | {"symbol": "NOPE"}], 10.0, id="a symbol that is not carried is halted"),
    ],
)
async def test_how_long_a_socket_may_be_silent(played: Played, messages: list[dict[str, Any]], limit_s: float) -> None:
    played.hears(*messages)
    assert played.limit_s == limit_s


@pytest.mark.parametrize("beat", [BEAT, BEAT | {"symbol": "A-USD", "match": 7}, BEAT | {"symbol": "NOPE", "match": 7}])
async def test_a_proof_of_life_ends_a_silence(played: Played, beat: dict[str, Any]) -> None:
    played.now_s += 9.0
    assert played.silent_s == 9.0
    played.hears(beat)
    assert played.silent_s == 0.0


async def test_a_notice_ends_no_silence(played: Played) -> None:
    played.now_s += 9.0
    played.hears(CLOSED, {"type": "subscriptions", "to": ["A-USD"]}, {"type": "ping", "id": 1})
    assert played.silent_s == 9.0


async def test_a_halted_symbol_is_not_renewed_until_it_trades(played: Played) -> None:
    beat = BEAT | {"symbol": "A-USD", "match": 7}
    played.hears(MATCH, beat)
    assert len(played.ticks) == 2
    for halt in (HALTED, CLOSED):
        played.hears(halt, beat)
        assert len(played.ticks) == 2
    played.hears(MATCH, beat)
    assert len(played.ticks) == 3
    assert played.connection.halted == {}


async def test_a_symbol_whose_heartbeats_are_always_ahead_is_asked_for_again_now_and_then(played: Played) -> None:
    asked = []
    for _ in range(100):
        played.now_s += 1.0
        played.hears(MATCH, *[BEAT | {"symbol": "A-USD", "match": 9}] * 2)
        if played.connection._merge.heard("A-USD") is None:
            asked.append(played.now_s)
    assert len(asked) == 4
    assert all(later - earlier > 30.0 for earlier, later in pairwise(asked))
