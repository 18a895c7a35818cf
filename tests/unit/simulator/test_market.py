"""The simulated market: plausible prices at any time and seed, and the same prices for the same seed."""

from itertools import pairwise
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import catalogue
from simulator.binance.markets import BINANCE
from simulator.bybit.markets import BYBIT
from simulator.candles import DAY_MS, HOUR_MS
from simulator.coinbase.markets import COINBASE
from simulator.cryptocom.markets import CRYPTOCOM
from simulator.kraken.markets import KRAKEN
from simulator.market import MAX_PREMIUM, Listing, Market
from simulator.okx.markets import OKX

NOW_MS = 1_786_538_789_464
VENUES = (BINANCE, BYBIT, OKX, COINBASE, KRAKEN, CRYPTOCOM)
WITHOUT_DOLLARS: Final[tuple[catalogue.ExchangeName, ...]] = ("binance", "bybit", "okx")
WITH_DOLLARS: Final[tuple[catalogue.ExchangeName, ...]] = ("coinbase", "kraken", "cryptocom")
ELAPSED_MS = st.lists(st.integers(0, 3 * HOUR_MS), min_size=1, max_size=60)


def state(market: Market) -> list[tuple[float, ...]]:
    return [(it.bid, it.bid_size, it.last, it.ask, it.high24h, it.low24h, it.open24h) for it in market.listings]


def at(market: Market, exchange: catalogue.ExchangeName, symbol: str) -> Listing:
    [listing] = [listing for listing in market.of(exchange).values() if listing.symbol == symbol]
    return listing


def trade(market: Market, listing: Listing, now_ms: int = NOW_MS) -> Listing:
    market.step(listing, now_ms, traded=True)
    return listing


def walk(market: Market, elapsed_ms: list[int], per_step: int = 5) -> int:
    """Make events after each of these intervals, and return the time of the last."""
    now_ms = NOW_MS
    for elapsed in elapsed_ms:
        now_ms += elapsed
        for listing in market.draw(per_step):
            market.step(listing, now_ms)
    return now_ms


def assert_sane(listing: Listing, now_ms: int) -> None:
    volume = listing.volume(now_ms)
    assert 0 < listing.bid < listing.ask
    assert 0 < listing.low24h <= listing.open24h <= listing.high24h
    assert listing.low24h <= listing.last <= listing.high24h
    assert listing.low24h * 0.9999 <= volume.quote / volume.base <= listing.high24h * 1.0001
    assert volume.trades >= 1
    for value in (listing.bid, listing.ask, listing.last):
        assert value * listing.scale == pytest.approx(round(value * listing.scale), abs=1e-3)
    for value in (listing.bid_size, listing.ask_size, listing.last_size):
        assert value > 0


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32), elapsed_ms=ELAPSED_MS)
def test_every_listing_stays_sane(seed: int, elapsed_ms: list[int]) -> None:
    market = Market(seed, NOW_MS, VENUES)
    now_ms = walk(market, elapsed_ms)
    for listing in market.listings:
        assert_sane(listing, now_ms)


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32), elapsed_ms=ELAPSED_MS)
def test_the_same_seed_gives_the_same_market(seed: int, elapsed_ms: list[int]) -> None:
    one, other = Market(seed, NOW_MS, VENUES), Market(seed, NOW_MS, VENUES)
    walk(one, elapsed_ms)
    walk(other, elapsed_ms)
    assert state(one) == state(other)


def test_prices_stay_near_the_usual_ones_over_a_month() -> None:
    market = Market(1, NOW_MS, VENUES)
    bitcoin = market.of("binance")["BTCUSDT"]
    for day in range(30):
        for hour in range(24):
            market.step(bitcoin, NOW_MS + day * DAY_MS + hour * HOUR_MS, traded=True)
            assert 50_000 < bitcoin.last < 80_000


@pytest.mark.parametrize("exchange", catalogue.EXCHANGES)
def test_what_every_exchange_lists(exchange: catalogue.ExchangeName) -> None:
    listings = Market(1, NOW_MS, VENUES).of(exchange)
    assert sum(listing.state == "trading" for listing in listings.values()) >= 300
    symbols = {listing.symbol for listing in listings.values()}
    assert {"BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "PEPE-USDT", "ETH-BTC"} <= symbols


@pytest.mark.parametrize(
    ("exchange", "currencies"),
    [
        ("binance", {"USDT", "USDC", "EUR"}),
        ("bybit", {"USDT", "USDC", "EUR"}),
        ("okx", {"USDT", "USDC", "EUR"}),
        ("coinbase", {"USD", "USDT", "EUR"}),
        ("kraken", {"USD", "USDT", "USDC", "EUR"}),
        ("cryptocom", {"USD", "USDT"}),
    ],
)
def test_the_currencies_in_which_an_exchange_prices_bitcoin(exchange: catalogue.ExchangeName, currencies: set[str]) -> None:
    listings = Market(1, NOW_MS, VENUES).of(exchange).values()
    assert {listing.quote for listing in listings if listing.base == "BTC"} == currencies
    assert ("USDT-USD" in {listing.symbol for listing in listings}) == ("USD" in currencies)


def test_listings_differ_between_exchanges() -> None:
    market = Market(1, NOW_MS, VENUES)
    listed = [{it.symbol for it in market.of(exchange).values()} for exchange in catalogue.EXCHANGES]
    assert all(one - other for one in listed for other in listed if one is not other)


def test_turnover_shares() -> None:
    market = Market(1, NOW_MS, VENUES)
    turnover = [at(market, exchange, "BTC-USDT").volume(NOW_MS).quote for exchange in WITHOUT_DOLLARS]
    assert turnover == [pytest.approx(usual, rel=0.2) for usual in (1.8e9, 6e8, 4e8)]


def test_exchanges_agree_within_a_few_basis_points() -> None:
    market = Market(1, NOW_MS, VENUES)
    prices = [trade(market, listing).last for listing in market.listings if listing.symbol == "BTC-USDT"]
    assert max(prices) / min(prices) < 1.001


def test_a_price_in_usdt_is_the_price_in_usd_over_the_rate() -> None:
    market = Market(1, NOW_MS, VENUES)
    for exchange in WITH_DOLLARS:
        bitcoin, rate = trade(market, at(market, exchange, "BTC-USD")), trade(market, at(market, exchange, "USDT-USD"))
        in_usdt = trade(market, at(market, exchange, "BTC-USDT"))
        assert in_usdt.last == pytest.approx(bitcoin.last / rate.last, rel=0.001)
        assert rate.last == pytest.approx(0.9997, abs=0.001)


def test_the_rate_moves_a_little_and_stays_near_its_usual_value() -> None:
    market = Market(1, NOW_MS, VENUES)
    rate = at(market, "kraken", "USDT-USD")
    seen = [trade(market, rate, NOW_MS + minute * 60_000).last for minute in range(3000)]
    assert 0.9993 < min(seen) < 0.9996
    assert 0.9998 < max(seen) < 1.0001
    assert len(set(seen)) > 20
    assert max(abs(later / earlier - 1) for earlier, later in pairwise(seen)) < 0.0003


def test_a_depeg_moves_the_rate_and_the_prices_in_usdt_and_no_price_in_usd() -> None:
    market = Market(1, NOW_MS, VENUES)
    before = trade(market, at(market, "kraken", "BTC-USD")).last
    market.depeg("USDT", 0.95, catalogue.EXCHANGES, NOW_MS, within_s=10)
    [half, then] = [NOW_MS + 5000, NOW_MS + 10_000]
    assert trade(market, at(market, "kraken", "USDT-USD"), half).last == pytest.approx(0.9745, abs=0.001)
    assert market.depegged(then)["okx", "USDT"] == pytest.approx(0.95, abs=0.0005)
    for exchange in WITH_DOLLARS:
        assert trade(market, at(market, exchange, "USDT-USD"), then).last == pytest.approx(0.95, abs=0.001)
        assert trade(market, at(market, exchange, "BTC-USD"), then).last == pytest.approx(before, rel=0.003)
    for exchange in WITHOUT_DOLLARS:
        assert trade(market, at(market, exchange, "BTC-USDT"), then).last == pytest.approx(before / 0.95, rel=0.003)
        assert trade(market, at(market, exchange, "USDC-USDT"), then).last == pytest.approx(0.9999 / 0.95, rel=0.001)


def test_a_depeg_at_one_exchange_leaves_the_others_alone() -> None:
    market = Market(1, NOW_MS, VENUES)
    market.depeg("USDT", 0.9, ["kraken"], NOW_MS)
    assert {exchange for exchange, _ in market.depegged(NOW_MS)} == {"kraken"}
    rates = {exchange: trade(market, at(market, exchange, "USDT-USD")).last for exchange in WITH_DOLLARS}
    assert rates == {exchange: pytest.approx(0.9 if exchange == "kraken" else 0.9997, abs=0.001) for exchange in WITH_DOLLARS}
    in_usdt = trade(market, at(market, "kraken", "BTC-USDT")).last
    assert in_usdt == pytest.approx(trade(market, at(market, "okx", "BTC-USDT")).last / 0.9, rel=0.003)


def test_a_symbol_s_own_price_has_no_premium_and_follows_a_depeg_of_most_exchanges() -> None:
    market = Market(1, NOW_MS, VENUES)
    bitcoin = market.price("BTC-USD", NOW_MS)
    for exchange in WITH_DOLLARS:
        assert market.fair(at(market, exchange, "BTC-USD"), NOW_MS) == pytest.approx(bitcoin, rel=MAX_PREMIUM)
    assert market.price("BTC-USDT", NOW_MS) == pytest.approx(bitcoin / market.price("USDT-USD", NOW_MS), rel=1e-12)
    market.depeg("USDT", 0.9, ["kraken"], NOW_MS)
    assert market.price("USDT-USD", NOW_MS) == pytest.approx(0.9997, abs=0.0005)
    market.depeg("USDT", 0.9, catalogue.EXCHANGES, NOW_MS)
    assert market.price("USDT-USD", NOW_MS) == pytest.approx(0.9, abs=0.0005)
    assert market.price("BTC-USD", NOW_MS) == bitcoin
    with pytest.raises(KeyError):
        market.price("NOPE-USD", NOW_MS)


def test_a_depeg_ends_by_itself_or_when_it_is_called_back() -> None:
    market = Market(1, NOW_MS, VENUES)
    market.depeg("USDT", 0.95, ["kraken"], NOW_MS, within_s=2, hold_s=3)
    market.depeg("USDC", 0.88, ["kraken"], NOW_MS, within_s=2)
    assert market.depegged(NOW_MS + 5000).keys() == {("kraken", "USDT"), ("kraken", "USDC")}
    assert market.depegged(NOW_MS + 7000).keys() == {("kraken", "USDC")}
    market.depeg("USDC", None, catalogue.EXCHANGES, NOW_MS + 7000, within_s=1)
    assert market.depegged(NOW_MS + 7500)["kraken", "USDC"] == pytest.approx(0.938, abs=0.001)
    assert not market.depegged(NOW_MS + 8000)


def test_a_price_that_is_set_during_a_depeg_holds_at_every_exchange() -> None:
    market = Market(1, NOW_MS, VENUES)
    market.depeg("USDT", 0.95, catalogue.EXCHANGES, NOW_MS)
    for event in market.move("BTC-USDT", 50_000.0, NOW_MS):
        assert event.listing.last == pytest.approx(50_000, rel=0.001)


def test_volume_falls_when_nothing_is_traded() -> None:
    bitcoin = Market(1, NOW_MS, VENUES).of("okx")["BTC-USDT"]
    volumes = [bitcoin.volume(NOW_MS + minute * 60_000).base for minute in range(60)]
    assert all(before > after for before, after in pairwise(volumes))


def test_a_day_later_the_first_day_is_forgotten() -> None:
    market = Market(1, NOW_MS, VENUES)
    bitcoin = market.of("okx")["BTC-USDT"]
    market.move("BTC-USDT", 1_000_000.0, NOW_MS)
    assert bitcoin.high24h > 900_000
    market.move("BTC-USDT", 64_000.0, NOW_MS + 1)
    market.step(bitcoin, NOW_MS + 26 * HOUR_MS, traded=True)
    assert bitcoin.high24h < 100_000


def test_a_move_reaches_every_exchange_and_the_coin_s_other_markets() -> None:
    market = Market(1, NOW_MS, VENUES)
    moved = market.move("BTC-USDT", 50_000.0, NOW_MS)
    assert {event.listing.exchange for event in moved} == set(catalogue.EXCHANGES)
    for event in moved:
        assert event.traded
        assert event.listing.last == pytest.approx(50_000, rel=0.001)
        assert event.listing.low24h <= event.listing.last
    other = market.of("binance")["BTCUSDC"]
    market.step(other, NOW_MS)
    assert other.bid == pytest.approx(50_000, rel=0.02)


def test_a_move_of_what_is_not_listed() -> None:
    with pytest.raises(KeyError):
        Market(1, NOW_MS, VENUES).move("NOPE-USDT", 1.0, NOW_MS)


def test_focus() -> None:
    market = Market(1, NOW_MS, VENUES)
    market.focus(["BTC-USDT"])
    assert {listing.symbol for listing in market.draw(50)} == {"BTC-USDT"}
    market.focus(["LUNC-USDT"])
    assert "okx" not in {listing.exchange for listing in market.draw(50)}  # suspended there
    market.focus([])
    assert market.draw(50) == []
    market.focus(None)
    assert len({listing.symbol for listing in market.draw(500)}) > 10
