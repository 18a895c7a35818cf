"""A moderate rate: 20,000 deliveries a second, split among all clients, and the time to open the streams."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import report
from fanout.run import Run, known
from fanout.servers import GATEWAY, NCHAN, SEND_LOOP, Figures, Server, Visit
from fanout.traffic import ToolError

DELIVERIES_S = 20_000
FULL = ((100, 1), (1000, 1), (1000, 50), (5000, 1))
QUICK = ((200, 1), (200, 50))


@dataclass(frozen=True)
class Stay:
    """One server's figures of one round: the speed of opening the streams, and the deliveries on them."""

    opened_s: float
    opened_per_core_s: float
    figures: Figures


Found = Mapping[Server, Sequence[Stay | None]]


def measure(run: Run) -> None:
    for clients, symbols in QUICK if run.quick else FULL:
        found = run.turns(
            [server for server in run.servers if run.can_hold(server, clients)],
            run.rounds,
            lambda server, clients=clients, symbols=symbols: _stay(run, server, clients, symbols),  # type: ignore[misc]
        )
        _print(run, clients, symbols, found)
        _hold(run, clients, symbols, found)


def _stay(run: Run, server: Server, clients: int, symbols: int) -> Stay:
    running = run.fleet[server]
    seconds = 1.0 if run.quick else 3.0 if clients > 1000 else 2.0
    with Visit(running, [running.group(clients, symbols)]) as visit:
        figures = run.note_load(visit.measure(DELIVERIES_S / clients, symbols, seconds))
    if not figures.share:
        raise ToolError(f"no tick came within {seconds:g} s")
    return Stay(clients / visit.opened["seconds"], clients / max(visit.open_cpu_s, 1e-6), figures)


def _of(found: Found, server: Server, name: str) -> list[float | None]:
    """Return one of a server's figures for each round."""
    return [getattr(one.figures, name) if one else None for one in found.get(server, ())]


def _print(run: Run, clients: int, symbols: int, found: Found) -> None:
    rows: list[tuple[report.Cell, ...]] = []
    for server, rounds in found.items():
        stays = known(rounds)
        if not stays:
            rows.append(run.broke(server))
            continue
        rows.append(
            (
                server.name,
                report.spread(known(_of(found, server, "per_core_s"))),
                report.ratio(_of(found, server, "per_core_s"), _of(found, SEND_LOOP, "per_core_s")),
                report.spread(known(_of(found, server, "p50_ms"))),
                report.spread(known(_of(found, server, "p99_ms"))),
                median(one.figures.cores for one in stays),
                f"{100 * median(one.figures.share for one in stays):.0f} %",
                median(one.figures.load_cores for one in stays),
                median(one.opened_s for one in stays),
                median(one.opened_per_core_s for one in stays),
            )
        )
    of = "one symbol" if symbols == 1 else f"{symbols} symbols"
    report.table(
        f"Moderate: {clients:,} clients, {of}, {DELIVERIES_S / clients:g} ticks a second",
        (
            "server",
            "deliveries per core-second",
            "of the C loop",
            "p50 ms",
            "p99 ms",
            "cores",
            "delivered",
            "cores of the load",
            "new streams/s",
            "new streams per core-second",
        ),
        rows,
    )


def _hold(run: Run, clients: int, symbols: int, found: Found) -> None:
    where = f"{clients:,} clients, {symbols} symbol{'s' if symbols > 1 else ''}"
    for other, limit, name in ((NCHAN, 1.1, "nchan's"), (SEND_LOOP, 0.6, "the C loop's")):
        value = report.ratio(_of(found, GATEWAY, "per_core_s"), _of(found, other, "per_core_s"))
        run.at_least(f"deliveries per core-second over {name}, {where}", value, limit)
    value = report.ratio(_of(found, GATEWAY, "p99_ms"), _of(found, NCHAN, "p99_ms"))
    run.at_most(f"p99 over nchan's, {where}", value, 1.0)
    stays = known(found[GATEWAY])
    if stays and (clients >= 1000 or run.quick):
        run.at_least(f"new streams per core-second, {where}", median(one.opened_per_core_s for one in stays), 2500)
