"""How long from an exchange's send of a trade to the browser's receipt, hop by hop, with every part a process of its own.

    python benchmarks/end_to_end.py [--symbols 200] [--rate 1000] [--seconds 20] [--rounds 3]

The simulator stamps each trade when it sends it; all clocks are this machine's, in milliseconds. Beside the whole path, in the
same run and on the same messages, stands a floor: a bare WebSocket client of the simulator that does nothing with what it gets.
"""

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from pathlib import Path
from statistics import median, quantiles

import httpx
import orjson
from websockets.asyncio.client import connect

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from market_pulse import channels
from market_pulse.codec import decode_tick
from market_pulse.subscriber import Subscriber
from support.stack import Stack, running_stack

SYMBOLS_PER_STREAM = 100
HOPS = (
    "exchange's send to ingest",
    "ingest: received to published",
    "ingest to price made",
    "price made to browser",
    "whole path",
    "floor: bare client's receipt",
)


class Samples:
    """Milliseconds per hop."""

    def __init__(self) -> None:
        self.by_hop: dict[str, list[float]] = {hop: [] for hop in HOPS}
        self.ticks = self.tickers = 0

    def add(self, hop: str, took_ms: float) -> None:
        self.by_hop[hop].append(took_ms)


def now_ms() -> float:
    return time.time_ns() / 1e6


async def browser(base_url: str, symbols: list[str], samples: Samples) -> None:
    """Read one stream, and time each exchange time that was not seen before."""
    seen: dict[str, int] = {}
    async with (
        httpx.AsyncClient(base_url=base_url, timeout=None) as client,
        client.stream("GET", "/api/realtime", params={"symbols": ",".join(symbols)}) as response,
    ):
        async for line in response.aiter_lines():
            if not line.startswith('data: {"type":"ticker"'):
                continue
            arrived_ms = now_ms()
            ticker = orjson.loads(line[6:])["data"]
            samples.tickers += 1
            if ticker["exchangeTime"] is None or ticker["exchangeTime"] <= seen.get(ticker["symbol"], 0):
                continue
            first = ticker["symbol"] not in seen
            seen[ticker["symbol"]] = ticker["exchangeTime"]
            if not first:
                samples.add("exchange's send to ingest", ticker["receivedTime"] - ticker["exchangeTime"])
                samples.add("ingest to price made", ticker["aggregatedTime"] - ticker["receivedTime"])
                samples.add("price made to browser", arrived_ms - ticker["aggregatedTime"])
                samples.add("whole path", arrived_ms - ticker["exchangeTime"])


async def bare_client(ws_url: str, symbols: list[str], samples: Samples) -> None:
    """Receive the same trades as the ingest does, and nothing else."""
    streams = [f"{symbol.replace('-', '').lower()}@trade" for symbol in symbols]
    async with connect(ws_url + "/stream", compression=None) as socket:
        await socket.send(orjson.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}).decode())
        async for frame in socket:
            message = orjson.loads(frame)
            if "data" in message:
                samples.add("floor: bare client's receipt", now_ms() - message["data"]["E"])


@asynccontextmanager
async def background(*jobs: "asyncio.Task[None]") -> AsyncIterator[None]:
    try:
        yield
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


async def measure(stack: Stack, symbols: list[str], seconds: float) -> Samples:
    samples = Samples()

    def on_tick(_: str, message: bytes) -> None:
        tick = decode_tick(message)
        samples.ticks += 1
        if tick.published_time_ms is not None:
            samples.add("ingest: received to published", tick.published_time_ms - tick.received_time_ms)

    async def subscribed(_: bool) -> None:
        pass

    subscriber = Subscriber(stack.bus.client, on_tick, subscribed)
    await subscriber.subscribe_patterns(channels.ALL_TICKS)
    batches = [symbols[at : at + SYMBOLS_PER_STREAM] for at in range(0, len(symbols), SYMBOLS_PER_STREAM)]
    jobs = [asyncio.create_task(browser(str(stack.http.base_url), batch, samples)) for batch in batches]
    jobs += [
        asyncio.create_task(subscriber.run()),
        asyncio.create_task(bare_client(str(stack.control.base_url).replace("http", "ws", 1).rstrip("/"), symbols, samples)),
    ]
    async with background(*jobs):
        await asyncio.sleep(seconds)
    return samples


def percentiles(values: list[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100)
    return median(values), cuts[98]


def report(rounds: list[Samples], seconds: float) -> None:
    print("\n| hop | p50 ms | p99 ms | samples |\n|---|---|---|---|")
    for hop in HOPS:
        figures = [percentiles(one.by_hop[hop]) for one in rounds]
        count = sum(len(one.by_hop[hop]) for one in rounds)
        print(f"| {hop} | {median(p50 for p50, _ in figures):.1f} | {median(p99 for _, p99 in figures):.1f} | {count} |")
    whole = median(percentiles(one.by_hop["whole path"])[0] for one in rounds)
    floor = median(percentiles(one.by_hop["floor: bare client's receipt"])[0] for one in rounds)
    print(f"\nwhole path / floor, p50: {whole / max(floor, 0.1):.1f}")
    for name in ("ticks", "tickers"):
        print(f"{name} a second: {median(getattr(one, name) for one in rounds) / seconds:.0f}")


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--rate", type=float, default=1000, help="market events a second, over all exchanges and symbols")
    parser.add_argument("--seconds", type=float, default=20, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}, load {os.getloadavg()[0]:.1f}")
    print(", ".join(f"{name} {version(name)}" for name in ("websockets", "redis", "hiredis", "uvicorn", "uvloop", "orjson")))
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(Path(folder), MAX_SYMBOLS=str(max(options.symbols, 4))) as stack:
            listings = await stack.bus.listings()
            common = frozenset.intersection(*listings.values())
            featured = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"]
            others = sorted(symbol for symbol in common if symbol.endswith("-USDT") and symbol not in featured)
            symbols = [*featured, *others][: options.symbols]
            await stack.limit_market(symbols, options.rate)
            print(
                f"{len(symbols)} symbols, {options.rate:.0f} market events a second, {options.rounds} rounds of {options.seconds:.0f} s"
            )
            await measure(stack, symbols, 5)  # warm: every symbol subscribed everywhere
            report([await measure(stack, symbols, options.seconds) for _ in range(options.rounds)], options.seconds)


if __name__ == "__main__":
    asyncio.run(main())
