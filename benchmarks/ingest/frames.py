"""Records the simulator's frames at full rate, before anything is measured."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import orjson
from ccxt import pro

from market_pulse.exchange.adapter import Adapter, Listed
from market_pulse.messages import DEFAULT_QUOTE
from simulator.app import serving
from simulator.connection import Connection
from simulator.settings import Settings

FULL_RATE = 200_000.0
STEP_S = 0.05
HEADER = {126: 4, 127: 10}  # the length of a frame's header by its second byte; 2 for any other
MARKS = {  # bytes that occur only in one kind of an exchange's frames
    "binance": {"ticker": b'@ticker"', "trade": b'@trade"', "bookTicker": b'@bookTicker"'},
    "bybit": {"tickers": b'"topic":"tickers.', "orderbook.1": b'"topic":"orderbook.1.'},
    "okx": {"tickers": b'"channel":"tickers"'},
    "coinbase": {"ticker": b'"type":"ticker"'},
    "kraken": {"ticker": b'"channel":"ticker"'},
    "cryptocom": {"ticker": b'"channel":"ticker"'},
}
DATA = {"coinbase": b'"price"'}  # bytes that occur only in frames with data; for the other exchanges `"data"`
QUOTES = {"coinbase": "USD", "kraken": "USD", "cryptocom": "USD"}  # in which the exchange has most markets
CCXT = {"coinbase": "coinbaseexchange"}  # the names that differ from ours


class Recorder(Connection):
    """A client of the simulator that keeps the frames sent to it."""

    def __init__(self, *, wrapped: bool) -> None:
        nothing: Any = None
        super().__init__(nothing, nothing, nothing, wrapped=wrapped)
        self.payloads: list[bytes] = []

    def write(self, framed: bytes) -> None:
        self.payloads.append(framed[HEADER.get(framed[1], 2) :])


@dataclass(frozen=True)
class Recording:
    """The frames sent to one client. `file` has a line per frame, in the order of sending: its kind, a tab, its payload.

    `listing` has the exchange's listing of its symbols, `markets` the markets that ccxt makes of it.
    """

    adapter: Adapter
    listed: Sequence[Listed]
    listing: Path
    markets: Path
    file: Path


async def record(adapter: Adapter, symbols: int, frames: int, folder: Path) -> Recording:
    """Run the simulated market as fast as possible, and keep the frames sent to a client that subscribes to `symbols` symbols.

    Here all but Binance, which has a real-time channel anyway, send every event at once, without their intervals.
    """
    async with serving(Settings(port=0, rate=0)) as running, httpx.AsyncClient() as http:
        answer = await http.get(f"http://{running.host}:{running.port}{adapter.listing_path}")
        ending = f"-{QUOTES.get(adapter.exchange, DEFAULT_QUOTE)}"
        usual = [one for one in adapter.parse_listing(answer.content) if one.symbol.endswith(ending)][:symbols]
        markets = await ccxt_markets(adapter.exchange, f"http://{running.host}:{running.port}")
        engine = running.engine
        exchange = next(one for name, one in engine.exchanges.items() if name == adapter.exchange)
        exchange.publisher.pacing = adapter.exchange == "binance"
        engine.market.focus(one.symbol for one in usual)
        recorder = Recorder(wrapped=adapter.exchange == "binance")
        topics = [topic for one in usual for topic in adapter.topics(one.native)]
        for number, at in enumerate(range(0, len(topics), adapter.topics_per_request)):
            exchange.answer(recorder, adapter.subscribe(topics[at : at + adapter.topics_per_request], number))
        engine.rate = FULL_RATE
        while len(recorder.payloads) < frames:
            await asyncio.sleep(STEP_S)
        engine.rate = 0
        for topic in list(recorder.topics):
            exchange.unsubscribe(recorder, topic)
    marks = MARKS[adapter.exchange]
    lines = [
        kind.encode() + b"\t" + payload + b"\n"
        for payload in recorder.payloads
        for kind, mark in marks.items()
        if mark in payload and DATA.get(adapter.exchange, b'"data"') in payload
    ][:frames]
    file, listing, made = (folder / f"{adapter.exchange}.{what}" for what in ("frames", "listing", "markets"))
    file.write_bytes(b"".join(lines))
    listing.write_bytes(answer.content)
    made.write_bytes(markets)
    return Recording(adapter, usual, listing, made, file)


async def ccxt_markets(exchange: str, url: str) -> bytes:
    """Return, as JSON, the markets that ccxt reads from an exchange at an address."""
    client: Any = getattr(pro, CCXT.get(exchange, exchange))(
        {"options": {"defaultType": "spot", "fetchMarkets": {"types": ["spot"]}}}
    )
    client.options["fetchMargins"] = False
    client.has["fetchCurrencies"] = False
    client.urls["api"] |= {"public": f"{url}/api/v3" if exchange == "binance" else url, "rest": url, "v1": f"{url}/exchange/v1"}
    try:
        return orjson.dumps(await client.load_markets())
    finally:
        await client.close()
