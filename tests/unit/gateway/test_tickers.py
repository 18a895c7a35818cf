"""What a ticker is worth when time has passed: never more than it was."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.tickers import DOWN_AFTER_MS, STALE_AFTER_MS, LatestTicker, as_of, read_ticker, staleness
from market_pulse.codec import CodecError, decode_ticker

from .gateway_samples import NOW_MS, ticker_bytes

GONE_WHEN_DOWN = {
    "price", "bid", "ask", "change24h", "changePercent24h", "open24h", "high24h", "low24h", "confidence", "spreadBps",
}  # fmt: skip


def after(elapsed_ms: int, data: bytes | None = None) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(as_of(read_ticker("BTC-USDT", data or ticker_bytes()), NOW_MS + elapsed_ms))
    return message


@pytest.mark.parametrize("elapsed_ms", [-3000, 0, STALE_AFTER_MS - 1])
def test_a_live_ticker_stays_as_it_is(elapsed_ms: int) -> None:
    """Up to the bound not a byte changes, also when the aggregator's clock is ahead of ours."""
    assert as_of(read_ticker("BTC-USDT", ticker_bytes()), NOW_MS + elapsed_ms) == ticker_bytes()


def test_a_stale_ticker_keeps_numbers_and_times() -> None:
    """Only quality and the sources' ages and states change, and the result is a ticker still."""
    before, stale = after(0), after(STALE_AFTER_MS)
    assert stale["quality"] == "stale"
    assert [(source["ageMs"], source["state"]) for source in stale["sources"]] == [(5100, "used"), (63_000, "stale")]
    assert {key for key in before if before[key] != stale[key]} == {"quality", "sources"}
    decode_ticker(orjson.dumps(stale))


def test_a_ticker_long_dead_has_no_price() -> None:
    """After a further minute nothing is claimed any more."""
    before, down = after(0), after(DOWN_AFTER_MS)
    assert down["quality"] == "down"
    assert {key for key in before if down[key] is None} == GONE_WHEN_DOWN
    assert (down["sourcesUsed"], down["sourcesTotal"]) == (0, 2)
    assert all(source["state"] == "stale" and source["usedPrice"] is None for source in down["sources"])
    assert down["aggregatedTime"] == NOW_MS
    decode_ticker(orjson.dumps(down))


def test_a_ticker_that_was_down_does_not_become_stale() -> None:
    """Age never makes a ticker better."""
    was_down = orjson.dumps(orjson.loads(ticker_bytes(price=None)) | {"quality": "down"})
    assert after(STALE_AFTER_MS, was_down)["quality"] == "down"


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_age_never_makes_it_better(one_ms: int, other_ms: int) -> None:
    """Staleness only grows."""
    earlier, later = sorted((one_ms, other_ms))
    assert staleness(NOW_MS, NOW_MS + earlier) <= staleness(NOW_MS, NOW_MS + later)


@pytest.mark.parametrize(
    ("seq", "time_ms", "expected"),
    [
        pytest.param(11, 0, True, id="next"),
        pytest.param(11, -50, True, id="next, from an aggregator whose clock is behind"),
        pytest.param(10, 0, False, id="the same again"),
        pytest.param(9, -20, False, id="older"),
        pytest.param(1, 20, True, id="counting begun anew"),
    ],
)
def test_supersedes(seq: int, time_ms: int, expected: bool) -> None:
    """What is older never replaces what is newer, and nothing blocks for ever."""
    known = LatestTicker(10, NOW_MS, b"")
    assert LatestTicker(seq, NOW_MS + time_ms, b"").supersedes(known) is expected
    assert LatestTicker(seq, NOW_MS + time_ms, b"").supersedes(None)


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b'{"symbol":"BTC-USDT"}',
        ticker_bytes("ETH-USDT"),
        ticker_bytes().replace(b'"seq":1', b'"seq":"1"'),
        ticker_bytes().replace(b'"sources":[{', b'"sources":[1,{'),
    ],
)  # fmt: skip
def test_what_is_no_ticker_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        read_ticker("BTC-USDT", data)


@given(st.binary())
def test_any_bytes_are_a_ticker_or_an_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        read_ticker("BTC-USDT", data)


def test_line_breaks_are_taken_out() -> None:
    """A line break would end the event's data early."""
    pretty = orjson.dumps(orjson.loads(ticker_bytes()), option=orjson.OPT_INDENT_2)
    assert read_ticker("BTC-USDT", pretty).data == ticker_bytes()
