"""The ingests' speed: frames to normalised objects, and an accepted WebSocket through to Redis, beside cryptofeed and ccxt.

    python benchmarks/bench.py ingest [--exchanges okx,binance,bybit] [--rounds 5] [--frames 100000] [--rate 10000]

The simulator's frames of 200 symbols at full rate are recorded first; everything then takes in this recording. Each program
is a process, and all take turns in every round.

Per frame: from a frame to the normalised object that stands for it (`event`: all figures that the frame has), on to the tick
that is published (`tick`: the state of the symbol, of all its channels) and to its message (`message`). cryptofeed makes a
Ticker of bid, ask and time, ccxt its unified structure. Of cryptofeed's handlers only those count that it has for the same
frames: it takes Binance's trades from another stream and has no ticker for Bybit's spot market, where it keeps a book instead.

Through to Redis: `load/replay.py` sends the recording over a WebSocket on a core of its own, once as fast as the reader takes
it and once at a held rate, to the ingest as it is shipped (`python -m ingest_okx`), to a floor that PUBLISHes a frame unread,
and to one that only receives (`deaf`), which shows how fast the load can be. Figures are per second of the reader's processor
time. What waits in the ingest is conflated, by design: at full rate it publishes the newest of each symbol, each time that
the loop turns. cryptofeed writes its tickers to Redis streams; ccxt has nothing to do with Redis and is not in this part.

cryptofeed is installed at first use into benchmarks/.cache (a compiler is needed): nothing of it is in this project's lock.
"""

import argparse
import asyncio
import importlib
import tempfile
from collections.abc import Sequence
from pathlib import Path

import uvloop

import report
import system  # noqa: F401 - makes the tests' support importable
from ingest import per_frame, wire
from ingest.frames import Recording, record
from ingest.peers import cryptofeed_python


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        "bench.py ingest", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--exchanges", default="okx,binance,bybit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=100_000, help="how many are recorded of each exchange")
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--rate", type=int, default=10_000, help="frames a second, for the held rate")
    options = parser.parse_args(arguments)
    cryptofeed = cryptofeed_python()
    print(report.packages("websockets", "orjson", "redis", "hiredis", "uvloop", "prometheus-client", "ccxt"))
    with tempfile.TemporaryDirectory() as folder:
        names = options.exchanges.split(",")
        recordings = asyncio.run(record_all(names, options.symbols, options.frames, Path(folder)))
        per_frame.measure(recordings, options.rounds, cryptofeed)
        uvloop.run(wire.measure(recordings, options.rounds, options.rate, cryptofeed))


async def record_all(names: Sequence[str], symbols: int, frames: int, folder: Path) -> list[Recording]:
    adapters = [importlib.import_module(f"ingest_{name}.adapter").ADAPTER for name in names]
    return [await record(adapter, symbols, frames, folder) for adapter in adapters]
