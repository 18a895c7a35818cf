"""The time from an exchange's sending of a trade to the browser's receipt of the price. Each part is a process of its own.

    python benchmarks/bench.py end_to_end [--quick] [--symbols 200] [--rates 100 1000 5000] [--clients 1 100 1000]
                                          [--seconds 5] [--rounds 3]

The exchanges are simulated, and all symbols get events at the same rate. Each client follows four symbols, so that all symbols
have equally many clients. C programs read the streams. The peer is one Node process that does everything in memory in the
simple way (peers/node/whole.js). It takes turns with the system in each round, on the same simulator. While one of the two is
measured, the other has no symbols to carry.

A delivery counts if its trade is newer than all trades of that symbol before. Its age runs from the exchange's timestamp to the
receipt. The timestamp is in whole milliseconds, rounded down, so ages are up to 1 ms too high, for both. Then the benchmark
measures each hop of the system at 1000 ticks a second, and one hot symbol: 300 additional trades of BTC a second, which the
aggregator conflates to MAX_RATE_HZ.
"""

import argparse
import asyncio
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count as count_up
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import orjson
import uvloop
from websockets.asyncio.client import connect

import report
import system  # noqa: F401 - makes the tests' support importable
from fanout import cores, traffic
from fanout.servers import missing_node
from fanout.traffic import CACHE, Group, Tool
from market_pulse import kinds
from market_pulse.messages import Symbol, decode_tick
from support.stack import Stack, running_stack
from support.waiting import free_port, until

SYMBOLS_PER_STREAM = 100
SYMBOLS_PER_CLIENT = 4
HOP_RATE, HOP_CLIENTS = 1000, 100
HOT_MOVES_PER_S = 100  # each is a trade on all three exchanges
MAX_RATE_HZ = 50
SETTLE_S = 2.0
FULL = 0.95  # above this share of all cores in use, a figure shows the limit of the machine, not of the system
FEATURED = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"]
HOPS = (
    "exchange's send to ingest",
    "ingest: received to published",
    "ingest to price made",
    "price made to browser",
    "whole path",
    "floor: bare client's receipt",
)


class Samples:
    """The latencies of each hop, in milliseconds."""

    def __init__(self) -> None:
        self.by_hop: dict[str, list[float]] = {hop: [] for hop in HOPS}
        self.ticks = self.tickers = 0
        self.cores: dict[str, float] = {}

    def add(self, hop: str, took_ms: float) -> None:
        self.by_hop[hop].append(took_ms)


def now_ms() -> float:
    return time.time_ns() / 1e6


async def browser(stack: Stack, symbols: list[str], samples: Samples) -> None:
    """Read one stream, and measure the age of each exchange time that is new."""
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
    """Receive the same trades as the ingest, and do nothing else with them."""
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
    """Count the ticks on the bus, and measure how long an ingest held each."""

    def on_tick(_: str, message: bytes) -> None:
        tick = decode_tick(message)
        samples.ticks += 1
        if tick.published_time_ms is not None:
            samples.add("ingest: received to published", tick.published_time_ms - tick.received_time_ms)

    async def subscribed(_: bool) -> None:
        pass

    subscriber = stack.bus.subscriber(on_tick, subscribed)
    await subscriber.subscribe_patterns(kinds.TICK.pattern)
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
    """Return the processor time that each part has used so far, in seconds."""
    used = {}
    for name, part in stack.parts.items():
        assert part.process is not None
        fields = Path(f"/proc/{part.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        used[name] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return used


@dataclass(slots=True)
class Figures:
    """The figures of one cell (a rate and a number of clients) in one round."""

    p50_ms: float
    p99_ms: float
    deliveries_per_s: float
    cores: float
    machine: float


class Browsers:
    """Clients that follow a few symbols each. One reader program plays all of them."""

    def __init__(self, port: int, symbols: list[str], count: int, *, hot: bool = False) -> None:
        baskets = [symbols[at : at + SYMBOLS_PER_CLIENT] for at in range(0, len(symbols), SYMBOLS_PER_CLIENT)]
        self.groups = []
        for n, basket in enumerate(baskets):
            clients = count // len(baskets) + (n < count % len(baskets))
            if clients:
                self.groups.append(Group(name=f"g{n}", count=clients, path=f"/api/realtime?symbols={','.join(basket)}"))
        if hot:
            self.groups = [Group(name="hot", count=10, path=f"/api/realtime?symbols={FEATURED[0]}"), *self.groups]
        self._port = port

    async def measure(self, seconds: float, pids: Callable[[], list[int]]) -> tuple[Figures, dict[str, Any]]:
        """Open the streams, let them settle, and return the figures of one window of `seconds`."""
        tool = await asyncio.to_thread(traffic.readers, self._port, self.groups, os.sched_getaffinity(0), only_news=True)
        try:
            opened = await self._ask(tool, "open", 60)
            if opened["failed"]:
                raise traffic.ToolError(f"{opened['failed']} streams did not open")
            await asyncio.sleep(SETTLE_S)
            before_s, idle_s, from_s = cores.cpu_s(pids()), idle_cpu_s(), time.monotonic()
            await self._ask(tool, "window")
            await asyncio.sleep(seconds)
            said = await self._ask(tool, "report")
            took_s = time.monotonic() - from_s
            machine = 1 - (idle_cpu_s() - idle_s) / took_s / len(os.sched_getaffinity(0))
            used = (cores.cpu_s(pids()) - before_s) / took_s
        finally:
            tool.close()
        return Figures(said["p50_ms"], said["p99_ms"], said["ticks"] / said["seconds"], used, machine), said["groups"]

    @staticmethod
    async def _ask(tool: Tool, command: str, within_s: float = 30) -> Any:
        return await asyncio.to_thread(tool.ask, command, within_s)


def idle_cpu_s() -> float:
    """Return the idle time of all cores of this machine so far, in seconds."""
    fields = Path("/proc/stat").read_text().partition("\n")[0].split()
    return (int(fields[4]) + int(fields[5])) / os.sysconf("SC_CLK_TCK")


@asynccontextmanager
async def followed(stack: Stack, symbols: list[str]) -> AsyncIterator[None]:
    """Subscribe to symbols on the bus, so that all of them stream even while a cell has few clients."""

    async def subscribed(_: bool) -> None:
        pass

    subscriber = stack.bus.subscriber(lambda _, __: None, subscribed)
    await subscriber.subscribe(*(kinds.TICKER.channel(Symbol(symbol)) for symbol in symbols))
    async with background(asyncio.create_task(subscriber.run())):
        await until(lambda: carried(stack, len(symbols)), 60)
        yield


async def carried(stack: Stack, count: int) -> bool:
    """Return whether every exchange delivers `count` symbols."""
    status = (await stack.http.get("/api/status")).json()
    return all(feed["symbols"] >= count for feed in status["exchanges"].values())


@asynccontextmanager
async def node_peer(stack: Stack, symbols: list[str]) -> AsyncIterator[tuple[int, int]]:
    """Run the peer on the same simulator; yield its port and its process id."""
    port = free_port()
    simulator = str(stack.control.base_url).replace("http", "ws", 1).rstrip("/")
    environment = os.environ | {"SIMULATOR": simulator, "PORT": str(port), "SYMBOLS": ",".join(symbols)}
    process = await asyncio.create_subprocess_exec("node", "whole.js", cwd=CACHE / "node", env=environment)
    try:
        await until(lambda: accepts(port), 20)
        await asyncio.sleep(SETTLE_S + len(symbols) / 10 * 0.12)  # the time that its subscriptions take
        yield port, process.pid
        if process.returncode is not None:
            raise traffic.ToolError("the Node peer has ended")
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


def parts_of(stack: Stack) -> list[int]:
    """Return the process ids of the system: all parts but the simulator, and Redis."""
    pids = [part.process.pid for name, part in stack.parts.items() if name != "simulator" and part.process is not None]
    return [*pids, stack.server.pid]


async def round_of(stack: Stack, options: argparse.Namespace, symbols: list[str], series: "Series") -> None:
    """Measure every cell once, first on the system, then on its peer."""
    gateway = stack.http.base_url.port
    assert gateway is not None
    async with followed(stack, symbols):
        await cells(stack, options, symbols, series.ours, gateway, lambda: parts_of(stack))
    await until(lambda: released(stack), 60)
    async with node_peer(stack, symbols) as (port, pid):
        await cells(stack, options, symbols, series.node, port, lambda: [pid])


async def released(stack: Stack) -> bool:
    """Return whether the exchanges stream only the featured symbols."""
    status = (await stack.http.get("/api/status")).json()
    return all(feed["symbols"] <= len(FEATURED) for feed in status["exchanges"].values())


Cell = tuple[float, int]


@dataclass(slots=True)
class Series:
    """The figures of each cell, round after round."""

    ours: dict[Cell, list[Figures]] = field(default_factory=lambda: defaultdict(list))
    node: dict[Cell, list[Figures]] = field(default_factory=lambda: defaultdict(list))


async def cells(
    stack: Stack,
    options: argparse.Namespace,
    symbols: list[str],
    into: dict[Cell, list[Figures]],
    port: int,
    pids: Callable[[], list[int]],
) -> None:
    for rate in options.rates:
        await stack.limit_market(symbols, rate, evenly=True)
        for count in options.clients:
            figures, _ = await Browsers(port, symbols, count).measure(options.seconds, pids)
            into[rate, count].append(figures)


async def hot(stack: Stack, symbols: list[str], seconds: float) -> dict[str, Any]:
    """Move one symbol HOT_MOVES_PER_S times a second in addition to the usual events; return its readers' report."""
    gateway = stack.http.base_url.port
    assert gateway is not None
    price = (await stack.http.get("/api/ticker/BTC")).json()["price"]

    async def move() -> None:
        for n in count_up():
            change = {"symbol": FEATURED[0], "price": price * (1 + n % 2 / 10_000)}
            (await stack.control.post("/control/market", json=change)).raise_for_status()
            await asyncio.sleep(max(0.0, started_s + n / HOT_MOVES_PER_S - time.monotonic()))

    started_s = time.monotonic()
    async with background(asyncio.create_task(move())):
        _, groups = await Browsers(gateway, symbols, HOP_CLIENTS, hot=True).measure(seconds, lambda: parts_of(stack))
    figures: dict[str, Any] = groups["hot"]
    return figures


async def hops(stack: Stack, symbols: list[str], seconds: float) -> Samples:
    """Measure the latency of each hop. The whole path comes first, then the single hops, so that neither disturbs the other."""
    samples = Samples()
    batches = [symbols[at : at + SYMBOLS_PER_STREAM] for at in range(0, len(symbols), SYMBOLS_PER_STREAM)]
    async with background(*(asyncio.create_task(browser(stack, batch, samples)) for batch in batches)):
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


def show_cells(series: Series) -> None:
    rows: list[tuple[report.Cell, ...]] = []
    for (rate, count), ours in series.ours.items():
        node = series.node[rate, count]
        full = [name for name, figures in (("ours", ours), ("Node", node)) if median(one.machine for one in figures) > FULL]
        rows.append(
            (
                f"{rate:,.0f}",
                count,
                *(report.spread([getattr(one, name) for one in ours]) for name in ("p50_ms", "p99_ms")),
                *(report.spread([getattr(one, name) for one in node]) for name in ("p50_ms", "p99_ms")),
                report.ratio([one.p99_ms for one in ours], [one.p99_ms for one in node]),
                *(median(one.deliveries_per_s for one in figures) for figures in (ours, node)),
                *(median(one.cores for one in figures) for figures in (ours, node)),
                ", ".join(full) or "no",
            )
        )
    times = ("p50 ms", "p99 ms", "Node: p50 ms", "p99 ms", "p99 / Node's")
    columns = ("ticks/s", "clients", *times, "deliveries/s", "Node", "cores", "Node", "machine full")
    report.table("From the exchange to the browser, beside one Node process", columns, rows)


def show_hops(rounds: list[Samples], seconds: float) -> None:
    rows: list[tuple[report.Cell, ...]] = []
    for hop in HOPS:
        p50, p99 = zip(*(percentiles(one.by_hop[hop]) for one in rounds), strict=True)
        rows.append((hop, report.spread(p50), report.spread(p99), sum(len(one.by_hop[hop]) for one in rounds)))
    title = f"Where the time goes: {HOP_RATE} ticks a second, two streams of {SYMBOLS_PER_STREAM} symbols"
    report.table(title, ("hop", "p50 ms", "p99 ms", "samples"), rows)
    shares = {name: median(one.cores[name] for one in rounds) for name in rounds[0].cores}
    print("cores used: " + ", ".join(f"{name} {share:.2f}" for name, share in shares.items()))
    for name in ("ticks", "tickers"):
        print(f"{name} a second: {median(getattr(one, name) for one in rounds) / seconds:.0f}")


def show_goals(series: Series, hot_p99_ms: list[float]) -> None:
    """Compare the figures with their goals, for those cells that were measured."""
    print()
    for clients, most in ((100, 2.5), (1000, 1.0)):
        ours, node = series.ours.get((HOP_RATE, clients)), series.node.get((HOP_RATE, clients))
        if not ours or not node:
            continue
        if clients == 100:
            goal("p50 at 1,000 ticks/s, 100 clients", median(one.p50_ms for one in ours), 3, "ms")
            goal("p99 there", median(one.p99_ms for one in ours), 10, "ms")
        ratio = report.ratio([one.p99_ms for one in ours], [one.p99_ms for one in node])
        if ratio is not None:
            goal(f"p99 with {clients:,} clients / Node's", ratio, most, "")
    goal("p99 of one symbol at 300 trades/s", median(hot_p99_ms), 1000 / MAX_RATE_HZ + 10, "ms")


def goal(what: str, figure: float, most: float, unit: str) -> None:
    print(f"- {what}: {figure:.3g} {unit}, goal at most {most:g}: {'met' if figure <= most else 'MISSED'}")


def main(arguments: list[str]) -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.py end_to_end", description=__doc__, formatter_class=plain)
    parser.add_argument("--quick", action="store_true", help="only one round, of the cells that have goals")
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--rates", type=float, nargs="+", default=[100, 1000, 5000], help="market events a second, in all")
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 100, 1000])
    parser.add_argument("--seconds", type=float, default=5, help="length of each measurement")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args(arguments)
    if options.quick:
        options.rates, options.clients, options.rounds = [HOP_RATE], [100, 1000], 1
    print(report.packages("websockets", "redis", "hiredis", "uvicorn", "uvloop", "orjson"))
    if reason := missing_node():
        raise SystemExit(f"the peer cannot run: {reason}")
    print(f"Node {report.program('node', '--version')}, ws of peers/node/package-lock.json", flush=True)
    uvloop.run(run(options))


async def run(options: argparse.Namespace) -> None:
    """Start all parts, measure all rounds and print the results."""
    with tempfile.TemporaryDirectory() as folder:
        limits = {"MAX_SYMBOLS": str(max(options.symbols, 4)), "SYMBOL_GRACE_S": "1", "MAX_STREAMS_PER_IP": "1000"}
        async with running_stack(Path(folder), **limits) as stack:
            listings = await stack.bus.listings()
            common = frozenset.intersection(*listings.values())
            others = sorted(symbol for symbol in common if symbol.endswith("-USDT") and symbol not in FEATURED)
            symbols = [*FEATURED, *others][: options.symbols]
            print(f"{len(symbols)} symbols that move alike, {options.rounds} rounds", flush=True)
            series, hop_rounds, hot_p99_ms = Series(), list[Samples](), list[float]()
            for _ in range(options.rounds):
                await round_of(stack, options, symbols, series)
                async with followed(stack, symbols):
                    await stack.limit_market(symbols, HOP_RATE, evenly=True)
                    await asyncio.sleep(SETTLE_S)
                    hop_rounds.append(await hops(stack, symbols, options.seconds))
                    hot_p99_ms.append((await hot(stack, symbols, options.seconds))["p99_ms"])
                await until(lambda: released(stack), 60)
            show_cells(series)
            show_hops(hop_rounds, options.seconds)
            show_goals(series, hot_p99_ms)
