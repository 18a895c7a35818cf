"""The markets of Coinbase. Its BTC-USDC is another name of BTC-USD, not a market of its own."""

from typing import Final

from simulator.catalogue import Quote, Venue

COINBASE: Final = Venue(
    exchange="coinbase",
    separator="-",
    quotes=(Quote("USD", 4.2e8, 330), Quote("USDT", 5e7, 20), Quote("EUR", 2e7, 10)),
    further={"USDT-USD": 1.2e8, "USDT-USDC": 1e7, "ETH-BTC": 8e6, "SOL-BTC": 2e6, "LTC-BTC": 1e6},
    states={"EOS-USD": "suspended", "WAVES-USD": "suspended", "STRK-USD": "preopen"},
    bitcoin_decimals=2,
    most_price_decimals=8,
    size_decimals=4,
    most_size_decimals=8,
)
