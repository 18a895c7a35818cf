"""How far the price is from the true one while exchanges fail. The simulator knows the true price; all others follow it.

    python benchmarks/bench.py tracking [--minutes 30] [--seed 1] [--plot FILE.svg]

The simulator, the ingests and the aggregator run as in the demo. A schedule that depends only on the seed breaks exchanges: an
exchange refuses connections, falls silent, sends garbage or false prices, or its ingest stops. At most two are broken at once,
and at most one of them sends false prices. In the middle of the run USDT loses its peg for a while.

Four times a second the benchmark compares the newest prices with the true one. An exchange's price is that of its newest tick
(rule 1 of docs/methodology.md). While the exchange is broken, that is its last price, as its users see it. "Plain mean" is the
mean of the same ticks by turnover, without any of our rules. An exchange is "stale" if it was silent for more than 10 s, and
"down" if it was for more than 60 s. Our price is stale or down if its quality says so.
"""

import argparse
import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Final

import httpx
import uvloop

import report
import system  # noqa: F401 - makes the tests' support importable
from aggregator.figures import is_figure, source_price
from aggregator.parameters import Parameters
from market_pulse import kinds
from market_pulse.messages import Symbol, Tick, Ticker, decode_tick, decode_ticker
from market_pulse.process.clock import now_ms
from simulator.catalogue import EXCHANGES
from support.redis_server import redis_server
from support.stack import Part
from support.waiting import free_port, until
from support.whole_bus import WholeBus
from tracking import plot
from tracking.faults import Depeg, Fault, depeg, schedule

SYMBOLS: Final = (Symbol("BTC-USD"), Symbol("BTC-USDT"))
EVERY_S = 0.25
START_LIMIT_S = 90.0
OURS, PLAIN = "Market Pulse", "plain mean"


@dataclass(slots=True)
class Track:
    """The samples of one price. `off_bps` are its distances from the true price, with a sign, each with its time in s."""

    off_bps: list[tuple[float, float]] = field(default_factory=list)
    samples: int = 0
    stale: int = 0
    down: int = 0

    def add(self, at_s: float, price: float | None, true: float, *, stale: bool = False, down: bool = False) -> None:
        """Add a sample. A `price` of None means that there was no price."""
        self.samples += 1
        self.stale += stale and not down
        self.down += down
        if price is not None:
            self.off_bps.append((at_s, (price / true - 1) * 10_000))


Tracks = dict[tuple[Symbol, str], Track]  # by symbol and by exchange, OURS or PLAIN


class Newest:
    """The newest messages on the bus, of the measured symbols."""

    def __init__(self) -> None:
        self.ticks: dict[Symbol, dict[str, Tick]] = {symbol: {} for symbol in SYMBOLS}
        self.tickers: dict[Symbol, Ticker] = {}

    def take(self, channel: str, message: bytes) -> None:
        if channel.startswith(kinds.TICKER.prefix):
            ticker = decode_ticker(message)
            self.tickers[ticker.symbol] = ticker
            return
        tick = decode_tick(message)
        if tick.symbol in self.ticks:
            self.ticks[tick.symbol][tick.exchange] = tick

    def is_complete(self) -> bool:
        """Return whether each symbol has a price of all exchanges."""
        return all(symbol in self.tickers and self.tickers[symbol].sources_used == len(EXCHANGES) for symbol in SYMBOLS)

    def add_to(self, tracks: Tracks, at_s: float, true: Mapping[str, float], parameters: Parameters) -> None:
        """Add a sample of each price."""
        moment_ms = now_ms()
        for symbol, ticks in self.ticks.items():
            for exchange, tick in ticks.items():
                age_s, track = (moment_ms - tick.received_time_ms) / 1000, tracks.setdefault((symbol, exchange), Track())
                is_down = age_s > parameters.hard_age_s
                track.add(at_s, source_price(tick), true[symbol], stale=age_s > parameters.soft_age_s, down=is_down)
            tracks.setdefault((symbol, PLAIN), Track()).add(at_s, plain_mean(ticks), true[symbol])
            ours = self.tickers[symbol]
            is_stale = ours.quality == "stale" or (moment_ms - ours.aggregated_time_ms) / 1000 > parameters.soft_age_s
            tracks.setdefault((symbol, OURS), Track()).add(
                at_s, ours.price, true[symbol], stale=is_stale, down=ours.quality == "down"
            )


def plain_mean(ticks: Mapping[str, Tick]) -> float:
    """Return the mean of the exchanges' newest prices by their turnover."""
    weighted = [(source_price(tick), tick.quote_volume24h) for tick in ticks.values()]
    known = [(price, turnover) for price, turnover in weighted if is_figure(turnover)]
    return sum(price * turnover for price, turnover in known) / sum(turnover for _, turnover in known)


def main(arguments: list[str]) -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.py tracking", description=__doc__, formatter_class=plain)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--plot", type=Path, help="the file to write the plot to, as SVG")
    options = parser.parse_args(arguments)
    duration_s = options.minutes * 60
    faults, off_peg = schedule(EXCHANGES, options.seed, duration_s), depeg(duration_s)
    tracks = uvloop.run(run(faults, off_peg, duration_s))
    kinds_of = ", ".join(f"{sum(one.kind == kind for one in faults)} {kind}" for kind in sorted({one.kind for one in faults}))
    print(f"seed {options.seed}: {kinds_of}; USDT at {off_peg.rate} from {off_peg.begins_s:.0f} s to {off_peg.ends_s:.0f} s")
    for symbol in SYMBOLS:
        names = [*(name for name in EXCHANGES if (symbol, name) in tracks), PLAIN, OURS]
        columns = ("price", "median bps", "p99 bps", "largest bps", "stale %", "down %")
        report.table(f"{symbol}: distance from the true price", columns, [row(name, tracks[symbol, name]) for name in names])
    if options.plot:
        drawn: dict[str, dict[str, plot.Line]] = {symbol: {} for symbol in SYMBOLS}
        for (symbol, name), track in tracks.items():
            drawn[symbol][name] = track.off_bps
        options.plot.write_text(plot.draw(drawn, faults, off_peg, duration_s, ours=OURS))
        print(f"\nplot: {options.plot}")


def row(name: str, track: Track) -> tuple[report.Cell, ...]:
    sizes = sorted(abs(off_bps) for _, off_bps in track.off_bps)
    figures = [median(sizes), sizes[int(len(sizes) * 0.99)], sizes[-1]]
    return (name, *figures, 100 * track.stale / track.samples, 100 * track.down / track.samples)


async def run(faults: list[Fault], off_peg: Depeg, duration_s: float) -> Tracks:
    """Run the parts with these faults for `duration_s`, and return the samples of all prices."""
    tracks: Tracks = {}
    newest = Newest()
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), newest) as (control, ingests):
            began_s = time.monotonic()
            async with asyncio.TaskGroup() as tasks:
                for fault in faults:
                    tasks.create_task(play(fault, control, ingests, began_s))
                tasks.create_task(lose_peg(off_peg, control, began_s))
                while (at_s := time.monotonic() - began_s) < duration_s:
                    answer = await control.get("/control/market", params={"symbols": ",".join(SYMBOLS)})
                    newest.add_to(tracks, at_s, answer.raise_for_status().json()["prices"], Parameters())
                    await asyncio.sleep(EVERY_S)
    return tracks


@asynccontextmanager
async def running(folder: Path, newest: Newest) -> AsyncIterator[tuple[httpx.AsyncClient, Mapping[str, Part]]]:
    """Run the parts until the context ends. It begins once each symbol has a price of all exchanges.

    Yields:
        A client for the simulator's control API, and the ingest of each exchange.
    """

    async def subscribed(_: bool) -> None:
        pass

    port = free_port()
    simulator = f"http://127.0.0.1:{port}"
    async with (
        redis_server() as server,
        WholeBus.open(server.url) as bus,
        httpx.AsyncClient(base_url=simulator, timeout=START_LIMIT_S) as control,
    ):
        shared = {"REDIS_URL": server.url, "SYMBOLS": ",".join(SYMBOLS)}
        feed = {"WS_URL": simulator.replace("http", "ws"), "REST_URL": simulator}
        ingests: dict[str, Part] = {name: _part(f"ingest_{name}", folder, shared | feed) for name in EXCHANGES}
        parts = [Part("simulator", "simulator", folder, {"PORT": str(port)}, port), *ingests.values()]
        parts.append(_part("aggregator", folder, shared))
        subscriber = bus.subscriber(newest.take, subscribed)
        await subscriber.subscribe_patterns(kinds.TICK.pattern)
        await subscriber.subscribe(*(kinds.TICKER.channel(symbol) for symbol in SYMBOLS))
        following = asyncio.create_task(subscriber.run())
        try:
            for part in parts:
                await part.start()
            await until(newest.is_complete, START_LIMIT_S)
            yield control, ingests
        finally:
            following.cancel()
            for part in reversed(parts):
                if part.process is not None:
                    await part.stop()


def _part(module: str, folder: Path, environment: Mapping[str, str]) -> Part:
    port = free_port()
    return Part(module, module, folder, {**environment, "HEALTH_PORT": str(port)}, port)


async def play(fault: Fault, control: httpx.AsyncClient, ingests: Mapping[str, Part], began_s: float) -> None:
    """Wait for a fault's time, turn it on, and turn it off at its end."""
    await _sleep_until(began_s + fault.begins_s)
    if fault.kind == "stop":
        await ingests[fault.exchange].stop()
        await _sleep_until(began_s + fault.ends_s)
        await ingests[fault.exchange].start()
        return
    of_simulator: dict[str, dict[str, object]] = {
        "refuse": {"kind": "refuse", "status": 503},
        "mute": {"kind": "mute"},
        "garble": {"kind": "garbage"},
        "spike": {"kind": "spike", "factor": fault.factor},
    }
    body = of_simulator[fault.kind] | {"exchange": fault.exchange, "for_s": fault.ends_s - fault.begins_s}
    (await control.post("/control/faults", json=body)).raise_for_status()
    if fault.kind == "refuse":  # it refuses new sockets alone
        (await control.post("/control/faults", json={"exchange": fault.exchange, "kind": "cut"})).raise_for_status()


async def lose_peg(off_peg: Depeg, control: httpx.AsyncClient, began_s: float) -> None:
    """Move USDT away from its peg at its time, at all exchanges. It comes back by itself."""
    await _sleep_until(began_s + off_peg.begins_s)
    body = {"currency": "USDT", "rate": off_peg.rate, "within_s": off_peg.within_s, "hold_s": off_peg.hold_s}
    (await control.post("/control/depeg", json=body)).raise_for_status()


async def _sleep_until(at_s: float) -> None:
    await asyncio.sleep(max(0.0, at_s - time.monotonic()))
