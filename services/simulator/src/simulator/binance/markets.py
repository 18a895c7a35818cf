"""The markets of Binance."""

from typing import Final

from simulator.catalogue import Quote, Venue

BINANCE: Final = Venue(
    exchange="binance",
    separator="",
    quotes=(Quote("USDT", 1.8e9), Quote("USDC", 1.8e8, 20), Quote("EUR", 3e7, 2)),
    further={
        "USDC-USDT": 3e8,
        "EUR-USDT": 2e7,
        "ETH-BTC": 3.4e7,
        "SOL-BTC": 2.2e7,
        "BNB-BTC": 1.6e7,
        "XRP-BTC": 1.2e7,
        "LTC-BTC": 5e6,
        "LINK-BTC": 5e6,
        "SOL-ETH": 4e6,
    },
    states={"FTT-USDT": "suspended", "WAVES-USDT": "suspended", "VITE-USDT": "preopen"},
    bitcoin_decimals=2,
    most_price_decimals=8,
    size_decimals=1,
    most_size_decimals=5,
)
