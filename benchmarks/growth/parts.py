"""The processes of the growth benchmark, with the resources that each uses and the counters that each reports."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from fanout import cores
from fanout.traffic import HERE, Tool
from market_pulse import kinds
from market_pulse.bus import IngestBus
from market_pulse.messages import FeedStatus, Symbol
from market_pulse.process.clock import now_ms
from support.redis_server import RedisServer, redis_server
from support.stack import EXCHANGES, Part
from support.waiting import free_port, until

PATIENCE_S = 5.0
START_LIMIT_S = 90.0
# As in docker-compose.yml.
REDIS_OPTIONS = ("--client-output-buffer-limit", "pubsub 64mb 16mb 30", "--maxclients", "10000")
ALL_CORES = os.sched_getaffinity(0)

COUNTERS = {
    "ticks": ("aggregator", "market_pulse_aggregator_ticks_total"),
    "tickers": ("aggregator", "market_pulse_aggregator_tickers_total"),
    "writes": ("gateway", "market_pulse_gateway_frames_total"),
    "conflated": ("gateway", "market_pulse_gateway_events_conflated_total"),
    "resyncs": ("gateway", "market_pulse_gateway_resyncs_total"),
}


@dataclass(frozen=True)
class Reading:
    """The totals up to a moment: processor time in seconds and counters. Memory, in MiB, is that of the moment."""

    at_s: float
    cpu_s: dict[str, float]
    memory_mb: dict[str, float]
    machine_s: float
    counted: dict[str, float]


class System:
    """All running parts, and the bus."""

    def __init__(self, server: RedisServer, bus: IngestBus, parts: dict[str, Part]) -> None:
        self.server, self.bus, self.parts = server, bus, parts
        self._http = httpx.AsyncClient(timeout=PATIENCE_S)

    async def aclose(self) -> None:
        await self._http.aclose()

    @property
    def gateway_port(self) -> int:
        return int(self.parts["gateway"].health.rsplit(":", 1)[1])

    async def post(self, part: str, path: str, body: object) -> None:
        (await self._http.post(self.parts[part].health + path, json=body)).raise_for_status()

    async def is_ready(self, part: str, path: str = "/readyz") -> bool:
        try:
            return (await self._http.get(self.parts[part].health + path)).status_code == 200
        except httpx.TransportError:
            return False

    async def read(self) -> Reading:
        """Take a reading. A part that is too busy to report its counters is missing in `counted`."""
        counted: dict[str, float] = {}
        for part in ("aggregator", "gateway"):
            try:
                text = (await self._http.get(self.parts[part].health + "/metrics")).text
            except httpx.TransportError:
                continue
            for name, (of, metric) in COUNTERS.items():
                if of == part:
                    lines = [line for line in text.splitlines() if line.startswith(metric)]
                    counted[name] = sum(float(line.rsplit(" ", 1)[1]) for line in lines)
        pids = {name: [part.pid] for name, part in self.parts.items()} | {"Redis": [self.server.pid]}
        return Reading(
            time.monotonic(),
            {name: cores.cpu_s(of) for name, of in pids.items()},
            {name: cores.resident_kb(of) / 1024 for name, of in pids.items()},
            _machine_busy_s(),
            counted,
        )


@asynccontextmanager
async def running(folder: Path, symbols: Sequence[Symbol], *, ingests: bool) -> AsyncIterator[System]:
    """Run Redis, the aggregator and the gateway, and with `ingests` the ingests on the simulator, while the context lasts.

    Without ingests only the listings are published here; the ticks come from the feeder.
    """
    wanted = ",".join(symbols)
    async with redis_server(None, *REDIS_OPTIONS) as server, IngestBus.open(server.url) as bus:
        shared = {"REDIS_URL": server.url, "SYMBOLS": ",".join(symbols[:4])}
        modules = {"aggregator": {}, "gateway": {"MAX_STREAMS": "20000", "DRAIN_S": "0"}}
        if ingests:
            simulator = free_port()
            urls = {"WS_URL": f"ws://127.0.0.1:{simulator}", "REST_URL": f"http://127.0.0.1:{simulator}", "SYMBOLS": wanted}
            modules |= {"simulator": {"PORT": str(simulator)}, **{f"ingest_{exchange}": urls for exchange in EXCHANGES}}
        else:
            await _list(bus, symbols)
        parts = {}
        for module, own in modules.items():
            port = int(own.get("PORT", free_port()))
            environment = shared | {"PORT": str(port), "HEALTH_PORT": str(port)} | own
            parts[module.replace("_", "-")] = Part(module, module, folder, environment, port)
        system = System(server, bus, parts)
        try:
            for part in parts.values():
                await part.start()
            for name in parts:
                path = "/control" if name == "simulator" else "/livez" if name == "gateway" else "/readyz"
                await until(lambda name=name, path=path: system.is_ready(name, path), START_LIMIT_S)  # type: ignore[misc]
            yield system
        finally:
            for part in parts.values():
                if part.process is not None and part.process.returncode is None:
                    await part.kill()
            await system.aclose()


@asynccontextmanager
async def tool(program: Path, *arguments: object) -> AsyncIterator[Tool]:
    """Run a load program for the time of the context."""
    started = Tool(program, *arguments, cores=ALL_CORES)
    try:
        yield started
    finally:
        await asyncio.to_thread(started.close)


def feeder(system: System, symbols: Sequence[Symbol]) -> AbstractAsyncContextManager[Tool]:
    return tool(Path(sys.executable), HERE / "load" / "feeder.py", system.server.url, ",".join(symbols))


def listeners(system: System, symbols: Sequence[Symbol]) -> AbstractAsyncContextManager[Tool]:
    wanted = ",".join(kinds.TICKER.channel(symbol) for symbol in symbols)
    return tool(Path(sys.executable), HERE / "load" / "listeners.py", system.server.port, wanted)


async def _list(bus: IngestBus, symbols: Sequence[Symbol]) -> None:
    for exchange in EXCHANGES:
        await bus.publish_listing(exchange, symbols)
        await bus.publish_status(
            FeedStatus(
                exchange=exchange,
                state="connected",
                reason=None,
                since_ms=now_ms(),
                symbols=len(symbols),
                last_tick_time_ms=now_ms(),
                reconnects=0,
                instance="benchmark",
                simulated=False,
            )
        )


def _machine_busy_s() -> float:
    """Return the busy time of all cores of this machine so far, in seconds."""
    user, nice, system, _, _, irq, softirq, steal = map(int, Path("/proc/stat").read_text().split("\n")[0].split()[1:9])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")
