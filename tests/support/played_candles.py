"""Candles for tests that play the part that makes them."""

from typing import Any

from market_pulse.messages import Candle, Interval, encode

MINUTE_MS = Interval.MINUTE.step_ms


def candle(start_ms: int, **given: Any) -> Candle:
    """Return an open candle of a minute of BTC-USDT, made of our own prices, unless something else is given."""
    interval = given.get("interval", Interval.MINUTE)
    known: dict[str, Any] = {
        "symbol": "BTC-USDT",
        "interval": interval,
        "start_ms": start_ms,
        "end_ms": start_ms + interval.step_ms,
        "open": 100.0,
        "high": 102.0,
        "low": 99.0,
        "close": 101.0,
        "volume": 3.5,
        "quote_volume": 350.25,
        "closed": False,
        "origin": "live",
        "exchanges": ("okx",),
        "first_seq": 1,
        "last_seq": 1,
        "seen": 1,
        "missed": 0,
        "received_time_ms": start_ms,
        "published_time_ms": start_ms,
    }
    return Candle(**known | given)


def candle_bytes(start_ms: int, **given: Any) -> bytes:
    """Return that candle as a message."""
    return encode(candle(start_ms, **given))
