"""Who is carried, for how long, and who is turned away."""

from market_pulse.feed.demand import Demand
from market_pulse.model import Symbol

BTC, ETH, DOGE, PEPE, NOPE = (Symbol(f"{base}-USDT") for base in ("BTC", "ETH", "DOGE", "PEPE", "NOPE"))
LISTED = {BTC, ETH, DOGE, PEPE}


def test_featured_symbols_are_always_carried_first() -> None:
    assert Demand([ETH, BTC], 10, 60).update(0, {DOGE}, LISTED) == (ETH, BTC, DOGE)


def test_without_a_listing_only_the_featured_ones_are_tried() -> None:
    assert Demand([BTC, NOPE], 10, 60).update(0, {DOGE}, None) == (BTC, NOPE)


def test_unlisted_symbols_are_never_carried() -> None:
    assert Demand([BTC, NOPE], 10, 60).update(0, {NOPE}, LISTED) == (BTC,)


def test_a_symbol_outlives_its_last_subscriber_by_the_grace_period() -> None:
    demand = Demand([], 10, 60)
    assert demand.update(0, {DOGE}, LISTED) == (DOGE,)
    assert demand.update(60, set(), LISTED) == (DOGE,)
    assert demand.update(60.5, set(), LISTED) == ()


def test_who_comes_back_within_the_grace_period_starts_it_anew() -> None:
    demand = Demand([], 10, 60)
    demand.update(0, {DOGE}, LISTED)
    demand.update(50, {DOGE}, LISTED)
    assert demand.update(100, set(), LISTED) == (DOGE,)


def test_a_delisted_symbol_goes_at_once() -> None:
    demand = Demand([BTC], 10, 60)
    demand.update(0, {DOGE}, LISTED)
    assert demand.update(1, {DOGE}, LISTED - {DOGE, BTC}) == ()


def test_the_limit_holds_and_nobody_is_pushed_out() -> None:
    demand = Demand([BTC], 2, 60)
    assert demand.update(0, {PEPE}, LISTED) == (BTC, PEPE)
    assert demand.update(1, {DOGE, PEPE}, LISTED) == (BTC, PEPE)
    assert demand.turned_away == {DOGE}
    assert demand.update(62, {DOGE}, LISTED) == (BTC, DOGE)
    assert demand.turned_away == frozenset()
