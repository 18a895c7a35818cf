"""A moderate rate: 20,000 deliveries a second however many clients there are, and how fast the streams open."""

from collections import defaultdict
from statistics import median

import report
from fanout.run import Run
from fanout.servers import GATEWAY, NCHAN, SEND_LOOP, Figures, Server, Visit

DELIVERIES_S = 20_000
FULL = ((100, 1), (100, 50), (1000, 1), (1000, 50), (5000, 1))
QUICK = ((200, 1), (200, 50))


class Series:
    """One server's figures, round by round."""

    def __init__(self) -> None:
        self.figures: list[Figures] = []
        self.opened_s: list[float] = []
        self.opened_per_core_s: list[float] = []

    def of(self, name: str) -> list[float]:
        return [getattr(one, name) for one in self.figures]


def measure(run: Run) -> None:
    for clients, symbols in QUICK if run.quick else FULL:
        series = _cell(run, clients, symbols)
        _print(clients, symbols, series)
        _hold(run, clients, symbols, series)


def _cell(run: Run, clients: int, symbols: int) -> dict[Server, Series]:
    series: defaultdict[Server, Series] = defaultdict(Series)
    seconds = 1.0 if run.quick else 3.0 if clients > 1000 else 2.0
    for _ in range(run.rounds):
        for server in run.servers:
            if not run.can_hold(server, clients):
                continue
            running, one = run.fleet[server], series[server]
            with Visit(running, [running.group(clients, symbols)]) as visit:
                one.opened_s.append(clients / visit.opened["seconds"])
                one.opened_per_core_s.append(clients / max(visit.open_cpu_s, 1e-6))
                one.figures.append(run.note_load(visit.measure(DELIVERIES_S / clients, symbols, seconds)))
    return series


def _print(clients: int, symbols: int, series: dict[Server, Series]) -> None:
    limit = series[SEND_LOOP].of("per_core_s") if SEND_LOOP in series else None
    rows = [
        (
            server.name,
            report.spread(one.of("per_core_s")),
            report.ratio(one.of("per_core_s"), limit) if limit else None,
            report.spread(one.of("p50_ms")),
            report.spread(one.of("p99_ms")),
            median(one.of("cores")),
            f"{100 * median(one.of('share')):.0f} %",
            median(one.of("load_cores")),
            median(one.opened_s),
            median(one.opened_per_core_s),
        )
        for server, one in series.items()
    ]
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


def _hold(run: Run, clients: int, symbols: int, series: dict[Server, Series]) -> None:
    ours = series[GATEWAY]
    where = f"{clients:,} clients, {symbols} symbol{'s' if symbols > 1 else ''}"
    for other, limit, name in ((NCHAN, 1.1, "nchan's"), (SEND_LOOP, 0.6, "the C loop's")):
        value = report.ratio(ours.of("per_core_s"), series[other].of("per_core_s")) if other in series else None
        run.at_least(f"deliveries per core-second over {name}, {where}", value, limit)
    value = report.ratio(ours.of("p99_ms"), series[NCHAN].of("p99_ms")) if NCHAN in series else None
    run.at_most(f"p99 over nchan's, {where}", value, 1.0)
    if clients >= 1000 or run.quick:
        run.at_least(f"new streams per core-second, {where}", median(ours.opened_per_core_s), 2500)
