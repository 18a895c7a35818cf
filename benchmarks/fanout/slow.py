"""Clients that read too slowly or stopped reading: the age of their prices, and their effect on other clients."""

import time
from collections import defaultdict
from contextlib import ExitStack
from functools import partial

import report
from fanout import cores
from fanout.run import Run
from fanout.servers import GATEWAY, Server, Visit
from fanout.traffic import SYMBOLS, message

HALF_RATE = 50.0  # ticks of one symbol a second, the most that the aggregator publishes
EVENT_OVERHEAD = 10
SHARES = {"half": 1 / 2, "a quarter": 1 / 4, "an eighth": 1 / 8}
READERS, OTHERS = 5, 10
STALLED_RATE, STALLED_SYMBOLS = 500.0, 50


def measure_half_speed(run: Run) -> None:
    """Read one stream at half of its speed and less. All servers run at the same time, since the load is low."""
    seconds = 8 if run.quick else 30
    full = HALF_RATE * (len(message(SYMBOLS[0])) + EVENT_OVERHEAD)
    ages: defaultdict[tuple[Server, str], list[float]] = defaultdict(list)
    others: dict[Server, float] = {}
    with ExitStack() as stack:
        visits = {}

        def start(server: Server) -> None:
            running = run.fleet[server]
            readers = [running.group(READERS, 1, name, share * full) for name, share in SHARES.items()]
            groups = [running.group(OTHERS, 1), *readers]
            visits[server] = stack.enter_context(Visit(running, groups))
            running.publish(HALF_RATE, 1)
            visits[server].tool.ask("window")

        def look(server: Server) -> None:
            read = visits[server].report()["groups"]
            for name in SHARES:
                ages[server, name].append(read[name]["max_ms"] / 1000)
            others[server] = read["all"]["p99_ms"]
            visits[server].tool.ask("window")

        for server in run.servers:
            run.attempt(server, partial(start, server))
        for _ in range(seconds // 2):
            time.sleep(2)
            for server in run.working(visits):
                run.attempt(server, partial(look, server))
        for server in run.working(visits):
            run.attempt(server, partial(run.fleet[server].publish, 0, 1))
    marks = (3, 9, 15) if not run.quick else (1, 2, 4)
    report.table(
        f"Read too slowly: {HALF_RATE:.0f} ticks a second of one symbol, the oldest price read, in seconds",
        ("server", "reads", *(f"after {2 * mark} s" for mark in marks), "others' p99 ms"),
        [
            (server.name, name, *(ages[server, name][mark - 1] for mark in marks), others[server])
            if server in run.working(visits)
            else run.broke(server)
            for server in run.servers
            for name in SHARES
        ],
    )
    oldest = max(ages[GATEWAY, "half"], default=None)
    # Only the kernel's buffers at both ends lie between. They are full after some ten seconds, so the age stops growing.
    run.at_most(f"oldest price that a half-speed reader sees within {seconds} s", oldest, 8, " s")


def measure_stalled(run: Run) -> None:
    """Let a fifth of the clients never read their fast streams; measure the server's memory and the other clients' latency."""
    clients = 50 if run.quick else 200
    half_s = 1.5 if run.quick else 3.0
    rows = [
        run.attempt(server, partial(_stalled_row, run, server, clients, half_s)) or run.broke(server) for server in run.servers
    ]
    report.table(
        f"A fifth of {clients} clients never reads {STALLED_RATE:.0f} ticks a second, for {2 * half_s + 1:.0f} s",
        (
            "server",
            "others' p99 ms before",
            "after",
            "ratio",
            "KiB resident per stalled client",
            "growing by KiB/s",
            "KiB in the kernel, at the server's end",
            "cut",
        ),
        rows,
    )


def _stalled_row(run: Run, server: Server, clients: int, half_s: float) -> tuple[report.Cell, ...]:
    healthy, stalled = clients * 4 // 5, clients // 5
    with run.fresh(server) as running, Visit(running, [running.group(healthy, 1)]) as visit:
        before = visit.measure(STALLED_RATE, STALLED_SYMBOLS, half_s)
        pids = running.pids
        with Visit(running, [running.group(stalled, STALLED_SYMBOLS, "stalled", 0)]) as idle:
            resident, kernel_before = cores.resident_kb(pids), cores.kernel_kb(running.place.port)
            visit.measure(STALLED_RATE, STALLED_SYMBOLS, half_s)
            middle = cores.resident_kb(pids)
            after = visit.measure(STALLED_RATE, STALLED_SYMBOLS, half_s)
            ended = idle.report()["groups"]["stalled"]["ended"]
            cost = (cores.resident_kb(pids) - resident) / stalled
            growth = (cores.resident_kb(pids) - middle) / stalled / half_s
            kernel_after = cores.kernel_kb(running.place.port)
            kernel = None if kernel_before is None or kernel_after is None else (kernel_after - kernel_before) / stalled
    ratio = after.p99_ms / before.p99_ms if before.p99_ms else None
    if server is GATEWAY:
        both = None if kernel is None else cost + kernel
        run.at_most("memory of a client that never reads, the kernel's part included", both, 64, " KiB")
        run.at_most("others' p99 with a fifth stalled, over that without", ratio, 1.2)
    return server.name, before.p99_ms, after.p99_ms, ratio, cost, growth, kernel, ended
