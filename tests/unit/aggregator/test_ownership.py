"""Who owns what: by rule, without Redis."""

from collections import Counter
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from aggregator.ownership import owner_of
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
