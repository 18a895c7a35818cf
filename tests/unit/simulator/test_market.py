"""The simulated market: plausible prices at any time and seed, and the same prices for the same seed."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator import catalogue
from simulator.market import DAY_MS, HOUR_MS, Listing, Market

NOW_MS = 1_786_538_789_464
EXCHANGES = pytest.mark.parametrize("exchange", catalogue.EXCHANGES)
ELAPSED_MS = st.lists(st.integers(0, 3 * HOUR_MS), min_size=1, max_size=60)


def state(market: Market) -> list[tuple[float, ...]]:
    return [(it.bid, it.bid_size, it.last, it.ask, it.high24h, it.low24h, it.open24h) for it in market.listings]


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
    market = Market(seed, NOW_MS)
    now_ms = walk(market, elapsed_ms)
    for listing in market.listings:
        assert_sane(listing, now_ms)


@settings(max_examples=3)
@given(seed=st.integers(0, 2**32), elapsed_ms=ELAPSED_MS)
def test_the_same_seed_gives_the_same_market(seed: int, elapsed_ms: list[int]) -> None:
    one, other = Market(seed, NOW_MS), Market(seed, NOW_MS)
    walk(one, elapsed_ms)
    walk(other, elapsed_ms)
    assert state(one) == state(other)


def test_prices_stay_near_the_usual_ones_over_a_month() -> None:
    market = Market(1, NOW_MS)
    bitcoin = market.of("binance")["BTCUSDT"]
    for day in range(30):
        for hour in range(24):
            market.step(bitcoin, NOW_MS + day * DAY_MS + hour * HOUR_MS, traded=True)
            assert 50_000 < bitcoin.last < 80_000


@EXCHANGES
def test_what_is_listed(exchange: catalogue.ExchangeName) -> None:
    listings = Market(1, NOW_MS).of(exchange)
    assert sum(listing.state == "trading" for listing in listings.values()) >= 300
    symbols = {listing.symbol for listing in listings.values()}
    assert {"BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "PEPE-USDT", "ETH-BTC", "BTC-USDC"} <= symbols


def test_listings_differ_between_exchanges() -> None:
    market = Market(1, NOW_MS)
    listed = [{it.symbol for it in market.of(exchange).values()} for exchange in catalogue.EXCHANGES]
    assert all(one - other for one in listed for other in listed if one is not other)


def test_turnover_shares() -> None:
    market = Market(1, NOW_MS)
    turnover = [
        next(it for it in market.of(exchange).values() if it.symbol == "BTC-USDT").volume(NOW_MS).quote
        for exchange in catalogue.EXCHANGES
    ]
    assert turnover == [pytest.approx(usual, rel=0.2) for usual in (1.8e9, 6e8, 4e8)]


def test_exchanges_agree_within_a_few_basis_points() -> None:
    market = Market(1, NOW_MS)
    for exchange in catalogue.EXCHANGES:
        for listing in market.of(exchange).values():
            if listing.symbol == "BTC-USDT":
                market.step(listing, NOW_MS, traded=True)
    prices = [it.last for it in market.listings if it.symbol == "BTC-USDT"]
    assert max(prices) / min(prices) < 1.001


def test_volume_falls_when_nothing_is_traded() -> None:
    bitcoin = Market(1, NOW_MS).of("okx")["BTC-USDT"]
    volumes = [bitcoin.volume(NOW_MS + minute * 60_000).base for minute in range(60)]
    assert all(before > after for before, after in pairwise(volumes))


def test_a_day_later_the_first_day_is_forgotten() -> None:
    market = Market(1, NOW_MS)
    bitcoin = market.of("okx")["BTC-USDT"]
    market.move("BTC-USDT", 1_000_000.0, NOW_MS)
    assert bitcoin.high24h > 900_000
    market.move("BTC-USDT", 64_000.0, NOW_MS + 1)
    market.step(bitcoin, NOW_MS + 26 * HOUR_MS, traded=True)
    assert bitcoin.high24h < 100_000


def test_a_move_reaches_every_exchange_and_the_coin_s_other_markets() -> None:
    market = Market(1, NOW_MS)
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
        Market(1, NOW_MS).move("NOPE-USDT", 1.0, NOW_MS)


def test_focus() -> None:
    market = Market(1, NOW_MS)
    market.focus(["BTC-USDT"])
    assert {listing.symbol for listing in market.draw(50)} == {"BTC-USDT"}
    market.focus(["LUNC-USDT"])
    assert "okx" not in {listing.exchange for listing in market.draw(50)}  # suspended there
    market.focus([])
    assert market.draw(50) == []
    market.focus(None)
    assert len({listing.symbol for listing in market.draw(500)}) > 10
