"""`make demo` without make: all parts start as processes of this machine, are kept alive, and end with the runner."""

import asyncio
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import orjson
import pytest
from httpx_sse import aconnect_sse

from support.exchanges import NAMES as EXCHANGES
from support.waiting import PATIENCE_S, until

ROOT = Path(__file__).parents[2]
PREFERRED_PORTS = (8080, 6379, 9000)
PARTS = ("simulator", *(f"ingest_{name}" for name in sorted(EXCHANGES)), "aggregator", "candles", "gateway")
START_LIMIT_S, STOP_LIMIT_S = 90.0, 30.0

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc, which only Linux has"),
]


class Runner:
    """The runner as a process, and its output."""

    def __init__(self, log: Path, **environment: str) -> None:
        self._log = log
        inherited = {name: value for name, value in os.environ.items() if name not in {"PORT", "REDIS_PORT", "REDIS_URL"}}
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "deploy.local.run", "--demo"],
                cwd=ROOT,
                env=inherited | environment,
                stdout=output,
                stderr=output,
            )

    @property
    def said(self) -> str:
        return self._log.read_text(errors="replace")

    async def greeting(self) -> str:
        await until(lambda: "Ctrl-C stops it" in self.said or self.process.poll() is not None, START_LIMIT_S)
        assert self.process.poll() is None, self.said
        await until(lambda: "redis-cli" in self.said)
        return self.said

    async def ended(self, within_s: float = STOP_LIMIT_S) -> int:
        await until(lambda: self.process.poll() is not None, within_s)
        return self.process.returncode


@contextlib.contextmanager
def runner(log: Path, **environment: str) -> Iterator[Runner]:
    """Run the runner while the context lasts, and kill all its processes at the end."""
    started = Runner(log, **environment)
    try:
        yield started
    finally:
        family = descendants(started.process.pid)
        started.process.kill()
        started.process.wait()
        for pid in family:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@contextlib.contextmanager
def occupied(*ports: int) -> Iterator[None]:
    """Make sure that each of these ports is in use, by this process or another."""
    with contextlib.ExitStack() as listeners:
        for port in ports:
            listener = listeners.enter_context(socket.socket())
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):  # another process listens already
                listener.bind(("127.0.0.1", port))
                listener.listen()
        yield


def descendants(pid: int) -> dict[int, str]:
    """Return the running descendants of a process, with their command lines."""
    parents: dict[int, int] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rpartition(")")[2].split()[1])
    family, found = set[int](), {pid}
    while found:
        family |= found
        found = {child for child, parent in parents.items() if parent in family} - family
    return {member: command for member in family - {pid} if (command := command_of(member))}


def command_of(pid: int) -> str:
    """Return a process's command line, or an empty text if it has ended or is a zombie."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ").strip()
    except OSError:
        return ""


def part(runner: Runner, module: str) -> int | None:
    """Return the id of the process that runs a part, or None."""
    return next((pid for pid, command in descendants(runner.process.pid).items() if command.endswith(f"-m {module}")), None)


async def first_full_ticker(page: str, after_seq: int = -1) -> int:
    """Wait for a ticker to whose price all exchanges contribute; return its number."""
    async with (
        asyncio.timeout(PATIENCE_S),
        httpx.AsyncClient(timeout=PATIENCE_S) as client,
        aconnect_sse(client, "GET", f"{page}/api/realtime/BTC") as source,
    ):
        async for event in source.aiter_sse():
            message = orjson.loads(event.data) if event.event == "message" else {}
            if message.get("type") == "ticker" and message["data"]["seq"] > after_seq:
                sources = {one["exchange"] for one in message["data"]["sources"] if one["state"] == "used"}
                if sources == EXCHANGES:
                    return int(message["data"]["seq"])
    raise AssertionError("the stream ended")


async def test_demo_on_a_machine_whose_ports_are_taken(tmp_path: Path) -> None:
    with occupied(*PREFERRED_PORTS), runner(tmp_path / "log") as run:
        said = await run.greeting()
        assert "SIMULATED" in said
        page = re.search(r"page\s+(http://localhost:(\d+))", said)
        bus = re.search(r"redis-cli -p (\d+) SUBSCRIBE ticker:BTC-USDT", said)
        assert page is not None
        assert bus is not None
        assert f"curl -N {page[1]}/api/realtime/BTC" in said
        assert not {int(page[2]), int(bus[1])} & set(PREFERRED_PORTS)
        seq = await first_full_ticker(page[1])

        killed = part(run, "aggregator")
        assert killed is not None
        os.kill(killed, signal.SIGKILL)
        await until(lambda: part(run, "aggregator") not in {None, killed})
        await first_full_ticker(page[1], after_seq=seq + 1)

        family = descendants(run.process.pid)
        assert all(any(command.endswith(f"-m {module}") for command in family.values()) for module in PARTS)
        run.process.send_signal(signal.SIGINT)
        assert await run.ended() == 0, run.said
        assert {pid: command for pid, command in family.items() if command_of(pid) == command} == {}


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent was killed")
async def test_a_killed_runner_takes_its_parts_along(tmp_path: Path) -> None:
    with runner(tmp_path / "log", EXCHANGES="okx") as run:
        await run.greeting()
        family = descendants(run.process.pid)
        assert any(command.endswith("-m ingest_okx") for command in family.values())
        run.process.kill()
        await until(lambda: not any(command_of(pid) == command for pid, command in family.items()), STOP_LIMIT_S)


async def test_a_wrong_setting_ends_it_with_the_reason(tmp_path: Path) -> None:
    with runner(tmp_path / "log", SYMBOLS="not a symbol") as run:
        assert await run.ended(START_LIMIT_S) == 78, run.said
        assert "SYMBOLS" in run.said


async def test_a_port_asked_for_by_name_is_not_replaced(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with runner(tmp_path / "log", PORT=str(port)) as run:
            assert await run.ended() == 78
            assert f"PORT: port {port} is in use" in run.said
