"""The ownership of symbols as a pure rule, without Redis. The cases are the single and double failures of decision 11."""

from collections import Counter
from dataclasses import dataclass, replace
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregator.ownership import Actions, State, next_state, owner_of
from market_pulse.bus import Membership
from market_pulse.messages import Symbol

SYMBOLS = [Symbol(f"COIN{n}-USDT") for n in range(1000)]
MEMBERS = st.lists(st.text(min_size=1), min_size=1, max_size=8, unique=True)


@given(MEMBERS, st.randoms(use_true_random=False))
def test_all_come_to_the_same_answer(members: list[str], chance: Random) -> None:
    shuffled = list(members)
    chance.shuffle(shuffled)
    for symbol in SYMBOLS[:20]:
        assert owner_of(symbol, shuffled) == owner_of(symbol, members) in members


@given(MEMBERS.filter(lambda members: len(members) > 1))
def test_only_the_symbols_of_who_goes_move(members: list[str]) -> None:
    gone, *rest = members
    for symbol in SYMBOLS[:50]:
        if (owner := owner_of(symbol, members)) != gone:
            assert owner_of(symbol, rest) == owner


def test_shares_are_about_equal() -> None:
    shares = Counter(owner_of(symbol, ["a", "b", "c"]) for symbol in SYMBOLS)
    assert all(280 < share < 390 for share in shares.values()), shares


def test_without_members_there_is_no_owner() -> None:
    assert owner_of(SYMBOLS[0], []) is None


ME, OTHER, THIRD = "me", "other", "third"
MINE = next(symbol for symbol in SYMBOLS if owner_of(symbol, [ME, OTHER, THIRD]) == ME)
"""A symbol that is ours in any group."""
OTHERS = next(symbol for symbol in SYMBOLS if owner_of(symbol, [ME, OTHER]) == OTHER)
"""A symbol that the other copy owns while it is there, and we otherwise."""


@dataclass(frozen=True, kw_only=True)
class Beat:
    """One beat: the times of sending and of the answer, in seconds, and the answer, None if the beat failed."""

    at_s: float
    answer: Membership | None = None
    answered_s: float | None = None
    is_read_up: bool = True


def answer(epoch: int, *members: str, age_ms: int, joined: bool = False) -> Membership:
    return Membership(epoch=epoch, members=members, age_ms=age_ms, joined=joined)


def play(beats: list[Beat]) -> tuple[State, Actions]:
    """Apply these beats as the I/O shell does. Return the state after the last one, and the actions of the last answer."""
    state, actions = State(heard_s=0.0), Actions()
    for beat in beats:
        state = state.asking(beat.at_s)
        if beat.answer is None:
            state = state.missed()
            continue
        state, actions = next_state(state, beat.answer, beat.answered_s or beat.at_s)
        if actions.adopt is not None:
            state = replace(state, division=actions.adopt) if beat.is_read_up else state.missed()
    return state, actions


PAIR = [
    Beat(at_s=0.0, answer=answer(1, ME, age_ms=60_000, joined=True)),
    Beat(at_s=0.4, answer=answer(2, ME, OTHER, age_ms=60_400)),
]
"""We were alone, then another copy joined. The server has known the group for a minute."""
FORGOTTEN = [*PAIR, Beat(at_s=0.8), Beat(at_s=1.2, answer=answer(9, ME, age_ms=0, joined=True))]
"""The server was restarted without its data, and we are the first copy to return."""
BEHIND = [*PAIR, Beat(at_s=0.8), Beat(at_s=2.0, answer=answer(9, ME, age_ms=61_000, joined=True))]
"""A replica has become the master. It knows the group, but lacks the latest writes."""


@pytest.mark.parametrize(
    ("beats", "owned"),
    [
        pytest.param(PAIR[:1], {MINE, OTHERS}, id="alone"),
        pytest.param(PAIR, {MINE}, id="another joins"),
        pytest.param([*PAIR, Beat(at_s=0.8)], {MINE}, id="the bus is silent: our symbols stay ours"),
        pytest.param([*PAIR, Beat(at_s=0.8, answer=answer(3, ME, age_ms=60_800))], {MINE, OTHERS}, id="the other is gone"),
        pytest.param(
            [*PAIR, Beat(at_s=0.8, answer=answer(4, OTHER, ME, age_ms=60_800))], {MINE}, id="the other is gone and back"
        ),
        pytest.param([*PAIR, Beat(at_s=0.8, answer=answer(3, OTHER, age_ms=60_800))], set(), id="we stand aside for our clock"),
        pytest.param(
            [Beat(at_s=0.0, answer=answer(1, ME, age_ms=0, joined=True))], {MINE, OTHERS}, id="started before all others"
        ),
        pytest.param(
            [Beat(at_s=0.0), Beat(at_s=0.4, answer=answer(1, ME, age_ms=0, joined=True))],
            set(),
            id="started before the server, which others may know",
        ),
        pytest.param(
            [
                Beat(at_s=0.0),
                Beat(at_s=0.4, answer=answer(1, ME, age_ms=0, joined=True)),
                Beat(at_s=2.4, answer=answer(1, ME, age_ms=2_000)),
            ],
            {MINE, OTHERS},
            id="started before the server, and no other copy came",
        ),
        pytest.param(FORGOTTEN, {MINE}, id="lost memory: the other's are left to it"),
        pytest.param(
            [*FORGOTTEN, Beat(at_s=1.6, answer=answer(10, OTHER, ME, age_ms=400))],
            {MINE},
            id="lost memory: the other comes back",
        ),
        pytest.param(
            [*FORGOTTEN, Beat(at_s=3.2, answer=answer(9, ME, age_ms=2_000))],
            {MINE, OTHERS},
            id="lost memory and a dead copy: its symbols move after two seconds",
        ),
        pytest.param(
            [*FORGOTTEN, Beat(at_s=1.6, answer=answer(10, ME, THIRD, age_ms=400))],
            {MINE},
            id="lost memory and a new copy: the other's symbols stay the other's",
        ),
        pytest.param(
            [*PAIR, Beat(at_s=0.8), Beat(at_s=1.2, answer=answer(9, ME, age_ms=-3_600_000, joined=True))],
            {MINE, OTHERS},
            id="lost time: a clock that was set back delays no copy",
        ),
        pytest.param(BEHIND, {MINE}, id="a replica that knows less: the other's are left to it"),
        pytest.param(
            [*BEHIND, Beat(at_s=4.0, answer=answer(9, ME, age_ms=63_000))], {MINE, OTHERS}, id="a replica and a dead copy"
        ),
        pytest.param(
            [*PAIR, Beat(at_s=0.8, answer=answer(3, ME, age_ms=60_800), is_read_up=False)],
            {MINE},
            id="gained symbols cannot be read: they are not ours",
        ),
        pytest.param(
            [
                *PAIR,
                Beat(at_s=0.8, answer=answer(3, ME, age_ms=60_800), is_read_up=False),
                Beat(at_s=1.2, answer=answer(3, ME, age_ms=61_200)),
            ],
            {MINE, OTHERS},
            id="gained symbols are read by the next beat",
        ),
    ],
)
def test_what_is_owned_after(beats: list[Beat], owned: set[Symbol]) -> None:
    state, _ = play(beats)
    assert {symbol for symbol in (MINE, OTHERS) if state.division.gives(ME, symbol)} == owned


@pytest.mark.parametrize(
    ("beats", "disown", "forget_numbers"),
    [
        pytest.param([*PAIR, Beat(at_s=0.8, answer=answer(2, OTHER, ME, age_ms=60_800))], False, False, id="nothing happened"),
        pytest.param(
            [*PAIR, Beat(at_s=3.0, answer=answer(4, ME, OTHER, age_ms=63_000, joined=True))],
            True,
            False,
            id="frozen: others went on, and their numbers can be read",
        ),
        pytest.param(
            [*PAIR, Beat(at_s=3.0), Beat(at_s=3.4, answer=answer(4, ME, OTHER, age_ms=63_400, joined=True))],
            True,
            False,
            id="frozen, and the first beat failed",
        ),
        pytest.param(FORGOTTEN, False, False, id="lost memory: no copy knows better than we do"),
        pytest.param(
            [*PAIR, Beat(at_s=3.0, answer=answer(9, ME, age_ms=0, joined=True))],
            False,
            True,
            id="frozen and lost memory: others counted on, to unknown numbers",
        ),
        pytest.param(
            [*PAIR, Beat(at_s=3.0), Beat(at_s=9.0, answer=answer(9, ME, age_ms=500, joined=True))],
            False,
            True,
            id="frozen and lost memory, and the first beat failed",
        ),
        pytest.param(
            [*PAIR, Beat(at_s=9.0, answer=answer(9, ME, age_ms=3_000, joined=True))],
            True,
            True,
            id="frozen and lost memory, and the others have settled",
        ),
        pytest.param(
            [*PAIR, Beat(at_s=0.8), Beat(at_s=9.0), Beat(at_s=9.4, answer=answer(9, ME, age_ms=0, joined=True))],
            False,
            False,
            id="the bus was silent for long, and lost its memory: no copy could publish",
        ),
        pytest.param(
            [
                *PAIR,
                Beat(at_s=0.8, answered_s=4.0, answer=answer(2, ME, OTHER, age_ms=60_800)),
                Beat(at_s=4.4, answer=answer(9, ME, age_ms=0, joined=True)),
            ],
            False,
            False,
            id="a late answer is no sleep",
        ),
        pytest.param(BEHIND, True, False, id="a replica that knows less"),
        pytest.param(
            [
                *PAIR,
                Beat(at_s=3.0, answer=answer(4, ME, age_ms=63_000, joined=True), is_read_up=False),
                Beat(at_s=3.4, answer=answer(9, ME, age_ms=0, joined=True)),
            ],
            False,
            True,
            id="frozen, and the memory was lost before the others' numbers could be read",
        ),
    ],
)
def test_what_a_beat_leads_to(beats: list[Beat], disown: bool, forget_numbers: bool) -> None:
    _, actions = play(beats)
    assert (actions.disown, actions.forget_numbers) == (disown, forget_numbers)
