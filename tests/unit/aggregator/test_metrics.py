"""The gauges of the market's state, and the counters of bad messages."""

import pytest
from msgspec.structs import replace
from prometheus_client import REGISTRY

from aggregator.feeds import Feeds
from aggregator.intake import Intake
from aggregator.market import Market
from aggregator.metrics import Observer
from aggregator.parameters import Parameters
from market_pulse.messages import Symbol, encode_tick

from .examples import BTC, NOW_MS, B, O, Y, tick


def value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


def test_observer_counts_states_and_tells_clock_skew() -> None:
    market = Market(Parameters(), 10)
    for one in (tick(B, 100.0, lag_s=6), tick(Y, 100.0, lag_s=7), tick(O, 100.0, age_s=60)):
        market.take(one)
    state = market.get(BTC)
    assert state is not None
    state.last = state.make_ticker(NOW_MS, market.parameters)
    observer = Observer()
    observer.observe(market, lambda _: True)
    assert value("market_pulse_aggregator_sources", state="used") == 2
    assert value("market_pulse_aggregator_sources", state="stale") == 1
    assert value("market_pulse_aggregator_symbols_by_quality", quality="ok") == 1
    assert (value("market_pulse_aggregator_symbols"), value("market_pulse_aggregator_clock_skew")) == (1, 1)
    for name in ("ETH-USDT", "SOL-USDT"):  # if our own clock were wrong, these would differ too
        market.take(replace(tick(B, 100.0), symbol=Symbol(name)))
    for state in market:
        state.last = state.make_ticker(NOW_MS, market.parameters)
    observer.observe(market, lambda symbol: symbol == BTC)
    assert value("market_pulse_aggregator_symbols_by_quality", quality="ok") == 1, "each of two copies counts its own symbols"
    assert value("market_pulse_aggregator_clock_skew") == 1
    observer.observe(market, lambda _: True)
    assert (value("market_pulse_aggregator_symbols"), value("market_pulse_aggregator_clock_skew")) == (3, 0)
    for state in list(market):
        market.drop(state.symbol)
    observer.observe(market, lambda _: True)
    assert (value("market_pulse_aggregator_sources", state="used"), value("market_pulse_aggregator_clock_skew")) == (0, 0)


@pytest.mark.parametrize(
    ("channel", "data", "name", "labels"),
    [
        pytest.param("ticks:okx:BTC-USDT", b"{", "market_pulse_aggregator_bad_messages_total", {"kind": "codec"}, id="no JSON"),
        pytest.param(
            "ticks:okx:BTC-USDT",
            encode_tick(tick(B, 1.0), NOW_MS),
            "market_pulse_aggregator_bad_messages_total",
            {"kind": "channel"},
            id="another channel's",
        ),
        pytest.param(
            "ticks:binance:BTC-USDT",
            encode_tick(tick(B, 1e31), NOW_MS),
            "market_pulse_aggregator_ticks_dropped_total",
            {"reason": "figure"},
            id="no sensible price",
        ),
        pytest.param(
            "ticks:binance:BTC-USDT",
            encode_tick(tick(B, 1.0), NOW_MS),
            "market_pulse_aggregator_ticks_total",
            {},
            id="a good tick",
        ),
    ],
)
def test_each_message_is_counted_once(channel: str, data: bytes, name: str, labels: dict[str, str]) -> None:
    changed: list[Symbol] = []
    intake = Intake(Market(Parameters(), 10), Feeds(), changed.append)
    before = REGISTRY.get_sample_value(name, labels)
    assert before is not None, "Prometheus sees no increase when a series first appears"
    intake.take_message(channel, data)
    for _ in range(2):
        intake.count()
    assert value(name, **labels) == before + 1
    assert changed == ([BTC] if name == "market_pulse_aggregator_ticks_total" else [])
