"""Raw frames of each exchange in which numbers, times or trade ids restart, or leap ahead once: the newest real price wins."""

from collections.abc import Callable
from itertools import count
from typing import Any

import orjson
import pytest

from ingest_binance.adapter import ADAPTER as BINANCE
from ingest_bybit.adapter import ADAPTER as BYBIT
from ingest_okx.adapter import ADAPTER as OKX
from market_pulse.exchange.adapter import MARKET_EVENTS, Adapter, Day, Listed
from market_pulse.exchange.merge import Merge
from market_pulse.messages import Symbol

NOW = 1_786_538_729_776
BOUND_S = 65  # the feed's bound of a minute, and a moment more for the bus
WILD = 2**52
Frame = dict[str, Any]


def bybit_ticker(number: int, time_ms: int, price: float) -> Frame:
    data = {"symbol": "ETHUSDT", "lastPrice": str(price), "prevPrice24h": "1950", "volume24h": "1", "turnover24h": "2000"}
    return {"topic": "tickers.ETHUSDT", "ts": time_ms, "type": "snapshot", "cs": number, "data": data}


def bybit_book(number: int, time_ms: int, price: float) -> Frame:
    data = {"s": "ETHUSDT", "b": [[str(price - 1), "1"]], "a": [[str(price + 1), "1"]], "u": number, "seq": number}
    return {"topic": "orderbook.1.ETHUSDT", "ts": time_ms, "type": "snapshot", "data": data, "cts": time_ms}


def okx_ticker(_: int, time_ms: int, price: float) -> Frame:
    quote = {"bidPx": str(price - 1), "askPx": str(price + 1)}
    return {
        "arg": {"channel": "tickers", "instId": "ETH-USDT"},
        "data": [{"instId": "ETH-USDT", "last": str(price), "open24h": "1950", "ts": str(time_ms), **quote}],
    }


def binance_ticker(number: int, time_ms: int, price: float) -> Frame:
    data = {"e": "24hrTicker", "E": time_ms, "s": "ETHUSDT", "c": str(price), "o": "1950", "L": number}
    return {"stream": "ethusdt@ticker", "data": data | {"b": str(price - 1), "a": str(price + 1)}}


def binance_trade(number: int, time_ms: int, price: float) -> Frame:
    return {"data": {"e": "trade", "E": time_ms, "s": "ETHUSDT", "t": number, "p": str(price), "q": "1", "T": time_ms}}


def binance_quote(number: int, time_ms: int, price: float) -> Frame:
    del time_ms
    return {"data": {"u": number, "s": "ETHUSDT", "b": str(price - 1), "B": "1", "a": str(price + 1), "A": "1"}}


class Played:
    """One symbol of an exchange, with frames of one or more channels each second."""

    def __init__(self, adapter: Adapter, *channels: Callable[[int, int, float], Frame]) -> None:
        self.adapter = adapter
        self.channels = channels
        self.listed = Listed(Symbol("ETH-USDT"), adapter.native(Symbol("ETH-USDT")), 2)
        self.anew: list[str] = []
        self.merge = Merge(adapter.exchange, None, self.anew.append)
        self.now_ms = NOW

    def says(self, number: int, price: float, *, off_ms: int = 0, wild: int | None = None) -> tuple[float, float | None]:
        """Let a second pass, send a price on each channel, and return the resulting price and bid."""
        self.now_ms += 1000
        for channel in self.channels:
            frame = channel(number if wild is None else wild, self.now_ms + off_ms, price)
            for event in self.adapter.parse(orjson.dumps(frame)):
                assert isinstance(event, MARKET_EVENTS)
                self.merge.apply(event, self.now_ms + 5)
        tick = self.merge.tick(self.listed)
        assert tick is not None
        return tick.price, tick.bid


@pytest.fixture(
    params=[
        pytest.param((BYBIT, bybit_ticker), id="bybit tickers"),
        pytest.param((BYBIT, bybit_book, bybit_ticker), id="bybit"),
        pytest.param((OKX, okx_ticker), id="okx"),
        pytest.param((BINANCE, binance_ticker), id="binance ticker"),
        pytest.param((BINANCE, binance_trade, binance_quote, binance_ticker), id="binance"),
    ]
)
def played(request: pytest.FixtureRequest) -> Played:
    return Played(*request.param)


def test_numbers_that_begin_anew(played: Played) -> None:
    for number in range(112_571_857_100, 112_571_857_121):
        assert played.says(number, 2000.0)[0] == 2000.0
    prices = [played.says(5001 + second, 1900.0) for second in range(BOUND_S)]
    assert [price for price, _ in prices] == sorted((price for price, _ in prices), reverse=True), "no old price returns"
    assert prices[7][0] == 1900.0
    assert prices[-1][1] in {1899.0, None}
    assert prices[9] == prices[-1]


def test_where_one_channel_shows_it_the_others_need_no_proof_of_their_own() -> None:
    played = Played(BINANCE, binance_trade, binance_quote, binance_ticker)
    for number in range(10**9, 10**9 + 20):
        played.says(number, 2000.0)
    for second in range(10):
        played.says(5001 + second, 1900.0)
    assert played.merge.held_back(played.now_ms) == []
    assert played.merge.tick(played.listed).order[1] < 6000  # type: ignore[union-attr]


@pytest.mark.parametrize("off_ms", [0, 3_000, 30_000, 3_600_000], ids=lambda off_ms: f"{off_ms} ms ahead")
def test_one_message_far_ahead_of_all_that_follow(played: Played, off_ms: int) -> None:
    numbers = count(1_000_000)
    for _ in range(20):
        played.says(next(numbers), 2000.0)
    played.says(next(numbers), 2000.0, wild=WILD, off_ms=off_ms)
    prices = [played.says(next(numbers), 1900.0) for _ in range(BOUND_S)]
    assert prices[9][0] == 1900.0
    assert prices[-1] == (1900.0, 1899.0 if played.channels[0] is not bybit_ticker else None)
    assert all(price == 1900.0 for price, _ in prices[9:])


def test_a_clock_that_is_put_back_for_good(played: Played) -> None:
    numbers = count(1_000_000)
    for _ in range(20):
        played.says(next(numbers), 2000.0)
    prices = [played.says(next(numbers), 1900.0, off_ms=-3_600_000)[0] for _ in range(BOUND_S)]
    assert prices[-1] == 1900.0


def test_what_began_anew_is_told() -> None:
    played = Played(BYBIT, bybit_ticker)
    for number in range(10, 20):
        played.says(number, 2000.0)
    for second in range(4):
        played.says(1 + second, 1900.0)
    assert played.merge.held_back(played.now_ms) == ["ETHUSDT"]
    assert not played.anew
    for second in range(4, 8):
        played.says(1 + second, 1900.0)
    assert played.merge.held_back(played.now_ms) == []
    assert played.anew == ["ETHUSDT"]
    tick = played.merge.tick(played.listed)
    assert tick is not None
    assert tick.order[5] > NOW


def test_a_symbol_that_is_asked_for_again_is_taken_as_it_comes() -> None:
    played = Played(BYBIT, bybit_ticker)
    played.says(10**9, 2000.0)
    played.merge.forget("ETHUSDT")
    assert played.says(5, 1900.0)[0] == 1900.0


def test_trade_ids_that_began_anew_show_what_was_missed() -> None:
    played = Played(BINANCE, binance_ticker)
    played.says(10**9, 2000.0)
    (elsewhere,) = BINANCE.parse(orjson.dumps(binance_ticker(5, played.now_ms + 60_000, 1900.0)))
    (late,) = BINANCE.parse(orjson.dumps(binance_ticker(10**9 - 1, played.now_ms + 1000, 1999.0)))
    assert isinstance(elsewhere, Day)
    assert isinstance(late, Day)
    assert played.merge.is_behind(elsewhere, played.now_ms)
    assert not played.merge.is_behind(late, played.now_ms)
