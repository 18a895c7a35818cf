"""Compares the gateway's flush clock, which adapts to the load, with a fixed one of 20 Hz and with no clock."""

from statistics import median

import report
from fanout.run import Run, known
from fanout.servers import GATEWAY, Figures, Server, Visit, gateway

CLOCKS = (GATEWAY, gateway("fixed"), gateway("unbounded"))
SYMBOLS = 50
TICKS_S = 1000.0
COUNTS = (1000, 100)


def measure(run: Run) -> None:
    for clients in (200,) if run.quick else COUNTS:
        found = run.turns(CLOCKS, run.rounds, lambda server, clients=clients: _stay(run, server, clients))  # type: ignore[misc]
        rows = [
            (
                server.name if server is not GATEWAY else "gateway, its own clock",
                report.spread([one.cores for one in rounds]),
                report.spread([one.p50_ms for one in rounds]),
                report.spread([one.p99_ms for one in rounds]),
                median(one.deliveries_s for one in rounds),
                f"{100 * median(one.share for one in rounds):.0f} %",
                median(one.load_cores for one in rounds),
            )
            if rounds
            else run.broke(server)
            for server, rounds in ((server, known(figures)) for server, figures in found.items())
        ]
        report.table(
            f"Flush clock: {clients:,} clients x {SYMBOLS} symbols x {TICKS_S:,.0f} ticks a second in",
            ("clock", "cores", "p50 ms", "p99 ms", "deliveries/s", "delivered", "cores of the load"),
            rows,
        )
        ours = known(found[GATEWAY])
        if not ours:
            continue
        if clients <= 200:
            run.at_most(
                f"behind the bus, p50, {clients} clients x {SYMBOLS} x {TICKS_S:g}/s",
                median(one.p50_ms for one in ours),
                2,
                " ms",
            )
            share = median(one.share for one in ours)
            run.at_least(f"every tick delivered, {clients} clients x {SYMBOLS} x {TICKS_S:g}/s", 100 * share, 99, " %")
        else:
            run.at_most(f"cores, {clients:,} clients x {SYMBOLS} x {TICKS_S:g}/s", median(one.cores for one in ours), 0.55)
            run.at_most(f"p99, {clients:,} clients x {SYMBOLS} x {TICKS_S:g}/s", median(one.p99_ms for one in ours), 100, " ms")


def _stay(run: Run, server: Server, clients: int) -> Figures:
    running = run.fleet[server]
    with Visit(running, [running.group(clients, SYMBOLS)]) as visit:
        return run.note_load(visit.measure(TICKS_S, SYMBOLS, 1.0 if run.quick else 2.0, warm_s=1.0))
