"""Raises one dimension step by step while the others stay, and records each part's resources and the limits reached."""

import asyncio
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from fanout.traffic import ToolError
from growth.clients import SYMBOLS_PER_PAGE, Heard, audience
from growth.parts import ALL_CORES, Reading, feeder, listeners, running
from market_pulse.messages import Symbol, parse_symbols
from simulator import catalogue
from simulator.app import VENUES

WARM_S = 1.5
BUSY = 0.95  # of a core, or of the machine
LATEST_MS = 1000.0
NOT_FED: dict[str, Any] = {"cpu_s": 0.0, "overdue": 0}
WHOLE = 0.95


@dataclass(frozen=True)
class Load:
    """The load in every dimension. `ticks_s` are the feeder's ticks or, if ingests run, the simulator's market events.

    `subscribers` are connections to Redis, in addition to the gateway's, that subscribe to all tickers like more gateways.
    """

    symbols: int = 50
    clients: int = 100
    ticks_s: int = 1000
    subscribers: int = 0


@dataclass(frozen=True)
class Sweep:
    """A dimension (a field of Load) and its steps. `ingests`: ingests on the simulator publish the ticks, not the feeder."""

    name: str
    title: str
    dimension: str
    steps: tuple[int, ...]
    ingests: bool = False

    def load(self, step: int) -> Load:
        return Load(**{self.dimension: step})


@dataclass(frozen=True)
class Window:
    """The figures of one window. Memory is in MiB, processor time in cores."""

    cores: dict[str, float]
    memory_mb: dict[str, float]
    machine_cores: float
    counted_s: dict[str, float]  # counts a second
    heard: Heard
    load: Load
    overdue: int  # ticks that the feeder should have published but could not
    feeder_cores: float

    @property
    def delivered(self) -> float | None:
        """The share of their symbols' tickers that the clients received."""
        published = self.counted_s.get("tickers", 0) * self.load.clients * min(SYMBOLS_PER_PAGE / self.load.symbols, 1)
        return self.heard.deliveries_s / published if published else None

    def limits(self) -> list[str]:
        """Return the limits that were reached, the worst first."""
        found = []
        if self.heard.lost:
            found.append("streams ended")
        if self.counted_s.get("resyncs"):
            found.append("Redis cut the gateway off")
        if self.heard.p99_ms is not None and self.heard.p99_ms > LATEST_MS:
            found.append("p99 over 1 s")
        found += [f"{name}: a whole core" for name, cores in self.cores.items() if cores > BUSY]
        if self.overdue > self.load.ticks_s / 2:
            found.append("feeder late")
        if self.delivered is not None and self.delivered < WHOLE:
            found.append("clients conflated")
        if self.machine_cores > BUSY * len(ALL_CORES):
            found.append("machine full")
        return found


Windows = dict[int, list[Window]]  # by step


def fed_symbols(count: int) -> tuple[Symbol, ...]:
    return parse_symbols(",".join(f"C{number:04}" for number in range(count)))


def simulated_symbols(count: int) -> tuple[Symbol, ...]:
    """Return `count` symbols in USDT that all simulated exchanges with many such markets trade, the most traded first."""
    venues = [venue for venue in VENUES if any(quote.currency == "USDT" and quote.coins is None for quote in venue.quotes)]
    places: dict[str, int] = {}
    for entry in catalogue.entries(venues):
        places[entry.symbol] = places.get(entry.symbol, 0) + (entry.state == "trading" and entry.quote == "USDT")
    return parse_symbols(",".join([symbol for symbol, many in places.items() if many == len(venues)][:count]))


async def run(sweep: Sweep, seconds: float, into: Windows) -> None:
    """Measure each step once, the smallest first. All parts are started anew for each step."""
    most = max(sweep.load(step).symbols for step in sweep.steps)
    symbols = (simulated_symbols if sweep.ingests else fed_symbols)(most)
    with tempfile.TemporaryDirectory() as folder:
        async with AsyncExitStack() as stack:
            system = await stack.enter_async_context(running(Path(folder), symbols, ingests=sweep.ingests))
            feed = None if sweep.ingests else await stack.enter_async_context(feeder(system, symbols))
            others = await stack.enter_async_context(listeners(system, symbols))
            opened = 0
            for step in sweep.steps:
                load = sweep.load(step)
                await asyncio.to_thread(others.ask, f"open {load.subscribers - opened}")
                opened = load.subscribers
                used = symbols[: load.symbols]
                if feed is not None:
                    await asyncio.to_thread(feed.ask, f"rate {load.ticks_s} {load.symbols}")
                else:
                    await system.post(
                        "simulator", "/control/rate", {"events_per_s": load.ticks_s, "symbols": used, "evenly": True}
                    )
                try:
                    async with audience(system, used, load.clients) as clients:
                        await asyncio.sleep(WARM_S)
                        await clients.begin()
                        fed_before = await asyncio.to_thread(feed.ask, "report") if feed else NOT_FED
                        before = await system.read()
                        await asyncio.sleep(seconds)
                        heard = await clients.end()
                        after = await system.read()
                        fed = await asyncio.to_thread(feed.ask, "report") if feed else NOT_FED
                except (ToolError, OSError) as broken:
                    print(f"{sweep.title}, {step:,}: broke: {broken}", flush=True)
                    return
                feeder_cores = (fed["cpu_s"] - fed_before["cpu_s"]) / (after.at_s - before.at_s)
                into.setdefault(step, []).append(_window(load, before, after, heard, fed["overdue"], feeder_cores))


def _window(load: Load, before: Reading, after: Reading, heard: Heard, overdue: int, feeder_cores: float) -> Window:
    took_s = after.at_s - before.at_s
    return Window(
        cores={name: (used - before.cpu_s[name]) / took_s for name, used in after.cpu_s.items()},
        memory_mb=after.memory_mb,
        machine_cores=(after.machine_s - before.machine_s) / took_s,
        counted_s={
            name: (count - before.counted[name]) / took_s for name, count in after.counted.items() if name in before.counted
        },
        heard=heard,
        load=load,
        overdue=overdue,
        feeder_cores=feeder_cores,
    )


def middle(values: Sequence[float | None]) -> float | None:
    """Return the median of the known values, or None if no value is known."""
    known = [value for value in values if value is not None]
    return median(known) if known else None
