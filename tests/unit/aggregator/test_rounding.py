"""The decimals of prices, and the rounding of published figures."""

import pytest
from msgspec.structs import replace

from aggregator.rounding import decimals

from .examples import B, O, Y, published, result_of, sources, tick


@pytest.mark.parametrize(
    ("price", "expected"),
    [
        (64000.0, 0), (64000.1, 1), (64000.125, 3), (0.00001234, 8), (1e-05, 5), (1.5e-7, 8), (3.0, 0), (1e22, 0), (1e-29, 29),
        (1.2345e-29, 30),
    ],
)  # fmt: skip
def test_decimals(price: float, expected: int) -> None:
    assert decimals(price) == expected


def test_halves_go_to_the_even_digit() -> None:
    result = replace(result_of(tick(B, 64000.0)), price=0.125, high24h=0.375, spread_bps=0.125, volume24h=0.123456785)
    ticker = published(result, dp=0)
    assert (ticker.price, ticker.high24h, ticker.spread_bps) == (0.12, 0.38, 0.12)
    assert ticker.volume24h == round(0.123456785, 8)


def test_nothing_has_no_sign() -> None:
    ticker = published(replace(result_of(tick(B, 64000.0)), change24h=-1e-9, change_percent24h=-0.0))
    assert (str(ticker.change24h), str(ticker.change_percent24h)) == ("0.0", "0.0")


def test_each_figure_has_its_decimals() -> None:
    figures = {"open24h": 61234.56, "high24h": 66000.0, "low24h": 60001.0, "volume24h": 1.123456789}
    result = result_of(tick(B, 64000.11, **figures), tick(Y, 64010.22, **figures), tick(O, 64003.33, **figures))
    ticker = published(result)
    assert ticker.price == round(result.price or 0, 4)
    assert ticker.change24h == round(result.change24h or 0, 4)
    assert ticker.change_percent24h == round(result.change_percent24h or 0, 4)
    assert ticker.confidence == round(result.confidence or 0, 4)
    assert ticker.volume24h == 3.37037037


def test_a_clamped_price_is_published_without_float_noise() -> None:
    result = result_of(tick(B, 65000.0), tick(Y, 64001.1), tick(O, 64001.1))
    assert sources(published(result))[B].used_price == 64321.1055


def test_a_price_is_never_rounded_to_nothing() -> None:
    """This matters if an exchange states a tick size that is coarser than its prices."""
    ticker = published(result_of(tick(B, 0.00001234, open24h=0.00001, high24h=0.0001)), dp=2)
    assert (ticker.price, ticker.open24h, ticker.high24h) == (0.00001234, 0.00001, 0.0001)
    assert ticker.sources[0].used_price == 0.00001234
