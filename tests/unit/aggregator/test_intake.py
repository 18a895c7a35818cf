"""Which tickers of a rate are taken, and which symbols a tick changes."""

import pytest
from msgspec.structs import replace

from aggregator.clock import Clock
from aggregator.feeds import Feeds
from aggregator.intake import Intake
from aggregator.market import Market
from aggregator.parameters import Parameters
from market_pulse.conversions import DEFAULT_CONVERSIONS
from market_pulse.messages import Symbol, Ticker, encode, encode_tick

from .examples import BTC, BTC_USD, NOW_MS, USDT_USD, B, rate_ticker, tick

CHANNEL = "ticker:USDT-USD"


class Subject:
    """An intake on a machine whose clock stands still."""

    def __init__(self) -> None:
        self.changed: list[Symbol] = []
        self.market = Market(Parameters(), 10, DEFAULT_CONVERSIONS)
        clock = Clock(5.0, lambda: NOW_MS, lambda: 0.0)
        self.intake = Intake(self.market, Feeds(), self.changed.append, clock)

    def take(self, ticker: Ticker, age_ms: int | None = 0, channel: str = CHANNEL) -> tuple[int, int] | None:
        self.intake.take_rate(channel, encode(ticker), age_ms)
        rate = self.market.rate(USDT_USD)
        return None if rate is None else (rate.ticker.seq, rate.received_ms)


def numbered(seq: int) -> Ticker:
    return replace(rate_ticker(1.0), seq=seq, aggregated_time_ms=NOW_MS - 9_000)


def test_a_rate_counts_from_when_it_was_received() -> None:
    subject = Subject()
    assert subject.take(numbered(7), 4_000) == (7, NOW_MS - 4_000), "kept by Redis for this long"
    assert subject.take(numbered(8)) == (8, NOW_MS), "just arrived"
    assert subject.changed == [], "a change of the rate alone publishes nothing"


def test_a_kept_rate_of_unknown_age_is_as_old_as_it_says() -> None:
    assert Subject().take(numbered(7), None) == (7, NOW_MS - 9_000)
    assert Subject().take(replace(numbered(7), aggregated_time_ms=NOW_MS + 9_000), None) == (7, NOW_MS)


def test_a_kept_rate_does_not_replace_a_newer_one() -> None:
    subject = Subject()
    subject.take(numbered(8))
    assert subject.take(numbered(7), 4_000) == (8, NOW_MS)
    assert subject.take(numbered(9), 4_000) == (9, NOW_MS - 4_000)
    assert subject.take(numbered(3)) == (3, NOW_MS), "Redis has begun to count anew"


@pytest.mark.parametrize(("channel", "ticker"), [("ticker:BTC-USD", numbered(7)), (CHANNEL, replace(numbered(7), symbol=BTC))])
def test_a_ticker_of_another_channel_is_no_rate(channel: str, ticker: Ticker) -> None:
    assert Subject().take(ticker, channel=channel) is None


def test_what_is_no_ticker_is_no_rate() -> None:
    subject = Subject()
    subject.intake.take_rate(CHANNEL, b"{")
    assert subject.market.rate(USDT_USD) is None


def test_a_tick_changes_each_symbol_that_it_prices() -> None:
    subject = Subject()
    message = encode_tick(tick(B, 64000.0), NOW_MS)
    subject.intake.take_message("ticks:binance:BTC-USDT", message)
    assert subject.changed == [BTC]
    subject.market.want({BTC_USD}, NOW_MS)
    subject.intake.take_message("ticks:binance:BTC-USDT", message)
    assert subject.changed == [BTC, BTC, BTC_USD]
