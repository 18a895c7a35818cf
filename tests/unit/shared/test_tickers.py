"""The quality of a ticker as time passes: it never improves."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET

from market_pulse.messages import LARGEST_INTEGER, CodecError, decode_ticker, encode
from market_pulse.tickers import (
    DOWN_AFTER_MS,
    MOST_PUBLISHERS,
    SOURCE_STALE_AFTER_MS,
    STALE_AFTER_MS,
    Clocks,
    LatestTicker,
    as_of,
    read_ticker,
)
from support.samples import NOW_MS, converted_ticker, ticker_bytes

GONE_WHEN_DOWN = {
    "price", "bid", "ask", "change24h", "changePercent24h", "open24h", "high24h", "low24h", "confidence", "spreadBps",
}  # fmt: skip


def after(elapsed_ms: int, data: bytes | None = None) -> dict[str, Any]:
    message: dict[str, Any] = orjson.loads(
        as_of(read_ticker("BTC-USDT", data or ticker_bytes(), NOW_MS, live=True), NOW_MS + elapsed_ms)
    )
    return message


@pytest.mark.parametrize("elapsed_ms", [-3000, 0, STALE_AFTER_MS - 1])
def test_a_live_ticker_stays_as_it_is(elapsed_ms: int) -> None:
    """Up to the bound its bytes stay the same, also if the aggregator's clock is ahead of ours."""
    assert as_of(read_ticker("BTC-USDT", ticker_bytes(), NOW_MS, live=True), NOW_MS + elapsed_ms) == ticker_bytes()


def test_a_stale_ticker_keeps_numbers_and_times() -> None:
    """Only the quality and the sources' ages and states change, and the result is still a valid ticker."""
    before, stale = after(0), after(STALE_AFTER_MS)
    assert stale["quality"] == "stale"
    assert [(source["ageMs"], source["state"]) for source in stale["sources"]] == [(5100, "used"), (63_000, "stale")]
    assert {key for key in before if before[key] != stale[key]} == {"quality", "sources"}
    decode_ticker(orjson.dumps(stale))


def test_a_converted_source_ages_with_its_rate() -> None:
    """The rate's age is brought up to date, too, and a source without a rate stays readable."""
    read = read_ticker("BTC-USD", encode(converted_ticker()), NOW_MS, live=True)
    stale = decode_ticker(as_of(read, NOW_MS + STALE_AFTER_MS))
    assert [source.age_ms for source in stale.sources] == [5100, 5100, 5200]
    assert [source.via.age_ms for source in stale.sources if source.via is not UNSET] == [5300, None]
    old = decode_ticker(as_of(read, NOW_MS + SOURCE_STALE_AFTER_MS - 300))
    assert [source.state for source in old.sources] == ["used", "stale", "stale"]


@pytest.mark.parametrize("via", [b"null", b"{}", b'{"ageMs":null}'])
def test_any_rate_of_a_readable_ticker_can_age(via: bytes) -> None:
    data = ticker_bytes().replace(b'"ageMs":100', b'"ageMs":100,"via":' + via)
    read = read_ticker("BTC-USDT", data, NOW_MS, live=True)
    assert orjson.loads(as_of(read, NOW_MS + STALE_AFTER_MS))["sources"][0]["ageMs"] == 5100


def test_a_ticker_long_dead_has_no_price() -> None:
    """After a further minute it has no price any more."""
    before, down = after(0), after(DOWN_AFTER_MS)
    assert down["quality"] == "down"
    assert {key for key in before if down[key] is None} == GONE_WHEN_DOWN
    assert (down["sourcesUsed"], down["sourcesTotal"]) == (0, 2)
    assert all(source["state"] == "stale" and source["usedPrice"] is None for source in down["sources"])
    assert down["aggregatedTime"] == NOW_MS
    decode_ticker(orjson.dumps(down))


def test_a_ticker_that_was_down_does_not_become_stale() -> None:
    """Age never improves a ticker's quality."""
    was_down = orjson.dumps(orjson.loads(ticker_bytes(price=None)) | {"quality": "down"})
    assert after(STALE_AFTER_MS, was_down)["quality"] == "down"


@pytest.mark.parametrize("skew_ms", [-600_000, 0, 600_000])
def test_the_age_of_what_came_live_is_measured_by_our_own_clock(skew_ms: int) -> None:
    """Another machine's clock, ahead or behind, makes no live price stale and no old price live."""
    ticker = read_ticker("BTC-USDT", ticker_bytes(), NOW_MS + skew_ms, live=True)
    assert ticker.staleness(NOW_MS + skew_ms) == 0
    assert ticker.staleness(NOW_MS + skew_ms + STALE_AFTER_MS) == 1


def arrivals(*times: tuple[int, int]) -> list[LatestTicker]:
    """Read tickers in turn. Each is given by the time it was made on the aggregator's clock and its arrival on ours."""
    read: list[LatestTicker] = []
    clocks = Clocks()
    for made_ms, came_ms in times:
        data = orjson.dumps(orjson.loads(ticker_bytes()) | {"aggregatedTime": NOW_MS + made_ms})
        read.append(read_ticker("BTC-USDT", data, NOW_MS + came_ms, clocks, live=True))
    return read


@pytest.mark.parametrize("skew_ms", [-600_000, 0, 600_000])
@pytest.mark.parametrize("held_up_ms", [7_000, 60_000, 3_600_000])
def test_a_backlog_is_as_old_as_it_is(skew_ms: int, held_up_ms: int) -> None:
    """After a freeze of the server or of this process, tickers arrive all at once, and each counts with its true age."""
    thawed_ms = 200 + held_up_ms
    made = (0, 100, 200, 300, 400, 1000)
    came = (0, 100, 200, thawed_ms, thawed_ms + 1, thawed_ms + 20)
    for ticker in arrivals(*((made_ms + skew_ms, came_ms) for made_ms, came_ms in zip(made, came, strict=True)))[3:]:
        age_ms = NOW_MS + thawed_ms - ticker.current_ms
        assert 0.99 * held_up_ms - 2_000 < age_ms <= held_up_ms
        assert ticker.staleness(NOW_MS + thawed_ms + 20) > 0


SKEWS_MS = [-600_000, 0, 600_000]


def hear(clocks: Clocks, publisher: str | None, seq: int, at_ms: int, skew_ms: int, held_up_ms: int = 0) -> LatestTicker:
    """Read a ticker that arrives `at_ms` after NOW_MS from a publisher whose clock has a skew."""
    data = ticker_bytes(seq=seq, time_ms=NOW_MS + at_ms - held_up_ms + skew_ms, publisher=publisher)
    return read_ticker("BTC-USDT", data, NOW_MS + at_ms, clocks, live=True)


@pytest.mark.parametrize("second_ms", SKEWS_MS)
@pytest.mark.parametrize("first_ms", SKEWS_MS)
def test_each_publisher_has_a_clock_of_its_own(first_ms: int, second_ms: int) -> None:
    """Two publishers take turns, one dies, and one without the field `publisher` joins. Ages stay right all the time."""
    clocks, known = Clocks(), None
    for turn in range(40):
        publisher, skew_ms = (("a", first_ms), ("b", second_ms), (None, 0))[turn % 3 if turn < 20 else 1]
        ticker = hear(clocks, publisher, turn, turn * 1000, skew_ms)
        assert ticker.supersedes(known)
        assert ticker.current_ms == NOW_MS + turn * 1000
        known = ticker
    held_up = hear(clocks, "b", 40, 60_000, second_ms, held_up_ms=20_000)
    assert held_up.staleness(NOW_MS + 60_000) == 1, "the delay is still noticed"


def test_a_publisher_is_forgotten_a_minute_after_its_last_ticker() -> None:
    """It may have been away to set its clock. A long sleep of our own process does not count as its absence."""
    clocks = Clocks()
    hear(clocks, "a", 1, 0, 600_000)
    for second in range(1, 62):
        hear(clocks, "b", 1 + second, second * 1000, 0)
    assert len(clocks) == 1
    assert hear(clocks, "a", 70, 62_000, 0).staleness(NOW_MS + 62_000) == 0
    thawed_ms = 3_662_000
    for publisher in ("b", "a"):
        ticker = hear(clocks, publisher, 71, thawed_ms, 0, held_up_ms=3_600_000 - 1_000)
        assert ticker.staleness(NOW_MS + thawed_ms) == 2, publisher


def test_publishers_are_bounded_in_number() -> None:
    clocks = Clocks()
    for number in range(10 * MOST_PUBLISHERS):
        hear(clocks, f"aggregator:{number}", number, number, 0)
    assert len(clocks) == MOST_PUBLISHERS


@pytest.mark.parametrize("step_ms", [3_000, 20_000, 3_600_000])
def test_a_clock_that_is_set_makes_prices_stale_for_minutes_at_most(step_ms: int) -> None:
    """Either machine's clock may be set. Tickers that keep coming are trusted again in the end; a small step has no effect."""
    before = [(second * 1000, second * 1000) for second in range(10)]
    after = [(second * 1000, second * 1000 + step_ms) for second in range(10, 610)]
    times = [*before, *after]
    stale = [ticker.staleness(NOW_MS + came_ms) for ticker, (_, came_ms) in zip(arrivals(*times), times, strict=True)]
    assert stale[0] == stale[-1] == 0
    assert (max(stale) > 0) == (step_ms >= STALE_AFTER_MS)


def test_clocks_that_drift_apart_are_not_noticed() -> None:
    """The tested drift, a tenth of a second each second, is more than any real clock has."""
    times = [(second * 1000, second * 1100) for second in range(600)]
    assert not any(ticker.staleness(NOW_MS + came_ms) for ticker, (_, came_ms) in zip(arrivals(*times), times, strict=True))


@pytest.mark.parametrize("skew_ms", SKEWS_MS)
@pytest.mark.parametrize(("age_ms", "expected"), [(0, 0), (STALE_AFTER_MS, 1), (DOWN_AFTER_MS, 2)])
def test_a_last_value_whose_age_is_known_is_that_old(skew_ms: int, age_ms: int, expected: int) -> None:
    """Its publisher's clock does not matter. If the age is unknown, the difference between the two clocks gives it."""
    ticker = read_ticker("BTC-USDT", ticker_bytes(time_ms=NOW_MS + skew_ms), NOW_MS, live=False, age_ms=age_ms)
    assert ticker.staleness(NOW_MS) == expected
    clocks = Clocks()
    hear(clocks, "a", 1, 0, skew_ms)
    data = ticker_bytes("ETH-USDT", time_ms=NOW_MS + skew_ms - age_ms, publisher="a")
    assert read_ticker("ETH-USDT", data, NOW_MS, clocks, live=False).staleness(NOW_MS) == expected


@pytest.mark.parametrize(("behind_ms", "expected"), [(-600_000, 0), (0, 0), (STALE_AFTER_MS, 1), (DOWN_AFTER_MS, 2)])
def test_a_last_value_is_as_old_as_it_says(behind_ms: int, expected: int) -> None:
    assert read_ticker("BTC-USDT", ticker_bytes(), NOW_MS + behind_ms, live=False).staleness(NOW_MS + behind_ms) == expected


def test_a_price_that_was_held_already_is_not_held_twice_as_long() -> None:
    held = orjson.loads(ticker_bytes()) | {"quality": "stale", "receivedTime": NOW_MS - 59_000}
    ticker = read_ticker("BTC-USDT", orjson.dumps(held), NOW_MS, live=True)
    assert ticker.staleness(NOW_MS) == 0  # the aggregator is alive, and states the quality itself
    assert ticker.staleness(NOW_MS + STALE_AFTER_MS + 1000) == 2


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_age_never_makes_it_better(one_ms: int, other_ms: int) -> None:
    """Staleness never decreases with time."""
    earlier, later = sorted((one_ms, other_ms))
    known = LatestTicker(1, NOW_MS, b"", NOW_MS)
    assert known.staleness(NOW_MS + earlier) <= known.staleness(NOW_MS + later)


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
    """An older ticker never replaces a newer one, and no ticker blocks all others for ever."""
    known = LatestTicker(10, NOW_MS, b"", NOW_MS)
    assert LatestTicker(seq, NOW_MS + time_ms, b"", NOW_MS).supersedes(known) is expected
    assert LatestTicker(seq, NOW_MS + time_ms, b"", NOW_MS).supersedes(None)


@pytest.mark.parametrize(
    ("seq", "skew_ms", "sent_ms", "expected"),
    [
        pytest.param(11, -600_000, 0, True, id="next, clock behind"),
        pytest.param(11, 600_000, 0, True, id="next, clock ahead"),
        pytest.param(9, 600_000, -20, False, id="older, clock ahead: overtaken by a last value"),
        pytest.param(9, 600_000, 20, False, id="older, and its way not known so exactly"),
        pytest.param(1, -600_000, 3_000, True, id="counting begun anew, clock behind"),
    ],
)
def test_supersedes_what_another_publisher_made(seq: int, skew_ms: int, sent_ms: int, expected: bool) -> None:
    """The order follows from the number or the time of sending, never from the clocks of two publishers."""
    known = LatestTicker(10, NOW_MS, b"", NOW_MS, publisher="a")
    ticker = LatestTicker(seq, NOW_MS + sent_ms + skew_ms, b"", NOW_MS + sent_ms, publisher="b")
    assert ticker.supersedes(known) is expected


@pytest.mark.parametrize(
    "data",
    [
        b"", b"{", b"[]", b"null", b'{"symbol":"BTC-USDT"}',
        ticker_bytes("ETH-USDT"),
        ticker_bytes().replace(b'"seq":1', b'"seq":"1"'),
        ticker_bytes().replace(b'"sources":[{', b'"sources":[1,{'),
        ticker_bytes().replace(b'"ageMs":100', b'"ageMs":100,"via":7'),
    ],
)  # fmt: skip
def test_what_is_no_ticker_is_refused(data: bytes) -> None:
    with pytest.raises(CodecError):
        read_ticker("BTC-USDT", data, NOW_MS, live=True)


@given(st.binary())
def test_any_bytes_are_a_ticker_or_an_error(data: bytes) -> None:
    with pytest.raises(CodecError):
        read_ticker("BTC-USDT", data, NOW_MS, live=True)


def test_line_breaks_are_taken_out() -> None:
    """A line break would end the event's data early."""
    pretty = orjson.dumps(orjson.loads(ticker_bytes()), option=orjson.OPT_INDENT_2)
    data = read_ticker("BTC-USDT", pretty, NOW_MS, live=True).data
    assert b"\n" not in data
    assert orjson.loads(data) == orjson.loads(ticker_bytes())


@pytest.mark.parametrize("age_ms", [0, STALE_AFTER_MS, DOWN_AFTER_MS])
def test_the_fields_of_a_later_release_live_on(age_ms: int) -> None:
    """They are kept as the received bytes, since this release does not know their meaning."""
    later = b'"later":{"b":[1.50,10000000000000000000001]}'
    data = ticker_bytes()[:-1].replace(b'"ageMs":100', b'"ageMs":100,' + later) + b"," + later + b"}"
    handed_on = as_of(read_ticker("BTC-USDT", data, NOW_MS, live=True), NOW_MS + age_ms)
    assert handed_on.count(later) == 2


@pytest.mark.parametrize("version", [b"2", b"0", b'"1"'])
def test_a_ticker_of_another_version_is_refused(version: bytes) -> None:
    with pytest.raises(CodecError):
        read_ticker("BTC-USDT", ticker_bytes().replace(b'"v":1', b'"v":' + version), NOW_MS, live=True)


@pytest.mark.parametrize("age_ms", [0, LARGEST_INTEGER])
def test_what_was_readable_stays_readable(age_ms: int) -> None:
    """It stays readable for any age of a source, since an unreadable ticker could not report that it is stale."""
    data = ticker_bytes().replace(b'"ageMs":100', b'"ageMs":%d' % age_ms)
    assert decode_ticker(data)
    aged = decode_ticker(as_of(read_ticker("BTC-USDT", data, NOW_MS, live=True), NOW_MS + STALE_AFTER_MS))
    assert aged.quality == "stale"
