"""What is kept of each symbol, what is refused, and how an earlier run is taken up."""

from dataclasses import replace

import pytest

from aggregator.market import Market, Refusal
from aggregator.result import Parameters
from market_pulse.model import Symbol, Tick, Ticker

from .examples import BTC, NOW_MS, B, O, Y, states, tick

ETH = Symbol("ETH-USDT")


def market(max_symbols: int = 10) -> Market:
    return Market(Parameters(), max_symbols)


def at(exchange_ms: int | None, received_ms: int) -> Tick:
    """A tick by its two times, relative to now."""
    exchange_time_ms = None if exchange_ms is None else NOW_MS + exchange_ms
    return replace(tick(B, 64000.0), exchange_time_ms=exchange_time_ms, received_time_ms=NOW_MS + received_ms)


def ticker_of(market: Market, now_ms: int = NOW_MS) -> Ticker:
    state = market.get(BTC)
    assert state is not None
    return state.make_ticker(now_ms, market.parameters)


@pytest.mark.parametrize(
    ("stored", "new", "refusal"),
    [
        pytest.param(at(0, 0), at(1, 1), None, id="newer"),
        pytest.param(at(0, 0), at(0, 1), None, id="same exchange time"),
        pytest.param(at(0, 0), at(-1, 1), "older", id="older, received later"),
        pytest.param(at(0, 0), at(1, -1), None, id="newer, received by a clock that is behind"),
        pytest.param(at(5000, 0), at(1, 1), "older", id="stored time ahead by exactly L"),
        pytest.param(at(5001, 0), at(1, 1), None, id="stored time from the future is no yardstick"),
        pytest.param(at(5001, 0), at(-2, -1), "older", id="from the future, and received earlier"),
        pytest.param(at(None, 0), at(None, 1), None, id="no times, received later"),
        pytest.param(at(None, 0), at(None, 0), None, id="no times, received together"),
        pytest.param(at(None, 0), at(None, -1), "older", id="no times, received earlier"),
        pytest.param(at(0, 0), at(None, -1), "older", id="one time, received earlier"),
        pytest.param(at(None, 0), at(-100, 1), None, id="one time, received later"),
    ],
)
def test_older_ticks_are_dropped(stored: Tick, new: Tick, refusal: Refusal | None) -> None:
    subject = market()
    assert subject.take(stored) is None
    assert subject.take(new) == refusal
    state = subject.get(BTC)
    assert state is not None
    assert state.ticks[B] == (stored if refusal else new)


@pytest.mark.parametrize(
    ("one", "refusal"),
    [
        pytest.param(replace(tick(B, 1.0), price=float("nan")), "figure", id="no price"),
        pytest.param(replace(tick(B, 1.0), price=1e31), "figure", id="price of no size that occurs"),
        pytest.param(replace(tick(B, 1.0), received_time_ms=2**53), "time", id="received never"),
        pytest.param(replace(tick(B, 1.0), received_time_ms=0), "time", id="received at the beginning of time"),
        pytest.param(replace(tick(B, 1.0), exchange_time_ms=-(10**300)), "time", id="no exchange time"),
        pytest.param(replace(tick(B, 1.0), symbol=Symbol("btc")), "symbol", id="not our spelling"),
        pytest.param(replace(tick(B, 1.0), symbol=Symbol("*")), "symbol", id="no symbol"),
    ],
)
def test_unusable_ticks_are_refused(one: Tick, refusal: Refusal) -> None:
    subject = market()
    assert subject.take(one) == refusal
    assert len(subject) == 0


def test_symbols_and_sources_are_bounded() -> None:
    subject = market(max_symbols=1)
    assert [subject.take(tick(f"exchange{number}", 1.0)) for number in range(33)] == [None] * 32 + ["full"]
    assert subject.take(replace(tick(B, 1.0), symbol=ETH)) == "full"
    subject.drop(BTC)
    assert subject.take(replace(tick(B, 1.0), symbol=ETH)) is None


def test_what_nobody_wants_yields_to_what_is_wanted_the_longest_unwanted_first() -> None:
    subject = market(max_symbols=3)
    names = [Symbol(f"A{number}-USDT") for number in range(5)]
    ticks = {name: replace(tick(B, 1.0), symbol=name) for name in names}
    assert [subject.take(ticks[name]) for name in names[:3]] == [None] * 3
    assert subject.is_full
    assert subject.yielding({names[0], names[1]}) == []
    assert subject.yielding({names[0]}) == []
    assert subject.take(ticks[names[3]]) == "full"
    assert subject.yielding({names[0], names[3]}) == [names[2]], "that nobody wants for the longest time"
    subject.drop(names[2])
    assert subject.take(ticks[names[2]]) == "full", "what nobody wants takes no room that was made for another"
    assert subject.take(ticks[names[3]]) is None
    assert subject.take(ticks[names[4]]) == "full"
    assert subject.yielding({names[0], names[1], names[3], names[4]}) == [], "what is wanted stays"


def test_once_there_is_room_again_everything_is_followed() -> None:
    subject = market(max_symbols=2)
    subject.take(tick(B, 1.0))
    subject.take(replace(tick(B, 1.0), symbol=ETH))
    subject.yielding(set())
    subject.drop(BTC)
    assert subject.take(tick(B, 1.0)) == "full"
    assert subject.is_full, "one was refused since"
    subject.yielding(set())
    assert subject.take(tick(B, 1.0)) is None


def test_decimals_are_those_of_the_tick_size_else_the_most_seen() -> None:
    subject = market()
    seen = []
    for one in (tick(B, 64000.0), tick(B, 64000.125), tick(B, 64000.5), tick(Y, 64000.0, dp=5), tick(O, 1.0, dp=10**9)):
        subject.take(one)
        seen.append(ticker_of(subject).dp)
    assert seen == [0, 3, 3, 5, 30]


def test_flags_and_last_good_carry_over() -> None:
    """Excluded once, a source stays out until it is near again; silence holds the last good price."""
    subject = market()
    for one in (tick(B, 64000.0), tick(Y, 60000.0), tick(O, 64000.0)):
        subject.take(one)
    assert states(ticker_of(subject))[Y] == "excluded"
    subject.take(tick(Y, 62720.0))
    assert states(ticker_of(subject))[Y] == "excluded"
    subject.take(tick(Y, 63900.0))
    assert states(ticker_of(subject))[Y] == "used"
    assert ticker_of(subject, NOW_MS + 59_000).quality == "ok"
    assert ticker_of(subject, NOW_MS + 61_000).quality == "stale"
    assert ticker_of(subject, NOW_MS + 119_000).quality == "stale"
    assert ticker_of(subject, NOW_MS + 119_001).quality == "down"


def earlier_run() -> Market:
    subject = market()
    for one in (tick(B, 64000.25, open24h=60000.0), tick(Y, 60000.0), tick(O, 64000.25, open24h=60000.0)):
        subject.take(one)
    return subject


def test_an_earlier_run_is_taken_up() -> None:
    """Number, decimals, exclusions and the last good price with its figures survive a restart."""
    before = replace(ticker_of(earlier_run()), seq=41)
    subject = market()
    subject.take(tick(Y, 62720.0))
    for name in (B, O):
        subject.take(tick(name, 64000.0))
    assert subject.resume(before) is None
    after = ticker_of(subject)
    assert (after.seq, after.dp, states(after)[Y]) == (41, 2, "excluded")


def test_the_last_good_price_survives_without_any_tick() -> None:
    before = ticker_of(earlier_run())
    subject = market()
    subject.resume(before)
    held = ticker_of(subject, NOW_MS + 60_000)
    assert held.quality == "stale"
    for name in ("price", "open24h", "change24h", "change_percent24h", "received_time_ms", "exchange_time_ms"):
        assert getattr(held, name) == getattr(before, name) is not None
    assert ticker_of(subject, NOW_MS + 60_001).quality == "down"


def test_a_held_price_is_not_held_anew_after_a_restart() -> None:
    """A stale last ticker counts from when its newest tick was received: a restart never prolongs it."""
    before = earlier_run()
    ticker_of(before)
    stale = ticker_of(before, NOW_MS + 60_000)
    assert stale.quality == "stale"
    subject = market()
    subject.resume(stale)
    assert ticker_of(subject, NOW_MS + 60_000).quality == "stale"
    assert ticker_of(subject, NOW_MS + 60_001).quality == "down"


def test_a_last_ticker_that_was_down_gives_number_and_decimals_only() -> None:
    before = earlier_run()
    down = replace(ticker_of(before, NOW_MS + 200_000), seq=9)
    subject = market()
    subject.resume(down)
    after = ticker_of(subject)
    assert (after.quality, after.price, after.seq, after.dp) == ("down", None, 9, 2)


def test_this_run_knows_better_than_an_earlier_one() -> None:
    old = replace(ticker_of(earlier_run()), seq=41)
    subject = market()
    subject.take(tick(Y, 62720.0))
    ticker_of(subject)
    subject.resume(old)
    after = ticker_of(subject)
    assert (after.price, after.seq, after.dp) == (62720.0, 41, 2)


def test_no_room_to_take_up_an_earlier_run() -> None:
    subject = market(max_symbols=1)
    subject.take(replace(tick(B, 1.0), symbol=ETH))
    assert subject.resume(ticker_of(earlier_run())) == "full"
