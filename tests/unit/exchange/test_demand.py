"""The choice of symbols that an ingest carries, how long it carries them, and which it turns away."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from market_pulse.conversions import parse_conversions
from market_pulse.exchange.demand import Demand, Lots
from market_pulse.messages import Symbol

BTC, ETH, DOGE, PEPE, NOPE = (Symbol(f"{base}-USDT") for base in ("BTC", "ETH", "DOGE", "PEPE", "NOPE"))
LISTED = {BTC, ETH, DOGE, PEPE}


NOTHING: tuple[Symbol, ...] = ()


def names(count: int, prefix: str = "A") -> list[Symbol]:
    return [Symbol(f"{prefix}{number:03}-USDT") for number in range(count)]


def test_featured_symbols_are_always_carried_first() -> None:
    assert Demand([ETH, BTC], 10, 60).update(0, {DOGE}, LISTED) == (ETH, BTC, DOGE)


def test_without_a_listing_only_the_featured_ones_are_tried() -> None:
    assert Demand([BTC, NOPE], 10, 60).update(0, {DOGE}, None) == (BTC, NOPE)


def test_unlisted_symbols_are_never_carried() -> None:
    assert Demand([BTC, NOPE], 10, 60).update(0, {NOPE}, LISTED) == (BTC,)


def test_a_symbol_outlives_its_last_subscriber_by_the_grace_period() -> None:
    demand = Demand([], 10, 60)
    assert demand.update(0, {DOGE}, LISTED) == (DOGE,)
    assert demand.lingering == 0
    assert set(demand.update(60, set(), LISTED)) == {DOGE}
    assert demand.lingering == 1
    assert not demand.update(60.5, set(), LISTED)
    assert demand.lingering == 0


def test_a_symbol_wanted_again_within_the_grace_period_starts_it_anew() -> None:
    demand = Demand([], 10, 60)
    demand.update(0, {DOGE}, LISTED)
    demand.update(50, {DOGE}, LISTED)
    assert demand.update(100, set(), LISTED) == (DOGE,)


def test_a_delisted_symbol_goes_at_once() -> None:
    demand = Demand([BTC], 10, 60)
    demand.update(0, {DOGE}, LISTED)
    assert demand.update(1, {DOGE}, LISTED - {DOGE, BTC}) == ()


def test_the_limit_holds_and_a_wanted_symbol_is_not_pushed_out() -> None:
    demand = Demand([BTC], 2, 60)
    assert demand.update(0, {PEPE}, LISTED) == (BTC, PEPE)
    assert demand.update(1, {DOGE, PEPE}, LISTED) == (BTC, PEPE)
    assert demand.turned_away == (DOGE,)
    assert demand.update(2, {DOGE}, LISTED) == (BTC, DOGE)
    assert demand.turned_away == NOTHING


def test_twelve_closed_requests_for_240_symbols_lock_nobody_out() -> None:
    crowd, newcomer = names(240), Symbol("ZZZ-USDT")
    demand = Demand([BTC, ETH], 200, 60)
    listed = {BTC, ETH, newcomer, *crowd}
    assert len(demand.update(0, set(crowd), listed)) == 200
    assert len(demand.turned_away) == 240 - 198
    carried = demand.update(1, {newcomer}, listed)
    assert newcomer in carried
    assert len(carried) == 200
    assert (demand.turned_away, demand.lingering) == (NOTHING, 197)


def test_the_longest_unwanted_yields_first() -> None:
    demand = Demand([], 3, 60)
    demand.update(0, {DOGE, ETH, PEPE}, LISTED)
    demand.update(1, {ETH, PEPE}, LISTED)
    demand.update(2, {ETH}, LISTED)
    assert set(demand.update(3, {ETH, BTC}, LISTED)) == {ETH, BTC, PEPE}
    assert set(demand.update(4, {ETH, BTC, DOGE}, LISTED)) == {ETH, BTC, DOGE}


def test_a_list_of_all_symbols_that_is_scrolled_by_starves_nobody() -> None:
    everything = names(1000)
    mine = Symbol("ZZZ-USDT")
    demand = Demand([], 50, 60)
    listed = {mine, *everything}
    for at in range(0, 1000, 20):
        seen = set(everything[at : at + 20])
        carried = demand.update(at / 20, seen | ({mine} if at >= 500 else set()), listed)
        assert seen <= set(carried)
        assert demand.turned_away == NOTHING
        assert (mine in carried) == (at >= 500)


def test_the_first_wanted_is_the_first_served() -> None:
    demand = Demand([], 1, 60)
    demand.update(0, {PEPE}, LISTED)
    demand.update(1, {PEPE, ETH}, LISTED)
    demand.update(2, {PEPE, ETH, BTC}, LISTED)
    assert demand.turned_away == (ETH, BTC), "the longest waiting first"
    assert demand.update(3, {ETH, BTC, DOGE}, LISTED) == (ETH,)
    assert demand.update(4, {BTC, DOGE}, LISTED) == (BTC,)


def test_a_place_in_the_queue_is_lost_by_leaving_it() -> None:
    demand = Demand([], 1, 60)
    demand.update(
        0,
        {PEPE, ETH},
        LISTED,
    )
    first = demand.turned_away[0]
    [carried] = {PEPE, ETH} - {first}
    demand.update(1, {carried, DOGE}, LISTED)
    demand.update(2, {carried, DOGE, first}, LISTED)
    assert demand.turned_away == (DOGE, first)


def test_of_symbols_first_wanted_together_chance_decides_and_not_the_alphabet() -> None:
    crowd = names(20)
    served = [Demand([], 1, 60).update(0, crowd, set(crowd))[0] for _ in range(400)]
    assert set(served) == set(crowd), "each is preferred at times: the chance of never is (19/20)**400, one in a billion"


def test_copies_with_one_secret_choose_alike_and_others_do_not() -> None:
    crowd = names(40)
    one, same, other = (Demand([], 5, 60, Lots(key, lambda: 7.9).draw) for key in (b"secret", b"secret", b"another"))
    chosen = one.update(0, crowd, set(crowd))
    assert same.update(100, reversed(crowd), set(crowd)) == chosen
    assert other.update(0, crowd, set(crowd)) != chosen
    later = Demand([], 5, 60, Lots(b"secret", lambda: 8.1).draw)
    assert later.update(0, crowd, set(crowd)) != chosen, "no name is preferred for ever"


def test_a_copy_without_a_secret_in_its_redis_url_has_one_of_its_own() -> None:
    assert Lots.of("redis://:pw@r:1/0").draw(BTC) == Lots.of("redis://:pw@elsewhere:2/0").draw(BTC)
    assert Lots.of("redis://r:1/0").draw(BTC) != Lots.of("redis://r:1/0").draw(BTC)


def test_silence_of_the_bus_changes_nothing() -> None:
    demand = Demand([BTC], 2, 60)
    demand.update(0, {PEPE}, LISTED)
    demand.update(1, {PEPE, DOGE}, LISTED)
    for second in range(2, 300, 50):
        assert demand.update(second, None, LISTED) == (BTC, PEPE)
        assert demand.turned_away == (DOGE,)
    assert demand.update(300, {DOGE}, LISTED) == (BTC, DOGE)


def test_a_featured_symbol_that_becomes_listed_takes_a_lingering_ones_room_first() -> None:
    demand = Demand([BTC], 2, 60)
    demand.update(0, {DOGE, PEPE}, LISTED - {BTC})
    demand.update(1, {PEPE}, LISTED - {BTC})
    assert demand.update(2, {PEPE}, LISTED) == (BTC, PEPE)


def test_a_featured_symbol_that_becomes_listed_has_its_room_even_where_all_are_wanted() -> None:
    demand = Demand([BTC], 2, 60)
    demand.update(0, {PEPE}, LISTED - {BTC})
    demand.update(1, {PEPE, DOGE}, LISTED - {BTC})
    assert demand.update(2, {PEPE, DOGE}, LISTED) == (BTC, PEPE)
    assert demand.turned_away == (DOGE,)
    assert demand.update(3, {PEPE}, LISTED) == (BTC, PEPE), "a symbol that found no room does not linger"


USDT = parse_conversions("USDT:USD")
DOLLARS, RATE, IN_USDT = Symbol("BTC-USD"), Symbol("USDT-USD"), Symbol("BTC-USDT")


def test_the_markets_of_a_converted_price_come_and_go_together() -> None:
    demand = Demand([], 10, 60, conversions=USDT)
    assert set(demand.update(0, {DOLLARS}, {DOLLARS, RATE, IN_USDT})) == {DOLLARS, RATE}
    assert set(demand.update(60, set(), {DOLLARS, RATE, IN_USDT})) == {DOLLARS, RATE}
    assert not demand.update(61, set(), {DOLLARS, RATE, IN_USDT})


def test_a_market_that_is_wanted_for_two_reasons_stays_while_one_is_left() -> None:
    demand = Demand([], 10, 60, conversions=USDT)
    assert demand.update(0, {DOLLARS, IN_USDT}, {IN_USDT}) == (IN_USDT,)
    assert demand.update(100, {DOLLARS}, {IN_USDT}) == (IN_USDT,)
    assert demand.update(200, {IN_USDT}, {IN_USDT}) == (IN_USDT,)


def test_the_markets_of_a_featured_converted_price_are_always_carried() -> None:
    assert Demand([DOLLARS], 2, 60, conversions=USDT).update(0, {ETH}, {IN_USDT, RATE, ETH}) == (IN_USDT, RATE)


def test_if_a_part_finds_no_room_the_wanted_symbol_is_told() -> None:
    demand = Demand([ETH], 1, 60, conversions=USDT)
    demand.update(0, {DOLLARS}, {ETH, IN_USDT})
    assert demand.turned_away == (DOLLARS,)


def test_the_market_itself_takes_over_when_it_becomes_listed() -> None:
    demand = Demand([], 10, 0, conversions=USDT)
    assert demand.update(0, {DOLLARS}, {IN_USDT}) == (IN_USDT,)
    assert demand.update(1, {DOLLARS}, {IN_USDT, DOLLARS}) == (DOLLARS,)


POOL = names(8)


@given(
    featured=st.lists(st.sampled_from(POOL), unique=True, max_size=3),
    max_symbols=st.integers(1, 6),
    steps=st.lists(st.tuples(st.sampled_from([1.0, 3.0, 11.0]), st.none() | st.sets(st.sampled_from(POOL))), max_size=30),
    listed=st.sets(st.sampled_from(POOL), min_size=1),
)
def test_whatever_is_wanted_room_is_shared_fairly(
    featured: list[Symbol], max_symbols: int, steps: list[tuple[float, Iterable[Symbol] | None]], listed: set[Symbol]
) -> None:
    featured = featured[:max_symbols]
    demand = Demand(featured, max_symbols, 10)
    now_s = 0.0
    before: set[Symbol] = set()
    wanted: set[Symbol] = set()
    wanted_before: set[Symbol] = set()
    waiting_before: tuple[Symbol, ...] = ()
    last_wanted_s: dict[Symbol, float] = {}
    for step_s, subscribed in steps:
        now_s += step_s
        carried = demand.update(now_s, subscribed, listed)
        if subscribed is not None:
            wanted = {symbol for symbol in subscribed if symbol in listed} - set(featured)
        last_wanted_s |= dict.fromkeys(wanted, now_s)
        assert len(set(carried)) == len(carried) <= max_symbols
        assert (
            carried[: len(featured)] == tuple(symbol for symbol in featured if symbol in listed) or not set(featured) <= listed
        )
        assert set(featured) & listed <= set(carried) <= listed
        lingering = set(carried) - wanted - set(featured)
        assert demand.lingering == len(lingering)
        assert set(demand.turned_away) == wanted - set(carried)
        if demand.turned_away:
            assert not lingering, "a symbol that only lingers yields to a wanted one"
            assert len(carried) == max_symbols, "no symbol is turned away while there is room"
        assert before & wanted & wanted_before <= set(carried), "a symbol that is carried and wanted stays"
        waited = [symbol for symbol in waiting_before if symbol in wanted]
        admitted = [symbol for symbol in waited if symbol in carried]
        assert admitted == waited[: len(admitted)], "the longest waiting first"
        if set(waited) - set(carried):
            assert not (set(carried) - before) - set(waited) - set(featured), "and no later symbol gets in before them"
        assert all(now_s - last_wanted_s[symbol] <= 10 for symbol in lingering)
        gone = before - set(carried) - set(featured)
        if lingering and any(now_s - last_wanted_s[symbol] <= 10 for symbol in gone):
            yielded = max(last_wanted_s[symbol] for symbol in gone if now_s - last_wanted_s[symbol] <= 10)
            assert yielded <= min(last_wanted_s[symbol] for symbol in lingering), "the longest unwanted first"
        before, wanted_before, waiting_before = set(carried) - set(featured), wanted, demand.turned_away
