"""The terse exchange's candles: REST alone gives them, as arrays without names, newest first, in seconds."""

from typing import Any

import orjson

from market_pulse.exchange.adapter import Batch, CandleHistory, Rate, candle, each
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import amount, price, time
from market_pulse.messages import Candle, Interval


def path(native_symbol: str, interval: Interval, since_ms: int, until_ms: int) -> str:
    """Return the REST path of past candles. Its range includes both ends."""
    step_s = interval.step_ms // 1000
    return f"/candles?symbol={native_symbol}&step={step_s}&from={since_ms // 1000}&to={until_ms // 1000 - step_s}"


def parse(interval: Interval, answer: bytes) -> Batch[Candle]:
    """Read past candles. An error is an object in place of the array."""
    rows = orjson.loads(answer)
    if not isinstance(rows, list):
        raise FrameError("refused", f"{rows!r:.100}")
    return each(lambda row: [_candle(interval, row)], reversed(rows))


def _candle(interval: Interval, row: Any) -> Candle:
    start_s, low, high, open_, close, volume = row
    start_ms = time(time(start_s) * 1000)
    return candle(interval, start_ms, price(open_), price(high), price(low), price(close), amount(volume))


HISTORY = CandleHistory(path=path, parse=parse, rows=100, rate=Rate(200, 1.0), settled_s=2.0)
