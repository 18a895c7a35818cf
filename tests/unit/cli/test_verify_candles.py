"""The verifier recomputes closed minutes from tickers and from the exchanges' candles."""

from typing import Any

import pytest
from msgspec.structs import replace

from cli.bus_tail import Message
from cli.verify import Verifier
from market_pulse.messages import Candle, Interval, Symbol, encode
from support.samples import NOW_MS, ticker

BTC = Symbol("BTC-USDT")
START_MS = NOW_MS - NOW_MS % 60_000
PRICES = [None, 101.0, 103.0, 99.0, 102.0]  # of the numbers 10 to 14; the first is not live
CANDLE = Candle(
    symbol=BTC, interval=Interval.MINUTE, start_ms=START_MS, end_ms=START_MS + 60_000, open=101.0, high=103.0, low=99.0,
    close=102.0, volume=3.5, quote_volume=350.0, closed=True, origin="live", exchanges=("okx", "bybit"), first_seq=11,
    last_seq=14, seen=4, missed=0, received_time_ms=START_MS + 59_000,
)  # fmt: skip
PARTS = [
    replace(CANDLE, exchange="okx", origin="exchange", volume=1.5, quote_volume=150.0, first_seq=None, last_seq=None),
    replace(CANDLE, exchange="bybit", origin="exchange", volume=2.0, quote_volume=200.0, first_seq=None, last_seq=None),
]


def problems(*candles: Candle, missed_at: int = -1, counts: list[int] | None = None) -> list[str]:
    """Return what is wrong with these candles, and add to `counts` how many were checked, unchecked, and had volumes to compare."""
    verifier = Verifier()
    for number, price in enumerate(PRICES):
        one = ticker(BTC, 10 + number, price=price or 98.0, time_ms=START_MS, quality="ok" if price else "stale")
        verifier.take(Message("ticker:BTC-USDT", encode(one), missed=int(number == missed_at)))
    verifier.verdict.wrong.clear()  # the sources of these tickers do not make their prices
    for candle in candles:
        channel = "candle:1m:BTC-USDT" if candle.exchange is None else f"candles:1m:{candle.exchange}:BTC-USDT"
        verifier.take(Message(channel, encode(candle)))
    verifier.finish()
    checks = verifier.verdict.candles
    if counts is not None:
        counts += checks.checked, checks.unchecked, checks.volumes
    return verifier.verdict.wrong


def test_a_minute_is_its_tickers_and_the_exchanges_volumes() -> None:
    counts: list[int] = []
    assert problems(*PARTS, CANDLE, counts=counts) == []
    assert counts == [1, 0, 1]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        pytest.param({"open": 100.0}, "open is 100.0, but numbers 11 to 14 make 101.0", id="open"),
        pytest.param({"high": 104.0}, "high is 104.0", id="high"),
        pytest.param({"low": 98.0}, "low is 98.0", id="a stale price"),
        pytest.param({"close": 99.0}, "close is 99.0", id="close"),
        pytest.param({"first_seq": 10}, "without a live price", id="it begins with a stale price"),
        pytest.param({"volume": 4.0}, "volume is 4.0, but the candles of okx, bybit make 3.5", id="volume"),
        pytest.param({"quote_volume": None}, "quote_volume is None", id="no volume"),
    ],
)
def test_a_difference_is_reported(changes: dict[str, Any], problem: str) -> None:
    [found] = problems(*PARTS, replace(CANDLE, **changes))
    assert problem in found
    assert found.startswith(f"BTC-USDT, the minute from {START_MS}: ")


@pytest.mark.parametrize(
    ("changes", "counts"),
    [
        pytest.param({"first_seq": 5}, [0, 1, 1], id="it began before"),
        pytest.param({"missed": 2}, [0, 1, 1], id="its maker missed some"),
        pytest.param({"closed": False}, [0, 0, 0], id="it is open"),
        pytest.param({"origin": "exchanges"}, [0, 0, 0], id="it is history"),
        pytest.param({"exchanges": ("okx", "kraken")}, [1, 0, 0], id="an exchange's candle was not heard"),
    ],
)
def test_what_cannot_be_recomputed_is_counted_and_not_reported(changes: dict[str, Any], counts: list[int]) -> None:
    found: list[int] = []
    assert problems(*PARTS, replace(CANDLE, **changes), counts=found) == []
    assert found == counts


def test_what_was_lost_before_is_not_reported() -> None:
    counts: list[int] = []
    assert problems(*PARTS, replace(CANDLE, open=103.0, high=103.0), missed_at=3, counts=counts) == []
    assert counts[:2] == [0, 1]


def test_volumes_may_be_corrected() -> None:
    late = replace(PARTS[0], volume=2.5, revision=1)
    assert problems(*PARTS, CANDLE, late, replace(CANDLE, volume=4.5, revision=1)) == []
    [found] = problems(*PARTS, CANDLE, late)
    assert "volume is 3.5" in found


def test_each_live_ticker_is_in_one_minute() -> None:
    one = replace(CANDLE, last_seq=12, open=101.0, high=103.0, low=101.0, close=103.0, exchanges=())
    following = {"start_ms": START_MS + 60_000, "end_ms": START_MS + 120_000, "exchanges": ()}
    whole = replace(CANDLE, first_seq=13, open=99.0, high=102.0, low=99.0, close=102.0, **following)
    assert problems(one, whole) == []
    [lost] = problems(one, replace(whole, first_seq=14, open=102.0, low=102.0))
    assert "1 live tickers after 12 are in no candle" in lost
    [twice] = problems(one, replace(whole, first_seq=12, open=103.0, high=103.0))
    assert "begins with number 12, but the minute before it ended with 12" in twice


def test_a_candle_is_on_its_channel() -> None:
    verifier = Verifier()
    verifier.take(Message("candle:1m:ETH-USDT", encode(CANDLE)))
    verifier.take(Message("candles:1m:bybit:BTC-USDT", encode(PARTS[0])))
    verifier.take(Message("candle:1m:BTC-USDT", b"{}"))
    assert (verifier.verdict.misplaced, verifier.verdict.unreadable) == (2, 1)
