"""Measures ccxt's time per frame, from text to its unified structure, in the handlers behind its `watch_...` methods.

python ccxt_frames.py EXCHANGE FRAMES MARKETS
"""

import json
import sys
from pathlib import Path
from typing import Any

import uvloop
from aiohttp import WSMessage, WSMsgType
from ccxt import pro
from ccxt.async_support.base.ws.client import Client

from peers.timing import time_frames


async def main(exchange: str, frames: str, markets: str) -> None:
    client: Any = getattr(pro, {"coinbase": "coinbaseexchange"}.get(exchange, exchange))(
        {"newUpdates": True, "options": {"defaultType": "spot"}}
    )
    client.set_markets(json.loads(Path(markets).read_text()))  # noqa: ASYNC240 - nothing else runs yet
    url = "ws://127.0.0.1/v5/public/spot"  # by this path ccxt tells Bybit's spot market from its futures
    socket = Client(url, client.handle_message, lambda *_: None, lambda *_: None, lambda *_: None)

    async def handle(frame: str) -> None:
        if frame.startswith('{"stream":'):  # ccxt expects Binance's frames without an envelope
            frame = frame[frame.index('"data":') + 7 : -1]
        socket.handle_message(WSMessage(WSMsgType.TEXT, frame, None))

    await time_frames(frames, str, handle)
    await client.close()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:4]))
