"""The markets of Bybit."""

from typing import Final

from simulator.catalogue import Quote, Venue

BYBIT: Final = Venue(
    exchange="bybit",
    separator="",
    quotes=(Quote("USDT", 6e8), Quote("USDC", 3e7, 10), Quote("EUR", 1e7, 2)),
    further={
        "USDC-USDT": 8e7,
        "EUR-USDT": 5e6,
        "ETH-BTC": 1.1e7,
        "SOL-BTC": 7e6,
        "XRP-BTC": 4e6,
        "LTC-BTC": 2e6,
        "LINK-BTC": 2e6,
    },
    bitcoin_decimals=1,
    most_price_decimals=10,
    size_decimals=2,
    most_size_decimals=6,
)
