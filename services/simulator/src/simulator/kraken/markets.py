"""The markets of Kraken, by the names of its WebSocket API: BTC/USD."""

from typing import Final

from simulator.catalogue import Quote, Venue

KRAKEN: Final = Venue(
    exchange="kraken",
    separator="/",
    quotes=(Quote("USD", 6.5e7), Quote("USDT", 1e7, 30), Quote("USDC", 2e6, 5), Quote("EUR", 3e7, 100)),
    further={"USDT-USD": 2.5e8, "USDC-USD": 3e7, "USDC-USDT": 1e7, "EUR-USD": 2e7, "ETH-BTC": 3e6, "SOL-BTC": 5e5},
    states={"WAVES-USD": "suspended", "MOVE-USD": "preopen"},
    bitcoin_decimals=1,
    most_price_decimals=10,
    size_decimals=4,
    most_size_decimals=8,
)
