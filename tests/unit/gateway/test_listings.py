"""Suggestions of the symbol that the user of a wrong one probably meant."""

import pytest

from gateway.api.listings import near_matches
from market_pulse.messages import Symbol

LISTED = {
    Symbol("BTC-USDT"): ["binance", "bybit", "okx"],
    Symbol("BTC-USDC"): ["binance", "okx"],
    Symbol("ETH-USDT"): ["binance", "bybit", "okx"],
    Symbol("ETC-USDT"): ["okx"],
    Symbol("ETH-BTC"): ["binance"],
    Symbol("SOL-USDT"): ["okx"],
}


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param("BTCC-USDT", ["BTC-USDT", "ETC-USDT", "BTC-USDC"], id="a letter too many"),
        pytest.param("TBC-USDT", ["BTC-USDT", "ETC-USDT", "BTC-USDC"], id="two letters swapped"),
        pytest.param("BTC-USD", ["BTC-USDT", "BTC-USDC", "ETC-USDT"], id="another quote"),
        pytest.param("XYZXYZ-EUR", [], id="nothing near"),
    ],
)
def test_near_matches(wrong: str, expected: list[str]) -> None:
    assert near_matches(wrong, LISTED) == expected


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("BTCUSDT", "BTC-USDT"),
        ("BTCUSDT-USDT", "BTC-USDT"),  # the symbol that the line above is read as
        ("BTC/USDT", "BTC-USDT"),
        ("BTC_USDT", "BTC-USDT"),
        ("BTC.USDT", "BTC-USDT"),
        ("BTC:USDT", "BTC-USDT"),
        ("btc/usdt", "BTC-USDT"),
        ("BTC-USDT-", "BTC-USDT"),
        ("-BTC-USDT", "BTC-USDT"),
        ("btc usdt", "BTC-USDT"),
        ("BTC--USDT", "BTC-USDT"),
        ("BTC\N{EN DASH}USDT", "BTC-USDT"),
        ("BTC%2FUSDT", "BTC-USDT"),
        ("$BTC", "BTC-USDT"),
        ("BINANCE:BTCUSDT", "BTC-USDT"),
        ("BTC/USDT:USDT", "BTC-USDT"),
        ("BTC-USDT-SWAP", "BTC-USDT"),
        ("BTCUSDC", "BTC-USDC"),
        ("ETHBTC-USDT", "ETH-BTC"),
        ("eth/btc", "ETH-BTC"),
        ("BTCC/USDT", "BTC-USDT"),
    ],
)
def test_other_spellings(asked: str, meant: str) -> None:
    assert near_matches(asked, LISTED)[0] == meant


def test_a_text_without_a_quote_is_in_the_usual_one() -> None:
    assert near_matches("$BTC", LISTED, "USDC")[0] == "BTC-USDC"


@pytest.mark.parametrize("asked", ["", "/", "\N{PILE OF POO}", "XYZ/XYZ", "x" * 40])
def test_what_means_nothing(asked: str) -> None:
    assert near_matches(asked, LISTED) == []
