"""The deployment under chaos: its copies, and the faults that are inflicted on them."""

import asyncio
import time
from collections.abc import Mapping
from functools import partial

from support.demo import Demo
from support.stack import is_complaint
from support.waiting import until

from .checks import Lie
from .schedule import ACTIONS, ALL, EXCHANGE_FAULTS, Fault

COMMAND_LIMIT_S = 60
START_LIMIT_S = 120
JUNK_BYTES = 200_000
READ_METRICS = """
import sys, urllib.request
for name in sys.argv[1:]:
    port = 8000 if "-gateway-" in name else 9100
    try:
        text = urllib.request.urlopen(f"http://{name}:{port}/metrics", timeout=1).read().decode()
    except OSError:
        continue
    for line in text.splitlines():
        if not line.startswith("#"):
            print(name, line)
"""
LIMIT = "client-output-buffer-limit"


class System:
    """A demo in which some parts run in several copies."""

    def __init__(self, demo: Demo, copies: Mapping[str, int]) -> None:
        self.demo = demo
        self.copies = copies
        self.lies: list[Lie] = []
        self._containers: dict[str, list[str]] = {}

    @property
    def containers(self) -> list[str]:
        """The names of all containers."""
        return [name for names in self._containers.values() for name in names]

    async def scale(self, copies: Mapping[str, int]) -> None:
        """Run these numbers of copies."""
        scales = [word for service, count in copies.items() for word in ("--scale", f"{service}={count}")]
        await asyncio.to_thread(self.demo.compose, "up", "--detach", "--no-recreate", *scales, within_s=120)
        known = await asyncio.to_thread(self.demo.containers)
        self._containers = {service: [one["Name"].lstrip("/") for one in containers] for service, containers in known.items()}
        for name in self.containers:
            await until(partial(_is_healthy, name), START_LIMIT_S, every_s=0.5)

    async def counters(self, names: Mapping[str, str]) -> list[tuple[str, str, float]]:
        """Return the counters of each running copy, summed over labels, as (meaning, place, value)."""
        counting = [name for service, containers in self._containers.items() if service in self.copies for name in containers]
        read = await docker("exec", self._containers["simulator"][0], "python", "-c", READ_METRICS, *counting)
        totals: dict[tuple[str, str], float] = {}
        for line in read.splitlines():
            where, metric = line.split(maxsplit=1)
            name, _, value = metric.rpartition(" ")
            if meaning := names.get(name.partition("{")[0]):
                key = meaning, f"{where} {meaning}"
                totals[key] = totals.get(key, 0.0) + float(value)
        return [(*key, value) for key, value in totals.items()]

    async def inflict(self, fault: Fault) -> None:
        """Inflict a fault, wait for its duration, and undo it."""
        await asyncio.sleep(fault.at_s)
        if fault.kind in EXCHANGE_FAULTS:
            await self._fail_exchange(fault)
        elif fault.place == "redis":
            await self._fail_redis(fault)
        else:
            names = self._containers[fault.place]
            await self._fail_part(fault, names if fault.copy == ALL else [names[fault.copy]])

    async def ended_by_themselves(self) -> list[str]:
        """Return the containers that the engine had to restart since this program started them."""
        known = await asyncio.to_thread(self.demo.containers)
        return [
            f"{one['Name']} has ended by itself, out of memory: {one['State']['OOMKilled']}, restarts: {one['RestartCount']}"
            for containers in known.values()
            for one in containers
            if one["RestartCount"] or one["State"]["OOMKilled"] or not one["State"]["Running"]
        ]

    async def complaints(self) -> list[str]:
        """Return the log lines about unexpected errors."""
        logs = await asyncio.to_thread(self.demo.compose, "logs", "--no-color")
        return [line[:500] for line in logs.splitlines() if is_complaint(line)]

    async def _fail_exchange(self, fault: Fault) -> None:
        lie = Lie(fault.place, dict(fault.parameters).get("symbol"), time.time() * 1000)
        if fault.kind == "spike":
            self.lies.append(lie)
        lasts = {} if fault.kind in ACTIONS else {"for_s": fault.for_s}
        await self.demo.fault(fault.place, fault.kind, **dict(fault.parameters), **lasts)
        if fault.kind == "refuse":
            await self.demo.fault(fault.place, "cut")  # open connections would not notice the fault
        await asyncio.sleep(fault.for_s)
        lie.end_ms = time.time() * 1000

    async def _fail_part(self, fault: Fault, names: list[str]) -> None:
        match fault.kind:
            case "rolled":
                for name in names:
                    await docker("restart", name)
                    await until(partial(_is_healthy, name), START_LIMIT_S, every_s=0.5)
            case "paused":
                await asyncio.gather(*(_away(name, "pause", "unpause", fault.for_s) for name in names))
            case "killed":
                await asyncio.gather(*(_away(name, "kill", "start", fault.for_s) for name in names))
            case "stopped":
                await asyncio.gather(*(_away(name, "stop", "start", fault.for_s) for name in names))

    async def _fail_redis(self, fault: Fault) -> None:
        [redis] = self._containers["redis"]
        match fault.kind:
            case "restarted":
                await docker("restart", redis)
            case "killed":
                await _away(redis, "kill", "start", fault.for_s)
            case "frozen":
                await _away(redis, "pause", "unpause", fault.for_s)
            case "connections cut":
                for kind in ("normal", "pubsub"):
                    await docker("exec", redis, "/deploy/admin", "CLIENT", "KILL", "TYPE", kind)
            case "buffers cut":  # one message that exceeds a subscriber's output buffer limit
                await docker("exec", redis, "/deploy/admin", "CONFIG", "SET", LIMIT, f"pubsub {JUNK_BYTES // 2} 0 0")
                for channel in ("ticks:junk:BTC-USDT", "ticker:BTC-USDT", "status:junk"):
                    junk = f"redis.call('PUBLISH', '{channel}', string.rep('x', {JUNK_BYTES}))"
                    await docker("exec", redis, "/deploy/admin", "EVAL", junk, "0")
                await docker("exec", redis, "/deploy/admin", "CONFIG", "SET", LIMIT, "pubsub 67108864 16777216 30")


async def _away(name: str, leave: str, come_back: str, seconds: float) -> None:
    """Make a container leave and, even after an error meanwhile, come back."""
    await docker(leave, name, attempts=5)  # a busy engine may fail to pause a container
    try:
        await asyncio.sleep(seconds)
    finally:
        await docker(come_back, name, attempts=5)


async def _is_healthy(name: str) -> bool:
    return (await docker("inspect", "--format", "{{.State.Health.Status}}", name)).strip() == "healthy"


async def docker(*arguments: str, attempts: int = 1) -> str:
    """Run a docker command and return its output. A failure is retried up to `attempts` times in all."""
    for attempt in range(1, attempts + 1):
        async with asyncio.timeout(COMMAND_LIMIT_S):
            process = await asyncio.create_subprocess_exec(
                "docker", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
            )
            output, complaint = await process.communicate()
        if process.returncode == 0:
            return output.decode()
        assert attempt < attempts, f"docker {' '.join(arguments)}: {complaint.decode()}"
        await asyncio.sleep(0.5)
    raise AssertionError("at least one attempt")
