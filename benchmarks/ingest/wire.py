"""Measures the way from a WebSocket to Redis: sends a recording to a process and reads its processor time from /proc."""

import asyncio
import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import report
from fanout.cores import Cores, cpu_s, family, pinned_to
from ingest.frames import Recording
from ingest.peers import HERE, PEERS, WITH_PEERS
from support.redis_server import redis_server
from support.waiting import free_port
from support.whole_bus import WholeBus

WRITES = ("cmdstat_publish", "cmdstat_xadd")
SETTLE_S = 1.5  # by then the first symbols are known and the subscriptions are being sent
STEP_S = 0.1
IDLE_S = 0.01  # processor time in one step up to which a reader counts as idle
LIMIT_S = 120.0


@dataclass(frozen=True)
class Figures:
    """The figures of one pass of a recording. `written`: messages sent to Redis. `load_s`: the load's processor time."""

    frames: int
    written: int
    used_s: float
    load_s: float


async def measure(recordings: Sequence[Recording], rounds: int, rate: int, cryptofeed: str | None) -> None:
    """Print how many frames a second get through to Redis, at full rate and at a fixed rate."""
    cores = Cores()
    print(f"\n{cores}")
    for title, each_s in (("As fast as it is taken", 0), (f"{rate:,} frames a second", rate)):
        with pinned_to(cores.bus):
            rows = [row for recording in recordings for row in await _rows(recording, rounds, each_s, cryptofeed, cores)]
        columns = (
            "exchange",
            "who",
            "frames/s and core",
            "written/s and core",
            "written per frame",
            "us per frame",
            "frames/s of the load's core",
            "us per frame to ingest's",
        )
        report.table(title, columns, rows)


async def _rows(
    recording: Recording, rounds: int, rate: int, cryptofeed: str | None, cores: Cores
) -> list[tuple[report.Cell, ...]]:
    exchange = recording.adapter.exchange
    raw = [sys.executable, str(PEERS / "raw_ingest.py")]
    commands = {"ingest": [sys.executable, "-m", f"ingest_{exchange}"], "floor": raw, "deaf": [*raw, "--deaf"]}
    if cryptofeed is not None and exchange == "okx":  # the only exchange of which it reads all recorded frames
        commands["cryptofeed"] = [cryptofeed, str(PEERS / "cryptofeed_ingest.py"), "feed", exchange, str(recording.listing)]
    passes: dict[str, list[Figures]] = defaultdict(list)
    for _ in range(rounds):
        for name, command in commands.items():
            passes[name].append(await _pass(recording, command, rate, cores))
    costs = {name: [one.used_s / one.frames * 1e6 for one in figures] for name, figures in passes.items()}
    return [
        (
            exchange,
            name,
            report.spread([one.frames / one.used_s for one in figures]),
            median(one.written / one.used_s for one in figures),
            median(one.written / one.frames for one in figures),
            median(costs[name]),
            median(one.frames / max(one.load_s, 1e-6) for one in figures),
            report.ratio(costs[name], costs["ingest"]),
        )
        for name, figures in passes.items()
    ]


async def _pass(recording: Recording, command: Sequence[str], rate: int, cores: Cores) -> Figures:
    """Send a recording once to a new process with a new Redis."""
    async with asyncio.timeout(LIMIT_S), redis_server() as server, WholeBus.open(server.url) as bus:
        with pinned_to(cores.load):
            replay = await _start([sys.executable, str(HERE / "load/replay.py"), str(recording.file), str(recording.listing)])
        try:
            port = (await _answer(replay))["port"]
            environment = {
                "REDIS_URL": server.url,
                "WS_URL": f"ws://127.0.0.1:{port}{recording.adapter.ws_path}",
                "REST_URL": f"http://127.0.0.1:{port}",
                "SYMBOLS": ",".join(one.symbol for one in recording.listed),
                "MAX_SYMBOLS": str(len(recording.listed)),
                "HEALTH_PORT": str(free_port()),
                "LOG_FORMAT": "json",
                "LOG_LEVEL": "error",
            }
            with pinned_to(cores.server):
                reader = await _start(command, environment)
            try:
                return await _send(replay, reader.pid, bus, rate)
            finally:
                reader.kill()
                await reader.wait()
        finally:
            replay.kill()
            await replay.wait()


async def _send(replay: asyncio.subprocess.Process, reader: int, bus: WholeBus, rate: int) -> Figures:
    await _answer(replay)  # the answer says that a reader has connected
    await asyncio.sleep(SETTLE_S)
    pids = family(reader)
    before_s, before = cpu_s(pids), await _written(bus)
    assert replay.stdin is not None
    replay.stdin.write(b"go %d\n" % rate)
    sent = await _answer(replay)
    used_s, idle = cpu_s(pids), False
    while not idle:
        await asyncio.sleep(STEP_S)
        now_s = cpu_s(pids)
        used_s, idle = now_s, now_s - used_s < IDLE_S
    return Figures(sent["frames"], await _written(bus) - before, used_s - before_s, sent["cpu_s"])


async def _written(bus: WholeBus) -> int:
    """Return how many messages were written to Redis so far, those written by scripts included."""
    statistics: Any = await bus.client.info("commandstats")
    return sum(statistics[name]["calls"] for name in WRITES if name in statistics)


async def _start(command: Sequence[str], environment: dict[str, str] | None = None) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(*command, env=WITH_PEERS | (environment or {}), stdin=pipe, stdout=pipe)


async def _answer(process: asyncio.subprocess.Process) -> Any:
    assert process.stdout is not None
    return json.loads(await process.stdout.readline())
