"""Candles as a table, as a chart and as JSON, from a gateway's answer."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from typing import Any
from unittest.mock import patch

import httpx
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from typer.testing import CliRunner

from cli.app import app
from cli.candles import chart, decimals_of
from market_pulse.messages import Interval

HOUR_MS = 3_600_000
START_MS = 1_700_002_800_000  # 2023-11-14 23:00


def candle(number: int, prices: tuple[float, float, float, float], **further: Any) -> dict[str, Any]:
    names = ("open", "high", "low", "close")
    known = {"start": START_MS + number * HOUR_MS, "volume": 12.5, "quoteVolume": 800_000.0, "closed": True}
    return known | dict(zip(names, prices, strict=True)) | further


CANDLES = [
    candle(0, (64000, 64100, 63900, 64050)),
    candle(1, (64050, 64060, 63000, 63100), missed=3, revision=1),
    candle(3, (63100, 63200, 63050, 63150), volume=None, quoteVolume=None, closed=False, exchanges=["okx"]),
]
ANSWER = {"symbol": "BTC-USDT", "interval": "1h", "exchange": None, "candles": CANDLES}


@contextmanager
def gateway(status: int, answer: Any) -> Iterator[list[httpx.Request]]:
    asked: list[httpx.Request] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(status, content=answer if isinstance(answer, bytes) else orjson.dumps(answer))

    def asking(url: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=url, transport=httpx.MockTransport(handle))

    with patch("cli.candles.asking", asking):
        yield asked


def lines_of(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines()]


def test_a_table_shows_each_candle_and_what_is_wrong_with_it() -> None:
    with gateway(200, ANSWER) as asked:
        ended = CliRunner().invoke(app, ["candles", "btc", "--limit", "3"], env={"COLUMNS": "120"})
    assert ended.exit_code == 0
    [request] = asked
    assert (request.url.path, dict(request.url.params)) == ("/api/candles/BTC", {"interval": "1h", "limit": "3"})
    title, _, first, second, third = lines_of(ended.stdout)
    assert title == "BTC-USDT, 1h, across exchanges, UTC"
    assert " ".join(first.split()) == "2023-11-14 23:00 64,000.00 64,100.00 63,900.00 64,050.00 +0.08 % 12.5000"
    assert second.endswith("3 tickers missed, corrected")
    assert " ".join(third.split()) == "2023-11-15 02:00 63,100.00 63,200.00 63,050.00 63,150.00 +0.08 % open"


def test_json_is_the_gateway_s_candles_one_a_line() -> None:
    with gateway(200, ANSWER | {"exchange": "okx"}) as asked:
        ended = CliRunner().invoke(app, ["candles", "BTC", "--exchange", "okx", "--json"])
    assert dict(asked[0].url.params) == {"interval": "1m", "limit": "24", "exchange": "okx"}
    objects = list(map(orjson.loads, ended.stdout.splitlines()))
    assert objects == [{"symbol": "BTC-USDT", "interval": "1h", "exchange": "okx"} | one for one in CANDLES]


def test_a_chart_has_a_column_for_each_interval() -> None:
    with gateway(200, ANSWER):
        ended = CliRunner().invoke(app, ["candles", "BTC", "--chart"])
    title, *rows, times = lines_of(ended.stdout)
    assert "BTC-USDT" in title
    assert len(rows) == 16
    assert rows[0].split()[-1] == "64,100.00"
    assert rows[-1].split()[-1] == "63,000.00"
    assert all(row[2:3] in {" ", ""} for row in rows), "there is no candle of the third hour"
    assert {row[0] for row in rows if row} > {"│"}
    assert times == "2023-11-14 23:00 to 2023-11-15 02:00"


def test_a_refusal_is_told_as_the_gateway_says_it() -> None:
    with gateway(404, {"title": "unknown symbol", "detail": "no exchange lists NOSUCH-USDT"}):
        ended = CliRunner().invoke(app, ["candles", "NOSUCH"])
    assert ended.exit_code == 1
    assert "no exchange lists NOSUCH-USDT" in ended.output


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"<html>", id="no JSON"),
        pytest.param([], id="no object"),
        pytest.param(ANSWER | {"candles": [{}]}, id="no candle"),
        pytest.param(ANSWER | {"candles": [candle(0, (0, 0, 0, 0))]}, id="no prices"),
    ],
)
def test_what_is_no_gateway_s_answer_is_told(answer: Any) -> None:
    with gateway(200, answer):
        ended = CliRunner().invoke(app, ["candles", "BTC"])
    assert ended.exit_code == 1
    assert "not the answer" in ended.output


def test_no_candles_is_a_failure() -> None:
    with gateway(200, ANSWER | {"candles": []}):
        ended = CliRunner().invoke(app, ["candles", "BTC"])
    assert (ended.exit_code, "no candles" in ended.output) == (1, True)


@pytest.mark.parametrize("options", ["--interval 5m", "--limit 0", "--limit 5000", "--exchange O/X"])
def test_wrong_options_are_refused(options: str) -> None:
    with gateway(200, ANSWER) as asked:
        ended = CliRunner().invoke(app, ["candles", "BTC", *options.split()])
    assert (ended.exit_code, asked) == (2, [])


PRICE = st.floats(1e-9, 1e9)


@given(st.lists(st.tuples(st.integers(0, 300), PRICE, PRICE, PRICE, PRICE), min_size=1, max_size=40), st.integers(1, 200))
def test_a_chart_fits_its_width_whatever_the_prices(rows: list[tuple[int, float, float, float, float]], width: int) -> None:
    drawn = {}
    for number, one, other, third, fourth in rows:
        low, *between, high = sorted((one, other, third, fourth))
        drawn[number] = candle(number, (between[0], high, low, between[1]))
    lines = chart([drawn[number] for number in sorted(drawn)], Interval.HOUR, width)
    console = Console(width=400, file=StringIO())
    with console.capture() as capture:
        for line in lines:
            console.print(line)
    shown = capture.get().splitlines()
    assert len(shown) == 17
    columns = max(width - 16, 1)
    # The newest candle is the last column, and its wick or body is in it.
    last = min(columns, max(drawn) - min(drawn) + 1) - 1
    assert all(len(line[: last + 1].rstrip()) <= columns for line in shown[:-1])
    assert any(line[:columns].strip(" ") for line in shown[:-1])


@pytest.mark.parametrize(("price", "decimals"), [(64000, 2), (1.0003, 5), (0.00001234, 10), (123456789, 2), (1e-15, 12)])
def test_decimals_follow_the_price(price: float, decimals: int) -> None:
    assert decimals_of(price) == decimals
