"""The demo in containers that all tests with containers share: a test can break parts of it and repair them."""

import asyncio
import json
from typing import Any

import httpx

from support.compose import Deployment
from support.exchanges import NAMES as EXCHANGES
from support.stack import HASTE, Contributed
from support.waiting import PATIENCE_S, until

RECOVERY_LIMIT_S = 60.0
STREAMS_PER_IP = 100
ENVIRONMENT = HASTE | {"HEARTBEAT_S": "2", "SYMBOL_GRACE_S": "5", "DRAIN_S": "0.5", "MAX_STREAMS_PER_IP": str(STREAMS_PER_IP)}
CALL = """
import sys, urllib.error, urllib.request
method, path, body = sys.argv[1:]
request = urllib.request.Request("http://127.0.0.1:9000" + path, body.encode() or None, method=method)
try:
    print(urllib.request.urlopen(request, timeout=5).read().decode())
except urllib.error.HTTPError as refused:
    sys.exit(refused.read().decode())
"""


class Demo(Deployment):
    """The system behind its edge, with shorter times, on simulated exchanges with faults on demand."""

    def __init__(self) -> None:
        super().__init__("test", **ENVIRONMENT)
        self._down: set[str] = set()
        self._disturbed = False

    async def fault(self, exchange: str, kind: str, **parameters: Any) -> None:
        """Turn on one of the simulator's faults, at one exchange or with `*` at all, until `heal`."""
        await self.control("POST", "/control/faults", {"exchange": exchange, "kind": kind, **parameters})

    async def heal(self) -> None:
        """End all faults."""
        await self.control("DELETE", "/control/faults")

    async def control(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Send a request to the simulator's control API, which can be reached only from inside the network."""
        self._disturbed = True
        text = json.dumps(body) if body else ""
        answer: dict[str, Any] = json.loads(
            await self._compose("exec", "-T", "simulator", "python", "-c", CALL, method, path, text)
        )
        return answer

    async def kill(self, service: str) -> None:
        """Kill a service with SIGKILL."""
        self._down.add(service)
        await self._compose("kill", service)

    async def stop(self, service: str) -> None:
        """Stop a service with SIGTERM, and wait for its end."""
        self._down.add(service)
        await self._compose("stop", service)

    async def start(self, *services: str) -> None:
        """Start services that were killed or stopped."""
        self._disturbed = True
        await self._compose("start", *services)
        self._down -= set(services)

    async def recover(self) -> None:
        """Undo a test's changes, and wait until prices are complete again."""
        if self._down:
            await self.start(*self._down)
        if self._disturbed:
            await self.heal()
            await self.ready()
        self._disturbed = False

    async def ready(self) -> None:
        """Wait until each featured symbol has a fresh price, and each exchange has contributed to one."""
        async with httpx.AsyncClient(base_url=self.page, timeout=PATIENCE_S) as http:
            await until(Contributed(http, EXCHANGES), RECOVERY_LIMIT_S)

    async def _compose(self, *arguments: str) -> str:
        return await asyncio.to_thread(self.compose, *arguments)
