"""The cost of the candles of many symbols: cores of `candles`, beside `floor`, a process that only receives the same messages.

    python benchmarks/bench.py candle [--rounds 3] [--seconds 10] [--symbols 50] [--rate 1000]

A process of its own publishes tickers, and candles of three exchanges, each once a second, on a Valkey of the benchmark's own.
Beforehand each exchange has a day of past minutes there. The table also has the memory that Redis takes for one symbol.
"""

import argparse
import asyncio
import contextlib
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import uvloop
from pydantic import SecretStr

import report
import system  # noqa: F401 - makes the tests' support importable
from candles.loader import SOON_S
from candles.service import Service
from candles.settings import CandlesSettings
from market_pulse import kinds
from market_pulse.bus import CandlesBus, keys
from market_pulse.exchange.adapter import candle
from market_pulse.messages import Bar, Interval, Symbol, encode
from market_pulse.process.clock import now_ms
from support.redis_server import redis_server
from support.samples import ticker
from support.waiting import until
from support.whole_bus import WholeBus

MINUTE = Interval.MINUTE
EXCHANGES = ("binance", "bybit", "okx")
BURST_S = 0.05


def names(symbols: int) -> list[Symbol]:
    return [Symbol(f"A{number}-USDT") for number in range(symbols)]


def main(arguments: list[str]) -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.py candle", description=__doc__, formatter_class=plain)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--symbols", type=int, default=50)
    parser.add_argument("--rate", type=int, default=1000, help="tickers a second of all symbols together")
    options = parser.parse_args(arguments)
    print(report.packages("redis", "hiredis", "msgspec"))
    costs, kib = uvloop.run(measure(options))
    rows = [(name, report.spread(figures), report.ratio(figures, costs["floor"])) for name, figures in costs.items()]
    title = f"Candles of {options.symbols} symbols, {options.rate} tickers a second"
    report.table(title, ("process", "cores, %", "ratio to the floor"), rows)
    print(f"Redis takes {kib:.0f} KiB for the minutes of one symbol: ours and those of {len(EXCHANGES)} exchanges")


async def measure(options: argparse.Namespace) -> tuple[dict[str, list[float]], float]:
    """Return the cores of each process in percent, one figure a round, and the memory of one symbol's minutes in KiB."""
    costs: dict[str, list[float]] = {"candles": [], "floor": []}
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        await fill(bus, names(options.symbols))
        for _ in range(options.rounds):
            async with feed(server.url, options):
                async with running_candles(server.url, names(options.symbols)):
                    costs["candles"].append(await cores(options.seconds))
                async with receiving(server.url):
                    costs["floor"].append(await cores(options.seconds))
        first = names(1)[0]
        sets = [keys.bars(MINUTE, first), *(keys.bars(MINUTE, first, exchange) for exchange in EXCHANGES)]
        sizes = [int(await bus.client.memory_usage(key, samples=0) or 0) for key in sets]
    return costs, sum(sizes) / 1024


async def cores(seconds: float) -> float:
    """Return the share of one core that this process takes over some seconds, in percent."""
    spent_s, began_s = time.process_time(), time.perf_counter()
    await asyncio.sleep(seconds)
    return 100 * (time.process_time() - spent_s) / (time.perf_counter() - began_s)


async def fill(bus: WholeBus, symbols: list[Symbol]) -> None:
    """Give each exchange a day of past minutes."""
    start_ms = MINUTE.start_of(now_ms())
    for exchange in EXCHANGES:
        await bus.publish_listing(exchange, symbols)
    past = [
        Bar(start_ms - back * MINUTE.step_ms, 64000.1, 64010.2 + back, 63990.3, 64001.4, 12.34567891, 790123.4567, 1234)
        for back in range(1, MINUTE.kept + 1)
    ]
    for symbol in symbols:
        for exchange in EXCHANGES:
            await bus.keep_bars(MINUTE, symbol, past, exchange)


@contextlib.asynccontextmanager
async def feed(url: str, options: argparse.Namespace) -> AsyncIterator[None]:
    """Publish from a process of its own while the context lasts."""
    command = (sys.executable, Path(__file__), url, str(options.symbols), str(options.rate))
    process = await asyncio.create_subprocess_exec(*command, cwd=Path(__file__).parent)
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@contextlib.asynccontextmanager
async def running_candles(url: str, symbols: list[Symbol]) -> AsyncIterator[None]:
    """Run a candle maker in this process. When the context begins, it has read all history and publishes all candles."""
    settings = CandlesSettings(symbols=tuple(symbols), max_candle_symbols=len(symbols))
    async with CandlesBus.open(url) as bus, asyncio.TaskGroup() as tasks:
        service = Service(bus, settings.model_copy(update={"redis_url": SecretStr(url)}))
        jobs = (service.follow, service.look, service.load, service.publish, service.renew, service.compare)
        running = [tasks.create_task(job()) for job in jobs]
        last = kinds.CANDLES[Interval.DAY].channel(symbols[-1])

        async def has_all() -> bool:
            return (await bus.last(last))[0] is not None and len(await bus.bars(MINUTE, symbols[-1])) > 0

        await until(has_all)
        await asyncio.sleep(SOON_S[-1] + 5)  # by then all history has been read several times
        yield
        for task in running:
            task.cancel()


@contextlib.asynccontextmanager
async def receiving(url: str) -> AsyncIterator[None]:
    """Receive the same messages in this process, and do nothing with them."""

    async def subscribed(_: bool) -> None:
        pass

    async with CandlesBus.open(url) as bus:
        subscriber = bus.subscriber(lambda *_: None, subscribed)
        await subscriber.subscribe_patterns(kinds.TICKER.pattern, kinds.EXCHANGE_CANDLE.pattern)
        running = asyncio.create_task(subscriber.run())
        await until(lambda: subscriber.connected)
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def publish(url: str, symbols: list[Symbol], rate: int) -> None:
    """Publish tickers in bursts, and the exchanges' candles each second, until the process is terminated."""
    at, candles_s = 0, 0.0
    async with WholeBus.open(url) as bus:
        while True:
            began_s = time.perf_counter()
            batch = [symbols[(at + number) % len(symbols)] for number in range(round(rate * BURST_S))]
            at += len(batch)
            await bus.publish_tickers([ticker(symbol, 0, price=64000.0 + at % 97, time_ms=now_ms()) for symbol in batch])
            if began_s - candles_s >= 1:
                candles_s = began_s
                await bus.publish([exchange_candle(exchange, symbol) for symbol in symbols for exchange in EXCHANGES])
            await asyncio.sleep(max(0, BURST_S - (time.perf_counter() - began_s)))


def exchange_candle(exchange: str, symbol: Symbol) -> tuple[str, bytes]:
    made = candle(
        MINUTE, MINUTE.start_of(now_ms()), 64000.1, 64010.2, 63990.3, 64001.4, 12.34567891, 790123.4567, trades=1234,
        buy_volume=6.1,
    )  # fmt: skip
    made.exchange, made.symbol, made.received_time_ms = exchange, symbol, now_ms()
    return kinds.EXCHANGE_CANDLE.channel(exchange, symbol), encode(made)


if __name__ == "__main__":
    asyncio.run(publish(sys.argv[1], names(int(sys.argv[2])), int(sys.argv[3])))
