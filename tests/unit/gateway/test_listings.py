"""What a wrong symbol was probably meant to be."""

import pytest

from gateway.listings import near_matches
from market_pulse.model import Symbol

LISTED = {
    Symbol("BTC-USDT"): ["binance", "bybit", "okx"],
    Symbol("BTC-USDC"): ["binance", "okx"],
    Symbol("ETH-USDT"): ["binance", "bybit", "okx"],
    Symbol("ETC-USDT"): ["okx"],
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
    assert near_matches(Symbol(wrong), LISTED) == expected
