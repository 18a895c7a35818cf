"""The client's inbox: tickers wait in order and bounded, gaps are reported, and an old price is never handed out as live."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market_pulse.client import LAG_LIMIT_MS, MAX_WAITING, Inbox, subscribe
from market_pulse.messages import CodecError, Symbol
from market_pulse.tickers import DOWN_AFTER_MS, STALE_AFTER_MS
from support.samples import NOW_MS, ticker_bytes

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")


class Reader:
    """An inbox, with the numbers and qualities of the tickers that its reader received, and the reported gaps."""

    def __init__(self, *symbols: Symbol) -> None:
        self.gaps: list[tuple[Symbol, int | None]] = []
        self.inbox = Inbox(symbols or (BTC,), lambda symbol, missed: self.gaps.append((symbol, missed)))

    def take(self, seq: int, at_ms: int = 0, symbol: Symbol = BTC, *, live: bool = True) -> None:
        """Take in a ticker that was made and received `at_ms` after NOW_MS."""
        self.inbox.take(symbol, ticker_bytes(symbol, seq, time_ms=NOW_MS + at_ms), NOW_MS + at_ms, live=live)

    def read(self, at_ms: int = 0) -> list[tuple[Symbol, int, str]]:
        """Read all waiting tickers, `at_ms` after NOW_MS."""
        self.inbox.age(NOW_MS + at_ms)
        read: list[tuple[Symbol, int, str]] = []
        while ticker := self.inbox.next(NOW_MS + at_ms):
            read.append((ticker.symbol, ticker.seq, ticker.quality))
        return read


def test_all_that_is_published_is_handed_out_in_order() -> None:
    reader = Reader(BTC, ETH)
    reader.take(5, live=False)
    reader.take(6, 10)
    reader.take(1, 10, ETH)
    reader.take(7, 20)
    assert reader.read(20) == [(BTC, 5, "ok"), (BTC, 6, "ok"), (ETH, 1, "ok"), (BTC, 7, "ok")]
    assert reader.read(30) == []
    assert reader.gaps == []


def test_the_last_value_does_not_repeat_what_came_live_before_it() -> None:
    reader = Reader()
    reader.take(6)
    reader.take(6, live=False)
    reader.take(5, -20, live=False)
    assert reader.read() == [(BTC, 6, "ok")]


def test_what_was_lost_is_told_before_what_follows() -> None:
    reader = Reader(BTC, ETH)
    reader.take(5)
    reader.take(5, symbol=ETH)
    assert len(reader.read()) == 2
    reader.take(9, 10)
    reader.take(6, 10, ETH)
    assert reader.inbox.next(NOW_MS + 10)
    assert reader.gaps == [(BTC, 3)]
    assert reader.read(10) == [(ETH, 6, "ok")]
    assert reader.gaps == [(BTC, 3)], "no ticker of ETH was lost"


@pytest.mark.parametrize(
    ("known", "next_one", "later_ms", "missed"),
    [
        pytest.param(500, 1, 10, None, id="from one"),
        pytest.param(2_000, NOW_MS + 10, 10, None, id="at the time, after a count that began with one"),
        pytest.param(NOW_MS - 3_600_000 + 2_000, NOW_MS + 10, 10, None, id="at the time, once more"),
        pytest.param(NOW_MS - 3_600_000 + 2_000, NOW_MS + 3_600_000, 3_600_000, None, id="at the time, an hour later"),
        pytest.param(500, 500 + 180_000, 3_600_000, 179_999, id="not begun anew: away for an hour of fifty a second"),
        pytest.param(500, 503, -200, 2, id="not begun anew: two aggregators' clocks"),
    ],
)
def test_counting_begun_anew_is_a_gap_of_unknown_size(known: int, next_one: int, later_ms: int, missed: int | None) -> None:
    reader = Reader()
    reader.take(known)
    reader.read()
    reader.take(next_one, later_ms)
    assert reader.read(later_ms) == [(BTC, next_one, "ok")]
    assert reader.gaps == [(BTC, missed)]


def test_a_ticker_that_is_not_renewed_is_told_as_stale_and_then_as_down_once_each() -> None:
    reader = Reader()
    reader.take(5)
    told = [reader.read(at_ms) for at_ms in (0, STALE_AFTER_MS - 1, STALE_AFTER_MS, STALE_AFTER_MS + 500)]
    assert told == [[(BTC, 5, "ok")], [], [(BTC, 5, "stale")], []]
    reader.inbox.age(NOW_MS + DOWN_AFTER_MS)
    down = reader.inbox.next(NOW_MS + DOWN_AFTER_MS)
    assert down is not None
    assert (down.quality, down.price) == ("down", None)
    assert reader.read(2 * DOWN_AFTER_MS) == []
    reader.take(6, 3 * DOWN_AFTER_MS)
    assert reader.read(3 * DOWN_AFTER_MS) == [(BTC, 6, "ok")]
    assert reader.gaps == []


def test_a_slow_reader_is_told_of_an_old_ticker_once() -> None:
    reader = Reader()
    reader.take(5)
    reader.read()
    reader.inbox.age(NOW_MS + STALE_AFTER_MS)
    assert reader.read(STALE_AFTER_MS + 500) == [(BTC, 5, "stale")]


def test_a_last_value_is_as_old_as_it_says() -> None:
    reader = Reader()
    reader.inbox.take(BTC, ticker_bytes(seq=5, time_ms=NOW_MS - STALE_AFTER_MS), NOW_MS, live=False)
    assert reader.read() == [(BTC, 5, "stale")]


def test_what_has_waited_too_long_is_not_handed_out_as_live() -> None:
    reader = Reader(BTC, ETH)
    reader.take(5)
    reader.take(1, symbol=ETH)
    assert reader.read(STALE_AFTER_MS) == [(BTC, 5, "stale"), (ETH, 1, "stale")]
    assert reader.read(STALE_AFTER_MS) == [], "once"


def test_a_slow_reader_is_taken_to_the_newest() -> None:
    reader = Reader()
    for second in range(10):
        reader.take(second + 1, second * LAG_LIMIT_MS)
    assert reader.read(9 * LAG_LIMIT_MS) == [(BTC, 9, "ok"), (BTC, 10, "ok")]
    reader.take(11, 10 * LAG_LIMIT_MS)
    reader.take(12, 11 * LAG_LIMIT_MS + 1)
    assert reader.read(12 * LAG_LIMIT_MS) == [(BTC, 12, "ok")]
    assert reader.gaps == [(BTC, 1)]


def test_what_waits_is_bounded_and_the_newest_of_each_remains() -> None:
    reader = Reader(BTC, ETH)
    reader.take(1, symbol=ETH)
    for seq in range(1, 20 * MAX_WAITING):
        reader.take(seq)
        assert len(reader.inbox) <= 2 * MAX_WAITING
    read = reader.read()
    assert read[0] == (ETH, 1, "ok")
    assert read[-1] == (BTC, 20 * MAX_WAITING - 1, "ok")


@pytest.mark.parametrize("data", [b"", b"{}", ticker_bytes("ETH-USDT"), ticker_bytes().replace(b'"dp":2', b'"dp":"2"')])
def test_what_is_no_ticker_leaves_no_trace(data: bytes) -> None:
    reader = Reader()
    reader.take(5)
    with pytest.raises(CodecError):
        reader.inbox.take(BTC, data, NOW_MS, live=True)
    assert reader.read() == [(BTC, 5, "ok")]


@given(
    st.lists(
        st.tuples(st.sampled_from([BTC, ETH]), st.integers(1, 3), st.integers(0, 4000), st.integers(0, 3)),
        min_size=1,
        max_size=40,
    )
)
def test_every_number_is_handed_out_or_told_as_missed(steps: list[tuple[Symbol, int, int, int]]) -> None:
    """For any losses and any slow reader, numbers rise, each is handed out or counted as missed, and the last one is read."""
    reader, now_ms = Reader(BTC, ETH), 0
    published: dict[Symbol, int] = {BTC: 0, ETH: 0}
    told: dict[Symbol, list[int]] = {BTC: [], ETH: []}
    for symbol, step, elapsed_ms, reads in steps:
        now_ms += elapsed_ms
        published[symbol] += step
        reader.take(published[symbol], now_ms, symbol)
        reader.inbox.age(NOW_MS + now_ms)
        for _ in range(reads):
            if ticker := reader.inbox.next(NOW_MS + now_ms):
                told[ticker.symbol].append(ticker.seq)
    for symbol, seq, _ in reader.read(now_ms):
        told[symbol].append(seq)
    for symbol, numbers in told.items():
        distinct = sorted(set(numbers))
        assert numbers == sorted(numbers)
        assert (numbers or [0])[-1] == published[symbol]
        missed = sum(count or 0 for of, count in reader.gaps if of == symbol)
        if distinct:
            assert distinct[-1] - distinct[0] + 1 == len(distinct) + missed


@pytest.mark.parametrize("symbols", [pytest.param((), id="no symbol"), pytest.param(("BTC", "B!C"), id="nonsense")])
def test_symbols_that_are_none_are_refused_at_once(symbols: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="BTC"):
        subscribe(*symbols)


@pytest.mark.parametrize("skew_ms", [-600_000, 600_000])
def test_a_hand_over_between_clocks_that_differ_is_no_gap(skew_ms: int) -> None:
    """The numbers are consecutive, and all waiting tickers are handed out."""
    reader = Reader()
    for seq in range(1, 8):
        at_ms, other = seq * 100, seq in (3, 4, 6)
        time_ms = NOW_MS + at_ms + (skew_ms if other else 0)
        data = ticker_bytes(BTC, seq, time_ms=time_ms, publisher="b" if other else "a")
        reader.inbox.take(BTC, data, NOW_MS + at_ms, live=True)
    assert reader.read(700) == [(BTC, seq, "ok") for seq in range(1, 8)]
    assert reader.gaps == []
