"""The markets of OKX."""

from typing import Final

from simulator.catalogue import Quote, Venue

OKX: Final = Venue(
    exchange="okx",
    separator="-",
    quotes=(Quote("USDT", 4e8), Quote("USDC", 2e7, 10), Quote("EUR", 8e6, 2)),
    further={
        "USDC-USDT": 6e7,
        "EUR-USDT": 4e6,
        "ETH-BTC": 7.5e6,
        "SOL-BTC": 4.8e6,
        "XRP-BTC": 3e6,
        "LTC-BTC": 1.5e6,
        "LINK-BTC": 1.5e6,
        "SOL-ETH": 1e6,
    },
    states={"LUNC-USDT": "suspended", "VANA-USDT": "preopen"},
    bitcoin_decimals=1,
    most_price_decimals=10,
    size_decimals=4,
    most_size_decimals=8,
)
