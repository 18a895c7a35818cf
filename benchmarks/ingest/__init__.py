"""The ingests' speed beside cryptofeed and ccxt: from a frame to a normalised object, and from a WebSocket to Redis.

    python benchmarks/bench.py ingest [--exchanges okx,binance,bybit,coinbase,kraken,cryptocom]
                                      [--rounds 5] [--frames 100000] [--rate 10000]

First the simulator's frames of 200 symbols are recorded at full rate. All programs then read this recording. Each program is a
process of its own, and all take turns in every round.

Per frame: the time from a frame to the normalised object of that frame (`event`: all figures in the frame), then to the tick
that is published (`tick`: the state of the symbol over all its channels), then to the tick's message (`message`). cryptofeed
makes a Ticker of bid, ask and time, ccxt its unified structure. Only those of cryptofeed's handlers are measured that read the
same frames: it takes Binance's trades from another stream, and has no ticker for Bybit's spot market, only a book.

Through to Redis: `load/replay.py` sends the recording over a WebSocket, on a core of its own, once as fast as the reader takes
it and once at a fixed rate. The readers are the ingest as it is shipped (`python -m ingest_okx`), a floor that PUBLISHes each
frame unread, and one that only receives (`deaf`), which shows the highest rate of the load. Figures are per second of the
reader's processor time. The ingest conflates waiting ticks by design: at full rate it publishes the newest tick of each symbol
once per turn of the event loop. cryptofeed writes its tickers to Redis streams. ccxt does not use Redis, so it has no row here.

cryptofeed is installed into benchmarks/.cache at first use, which needs a compiler. It is not in this project's lock file.
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
    parser.add_argument("--exchanges", default="okx,binance,bybit,coinbase,kraken,cryptocom")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--frames", type=int, default=100_000, help="the number of frames recorded of each exchange")
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--rate", type=int, default=10_000, help="frames a second in the pass at a fixed rate")
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
