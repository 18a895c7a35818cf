"""Coinbase's candles, which only its REST API has."""

from datetime import UTC, datetime
from typing import Any, Final

from aiohttp import web

from simulator.candles import Candle, start_of
from simulator.exchange import Exchange
from simulator.market import Listing
from simulator.wire import encode

STEPS: Final = {str(seconds): seconds * 1000 for seconds in (60, 300, 900, 3600, 21_600, 86_400)}
MOST_STEPS, ROWS_WITHOUT_RANGE, LONGEST_LOOK = 300, 350, 20
TOO_MANY: Final = "granularity too small for the requested time range. Count of aggregations requested exceeds 300"
CACHED: Final = {"Cache-Control": "public, max-age=5"}


async def answer(coinbase: Exchange, listing: Listing, request: web.Request) -> web.Response:
    """Answer with candles, the newest first. An interval without a trade has none. A range has both a start and an end."""
    step_ms = STEPS.get(request.query.get("granularity", "60"))
    if step_ms is None:
        return _refusal("Unsupported granularity")
    if not request.query.get("start") or not request.query.get("end"):
        rows = await _newest(coinbase, listing, step_ms)
    else:
        first_ms, last_ms = _time_ms(request.query["start"]), _time_ms(request.query["end"])
        if first_ms is None or last_ms is None:
            return _refusal(f"invalid {'start' if first_ms is None else 'end'}")
        if (last_ms - first_ms) // step_ms > MOST_STEPS:
            return _refusal(TOO_MANY)
        rows = await coinbase.candles(listing, step_ms, first_ms, last_ms + 1, fill=False)
    body = [row(candle) for candle in reversed(rows)]
    return web.Response(body=encode(body), content_type="application/json", headers=CACHED)


def row(candle: Candle) -> list[Any]:
    """Build a row: time, low, high, open, close, volume. The volume is a sum of doubles, and shows it."""
    return [candle.start_ms // 1000, candle.low, candle.high, candle.open, candle.close, candle.volume]


async def _newest(coinbase: Exchange, listing: Listing, step_ms: int) -> list[Candle]:
    """Return the newest candles that have trades, however long ago these were, within LONGEST_LOOK times the usual range."""
    end_ms, found = start_of(coinbase.now_ms(), step_ms) + step_ms, list[Candle]()
    for _ in range(LONGEST_LOOK):
        first_ms = end_ms - ROWS_WITHOUT_RANGE * step_ms
        found = await coinbase.candles(listing, step_ms, first_ms, end_ms, fill=False) + found
        end_ms = first_ms
        if len(found) >= ROWS_WITHOUT_RANGE:
            break
    return found[-ROWS_WITHOUT_RANGE:]


def _time_ms(text: str) -> int | None:
    """Read a time in Unix seconds or ISO 8601, which is in UTC unless it says otherwise."""
    if text.isascii() and text.isdecimal() and len(text) <= 12:
        return int(text) * 1000
    try:
        read = datetime.fromisoformat(text)
    except ValueError:
        return None
    return int((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1000)


def _refusal(reason: str) -> web.Response:
    return web.Response(status=400, body=encode({"message": reason}), content_type="application/json")
