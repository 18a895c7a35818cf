"""When an ingest trusts Redis's list of requested symbols."""

import pytest

from market_pulse.exchange.asked import SETTLE_S, Asked
from market_pulse.messages import Symbol

BTC, ETH, XRP = (Symbol(f"{base}-USDT") for base in ("BTC", "ETH", "XRP"))


def believed(asked: Asked, now_s: float, answer: set[Symbol] | None) -> set[Symbol] | None:
    known = asked.believe(now_s, answer)
    return None if known is None else set(known)


def test_what_is_asked_for_is_what_redis_says() -> None:
    asked = Asked()
    for now_s, answer in enumerate(({BTC, XRP}, {BTC}, {BTC, ETH}, {ETH})):
        assert believed(asked, now_s, answer) == answer


@pytest.mark.parametrize("lost", [None, set()], ids=["no answer", "an answer without any"])
def test_after_redis_was_away_those_who_asked_are_expected_back(lost: set[Symbol] | None) -> None:
    asked = Asked()
    asked.believe(0, {BTC, ETH, XRP})
    assert believed(asked, 1, lost) in (None, {BTC, ETH, XRP})
    assert believed(asked, 2, {BTC}) == {BTC, ETH, XRP}
    assert believed(asked, 3, {BTC, ETH}) == {BTC, ETH, XRP}
    assert believed(asked, 1 + SETTLE_S, {BTC, ETH}) == {BTC, ETH}


def test_that_nobody_asks_is_believed_in_the_end() -> None:
    asked = Asked()
    asked.believe(0, {BTC})
    told = [believed(asked, now_s, set()) for now_s in (1, 5, SETTLE_S, 1 + SETTLE_S, 2 + SETTLE_S)]
    assert told == [{BTC}, {BTC}, {BTC}, set(), set()]


def test_each_failure_begins_the_wait_anew() -> None:
    asked = Asked()
    asked.believe(0, {BTC})
    asked.believe(1, None)
    asked.believe(9, None)
    assert believed(asked, 8 + SETTLE_S, set()) == {BTC}
    assert believed(asked, 30 + SETTLE_S, {ETH}) == {ETH}
