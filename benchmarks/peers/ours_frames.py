"""Measures our ingest's time per frame: up to the event in it, up to the tick, or up to that tick's message.

python ours_frames.py EXCHANGE FRAMES LISTING event|tick|message
"""

import importlib
import sys
from pathlib import Path

import uvloop

from market_pulse.exchange.adapter import Adapter
from market_pulse.exchange.merge import Merge
from market_pulse.exchange.metrics import Stats
from market_pulse.exchange.socket import Connection
from market_pulse.messages import Tick, encode_tick
from market_pulse.process.clock import now_ms
from peers.timing import time_frames


async def main(exchange: str, frames: str, listing: str, goal: str) -> None:
    adapter: Adapter = importlib.import_module(f"ingest_{exchange}.adapter").ADAPTER
    parse = adapter.parse

    def take(tick: Tick) -> None:
        if goal == "message":
            encode_tick(tick, now_ms())

    connection = Connection(adapter, "", Merge(exchange), take, None, Stats())
    listed = adapter.parse_listing(Path(listing).read_bytes())  # noqa: ASYNC240 - nothing else runs yet
    connection.want({one.native: one for one in listed})

    async def to_event(frame: bytes) -> None:
        parse(frame)

    async def to_tick(frame: bytes) -> None:
        connection.receive(frame, now_ms())

    await time_frames(frames, bytes, to_event if goal == "event" else to_tick)


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
