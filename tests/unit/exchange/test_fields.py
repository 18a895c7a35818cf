"""Members of an exchange's messages, each read by itself."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from market_pulse.exchange.adapter import Listed, listed
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import (
    FOREIGN_FAULTS,
    LATEST_TIME_MS,
    Amount,
    Price,
    Time,
    amount,
    by_member,
    decimals,
    instant_us,
    positive,
    signed,
    time_of_s,
)

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = EPOCH + timedelta(milliseconds=LATEST_TIME_MS - 1)


@pytest.mark.parametrize(
    ("text", "us"),
    [
        ("2026-09-04T00:21:02.905270Z", 1_788_481_262_905_270),
        ("2026-09-04T00:21:02.90527Z", 1_788_481_262_905_270),
        ("2026-09-04T00:21:02Z", 1_788_481_262_000_000),
        ("2026-09-04T00:21:02.9Z", 1_788_481_262_900_000),
        ("2026-09-04T00:21:02.905270999Z", 1_788_481_262_905_270),
        ("2026-09-04T00:21:02.000000001+00:00", 1_788_481_262_000_000),
        ("1970-01-01T00:00:00.000000Z", 0),
    ],
)
def test_an_instant_in_microseconds(text: str, us: int) -> None:
    assert instant_us(text) == us


@given(
    st.datetimes(EPOCH.replace(tzinfo=None), LATEST.replace(tzinfo=None)),
    st.sampled_from(["Z", "+00:00"]),
)
def test_each_microsecond_is_exact(moment: datetime, zone: str) -> None:
    us = (moment - EPOCH.replace(tzinfo=None)) // timedelta(microseconds=1)
    assert instant_us(moment.isoformat(timespec="microseconds") + zone) == us


@pytest.mark.parametrize(
    "value",
    [
        *("", "2026-09-04", "2026-09-04T00:21:02", "2026-09-04 00:21:02Z", "2026-09-04T00:21:02.Z", "2026-09-04T00:21:02.1234567890Z"),
        *("2026-13-04T00:21:02Z", "2026-09-04T24:21:02Z", "2026-09-04T00:21:60Z", "2026-09-04T00:21:02+02:00", "2026-09-04T00:21:02z"),
        *("1969-12-31T23:59:59Z", "2100-01-01T00:00:00Z", "٢026-09-04T00:21:02Z", "2026-09-04T00:21:02Z ", "2026-W36-5T00:21:02Z"),
        *(None, True, 1_788_481_262, 1.5, [], {}),
    ],
)  # fmt: skip
def test_an_instant_in_another_form_is_none(value: object) -> None:
    with pytest.raises(FrameError, match="bad_time"):
        instant_us(value)


@pytest.mark.parametrize("number", [81205.0, 81205, "81205.0", "8.1205e4"])
def test_a_figure_may_be_a_number_or_a_text(number: object) -> None:
    assert positive(number) == amount(number) == 81205.0


@pytest.mark.parametrize(
    ("value", "figure"),
    [
        (-4.5, -4.5),
        ("-4.5", -4.5),
        (0, 0.0),
        (7, 7.0),
        ("", None),
        ("NaN", None),
        ("-1e999", None),
        (10**400, None),
        (True, None),
    ],
)
def test_a_figure_that_may_be_negative(value: object, figure: float | None) -> None:
    assert signed(value) == figure


@pytest.mark.parametrize(("tick_size", "dp"), [(0.01, 2), (1e-08, 8), (0.5, 1), (10, 0), ("0.00000001", 8)])
def test_a_tick_size_may_be_a_number(tick_size: object, dp: int) -> None:
    assert decimals(tick_size) == dp


@pytest.mark.parametrize("quote", ["USD", "USDT", "USDC", "EUR"])
def test_a_market_in_any_currency_is_listed(quote: str) -> None:
    assert listed("BTC", quote, f"BTC/{quote}", "0.1") == [Listed(f"BTC-{quote}", f"BTC/{quote}", 1)]  # type: ignore[arg-type]


class Row(Struct, array_like=True):
    start: Time
    open: Price
    volume: Amount = None


@pytest.mark.parametrize(
    ("message", "row"),
    [
        pytest.param(["1790208000000", "2.5", "0"], Row(1790208000000, 2.5, 0.0), id="by position"),
        pytest.param([1, 2.5, "x", "more"], Row(1, 2.5, None), id="an invalid figure, and a member that is not declared"),
        pytest.param([1, 2.5], Row(1, 2.5, None), id="without an optional member"),
    ],
)
def test_an_array_is_read_by_position(message: list[object], row: Row) -> None:
    assert by_member(Row, message) == row


@pytest.mark.parametrize(
    "message", ["0123", {"0": 1, "1": 2.5}, {"start": 1, "open": 2.5}, None, 7, [1], [], [None, 2.5], [1, None]]
)
def test_what_is_no_such_array_is_rejected(message: object) -> None:
    with pytest.raises((FrameError, *FOREIGN_FAULTS)):
        by_member(Row, message)


def test_a_time_in_seconds() -> None:
    assert time_of_s(1_790_208_000) == time_of_s("1790208000") == 1_790_208_000_000
    for wrong in (1_790_208_000_000, LATEST_TIME_MS // 1000, -1, 1.5, None, "1.5"):
        with pytest.raises(FrameError):
            time_of_s(wrong)
