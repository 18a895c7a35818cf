"""The life of a stream: the cost of an idle one, thousands that open and close, and the end of all when the server stops."""

import os
import signal
import time
from functools import partial

import report
from fanout import cores
from fanout.run import Run
from fanout.servers import GATEWAY, Running, Server, Visit

FIRST = 100
DRAIN_LIMIT_S = 9.0
POLL_S = 0.1


def measure(run: Run) -> None:
    """Take each server, newly started, through a life: many idle streams, thousands that open and close, then the stop."""
    idle, churned, stopped = [], [], []

    def live(server: Server) -> None:
        with run.fresh(server) as running:
            idle.append(_idle(run, running))
            churned.append(_churn(run, running))
            stopped.append(_stop(run, running))

    for server in run.servers:
        run.attempt(server, partial(live, server))
    broken = [run.broke(server) for server in run.servers if server not in run.working(run.servers)]
    report.table(
        "Idle streams of one symbol",
        (
            "server",
            "clients",
            "KiB resident each, beyond 100",
            "new streams/s",
            "per core-second",
            "p99 ms to a stream's head",
            "then, at 2 ticks/s: p99 ms",
            "delivered",
        ),
        idle + broken,
    )
    report.table(
        "Streams opened and reset, each at some moment of its life, while 100 others read 100 ticks a second",
        ("server", "resets", "resets/s", "errors in the log", "descriptors left", "others' p99 ms", "others ended"),
        churned,
    )
    report.table(
        f"SIGTERM with {_open_at_stop(run):,} streams open",
        ("server", "streams ended", "of them with an end", "first s", "last s", "most in any 0.3 s", "process ended s"),
        stopped,
    )


def _idle(run: Run, running: Running) -> tuple[report.Cell, ...]:
    """Open many streams and leave them idle, then send a few ticks."""
    server = running.server
    most = 400 if run.quick else 10_000 if server is GATEWAY else 5_000 if run.can_hold(server, 5_000) else 1_000
    others = most - FIRST - 1  # one more stream is open as long as the server runs
    with Visit(running, [running.group(FIRST, 1)]):
        resident = _settled_kb(running)
        with Visit(running, [running.group(others, 1)]) as visit:
            each = (_settled_kb(running) - resident) / others
            per_s, per_core_s = (others / took for took in (visit.opened["seconds"], visit.open_cpu_s))
            figures = visit.measure(2, 1, 1.5)
            whole = visit.share_of(2, 1, 1.5)
    if server is GATEWAY:
        run.at_most(f"resident memory per idle client beyond the first {FIRST}, of {most:,}", each, 12, " KiB")
        run.at_least(f"new streams per core-second, on the way to {most:,}", per_core_s, 2500)
        run.at_least(f"ticks delivered to {most:,} clients of one process", 100 * whole, 99, " %")
    share = f"{100 * whole:.0f} %"
    return server.name, most, each, per_s, per_core_s, visit.opened["p99_ms"], figures.p99_ms, share


def _settled_kb(running: Running) -> float:
    time.sleep(0.3)
    return cores.resident_kb(running.pids)


def _churn(run: Run, running: Running) -> tuple[report.Cell, ...]:
    """Open and reset streams while other clients are served."""
    server = running.server
    resets = 300 if run.quick else 10_000 if server is GATEWAY else 2_000
    with Visit(running, [running.group(100, 1)]) as visit:
        before = cores.descriptors(running.pids)
        running.publish(100, 1)
        visit.tool.ask("window")
        churned = visit.tool.ask(f"churn {resets}", 60)
        streams = visit.report()["groups"]["all"]
        running.publish(0, 1)
        end = time.monotonic() + 3
        while cores.descriptors(running.pids) > before and time.monotonic() < end:
            time.sleep(0.05)
        left = cores.descriptors(running.pids) - before
    complaints = running.complaints()
    if server is GATEWAY:
        run.at_most(f"errors in the log after {resets:,} resets", complaints, 0)
        run.at_most(f"descriptors left after {resets:,} resets", left, 0)
    return server.name, resets, resets / churned["seconds"], complaints, left, streams["p99_ms"], streams["ended"]


def _open_at_stop(run: Run) -> int:
    return 200 if run.quick else 1000


def _stop(run: Run, running: Running) -> tuple[report.Cell, ...]:
    """Stop the server with SIGTERM while streams are open, and record when each of them ends."""
    clients = _open_at_stop(run)
    with Visit(running, [running.group(clients, 1)]) as visit:
        return _watch_stop(run, running, visit, clients)


def _watch_stop(run: Run, running: Running, visit: Visit, clients: int) -> tuple[report.Cell, ...]:
    visit.tool.ask("window")
    os.kill(running.process.pid, signal.SIGTERM)
    start = time.monotonic()
    counts = [(0.0, 0)]
    exited = None
    while (now := time.monotonic() - start) < DRAIN_LIMIT_S and (counts[-1][1] < clients or exited is None):
        time.sleep(POLL_S)
        read = visit.report()["groups"]["all"]
        counts.append((now + POLL_S, int(read["ended"])))
        if exited is None and running.process.poll() is not None:
            exited = now + POLL_S
    changes = [at for (at, count), (_, before) in zip(counts[1:], counts, strict=False) if count > before]
    ended = counts[-1][1]
    most = max(count - counts[max(0, index - 3)][1] for index, (_, count) in enumerate(counts))
    if running.server is GATEWAY:
        lasts = changes[-1] - changes[0] + POLL_S if changes else 0.0
        run.at_least("streams ended at SIGTERM", 100 * ended / clients, 100, " %")
        run.at_most("most streams ended in 0.3 s over an even share", most * lasts / 0.4 / clients if lasts else None, 1.5)
    return (
        running.server.name,
        ended,
        read["finished"],
        changes[0] if changes else None,
        changes[-1] if changes else None,
        f"{100 * most / clients:.0f} %",
        exited,
    )
