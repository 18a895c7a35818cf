"""How the doctor reads a clock, and the skew from which on it reports one."""

import pytest

from cli.doctor import MAX_SKEW_MS, _clock
from cli.reach import time_in


@pytest.mark.parametrize(
    ("answer", "time_ms"),
    [
        pytest.param(b'{"serverTime":1786538789464}', 1_786_538_789_464, id="binance"),
        pytest.param(b'{"retCode":0,"time":1786538789464}', 1_786_538_789_464, id="bybit"),
        pytest.param(b'{"code":"0","data":[{"ts":"1786538789464"}]}', 1_786_538_789_464, id="okx"),
        pytest.param(b'{"iso":"2026-08-12T12:46:29.464Z","epoch":1786538789.464}', 1_786_538_789_464, id="coinbase"),
        pytest.param(b'{"message":"NotFound"}', None, id="no time"),
        pytest.param(b"<html>", None, id="no JSON"),
    ],
)
def test_the_time_of_an_exchange(answer: bytes, time_ms: int | None) -> None:
    assert time_in(answer) == time_ms


@pytest.mark.parametrize(
    ("skew_ms", "asked_ms", "result"),
    [
        pytest.param(MAX_SKEW_MS, 0, "ok", id="as far as it may be"),
        pytest.param(-MAX_SKEW_MS - 1, 0, "wrong", id="a little further"),
        pytest.param(2_900, 4_000, "ok", id="a slow answer explains it"),
        pytest.param(3_100, 4_000, "wrong", id="a slow answer does not explain it"),
    ],
)
def test_a_clock_is_known_to_half_of_the_request(skew_ms: int, asked_ms: int, result: str) -> None:
    assert _clock("clock", skew_ms, asked_ms).result == result
