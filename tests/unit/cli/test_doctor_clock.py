"""The skew from which on the doctor reports a clock."""

import pytest

from cli.doctor import MAX_SKEW_MS, _clock


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
