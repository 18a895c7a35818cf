"""Live prices and candles for your own program, as typed values, straight from the bus.

async for ticker in subscribe("BTC", "ETH"):
    print(ticker.symbol, ticker.price, ticker.quality)
"""

from .candle_stream import candles, candles_then_tickers
from .inbox import LAG_LIMIT_MS, MAX_WAITING, Inbox
from .line import DEFAULT_REDIS_URL, OnGap, UnlistedError
from .prices import subscribe

__all__ = [
    "DEFAULT_REDIS_URL",
    "LAG_LIMIT_MS",
    "MAX_WAITING",
    "Inbox",
    "OnGap",
    "UnlistedError",
    "candles",
    "candles_then_tickers",
    "subscribe",
]
