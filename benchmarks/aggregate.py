"""The aggregator's speed: the price function alone, and the way from ticks to tickers, beside a program that only republishes.

    python benchmarks/bench.py aggregate [--against REVISION] [--rounds 5] [--seconds 3] [--rates 1000,10000,30000]

The price is made of three sources, and of six that agree, three of which are converted. With `--against`, the price function
of an earlier revision runs in turn with this one, each in a process of its own. A figure is the lowest of many short repeats,
since a disturbance can only add time.

Then the benchmark sends ticks of three exchanges, over a Valkey of its own, to the aggregator as it is shipped, and in turn to
`peers/republish.py`, which only parses and republishes each tick: `floor` with the bus's own decoder, `bare` as any JSON. Both
send as many messages as the aggregator would, by the same clock, and of about the same length. A slower program sends fewer
only when it is short of processor time, because more ticks then share a ticker. So the messages that each sent are shown
beside its throughput, and the processor time per tick is comparable at the rates with which all keep up. "Six sources" is the
aggregator, too: half of its ticks are of markets in USDT, each of which it converts into a source of a symbol in USD. It makes
tickers of both.

Latency runs from the write of the newest tick in a ticker to the ticker's arrival here. It includes the wait for the symbol's
turn (MAX_RATE_HZ), which is the same in all three. Throughput is in ticks per second of processor time, measured while more
ticks wait than the process can take.
"""

import argparse
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import uvloop

import report
import system  # noqa: F401 - makes the tests' support importable
from fanout.cores import cpu_s
from market_pulse import kinds
from market_pulse.messages import Symbol, Tick, encode_tick
from market_pulse.process.clock import now_ms
from support.redis_server import RedisServer, redis_server
from support.waiting import free_port

HERE = Path(__file__).parent
EXCHANGES = ("binance", "bybit", "okx")
DOLLAR_EXCHANGES = ("coinbase", "kraken", "cryptocom")
SIX = "six sources"
SYMBOL_COUNTS = (4, 200, 1000)
BURST = 60_000
START_LIMIT_S = 20.0
SETTLE_S = 0.5
STEP_S = 0.001

PRICE = """
import gc, inspect, time
try:
    from market_pulse.messages import Symbol, Tick
except ImportError:  # an earlier revision
    from market_pulse.model import Symbol, Tick
from aggregator.market import SymbolState
from aggregator.methodology import aggregate
try:
    from aggregator.parameters import Parameters
except ImportError:  # an earlier revision
    from aggregator.result import Parameters
NOW_MS = 1_790_000_000_000
def tick(exchange, price, turnover):
    return Tick(exchange=exchange, symbol=Symbol("BTC-USDT"), price=price, bid=price - 0.1, ask=price + 0.1, open24h=62000.0,
                high24h=65000.0, low24h=61000.0, volume24h=12345.678, quote_volume24h=turnover, dp=2,
                exchange_time_ms=NOW_MS - 120, received_time_ms=NOW_MS - 100, published_time_ms=NOW_MS - 99)
parameters = Parameters()
state = SymbolState(Symbol("BTC-USDT"))
for one in (tick("binance", 64000.1, 1.8e9), tick("bybit", 64001.2, 6e8), tick("okx", SPREAD, 4e8)):
    state.ticks[one.exchange] = one
legs = ()
if CONVERTED:
    from aggregator.conversion import LegTicks, Rate
    from market_pulse.messages import Source
    from msgspec.structs import replace
    symbol = Symbol("USDT-USD")
    sources = [Source(exchange=name, price=0.9997, used_price=0.9997, weight=0.5, age_ms=100, state="used") for name in "ab"]
    ticker = replace(SymbolState(symbol).last, seq=7, price=0.9997, bid=0.9996, ask=0.9998, open24h=0.9995, confidence=0.0001,
                     quality="ok", sources=tuple(sources), exchange_time_ms=NOW_MS - 90, aggregated_time_ms=NOW_MS - 80)
    ticks = {name: tick(name, price, turnover) for name, price, turnover in
             (("gate", 64020.0, 1.8e9), ("kucoin", 64030.0, 6e8), ("mexc", 64015.0, 4e8))}
    legs = (LegTicks(ticks, symbol, Rate.of(ticker, NOW_MS - 70)),)
    price = lambda: aggregate(NOW_MS, state.ticks, frozenset(), state.last, parameters, legs)
    assert price()[0].sources_used == 6
elif "flags" in inspect.signature(aggregate).parameters:  # an earlier revision
    price = lambda: aggregate(NOW_MS, state.ticks, frozenset(), None, parameters)
else:
    price = lambda: aggregate(NOW_MS, state.ticks, frozenset(), state.last, parameters)
ticker = lambda: state.make_ticker(NOW_MS, parameters, (), legs) if legs else state.make_ticker(NOW_MS, parameters)
gc.disable()
for call in (price, ticker):
    least = 1e9
    for _ in range(400):
        began = time.perf_counter()
        for _ in range(100):
            call()
        least = min(least, time.perf_counter() - began)
    print(least / 100 * 1e6)
"""
AGREE, CONVERTED, ROUNDED = "three agree", "six agree, three of them converted", "a ticker, rounded"
STATES = {AGREE: 63999.5, "one 2 % off": 62720.0, "one 5 % off": 60800.0}
"""The price of the third source."""


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(
        "bench.py aggregate", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--against", metavar="REVISION", help="an earlier revision in git, for the price function")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3.0, help="the duration of each rate")
    parser.add_argument("--rates", default="1000,10000,30000", help="ticks a second, over all symbols and exchanges")
    parser.add_argument("--symbols", default=",".join(map(str, SYMBOL_COUNTS)), help="how many symbols")
    options = parser.parse_args(arguments)
    print(report.packages("msgspec", "orjson", "redis", "hiredis", "uvloop", "prometheus-client"))
    measure_price(options.against, options.rounds)
    rates = [int(rate) for rate in options.rates.split(",") if rate]
    counts = [int(count) for count in options.symbols.split(",") if count]
    uvloop.run(measure_path(counts, rates, options.rounds, options.seconds))


def measure_price(revision: str | None, rounds: int) -> None:
    """Print the time to make one price and one ticker. With a revision, measure that in turn with the present code.

    Also print how much longer it takes with three converted sources more.
    """
    names = [name for name in ("now", revision) if name is not None]
    figures: dict[tuple[str, str, str], list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        if revision is not None:
            sources = "services/aggregator/src", "shared/src"
            archive = subprocess.run(["git", "archive", revision, *sources], cwd=HERE.parent, capture_output=True, check=True)
            subprocess.run(["tar", "x", "-C", folder], input=archive.stdout, check=True)
        for _ in range(rounds):
            for state, price in STATES.items():
                for name in names:
                    root = HERE.parent if name == "now" else Path(folder)
                    for what, figure in price_costs(root, price, is_converted=False).items():
                        figures.setdefault((state, what, name), []).append(figure)
            for what, figure in price_costs(HERE.parent, STATES[AGREE], is_converted=True).items():
                figures.setdefault((CONVERTED, what, "now"), []).append(figure)
    rows = [
        (state, what, name, report.spread(costs), report.ratio(costs, figures[state, what, "now"]))
        for (state, what, name), costs in sorted(figures.items())
    ]
    report.table("One price", ("sources", "what", "revision", "us", "ratio to now"), rows)
    more = [
        (what, *(report.ratio(figures[CONVERTED, what, "now"], figures[AGREE, what, name]) for name in names))
        for what in ("aggregate", ROUNDED)
    ]
    report.table("Three converted sources more", ("what", *(f"six to three, {name}" for name in names)), more)


def price_costs(root: Path, price: float, *, is_converted: bool) -> dict[str, float]:
    """Return the microseconds to make one price and one ticker with the code of a folder. `price` is the third source's."""
    answer = subprocess.run(
        [sys.executable, "-c", PRICE.replace("SPREAD", str(price)).replace("CONVERTED", str(is_converted))],
        env=os.environ | {"PYTHONPATH": f"{root / 'services/aggregator/src'}:{root / 'shared/src'}"},
        capture_output=True,
        check=True,
    )
    return dict(zip(("aggregate", ROUNDED), map(float, answer.stdout.split()), strict=True))


@dataclass
class Figures:
    """One program's figures in one scene, one a round."""

    tick_us: list[float] = field(default_factory=list)
    p50_ms: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    tickers_per_tick: list[float] = field(default_factory=list)


REPUBLISH = str(HERE / "peers/republish.py")
CONTENDERS = {
    "aggregator": ["-m", "aggregator"],
    SIX: ["-m", "aggregator"],
    "floor": [REPUBLISH],
    "bare": [REPUBLISH, "--bare"],
}


async def measure_path(counts: Sequence[int], rates: Sequence[int], rounds: int, seconds: float) -> None:
    """Measure all programs with each count of symbols; print latency and processor time at each rate, then throughput."""
    scenes = [(count, rate) for count in counts for rate in [*rates, None]]
    all_figures = {scene: {name: Figures() for name in CONTENDERS} for scene in scenes}
    for _ in range(rounds):
        for count in counts:
            for name in CONTENDERS:
                is_six = name == SIX
                async with (
                    redis_server() as server,
                    contender(name, server, 2 * count + 1 if is_six else count) as pid,
                    loading(server, count, is_six=is_six) as load,
                ):
                    for rate in [*rates, None]:
                        await load.measure(pid, rate, seconds, all_figures[count, rate][name])
    print_latencies({scene: by_name for scene, by_name in all_figures.items() if scene[1] is not None})
    print_throughputs({count: by_name for (count, rate), by_name in all_figures.items() if rate is None})


def print_latencies(all_figures: "Mapping[tuple[int, int | None], Mapping[str, Figures]]") -> None:
    rows: list[tuple[report.Cell, ...]] = []
    for (count, rate), by_name in all_figures.items():
        for name, figures in by_name.items():
            medians = [median(one) for one in (figures.p50_ms, figures.p99_ms, figures.tickers_per_tick)]
            floor = report.ratio(by_name["floor"].tick_us, figures.tick_us)
            rows.append((f"{count:,}", f"{rate:,}", name, *medians, report.spread(figures.tick_us), floor))
    columns = (
        "symbols",
        "ticks/s",
        "who",
        "p50 ms",
        "p99 ms",
        "tickers per tick",
        "processor time per tick, us",
        "floor to it",
    )
    report.table("Ticks in, tickers out", columns, rows)


def print_throughputs(all_figures: "Mapping[int, Mapping[str, Figures]]") -> None:
    rows = []
    for count, by_name in all_figures.items():
        ours = [1e6 / one for one in by_name["aggregator"].tick_us]
        for name, figures in by_name.items():
            theirs = [1e6 / one for one in figures.tick_us]
            rows.append(
                (f"{count:,}", name, report.spread(theirs), median(figures.tickers_per_tick), report.ratio(ours, theirs))
            )
    columns = ("symbols", "who", "ticks/s per core", "tickers per tick", "aggregator to it")
    report.table("Throughput", columns, rows)


@asynccontextmanager
async def contender(name: str, server: RedisServer, symbols: int) -> AsyncIterator[int]:
    """Run the aggregator or a floor while the context lasts; yield its process id."""
    environment: Mapping[str, str] = os.environ | {
        "REDIS_URL": server.url,
        "HEALTH_PORT": str(free_port()),
        "MAX_AGGREGATED_SYMBOLS": str(symbols),
        "LOG_FORMAT": "json",
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable, *CONTENDERS[name], env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_LIMIT_S):
            while b"subscribed" not in (line := await process.stdout.readline()) and b"ready" not in line:
                assert line, "it ended at once"
        reading = asyncio.create_task(process.stdout.read())
        yield process.pid
    finally:
        process.kill()
        await process.wait()
        reading.cancel()


class Load(asyncio.Protocol):
    """Publishes ticks at a rate and times the tickers that are made of them.

    The bid of each tick is its sequence number, and no tick has an ask. A ticker's bid is the highest of its sources, so it
    is the number of the newest tick in it.
    """

    NUMBER = re.compile(rb'"seq":\d+,.{0,200}?"bid":(\d+)[.,]')  # the ticker's own: those of its "sources" come later
    HEAD = 256  # the number is within this many bytes of the message

    def __init__(self, publishing: asyncio.WriteTransport, symbols: int, *, is_six: bool) -> None:
        self.number = 0
        self.sent_s: dict[int, float] = {}
        self.delays_s: list[float] = []
        self.newest = 0
        self._rest = b""
        self._is_six = is_six
        self._templates = [template(exchange, symbol_of(at)) for at in range(symbols) for exchange in EXCHANGES]
        if is_six:
            self._templates += [template(name, symbol_of(at, "USD")) for at in range(symbols) for name in DOLLAR_EXCHANGES]
        self._publishing = publishing

    def data_received(self, data: bytes) -> None:
        arrived_s = time.perf_counter()
        data = self._rest + data
        end = max(len(data) - self.HEAD, 0)
        for found in self.NUMBER.finditer(data):
            end = max(end, found.end())
            number = int(found[1])
            self.newest = max(self.newest, number)
            sent_s = self.sent_s.pop(number, None)  # a heartbeat repeats a number, of which only the first counts
            if sent_s is not None:
                self.delays_s.append(arrived_s - sent_s)
        self._rest = data[end:]

    async def measure(self, pid: int, rate: int | None, seconds: float, figures: Figures) -> None:
        """Publish at a rate or, if it is None, as fast as the ticks are taken; add the measured values to the figures."""
        ticks = BURST if rate is None else round(rate * seconds)
        if self._is_six:
            self._send_rate()
            await asyncio.sleep(SETTLE_S)
        self._send(len(self._templates))  # so that each symbol has all its sources before the measurement
        await self._until_answered()
        self.sent_s.clear()
        self.delays_s.clear()
        used_s = cpu_s([pid])
        if rate is None:
            for _ in range(0, ticks, 1000):
                self._send(1000)
                await asyncio.sleep(0)
        else:
            began_s, sent = time.perf_counter(), 0
            while sent < ticks:
                due = min(ticks, int((time.perf_counter() - began_s) * rate))
                self._send(due - sent)
                sent = due
                await asyncio.sleep(STEP_S)
        await self._until_answered()
        used_s = cpu_s([pid]) - used_s
        cuts = quantiles(self.delays_s, n=100)
        figures.tick_us.append(used_s / ticks * 1e6)
        figures.p50_ms.append(cuts[49] * 1e3)
        figures.p99_ms.append(cuts[98] * 1e3)
        figures.tickers_per_tick.append(len(self.delays_s) / ticks)

    def _send(self, count: int) -> None:
        if count <= 0:
            return
        received = b"%013d" % now_ms()
        frames: list[bytes] = []
        sent_s = time.perf_counter()
        for _ in range(count):
            self.number += 1
            head, middle, tail = self._templates[self.number * 7 % len(self._templates)]
            frames += head, b"%09d" % (self.number + 100_000_000), middle, received, tail
            self.sent_s[self.number + 100_000_000] = sent_s
        self._publishing.write(b"".join(frames))

    def _send_rate(self) -> None:
        """Publish the rate's ticks. It is 1, so a tick's number is the bid of its converted source, too."""
        symbol = Symbol("USDT-USD")
        for exchange in DOLLAR_EXCHANGES:
            tick = Tick(exchange=exchange, symbol=symbol, price=1.0, bid=1.0, ask=1.0, dp=4, received_time_ms=now_ms())
            self._publishing.write(command(kinds.TICK.channel(exchange, symbol).encode(), encode_tick(tick, now_ms())))

    async def _until_answered(self) -> None:
        """Wait for a ticker of the last tick, which shows that no tick waits any more."""
        async with asyncio.timeout(60):
            while self.newest < self.number + 100_000_000:
                await asyncio.sleep(STEP_S)


@asynccontextmanager
async def loading(server: RedisServer, symbols: int, *, is_six: bool) -> AsyncIterator[Load]:
    """Connect to the server twice, to publish and to subscribe, and subscribe to all symbols.

    With `is_six` the symbols are in USD, and have three direct and three converted sources each.
    """
    loop = asyncio.get_running_loop()
    publishing, _ = await loop.create_connection(asyncio.Protocol, "127.0.0.1", server.port)
    publishing.write(b"CONFIG SET client-output-buffer-limit 'pubsub 0 0 0'\r\n")
    reading, load = await loop.create_connection(lambda: Load(publishing, symbols, is_six=is_six), "127.0.0.1", server.port)
    # By name, since the aggregator drops symbols that no client requests.
    names = " ".join(kinds.TICKER.channel(symbol_of(at, "USD" if is_six else "USDT")) for at in range(symbols))
    reading.write(f"SUBSCRIBE {names}\r\n".encode())
    try:
        await asyncio.sleep(SETTLE_S)
        yield load
    finally:
        reading.abort()
        publishing.abort()


def symbol_of(at: int, quote: str = "USDT") -> Symbol:
    return Symbol(f"C{at}-{quote}")


def command(channel: bytes, message: bytes) -> bytes:
    return b"*3\r\n$7\r\nPUBLISH\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (len(channel), channel, len(message), message)


def template(exchange: str, symbol: Symbol) -> tuple[bytes, bytes, bytes]:
    """Return the three parts of a tick's PUBLISH command, between which its number and its receive time are put."""
    tick = Tick(
        exchange=exchange, symbol=symbol, price=64000.12, bid=111_111_111.0, open24h=62000.5, high24h=65000.5, low24h=61000.5,
        volume24h=12345.678, quote_volume24h=789_012_345.678, dp=2, exchange_time_ms=None, received_time_ms=2_222_222_222_222,
    )  # fmt: skip
    message = encode_tick(tick, 2_222_222_222_223)
    frame = command(kinds.TICK.channel(exchange, symbol).encode(), message)
    head, _, rest = frame.partition(b"111111111")
    middle, _, tail = rest.partition(b"2222222222222")
    return head, middle, tail
