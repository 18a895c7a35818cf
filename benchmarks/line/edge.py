"""Compression by the edge: HAProxy in a container, with its own compression and without. The gateway sends plain text."""

import os
import shutil
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from statistics import quantiles

import report
from fanout import cores
from fanout.run import Run, known
from fanout.servers import GATEWAY, PEERS, Fleet, Running, Server, python, wait_for_port
from fanout.traffic import Group, ToolError

from .proof import Recording, read_published
from .visits import HOOK_ONE, PAGE_FOUR, PLAIN, Visit
from .wire import opened, publishing, watch

IMAGE = "haproxy:3.0"  # as in docker-compose.yml
PORT = 7690
# HAProxy looks for no-transform before it applies rules that would remove it, so the gateway itself must leave it out.
TRANSFORMABLE = Server(
    name="gateway without no-transform",
    command=lambda _: python(str(PEERS / "gateway_transformable.py")),
    path=GATEWAY.path,
    conflates=True,
)
NAME = "market-pulse-line"
CONFIGURATION = f"""
global
  nbthread 1
  maxconn 8000
  tune.rcvbuf.server 16384
defaults
  mode http
  timeout connect 1s
  timeout client 60s
  timeout server 60s
  option http-no-delay
  option forwardfor
frontend public
  bind 127.0.0.1:{PORT}
  default_backend gateway
backend gateway
COMPRESSION
  server one 127.0.0.1:GATEWAY
"""
COMPRESSION = """  compression offload
  compression algo gzip
  compression type text/event-stream"""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """HAProxy's cost. `late_ms` is how long tickers took from the aggregator's time to a client: median and p99."""

    bytes_per_event: float
    cpu_us_per_event: float
    memory_kb: float
    late_ms: tuple[float, float]


def missing() -> str | None:
    """Return why this cannot run here, or None if it can."""
    if shutil.which("docker") is None:
        return "no Docker here"
    asked = subprocess.run(
        ["docker", "run", "--rm", "--pull", "never", IMAGE, "haproxy", "-vv"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if asked.returncode:
        return f"no image {IMAGE} here: {asked.stderr.strip()[-120:]}"
    return None if "[COMP] compression" in asked.stdout else f"{IMAGE} has no compression"


def measure(run: Run) -> None:
    """Measure some visits through HAProxy, with its compression and without, in turn, and print a table."""
    if (why := missing()) is not None:
        print(f"\nLEFT OUT: {why}")
        return
    clients, seconds = (100, 4.0) if run.quick else (500, 10.0)
    found: defaultdict[tuple[Visit, bool], list[Cost | None]] = defaultdict(list)
    with _trusting(run.fleet) as running:
        for _ in range(run.rounds):
            for visit in (PLAIN, HOOK_ONE, PAGE_FOUR):
                for compresses in (False, True):
                    work = partial(_stay, running, visit, clients, seconds, compresses=compresses)
                    found[visit, compresses].append(run.attempt(TRANSFORMABLE, work))
    rows: list[tuple[report.Cell, ...]] = []
    for (visit, compresses), rounds in found.items():
        costs = known(rounds)
        if not costs:
            rows.append((visit.name, *run.broke(TRANSFORMABLE)))
            continue
        plain = [one.bytes_per_event if one else None for one in found[visit, False]]
        rows.append(
            (
                visit.name,
                "HAProxy's gzip" if compresses else "no",
                report.spread([one.bytes_per_event for one in costs]),
                report.ratio(plain, [one.bytes_per_event if one else None for one in rounds]),
                report.spread([one.cpu_us_per_event for one in costs]),
                report.spread([one.memory_kb for one in costs]),
                *(report.spread([one.late_ms[at] for one in costs]) for at in (0, 1)),
            )
        )
    columns = ("visit", "compressed", "bytes per event", "times less", "us of HAProxy per event", "KiB of HAProxy per stream")
    report.table(
        f"Compression by the edge: {clients:,} streams, the gateway sends plain text",
        (*columns, "p50 ms to a client", "p99 ms"),
        rows,
    )


@contextmanager
def _trusting(fleet: Fleet) -> Iterator[Running]:
    """Run a gateway of its own that believes HAProxy about its clients' addresses."""
    before = os.environ.get("TRUSTED_PROXIES")
    os.environ["TRUSTED_PROXIES"] = "127.0.0.1"
    try:
        running = fleet.start(TRANSFORMABLE)
    finally:
        if before is None:
            del os.environ["TRUSTED_PROXIES"]
        else:
            os.environ["TRUSTED_PROXIES"] = before
    try:
        running.let_go()
        yield running
    finally:
        running.stop()


def _stay(running: Running, visit: Visit, clients: int, seconds: float, *, compresses: bool) -> Cost:
    published = running.place.folder / "published"
    group = Group(count=clients, path=visit.groups(1)[0].path, gzip=compresses)
    with publishing(running, visit.market, published), _haproxy(running, compresses=compresses) as pids:
        resident_kb = cores.resident_kb(pids)
        with opened(running, PORT, [group]) as tool, Recording(PORT, group.path, gzip=compresses) as recording:
            time.sleep(1)
            tool.ask("window")
            window = watch(pids, seconds)
            said = tool.ask("report")
            memory_kb = (cores.resident_kb(pids) - resident_kb) / (clients + 1)
    if said["errors"] or said["groups"]["all"]["ended"]:
        raise ToolError(f"streams ended: {said['error'] or 'no error'}")
    recording.prove(read_published(published), visit.members)
    tickers = recording.tickers(window.from_s, window.until_s)
    if len(tickers) < 2:
        raise ToolError(f"{len(tickers)} tickers came within {seconds:g} s")
    events_s = len(tickers) / (window.until_s - window.from_s)
    wall_s = time.time() - time.monotonic()
    cuts = quantiles([(at_s + wall_s) * 1000 - ticker["aggregatedTime"] for at_s, ticker in tickers], n=100)
    return Cost(
        bytes_per_event=said["groups"]["all"]["bytes"] / said["seconds"] / clients / events_s,
        cpu_us_per_event=window.cores / (clients + 1) / events_s * 1e6,
        memory_kb=memory_kb,
        late_ms=(cuts[49], cuts[98]),
    )


@contextmanager
def _haproxy(running: Running, *, compresses: bool) -> Iterator[list[int]]:
    """Run HAProxy before a gateway for the time of the context. Yield the ids of its processes."""
    text = CONFIGURATION.replace("COMPRESSION", COMPRESSION if compresses else "")
    configuration = text.replace("GATEWAY", str(running.place.port))
    name = f"{NAME}-{os.getpid()}"
    options = ("-d", "--rm", "--pull", "never", "--name", name, "--network", "host", "-e", "CONFIGURATION")
    on = ("--cpuset-cpus", ",".join(map(str, running.cores.bus)))
    command = 'printf "%s" "$CONFIGURATION" >/tmp/haproxy.cfg && exec haproxy -db -f /tmp/haproxy.cfg'
    started = subprocess.run(
        ["docker", "run", *options, *on, IMAGE, "sh", "-c", command],
        env=os.environ | {"CONFIGURATION": configuration},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    if started.returncode:
        raise ToolError(started.stderr.strip()[-200:])
    try:
        wait_for_port(PORT)
        asked = subprocess.run(
            ["docker", "inspect", "-f", "{{.State.Pid}}", name], capture_output=True, text=True, check=True, timeout=20
        )
        yield cores.family(int(asked.stdout))
    finally:
        subprocess.run(["docker", "rm", "-f", name], capture_output=True, check=False, timeout=60)
