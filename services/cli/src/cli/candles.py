"""A symbol's candles from a gateway: as a table, or as a chart made of characters."""

from collections.abc import Sequence
from datetime import UTC, datetime
from math import floor, log10
from typing import Any

import httpx
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from market_pulse.messages import Interval

from .gateway import asking
from .output import Output

HEIGHT = 16
AXIS_WIDTH = 16
MARKS = {"  ": " ", "ww": "│", "bb": "┃", "wb": "╽", "bw": "╿", "w ": "╵", " w": "╷", "b ": "╹", " b": "╻"}
"""The character for the upper and the lower half of a cell: empty, wick or body."""

Candle = dict[str, Any]


async def show(
    url: str, symbol: str, interval: Interval, limit: int, exchange: str | None, output: Output, *, as_chart: bool
) -> bool:
    """Print the newest candles of a symbol, oldest first. Returns whether there are any.

    Raises:
        httpx.HTTPError: the gateway cannot be reached, refuses the request, or the answer is not a gateway's.
    """
    answer = await get_candles(url, symbol, interval, limit, exchange)
    candles: list[Candle] = answer["candles"]
    if output.json:
        for candle in candles:
            output.object({"symbol": answer["symbol"], "interval": answer["interval"], "exchange": exchange} | candle)
        return bool(candles)
    title = f"{answer['symbol']}, {interval}, {exchange or 'across exchanges'}, UTC"
    if not candles:
        output.console.print(f"{title}: no candles. They begin to come when a symbol is wanted; ask again in some seconds")
    elif as_chart:
        output.console.print(title)
        for line in chart(candles, interval, output.console.width):
            output.console.print(line)
    else:
        output.console.print(table(candles, interval, title))
    return bool(candles)


async def get_candles(url: str, symbol: str, interval: Interval, limit: int, exchange: str | None) -> dict[str, Any]:
    """Request candles. All fields that this module reads are present in the result.

    Raises:
        httpx.HTTPError: no answer came, or an error, or the answer is not a gateway's.
    """
    params: dict[str, str | int] = {"interval": interval, "limit": limit}
    if exchange is not None:
        params["exchange"] = exchange
    async with asking(url) as http:
        answer = await http.get(f"/api/candles/{symbol}", params=params)
    try:
        content = answer.json()
    except ValueError:
        content = None
    match content:
        case {"detail": str(detail)} if answer.is_error:
            raise httpx.HTTPStatusError(detail, request=answer.request, response=answer)
    answer.raise_for_status()
    match content:
        case {"symbol": str(), "interval": str(), "candles": [*candles]} if all(map(_is_candle, candles)):
            return dict(content)
    raise httpx.DecodingError("not the answer of a Market Pulse gateway", request=answer.request)


def _is_candle(candle: Any) -> bool:
    match candle:
        case {
            "start": int(),
            "open": int() | float(),
            "high": int() | float(),
            "low": int() | float(),
            "close": int() | float(),
            "volume": int() | float() | None,
            "closed": bool(),
        }:
            return all(candle[name] > 0 for name in ("open", "high", "low", "close"))
    return False


def table(candles: Sequence[Candle], interval: Interval, title: str) -> Table:
    """Draw candles as rows, oldest first."""
    drawn = Table(box=None, pad_edge=False, title=title, title_justify="left", title_style="")
    drawn.add_column("begins", no_wrap=True)
    for name in ("open", "high", "low", "close", "change", "volume"):
        drawn.add_column(name, justify="right", no_wrap=True)
    drawn.add_column("")
    decimals = decimals_of(candles[-1]["close"])
    for candle in candles:
        change = (candle["close"] / candle["open"] - 1) * 100
        drawn.add_row(
            _time(candle["start"], interval),
            *(f"{candle[name]:,.{decimals}f}" for name in ("open", "high", "low", "close")),
            Text(f"{change:+.2f} %", _color(candle)),
            _amount(candle["volume"]),
            Text(_note(candle), "dim"),
        )
    return drawn


def _note(candle: Candle) -> str:
    notes = [] if candle["closed"] else ["open"]
    if candle.get("missed"):
        notes.append(f"{candle['missed']} tickers missed")
    if candle.get("revision"):
        notes.append("corrected")
    return ", ".join(notes)


def chart(candles: Sequence[Candle], interval: Interval, width: int, height: int = HEIGHT) -> list[RenderableType]:
    """Draw the newest candles that fit: a column for each interval, an empty one where there is no candle."""
    last = candles[-1]["start"]
    columns = max(width - AXIS_WIDTH, 1)
    shown = [candle for candle in candles if (last - candle["start"]) // interval.step_ms < columns]
    low, high = min(candle["low"] for candle in shown), max(candle["high"] for candle in shown)
    levels = 2 * height - 1
    scale = levels / (high - low) if high > low else 0.0
    first = shown[0]["start"]
    cells = [[Text(" ") for _ in range((last - first) // interval.step_ms + 1)] for _ in range(height)]
    for candle in shown:
        at = (candle["start"] - first) // interval.step_ms
        bottom, top, opened, closed = (round((candle[name] - low) * scale) for name in ("low", "high", "open", "close"))
        halves = [
            "b" if min(opened, closed) <= level <= max(opened, closed) else "w" if bottom <= level <= top else " "
            for level in range(levels + 1)
        ]
        for row in range(height):
            level = levels - 2 * row
            cells[row][at] = Text(MARKS[halves[level] + halves[level - 1]], _color(candle))
    decimals = decimals_of(high)
    prices = {0: high, height // 2: low + (high - low) * (levels - 2 * (height // 2)) / levels, height - 1: low}
    lines: list[RenderableType] = [
        Text.assemble(*row, f"  {prices[number]:,.{decimals}f}" if number in prices else "") for number, row in enumerate(cells)
    ]
    ends = [_time(first, interval), _time(last, interval)]
    room = len(cells[0]) - sum(map(len, ends))
    return [*lines, Text((" " * room).join(ends) if room > 0 else " to ".join(ends), "dim")]


def decimals_of(price: float) -> int:
    """Return how many decimals show six significant digits of a price, and at least two decimals."""
    return min(max(2, 5 - floor(log10(price))), 12)


def _color(candle: Candle) -> str:
    return "red" if candle["close"] < candle["open"] else "green"


def _amount(amount: float | None) -> str:
    if amount is None:
        return ""
    for size, unit in ((1e9, " bn"), (1e6, " m")):
        if amount >= size:
            return f"{amount / size:,.2f}{unit}"
    return f"{amount:,.{2 if amount >= 100 else 4}f}"


def _time(time_ms: int, interval: Interval) -> str:
    try:
        moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return str(time_ms)
    return f"{moment:%Y-%m-%d}" if interval is Interval.DAY else f"{moment:%Y-%m-%d %H:%M}"
