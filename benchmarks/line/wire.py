"""The cost of a visitor on the wire and in the server, without a browser."""

import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import NamedTuple

import report
from fanout import cores, traffic
from fanout.run import Run, known
from fanout.servers import NODE, Running
from fanout.traffic import Group, Tool, ToolError
from market_pulse.messages import Symbol

from .proof import Recording, read_published
from .visits import ELEMENT_ONE, HIDDEN, HOOK_TWO, PAGE_FOUR, TICKERS_HZ, VISITS, Visit

MARKET = Path(__file__).with_name("market.py")
WHOLE_CORE = 0.95  # above this share the server has reached its limit, so its figures are lower than its visitors' wishes
GOALS = {PAGE_FOUR: 4.0, HOOK_TWO: 2.0, ELEMENT_ONE: 1.0, HIDDEN: 0.5}
"""The most kB a second and visitor."""
MOST_CORES = 0.10


@dataclass(frozen=True, kw_only=True)
class Cost:
    """One visitor's cost in one second: bytes of the body with its chunks, tickers, and the server's processor time.

    A visitor adds `cpu_us`. The server without any visitor used `idle` cores just before.
    """

    bytes: float
    events: float
    cpu_us: float
    idle: float
    full: bool  # whether the server used a whole core

    @property
    def cores_for_thousand(self) -> float:
        return self.idle + self.cpu_us / 1000


def measure(run: Run) -> None:
    """Measure all visits in turn, for some rounds, and print a table."""
    clients, seconds, warm_s = (200, 4.0, 1.0) if run.quick else (1000, 10.0, 6.0)
    visits = [one for one in VISITS if one.server in run.servers]
    found: defaultdict[Visit, list[Cost | None]] = defaultdict(list)
    for _ in range(run.rounds):
        for visit in visits:
            found[visit].append(run.attempt(visit.server, partial(_stay, run, visit, clients, seconds, warm_s)))
    node = {visit.symbols: costs for visit, costs in found.items() if visit.server is NODE}
    report.table(
        f"On the wire: {clients:,} streams, {TICKERS_HZ} tickers a second of each symbol",
        (
            "visit",
            "server",
            "gzip",
            "bytes per visitor-second",
            "tickers/s",
            "processor time per visitor-second, us",
            "cores for 1,000 streams",
            "times less than Node's bytes",
        ),
        [_row(run, visit, costs, node.get(visit.symbols, ())) for visit, costs in found.items()],
    )
    for server in run.servers:
        if idle := [one.idle for visit, costs in found.items() if visit.server is server for one in known(costs)]:
            print(f"\n{server.name} without any stream: {report.spread(idle)} cores.")
    print("\n`>`: the server used a whole core and could not send all that its visitors asked for.")
    if clients != 1000:
        print(f"\nThe cores for 1,000 streams are calculated from {clients}. The gateway would send less often instead.")
    for visit, most in GOALS.items():
        costs = known(found[visit])
        run.at_most(f"kB/s on the wire, {visit.name}", median(one.bytes for one in costs) / 1000 if costs else None, most)
    costs = known(found[PAGE_FOUR])
    reached = median(one.cores_for_thousand for one in costs) if costs else None
    run.at_most("cores for 1,000 streams of the page's four symbols", reached, MOST_CORES)


def _row(run: Run, visit: Visit, costs: Sequence[Cost | None], node: Sequence[Cost | None]) -> tuple[report.Cell, ...]:
    rounds = known(costs)
    if not rounds:
        return visit.name, *run.broke(visit.server)
    full = ">" * any(one.full for one in rounds)
    return (
        visit.name,
        visit.server.name,
        "yes" if visit.gzip else "no",
        report.spread([one.bytes for one in rounds]),
        median(one.events for one in rounds),
        full + report.spread([one.cpu_us for one in rounds]),
        full + report.cell(median(one.cores_for_thousand for one in rounds)),
        report.ratio(_bytes(node), _bytes(costs)),
    )


def _bytes(costs: Sequence[Cost | None]) -> list[float | None]:
    return [one.bytes if one else None for one in costs]


def _stay(run: Run, visit: Visit, clients: int, seconds: float, warm_s: float) -> Cost:
    """Open the visitors' streams, and measure them for some seconds, once they have been open for `warm_s`."""
    running = run.fleet[visit.server]
    running.let_go()
    published = running.place.folder / "published"
    groups = visit.groups(clients)
    with publishing(running, visit.market, published) as market:
        alone = watch(running.pids, seconds / 2)
        with (
            opened(running, running.place.port, groups) as tool,
            Recording(running.place.port, groups[-1].path, gzip=visit.gzip) as recording,
        ):
            if visit.renewed_per_s:
                tool.ask(f"renew {visit.renewed_per_s}")
            time.sleep(warm_s)
            tool.ask("window")
            window = watch(running.pids, seconds)
            said = tool.ask("report")
            overdue = market.ask("report")["overdue"]
    if said["errors"] or any(group["ended"] for group in said["groups"].values()):
        raise ToolError(f"streams ended: {said['error'] or 'no error'}")
    if overdue > TICKERS_HZ:
        raise ToolError(f"the publisher was {overdue} tickers late")
    recording.prove(read_published(published), visit.members)
    return Cost(
        bytes=sum(group["bytes"] for group in said["groups"].values()) / clients / said["seconds"],
        events=len(recording.tickers(window.from_s, window.until_s)) / (window.until_s - window.from_s),
        cpu_us=(window.cores - alone.cores) / (clients + 1) * 1e6,
        idle=alone.cores,
        full=window.cores > WHOLE_CORE,
    )


class Window(NamedTuple):
    """The cores that some processes used on average, from one moment until another, in monotonic seconds."""

    cores: float
    from_s: float
    until_s: float


def watch(pids: list[int], seconds: float) -> Window:
    """Wait for some seconds, and return how much processor time the processes used meanwhile."""
    used_s, from_s = cores.cpu_s(pids), time.monotonic()
    time.sleep(seconds)
    used_s, until_s = cores.cpu_s(pids) - used_s, time.monotonic()
    return Window(used_s / (until_s - from_s), from_s, until_s)


@contextmanager
def publishing(running: Running, symbols: Sequence[Symbol], published: Path) -> Iterator[Tool]:
    """Publish tickers for the time of the context, which begins when each symbol has a new one. Then a file has all of them."""
    way, port = ("http", running.place.port + 50) if running.server.by_http else ("redis", running.place.redis_port)
    tool = Tool(Path(sys.executable), MARKET, way, port, published, *symbols, cores=running.cores.bus)
    try:
        tool.ask(f"rate {TICKERS_HZ * len(symbols)}")
        while tool.ask("report")["published"] < 2 * len(symbols):
            time.sleep(0.02)
        yield tool
        tool.ask("rate 0")
        tool.ask("report")  # the file is complete then
    finally:
        tool.close()


@contextmanager
def opened(running: Running, port: int, groups: Sequence[Group]) -> Iterator[Tool]:
    """Open streams of a server at a port for the time of the context, and let the server notice their end."""
    before = cores.descriptors(running.pids)
    tool = traffic.readers(port, groups, running.cores.load)
    try:
        answer = tool.ask("open", 60)
        if answer["failed"]:
            raise ToolError(f"{running.server.name}: {answer['failed']} streams not opened: {tool.ask('report')['error']}")
        yield tool
    finally:
        tool.close()
        end_s = time.monotonic() + 5
        while cores.descriptors(running.pids) > before and time.monotonic() < end_s:
            time.sleep(0.05)
