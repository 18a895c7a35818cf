"""Which ticks are accepted and which are refused, and how the state of an earlier run is continued."""

import orjson
import pytest
from msgspec.structs import replace

from aggregator.market import Market, Refusal, SymbolState
from aggregator.parameters import Parameters
from market_pulse.conversions import DEFAULT_CONVERSIONS
from market_pulse.messages import Symbol, Tick, Ticker, decode_ticker, encode

from .examples import BTC, BTC_USD, NOW_MS, USDT_USD, B, O, Y, rate_ticker, states, tick

ETH = Symbol("ETH-USDT")


def market(max_symbols: int = 10) -> Market:
    return Market(Parameters(), max_symbols)


def at(exchange_ms: int | None, received_ms: int) -> Tick:
    """Return a tick with these two times, relative to now."""
    exchange_time_ms = None if exchange_ms is None else NOW_MS + exchange_ms
    return replace(tick(B, 64000.0), exchange_time_ms=exchange_time_ms, received_time_ms=NOW_MS + received_ms)


def ended(exchange_ms: int | None, received_ms: int) -> Tick:
    """Return the same tick, marked as the last one of its exchange."""
    return replace(at(exchange_ms, received_ms), ended="delisted")


def ticker_of(market: Market, now_ms: int = NOW_MS) -> Ticker:
    state = market.get(BTC)
    assert state is not None
    state.last = state.make_ticker(now_ms, market.parameters)  # as the publisher does
    return state.last


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
        pytest.param(at(0, 0), at(-1, 10_000), "older", id="older, received T_soft later"),
        pytest.param(at(0, 0), at(-1, 10_001), None, id="nothing came for longer than T_soft: no yardstick"),
        pytest.param(at(0, 0), at(-3_600_000, 10_001), None, id="an exchange's clock that was set back"),
        pytest.param(at(0, 0), ended(-5000, 1), None, id="the end, at any exchange time"),
        pytest.param(at(0, 0), ended(-5000, -30), None, id="the end, by a clock that is behind"),
        pytest.param(ended(0, 0), at(-5000, 1), None, id="a new start, at any exchange time"),
        pytest.param(ended(0, 0), at(5000, -1), "older", id="received before the end"),
        pytest.param(ended(0, 0), ended(0, 0), None, id="the end again"),
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
        pytest.param(replace(tick(B, 1.0), exchange_time_ms=NOW_MS * 1000), "time", id="exchange time in microseconds"),
        pytest.param(replace(tick(B, 1.0), received_time_ms=NOW_MS * 1000), "time", id="received time in microseconds"),
        pytest.param(replace(tick(B, 1.0), published_time_ms=NOW_MS * 1000), "time", id="published time in microseconds"),
        pytest.param(replace(tick(B, 1.0), exchange_time_ms=4_102_444_800_001), "time", id="after 2100-01-01"),
        pytest.param(replace(tick(B, 1.0), ended="delisted", exchange_time_ms=NOW_MS * 1000), "time", id="the end, then"),
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
    assert subject.yielding({names[0], names[3]}) == [names[2]], "the symbol that no client wants for the longest time"
    subject.drop(names[2])
    assert subject.take(ticks[names[2]]) == "full", "an unwanted symbol takes no room that was made for another"
    assert subject.take(ticks[names[3]]) is None
    assert subject.take(ticks[names[4]]) == "full"
    assert subject.yielding({names[0], names[1], names[3], names[4]}) == [], "wanted symbols stay"


def test_once_there_is_room_again_everything_is_followed() -> None:
    subject = market(max_symbols=2)
    subject.take(tick(B, 1.0))
    subject.take(replace(tick(B, 1.0), symbol=ETH))
    subject.yielding(set())
    subject.drop(BTC)
    assert subject.take(tick(B, 1.0)) == "full"
    assert subject.is_full, "a symbol was refused since then"
    subject.yielding(set())
    assert subject.take(tick(B, 1.0)) is None


def test_decimals_are_those_of_the_tick_size_else_the_most_seen() -> None:
    subject = market()
    seen = []
    for one in (tick(B, 64000.0), tick(B, 64000.125), tick(B, 64000.5), tick(Y, 64000.0, dp=5), tick(O, 1.0, dp=10**9)):
        subject.take(one)
        seen.append(ticker_of(subject).dp)
    assert seen == [0, 3, 3, 5, 30]


def test_the_latest_time_that_is_taken() -> None:
    assert market().take(replace(tick(B, 1.0), exchange_time_ms=4_102_444_800_000, received_time_ms=4_102_444_800_000)) is None


def test_the_last_price_is_held_in_silence() -> None:
    """It is held for H after the last ticker with a source, regardless of the tickers since."""
    subject = market()
    for one in (tick(B, 64000.0), tick(O, 64000.0)):
        subject.take(one)
    assert ticker_of(subject, NOW_MS + 59_000).quality == "ok"
    for second in range(60, 120):
        held = ticker_of(subject, NOW_MS + second * 1000)
        assert (held.quality, held.price, held.priced_time_ms) == ("stale", 64000.0, NOW_MS + 59_000)
    assert ticker_of(subject, NOW_MS + 119_001).quality == "down"


def test_an_exchange_that_repeats_itself_outvotes_nobody() -> None:
    """Two others moved, one after the other. Their price counts, both in the running process and after a restart."""
    subject, restarted = market(), market()
    for prices in ((100.0, 100.0), (96.0, 100.0), (96.0, 96.0)):
        for name, price in ((B, prices[0]), (Y, prices[1]), (O, 100.0)):
            subject.take(tick(name, price, quote_volume24h=1.0))
            restarted.take(tick(name, price, quote_volume24h=1.0))
        ticker_of(subject)
    assert (ticker_of(subject).price, ticker_of(subject).quality) == (96.0, "ok")
    assert states(ticker_of(subject)) == {B: "used", Y: "used", O: "excluded"}
    assert ticker_of(restarted).sources == ticker_of(subject).sources


def test_what_was_agreed_decides_between_two_sides_until_it_is_too_old() -> None:
    """It does so in the running process, and in one that continues from the published fields alone."""
    subject = market()
    for one in (tick(B, 64000.0), tick(Y, 64010.0)):
        subject.take(one)
    agreed = ticker_of(subject)
    assert (agreed.agreed_price, agreed.agreed_time_ms) == (agreed.price, NOW_MS)
    heir = market()
    for run in (subject, heir):
        run.take(tick(B, 57600.0, age_s=-1))
        run.take(tick(Y, 64010.0, age_s=-1))
    heir.resume(decode_ticker(encode(agreed)))
    for second in (1, 2, 50, 60):
        tickers = [ticker_of(run, NOW_MS + second * 1000) for run in (subject, heir)]
        assert [(one.price, one.quality, one.agreed_time_ms) for one in tickers] == [(64010.0, "disputed", NOW_MS)] * 2
    for run in (subject, heir):
        assert ticker_of(run, NOW_MS + 60_001).price == 57600.0, "the larger turnover"


def test_a_ticker_that_was_not_published_is_not_remembered() -> None:
    subject = market()
    subject.take(tick(B, 64000.0))
    state = subject.get(BTC)
    assert state is not None
    state.make_ticker(NOW_MS, subject.parameters)
    subject.take(tick(B, 64000.0, ended="delisted"))
    assert (ticker_of(subject).quality, ticker_of(subject).agreed_price) == ("down", None)


def test_a_symbol_that_is_traded_again_begins_anew() -> None:
    subject = market()
    for one in (tick(B, 64000.0), tick(Y, 64010.0, volume24h=3.0), replace(tick(Y, 64010.0, volume24h=3.0), ended="delisted")):
        assert subject.take(one) is None
    ticker = ticker_of(subject)
    assert (ticker.quality, states(ticker)[Y], ticker.volume24h) == ("single", "stale", None)
    assert subject.take(tick(Y, 64010.0, age_s=-5, lag_s=5.5, volume24h=4.0, lag_unknown=True)) is None
    ticker = ticker_of(subject)
    assert (ticker.quality, states(ticker)[Y], ticker.volume24h) == ("ok", "used", 4.0)


def earlier_run() -> Market:
    subject = market()
    for one in (tick(B, 64000.25, open24h=60000.0), tick(Y, 60000.0), tick(O, 64000.25, open24h=60000.0)):
        subject.take(one)
    return subject


def test_an_earlier_run_is_taken_up() -> None:
    """Number, decimals and memory survive a restart."""
    before = replace(ticker_of(earlier_run()), seq=41)
    subject = market()
    for name in (B, O, Y):
        subject.take(tick(name, 64000.0, ended="delisted"))
    assert subject.resume(before) is None
    after = ticker_of(subject)
    assert (after.seq, after.dp, after.price) == (41, 2, 64000.25)
    assert (after.agreed_price, after.agreed_time_ms, after.priced_time_ms) == (64000.25, NOW_MS, NOW_MS)


def test_an_earlier_release_s_ticker_is_taken_up() -> None:
    """It lacks the fields that rules 7 and 8 use as memory."""
    message = orjson.loads(encode(replace(ticker_of(earlier_run()), seq=41)))
    for name in ("agreedPrice", "agreedTime", "pricedTime", "publisher"):
        del message[name]
    subject = market()
    subject.resume(decode_ticker(orjson.dumps(message)))
    after = ticker_of(subject)
    assert (after.seq, after.dp, after.quality, after.agreed_price, after.priced_time_ms) == (41, 2, "down", None, None)
    subject.take(tick(B, 64000.0))
    assert (ticker_of(subject).price, ticker_of(subject).agreed_price) == (64000.0, 64000.0)


def test_the_last_price_survives_without_any_tick() -> None:
    before = ticker_of(earlier_run())
    subject = market()
    subject.resume(before)
    held = ticker_of(subject, NOW_MS + 60_000)
    assert held.quality == "stale"
    for name in ("price", "open24h", "change24h", "change_percent24h", "received_time_ms", "exchange_time_ms"):
        assert getattr(held, name) == getattr(before, name) is not None
    assert ticker_of(subject, NOW_MS + 60_001).quality == "down"


def test_a_held_price_is_not_held_anew_after_a_restart() -> None:
    """The time of holding starts with the last source, so a restart never prolongs it."""
    before = earlier_run()
    ticker_of(before)
    stale = ticker_of(before, NOW_MS + 60_000)
    assert stale.quality == "stale"
    for second in range(0, 60, 7):
        subject = market()
        subject.resume(stale)
        assert ticker_of(subject, NOW_MS + 60_000).quality == "stale"
        stale = ticker_of(subject, NOW_MS + second * 1000)
    assert ticker_of(subject, NOW_MS + 60_001).quality == "down"


def test_a_last_ticker_that_was_down_gives_number_and_decimals_only() -> None:
    before = earlier_run()
    down = replace(ticker_of(before, NOW_MS + 200_000), seq=9)
    subject = market()
    subject.resume(down)
    after = ticker_of(subject)
    assert (after.quality, after.price, after.seq, after.dp) == ("down", None, 9, 2)


def test_no_room_to_take_up_an_earlier_run() -> None:
    subject = market(max_symbols=1)
    subject.take(replace(tick(B, 1.0), symbol=ETH))
    assert subject.resume(ticker_of(earlier_run())) == "full"


def usd(one: Tick) -> Tick:
    return replace(one, symbol=BTC_USD)


def converting(max_symbols: int = 10) -> Market:
    return Market(Parameters(), max_symbols, DEFAULT_CONVERSIONS)


def state_of(market: Market, symbol: Symbol) -> SymbolState:
    state = market.get(symbol)
    assert state is not None
    return state


def test_a_symbol_of_converted_markets_alone_is_followed_while_it_is_wanted() -> None:
    subject = converting()
    assert subject.want({BTC_USD}, NOW_MS) == [], "nothing prices it"
    subject.take(tick(B, 64000.0))
    assert subject.want({BTC_USD, BTC, USDT_USD}, NOW_MS) == [BTC_USD]
    assert subject.want({BTC_USD}, NOW_MS + 1000) == []
    assert state_of(subject, BTC_USD).wanted_ms == NOW_MS + 1000
    assert subject.priced_too(tick(B, 64000.0)) == [BTC_USD]
    subject.drop(BTC_USD)
    assert subject.priced_too(tick(B, 64000.0)) == []


def test_an_exchange_s_own_market_goes_before_its_converted_one() -> None:
    subject = converting()
    subject.take(usd(tick(B, 64000.0)))
    assert subject.priced_too(tick(B, 64020.0)) == []
    assert subject.priced_too(tick(Y, 64020.0)) == [BTC_USD]
    assert subject.priced_too(usd(tick(B, 64020.0))) == []


def test_the_legs_of_a_symbol() -> None:
    subject = converting()
    subject.take(usd(tick("coinbase", 64000.0, dp=2)))
    state = state_of(subject, BTC_USD)
    assert subject.legs(state) == []
    subject.take(tick(B, 64000.0, dp=4))
    assert [(leg.rate_symbol, leg.rate, list(leg.ticks)) for leg in subject.legs(state)] == [(USDT_USD, None, [B])]
    subject.take_rate(rate_ticker(0.9997), NOW_MS)
    subject.take_rate(rate_ticker(5.0, symbol=ETH), NOW_MS)
    assert subject.rate(ETH) is None
    ticker = state.make_ticker(NOW_MS, subject.parameters, (), subject.legs(state))
    assert (ticker.sources_used, ticker.dp) == (2, 4), "the most decimals of all its markets"
    subject.drop(BTC)
    assert subject.legs(state) == []


def test_what_prices_a_wanted_symbol_is_needed() -> None:
    subject = converting()
    assert subject.needed({BTC_USD, ETH}) == {BTC_USD, BTC, USDT_USD, ETH}
    assert market().needed({BTC_USD}) == {BTC_USD}


def test_without_room_a_wanted_symbol_is_not_followed() -> None:
    subject = converting(max_symbols=1)
    subject.take(tick(B, 64000.0))
    assert subject.want({BTC_USD}, NOW_MS) == []
    assert subject.is_full


def test_whose_ticks_price_a_symbol() -> None:
    """A copy that takes a symbol over reads the last ticks of all of them."""
    subject = converting()
    subject.take(usd(tick("coinbase", 64000.0)))
    assert [state.symbol for state in subject.feeding(state_of(subject, BTC_USD))] == [BTC_USD]
    subject.take(tick(B, 64000.0))
    assert [state.symbol for state in subject.feeding(state_of(subject, BTC_USD))] == [BTC_USD, BTC]
    assert [state.symbol for state in subject.feeding(state_of(subject, BTC))] == [BTC]
