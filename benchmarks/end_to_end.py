"""How long from an exchange's send of a trade to the browser's receipt, hop by hop, with every part a process of its own.

    python benchmarks/bench.py end_to_end [--symbols 200] [--rate 1000] [--seconds 20] [--rounds 3]

The simulator stamps each trade when it sends it; all clocks are this machine's, in milliseconds. Beside the whole path, in the
same run and on the same messages, stands a floor: a bare WebSocket client of the simulator that does nothing with what it gets.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median, quantiles

import orjson
import uvloop
from websockets.asyncio.client import connect

import report
import system  # noqa: F401 - makes the tests' support importable
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
        self.cores: dict[str, float] = {}

    def add(self, hop: str, took_ms: float) -> None:
        self.by_hop[hop].append(took_ms)


def now_ms() -> float:
    return time.time_ns() / 1e6


async def browser(stack: Stack, symbols: list[str], samples: Samples) -> None:
    """Read one stream, and time each exchange time that was not seen before."""
    seen: dict[str, int] = {}
    reader, writer = await asyncio.open_connection(stack.http.base_url.host, stack.http.base_url.port, limit=2**20)
    writer.write(f"GET /api/realtime?symbols={','.join(symbols)} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    try:
        while line := await reader.readline():
            if not line.startswith(b'data: {"type":"ticker"'):
                continue
            arrived_ms = now_ms()
            ticker = orjson.loads(line[6:])["data"]
            samples.tickers += 1
            symbol, sent_ms = ticker["symbol"], ticker["exchangeTime"]
            if sent_ms is None or sent_ms <= seen.get(symbol, 0):
                continue
            first = symbol not in seen
            seen[symbol] = sent_ms
            if not first:
                samples.add("exchange's send to ingest", ticker["receivedTime"] - sent_ms)
                samples.add("ingest to price made", ticker["aggregatedTime"] - ticker["receivedTime"])
                samples.add("price made to browser", arrived_ms - ticker["aggregatedTime"])
                samples.add("whole path", arrived_ms - sent_ms)
    finally:
        writer.close()


async def bare_client(stack: Stack, symbols: list[str], samples: Samples) -> None:
    """Receive the same trades as the ingest does, and nothing else."""
    url = str(stack.control.base_url).replace("http", "ws", 1).rstrip("/")
    streams = [f"{symbol.replace('-', '').lower()}@trade" for symbol in symbols]
    async with connect(url + "/stream", compression=None) as socket:
        await socket.send(orjson.dumps({"method": "SUBSCRIBE", "params": streams, "id": 1}).decode())
        async for frame in socket:
            arrived_ms = now_ms()
            message = orjson.loads(frame)
            if "data" in message:
                samples.add("floor: bare client's receipt", arrived_ms - message["data"]["E"])


async def bus_reader(stack: Stack, samples: Samples) -> None:
    """Count the ticks on the bus, and time how long an ingest held each."""

    def on_tick(_: str, message: bytes) -> None:
        tick = decode_tick(message)
        samples.ticks += 1
        if tick.published_time_ms is not None:
            samples.add("ingest: received to published", tick.published_time_ms - tick.received_time_ms)

    async def subscribed(_: bool) -> None:
        pass

    subscriber = Subscriber(stack.bus.client, on_tick, subscribed)
    await subscriber.subscribe_patterns(channels.ALL_TICKS)
    await subscriber.run()


@asynccontextmanager
async def background(*jobs: "asyncio.Task[None]") -> AsyncIterator[None]:
    try:
        yield
    finally:
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)


def cpu_seconds(stack: Stack) -> dict[str, float]:
    """Return the processor time that each part has used so far."""
    used = {}
    for name, part in stack.parts.items():
        assert part.process is not None
        fields = Path(f"/proc/{part.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        used[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


async def measure(stack: Stack, symbols: list[str], seconds: float) -> Samples:
    """Run one round: the whole path alone, then what is measured at other places, so that neither disturbs the other."""
    samples = Samples()
    batches = [symbols[at : at + SYMBOLS_PER_STREAM] for at in range(0, len(symbols), SYMBOLS_PER_STREAM)]
    browsers = [asyncio.create_task(browser(stack, batch, samples)) for batch in batches]
    async with background(*browsers):
        before = cpu_seconds(stack)
        await asyncio.sleep(seconds)
        samples.cores = {name: (used - before[name]) / seconds for name, used in cpu_seconds(stack).items()}
    aside = [asyncio.create_task(bare_client(stack, symbols, samples)), asyncio.create_task(bus_reader(stack, samples))]
    async with background(*aside):
        await asyncio.sleep(seconds)
    return samples


def percentiles(values: list[float]) -> tuple[float, float]:
    cuts = quantiles(values, n=100)
    return median(values), cuts[98]


def show(rounds: list[Samples], seconds: float) -> None:
    rows: list[tuple[report.Cell, ...]] = []
    for hop in HOPS:
        p50, p99 = zip(*(percentiles(one.by_hop[hop]) for one in rounds), strict=True)
        rows.append((hop, report.spread(p50), report.spread(p99), sum(len(one.by_hop[hop]) for one in rounds)))
    report.table("From the exchange to the browser", ("hop", "p50 ms", "p99 ms", "samples"), rows)
    whole, floor = (
        [percentiles(one.by_hop[hop])[0] for one in rounds] for hop in ("whole path", "floor: bare client's receipt")
    )
    print(f"\nwhole path / floor, p50: {report.cell(report.ratio(whole, floor))}")
    shares = {name: median(one.cores[name] for one in rounds) for name in rounds[0].cores}
    print("cores used: " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()))
    for name in ("ticks", "tickers"):
        print(f"{name} a second: {median(getattr(one, name) for one in rounds) / seconds:.0f}")


def main(arguments: list[str]) -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.py end_to_end", description=__doc__, formatter_class=plain)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--rate", type=float, default=1000, help="market events a second, over all exchanges and symbols")
    parser.add_argument("--seconds", type=float, default=20, help="length of a round")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    print(report.packages("websockets", "redis", "hiredis", "uvicorn", "uvloop", "orjson"))
    uvloop.run(run(options.symbols, options.rate, options.seconds, options.rounds))


async def run(count: int, rate: float, seconds: float, rounds: int) -> None:
    """Start all parts, let so many symbols move, measure the rounds and show what came out."""
    with tempfile.TemporaryDirectory() as folder:
        async with running_stack(Path(folder), MAX_SYMBOLS=str(max(count, 4))) as stack:
            listings = await stack.bus.listings()
            common = frozenset.intersection(*listings.values())
            featured = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"]
            others = sorted(symbol for symbol in common if symbol.endswith("-USDT") and symbol not in featured)
            symbols = [*featured, *others][:count]
            await stack.limit_market(symbols, rate)
            amount = f"{len(symbols)} symbols, {rate:.0f} market events a second"
            print(f"{amount}, {rounds} rounds of {seconds:.0f} s")
            await measure(stack, symbols, 5)  # warm: every symbol subscribed everywhere
            show([await measure(stack, symbols, seconds) for _ in range(rounds)], seconds)
