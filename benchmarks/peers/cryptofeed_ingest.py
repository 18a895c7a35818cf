"""Runs cryptofeed on recorded frames. It runs in an environment of its own, without this project and its packages.

python cryptofeed_ingest.py frames EXCHANGE FRAMES LISTING     the time per frame, from text to its normalised object
python cryptofeed_ingest.py feed EXCHANGE LISTING              tickers from WS_URL through to streams in REDIS_URL
"""

import asyncio
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import cryptofeed.connection
import uvloop
from cryptofeed.backends.redis import TickerStream
from cryptofeed.callback import BookCallback, TickerCallback
from cryptofeed.defines import L2_BOOK, TICKER
from cryptofeed.exchanges import OKX, Binance, Bybit, CryptoDotCom
from cryptofeed.symbols import Symbols
from websockets.asyncio.client import connect

from peers.timing import time_frames

EXCHANGES = {"binance": Binance, "bybit": Bybit, "okx": OKX, "cryptocom": CryptoDotCom}
KINDS = {  # the frames it has handlers for; it takes Binance's trades from another stream and no spot tickers of Bybit
    "binance": {"bookTicker": TICKER},
    "bybit": {"orderbook.1": L2_BOOK},
    "okx": {"tickers": TICKER},
    "cryptocom": {"ticker": TICKER},
}


def feed_of(exchange: str, listing: str, callbacks: dict[str, Any], channels: list[str]) -> Any:
    """Return a feed of all symbols in a recorded listing, without requesting it over the network."""
    feed = EXCHANGES[exchange]
    answer = json.loads(Path(listing).read_text())
    if exchange == "cryptocom":
        answer["result"]["instruments"] = [
            _as_version_2(entry) for entry in answer["result"]["data"] if entry["inst_type"] == "CCY_PAIR"
        ]
    parts = answer if exchange in {"binance", "cryptocom"} else [answer]
    symbols, about = feed._parse_symbol_data(parts)  # noqa: SLF001 - not over the network
    Symbols.set(feed.id, symbols, about)
    return feed(symbols=list(symbols), channels=channels, callbacks=callbacks)


def _as_version_2(entry: dict[str, Any]) -> dict[str, Any]:
    """Return an entry of Crypto.com's listing as cryptofeed reads it: with the names of version 2, which is gone."""
    return {"base_currency": entry["base_ccy"], "quote_currency": entry["quote_ccy"], "instrument_name": entry["symbol"]}


async def frames(exchange: str, file: str, listing: str) -> None:
    async def take(_: object, __: float) -> None:
        pass

    kinds = KINDS[exchange]
    feed = feed_of(exchange, listing, {TICKER: TickerCallback(take), L2_BOOK: BookCallback(take)}, list(kinds.values()))
    connection = SimpleNamespace(address="wss://localhost/v5/public/spot", uuid="", subscription={})

    async def handle(frame: str) -> None:
        await feed.message_handler(frame, connection, 1.0)

    await time_frames(file, str, handle, kinds)


async def through(exchange: str, listing: str) -> None:
    def connect_here(_: str, **options: Any) -> Any:
        return connect(os.environ["WS_URL"], **options)  # cryptofeed itself accepts only addresses with TLS

    cryptofeed.connection.connect = connect_here
    feed = feed_of(exchange, listing, {TICKER: TickerStream(port=urlsplit(os.environ["REDIS_URL"]).port)}, [TICKER])
    feed.start(asyncio.get_running_loop())
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(frames(*sys.argv[2:]) if sys.argv[1] == "frames" else through(*sys.argv[2:]))
