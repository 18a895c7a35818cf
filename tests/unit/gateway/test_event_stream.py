"""The parsing of a stream's query."""

import pytest

from gateway.api.event_stream import read_kinds, read_query
from gateway.api.problems import ProblemError
from market_pulse.messages import Symbol, parse_symbol

BTC, ETH = Symbol("BTC-USDT"), Symbol("ETH-USDT")


@pytest.mark.parametrize(
    ("query", "symbols", "max_hz", "last_event_id"),
    [
        pytest.param("symbols=ETH,btc", ["ETH,btc"], None, None, id="as they were written"),
        pytest.param("symbols=BTC%2CETH&max_hz=1", ["BTC,ETH"], 1.0, None, id="escaped"),
        pytest.param("symbols=SOL&max_hz=2.5&symbols=BTC,sol&symbols=", ["SOL", "BTC,sol", ""], 2.5, None, id="all of several"),
        pytest.param("symbols=BTC&last_event_id=BTC-USDT:7", ["BTC"], None, "BTC-USDT:7", id="resumed"),
        pytest.param("symbols=BTC&nobody=knows&nobody=x", ["BTC"], None, None, id="unknown parameters are ignored"),
        pytest.param("symbols=", [""], None, None, id="empty"),
        pytest.param("symbols=%FF", ["\ufffd"], None, None, id="no text"),
    ],
)
def test_a_query(query: str, symbols: list[str], max_hz: float | None, last_event_id: str | None) -> None:
    read = read_query(query.encode())
    assert (read.symbols, read.max_hz, read.last_event_id) == (symbols, max_hz, last_event_id)


def test_a_symbol_in_the_path() -> None:
    read = read_query(b"max_hz=1000", "btc")
    assert (read.symbols, read.max_hz) == (["btc"], 1000.0)


@pytest.mark.parametrize(
    ("query", "in_path"),
    [
        ("symbols=BTC&max_hz=1&max_hz=1", None),
        ("symbols=BTC&last_event_id=a&last_event_id=b", None),
        ("max_hz=x&max_hz=y", "BTC"),
        ("symbols=ETH", "BTC"),
        ("symbols=", "BTC"),
    ],
)
def test_a_query_that_says_something_twice_is_refused(query: str, in_path: str | None) -> None:
    with pytest.raises(ProblemError) as refused:
        read_query(query.encode(), in_path)
    assert (refused.value.status, refused.value.code) == (400, "repeated_parameter")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"query.symbols": "Field required"}),
        ("max_hz=0", {"query.symbols": "Field required", "query.max_hz": "Input should be greater than or equal to 0.1"}),
        ("symbols=BTC&max_hz=", {"query.max_hz": "Input should be a valid number, unable to parse string as a number"}),
        ("symbols=BTC&max_hz=1001", {"query.max_hz": "Input should be less than or equal to 1000"}),
        ("symbols=BTC&max_hz=nan", {"query.max_hz": "Input should be less than or equal to 1000"}),
    ],
)
def test_a_query_that_is_invalid_is_refused_by_name(query: str, expected: dict[str, str]) -> None:
    with pytest.raises(ProblemError) as refused:
        read_query(query.encode())
    assert refused.value.status == 422
    assert {error["where"]: error["message"] for error in refused.value.facts["errors"]} == expected


def named(text: str) -> Symbol:
    return parse_symbol(text, "USDT")


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        pytest.param(None, ["ticker"], id="by default"),
        pytest.param(["candle:1m"], ["candle:1m"], id="only candles"),
        pytest.param(["ticker, candle:1d", "candle:1h:eth"], ["ticker", "candle:1d", "candle:1h:ETH-USDT"], id="several ways"),
        pytest.param(["candle:1m:BTC,candle:1m,ticker:BTC-USDT"], ["candle:1m", "ticker:BTC-USDT"], id="all include one"),
        pytest.param(["candle:1m:BTC,candle:1m:BTC-USDT"], ["candle:1m:BTC-USDT"], id="twice"),
    ],
)
def test_kinds(texts: list[str] | None, expected: list[str]) -> None:
    assert list(map(str, read_kinds(texts, (BTC, ETH), named))) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("candle", "unknown_kind"),
        ("candle:5m", "unknown_kind"),
        ("tickers", "unknown_kind"),
        ("candles:1m:okx:BTC", "unknown_kind"),
        ("", "unknown_kind"),
        ("candle:1m:SOL", "foreign_symbol"),
    ],
)
def test_kinds_that_there_are_not(text: str, code: str) -> None:
    with pytest.raises(ProblemError) as refused:
        read_kinds([text], (BTC, ETH), named)
    assert (refused.value.status, refused.value.code) == (400, code)
    assert code == "foreign_symbol" or "ticker, candle:1m, candle:1h, candle:1d" in refused.value.detail
