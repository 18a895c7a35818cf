"""A table of live prices in the terminal."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

import orjson
from rich.live import Live
from rich.table import Table
from rich.text import Text

from market_pulse.bus import BusError, Reader
from market_pulse.client import subscribe
from market_pulse.conversions import Conversions
from market_pulse.messages import LIVE, Symbol, encode
from market_pulse.process.clock import now_ms
from market_pulse.tickers import STALE_AFTER_MS

from . import gateway
from .output import Output

REFRESH_HZ = 8
WORDS = {
    "ok": ("● ok", "green"),
    "single": ("◐ single", "yellow"),
    "disputed": ("◑ disputed", "yellow"),
    "stale": ("○ stale", "red"),
    "down": ("✕ down", "red"),
}

Event = dict[str, Any]


class Board:
    """The last ticker of each symbol. One that was not renewed for STALE_AFTER_MS is shown as stale.

    The symbols are as the user wrote them, until the gateway reports which symbols it takes them for: BTC-USDT for `BTC`.
    """

    def __init__(self, symbols: Sequence[str]) -> None:
        self.tickers: dict[str, Event | None] = dict.fromkeys(symbols)
        self._renewed_ms: dict[str, int] = {}
        self.note = "connecting"

    def take(self, event: Event, time_ms: int) -> None:
        """Take in one message of a stream."""
        data = event["data"]
        match event["type"]:
            case "ticker" if data.get("symbol") in self.tickers:
                self.tickers[data["symbol"]] = data
                self._renewed_ms[data["symbol"]] = time_ms
                self.note = ""
            case "connected":
                self._resolve(data.get("symbols"))
                self.note = "simulated prices" if data.get("simulated") else ""
            case "room":
                self.note = f"{data.get('symbol')} has no room: {data.get('detail')}" if data.get("room") is False else ""
            case "lost" | "resync" | "bye":
                self.note = f"{event['type']}: {data.get('reason', '')}"

    def _resolve(self, symbols: Any) -> None:
        if isinstance(symbols, list) and all(isinstance(symbol, str) for symbol in symbols):
            self.tickers = {symbol: self.tickers.get(symbol) for symbol in symbols}

    def quality(self, symbol: str, time_ms: int) -> str:
        """Return the quality to show now, which is stale if the ticker was not renewed in time."""
        ticker = self.tickers[symbol]
        if ticker is None:
            return "waiting"
        quality: str = ticker["quality"]
        if quality in LIVE and time_ms - self._renewed_ms[symbol] >= STALE_AFTER_MS:
            return "stale"
        return quality

    def table(self, time_ms: int) -> Table:
        """Draw the board."""
        table = Table(box=None, pad_edge=False, caption=self.note, caption_justify="left")
        table.add_column("symbol")
        for name in ("price", "24 h", "bid", "ask", "spread bps"):
            table.add_column(name, justify="right")
        table.add_column("quality")
        table.add_column("sources")
        for symbol, ticker in self.tickers.items():
            table.add_row(symbol, *self._row(ticker, self.quality(symbol, time_ms)))
        return table

    @staticmethod
    def _row(ticker: Event | None, quality: str) -> tuple[str | Text, ...]:
        if ticker is None:
            return ("", "", "", "", "", Text("… waiting", "dim"), "")
        words, style = WORDS.get(quality, (quality, "red"))
        dim = "" if quality in LIVE else "dim"
        change = ticker["changePercent24h"]
        moved = "" if change is None else f"{change:+.2f} %"
        return (
            Text(_price(ticker["price"], ticker["dp"]), dim or "bold"),
            Text(moved, dim or ("red" if moved.startswith("-") else "green")),
            Text(_price(ticker["bid"], ticker["dp"]), dim),
            Text(_price(ticker["ask"], ticker["dp"]), dim),
            Text("" if ticker["spreadBps"] is None else f"{ticker['spreadBps']:.2f}", dim),
            Text(words, style),
            Text(f"{ticker['sourcesUsed']}/{ticker['sourcesTotal']}", dim),
        )


def _price(figure: float | None, dp: int) -> str:
    return "" if figure is None else f"{figure:,.{dp}f}"


def from_gateway(url: str, symbols: Sequence[str]) -> AsyncGenerator[Event]:
    """Return the messages of a gateway's stream."""
    return gateway.events(url, symbols)


async def from_bus(redis_url: str, symbols: Sequence[Symbol], conversions: Conversions) -> AsyncGenerator[Event]:
    """Yield the same messages as `from_gateway`, but read from the bus. The conversions are those of the aggregator.

    Raises:
        BusError: Redis cannot be reached at the start.
        UnlistedError: one of the symbols is listed nowhere, and is not converted.
    """
    gaps: list[str] = []

    def on_gap(symbol: Symbol, missed: int | None) -> None:
        gaps.append(f"{symbol}: {'some' if missed is None else missed} missed")

    async with Reader.open(redis_url) as bus:
        await bus.ping()
    async with aclosing(subscribe(*symbols, redis_url=redis_url, on_gap=on_gap, conversions=conversions)) as tickers:
        async for ticker in tickers:
            if gaps:
                yield {"type": "resync", "data": {"reason": gaps.pop()}}
            yield {"type": "ticker", "data": orjson.loads(encode(ticker))}


async def show(events: AsyncGenerator[Event], symbols: Sequence[str], output: Output) -> bool:
    """Show a table and update it until cancelled. With `--json`, print each message instead."""
    if output.json:
        async with aclosing(events):
            async for event in events:
                output.object(event)
        raise BusError("the stream ended")
    board = Board(symbols)
    with Live(console=output.console, auto_refresh=False, get_renderable=lambda: board.table(now_ms())) as live:
        reading = asyncio.create_task(_read(events, board))
        try:
            while not reading.done():
                live.refresh()
                await asyncio.sleep(1 / REFRESH_HZ)
            reading.result()
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
    return False


async def _read(events: AsyncGenerator[Event], board: Board) -> None:
    async with aclosing(events):
        async for event in events:
            board.take(event, now_ms())
