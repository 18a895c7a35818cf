"""What is said of an exchange: what it last said, as long as it keeps saying it."""

import pytest

from gateway.statuses import SILENT_AFTER_MS, Statuses
from market_pulse.codec import CodecError

from .gateway_samples import NOW_MS, status_bytes


def test_only_changes_are_news() -> None:
    statuses = Statuses()
    statuses.take(status_bytes(state="connecting"), NOW_MS)
    assert [status.state for status in statuses.changed(NOW_MS)] == ["connecting"]
    statuses.take(status_bytes(state="connecting"), NOW_MS + 5000)
    assert statuses.changed(NOW_MS + 5000) == []
    statuses.take(status_bytes(state="connected"), NOW_MS + 6000)
    assert [status.state for status in statuses.changed(NOW_MS + 6000)] == ["connected"]


def test_a_silent_exchange_is_down_and_comes_back() -> None:
    statuses = Statuses()
    statuses.take(status_bytes(), NOW_MS)
    statuses.changed(NOW_MS)
    later = NOW_MS + SILENT_AFTER_MS + 2000
    [news] = statuses.changed(later)
    assert (news.state, news.reason, news.since_ms, news.symbols) == ("down", "no status for 17 s", NOW_MS, 0)
    assert statuses.changed(later + 1000) == [], "that the silence lasts is no news"
    assert statuses.current(later + 1000)["okx"].reason == "no status for 18 s"
    statuses.take(status_bytes(), later + 2000)
    assert [status.state for status in statuses.changed(later + 2000)] == ["connected"]


def test_one_connected_copy_is_enough() -> None:
    statuses = Statuses()
    statuses.take(status_bytes(instance="a"), NOW_MS)
    statuses.take(status_bytes(instance="b", state="reconnecting"), NOW_MS + 1)
    assert statuses.current(NOW_MS + 2)["okx"].instance == "a"
    statuses.take(status_bytes(instance="b", state="reconnecting"), NOW_MS + SILENT_AFTER_MS)
    assert statuses.current(NOW_MS + SILENT_AFTER_MS)["okx"].state == "reconnecting"


def test_simulated_is_said_as_soon_as_one_is() -> None:
    statuses = Statuses()
    statuses.take(status_bytes("okx"), NOW_MS)
    assert not statuses.simulated
    statuses.take(status_bytes("bybit", simulated=True), NOW_MS)
    assert statuses.simulated


def test_what_is_no_status_is_refused() -> None:
    with pytest.raises(CodecError):
        Statuses().take(b"{}", NOW_MS)
