"""An ingest's metrics, in the form that Prometheus scrapes."""

from collections.abc import Mapping
from dataclasses import replace

import pytest
from prometheus_client import CollectorRegistry

from market_pulse.exchange.errors import FeedLost, FeedRefused, FeedSilent
from market_pulse.exchange.metrics import IngestCollector, Stats
from market_pulse.exchange.status import Facts
from market_pulse.messages import FeedState, Symbol, Tick
from support.facts import CONNECTED

TICK = Tick(exchange="okx", symbol=Symbol("BTC-USDT"), price=1.0, exchange_time_ms=2_000, received_time_ms=2_500)
FACTS = replace(CONNECTED, last_tick=TICK, refused={"C"}, turned_away=[Symbol("D-USDT")])


def read(stats: Stats, facts: Facts, name: str, labels: Mapping[str, str] | None = None) -> float | None:
    registry = CollectorRegistry()
    registry.register(IngestCollector(stats, lambda: facts))
    return registry.get_sample_value(f"market_pulse_ingest_{name}", {"exchange": "okx", **(labels or {})})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("symbols", 2),
        ("refused_symbols", 1),
        ("turned_away_symbols", 1),
        ("connected", 1),
        ("last_tick_timestamp_seconds", 2.5),
        ("exchange_lag_seconds", 0.5),
    ],
)
def test_a_feed_is_read_as_it_is(name: str, value: float) -> None:
    assert read(Stats(), FACTS, name) == value


@pytest.mark.parametrize(
    ("facts", "state"),
    [(FACTS, "degraded"), (replace(FACTS, refused=()), "connected"), (replace(FACTS, phase="blocked"), "blocked")],
)
def test_one_state_is_set(facts: Facts, state: FeedState) -> None:
    states = ("connecting", "connected", "degraded", "reconnecting", "blocked", "down")
    found = {one: read(Stats(), facts, "state", {"market_pulse_ingest_state": one}) for one in states}
    assert found == {one: float(one == state) for one in states}


def test_before_the_first_tick_there_is_no_time_of_it() -> None:
    facts = replace(FACTS, last_tick=None)
    assert read(Stats(), facts, "last_tick_timestamp_seconds") is None
    assert read(Stats(), facts, "exchange_lag_seconds") is None


def test_ticks_are_counted_by_what_the_bus_made_of_them() -> None:
    stats = Stats()
    stats.count_published([TICK, TICK, TICK], suppressed=1)
    assert read(stats, FACTS, "ticks_total") == 2
    assert read(stats, FACTS, "suppressed_total") == 1
    assert read(stats, FACTS, "publish_seconds_count") == 1


def test_candles_and_their_requests_are_counted() -> None:
    stats = Stats(candles=7, candle_revisions=2, history_requests=5, history_waited_s=1.5)
    stats.candles_skipped["idle"] += 3
    stats.history_failures["http_429"] += 1
    stats.further_lost["cut"] += 1
    stats.no_room["candles:1m"] = 4
    assert [read(stats, FACTS, f"{name}_total") for name in ("candles", "candle_revisions", "history_requests")] == [7, 2, 5]
    assert read(stats, FACTS, "history_wait_seconds_total") == 1.5
    assert read(stats, FACTS, "candles_skipped_total", {"kind": "idle"}) == 3
    assert read(stats, FACTS, "history_failures_total", {"kind": "http_429"}) == 1
    assert read(stats, FACTS, "further_reconnects_total", {"reason": "cut"}) == 1
    assert read(stats, FACTS, "reconnects_total", {"reason": "cut"}) is None
    assert read(stats, FACTS, "no_room_symbols", {"kind": "candles:1m"}) == 4


@pytest.mark.parametrize(
    ("lost", "reason"),
    [
        (FeedLost("closed", "closed by the exchange: 1000 no pong, silent"), "closed"),
        (FeedSilent(30.0), "silent"),
        (FeedRefused(451), "http_451"),
    ],
)
def test_a_loss_is_counted_by_its_kind_whatever_its_text(lost: FeedLost, reason: str) -> None:
    stats = Stats()
    stats.lost[lost.kind] += 1
    assert read(stats, FACTS, "reconnects_total", {"reason": reason}) == 1
