"""The markets of the Crypto.com Exchange."""

from typing import Final

from simulator.catalogue import Quote, Venue

CRYPTOCOM: Final = Venue(
    exchange="cryptocom",
    separator="_",
    quotes=(Quote("USD", 2.06e8, 330), Quote("USDT", 3e7, 30)),
    further={"USDT-USD": 4e7, "CRO-USD": 8e6, "ETH-BTC": 2e6, "CRO-BTC": 1e5},
    states={"LUNC-USD": "suspended"},
    bitcoin_decimals=2,
    most_price_decimals=10,
    size_decimals=1,
    most_size_decimals=5,
)
