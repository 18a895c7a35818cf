"""Runs the whole system as processes on the simulator: one command each, configured by the environment, as users do."""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator, Collection, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx
import orjson
from httpx_sse import aconnect_sse

from support.redis_server import RedisServer, make_users, redis_server
from support.waiting import PATIENCE_S, free_port, until

from .whole_bus import WholeBus

EXCHANGES = ("binance", "bybit", "okx")
MAKERS = ("aggregator", "candles")
HASTE = {  # shorter times, so that a test need not wait for minutes
    "SOFT_AGE_S": "2",
    "HARD_AGE_S": "6",
    "HOLD_S": "4",
    "SYMBOL_GRACE_S": "2",
    "BLOCKED_RETRY_S": "2",
    "DRAIN_S": "0.3",
}
STOP_LIMIT_S = 10.0


class Part:
    """One process, with its log and the port of its probes."""

    def __init__(self, name: str, module: str, folder: Path, environment: dict[str, str], health_port: int) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self.health = f"http://127.0.0.1:{health_port}"
        self._module = module
        self._environment = os.environ | {"LOG_FORMAT": "json"} | environment
        self.process: asyncio.subprocess.Process | None = None

    def copy(self, name: str, health_port: int) -> "Part":
        """Return another copy of this part, on a health port of its own."""
        environment = self._environment | {"HEALTH_PORT": str(health_port)}
        return Part(name, self._module, self.log.parent, environment, health_port)

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", self._module, env=self._environment, stdout=log, stderr=log
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    async def kill(self) -> None:
        """Kill the process with SIGKILL, like a crash."""
        assert self.process is not None
        self.process.kill()
        await self.process.wait()

    def freeze(self) -> None:
        """Suspend the process: its sockets stay open, and incoming data waits in them."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    async def stop(self) -> int:
        """Stop the process with SIGTERM, as an operator does, and return its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return await asyncio.wait_for(self.process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            return -9

    def complaints(self) -> list[str]:
        """Return the log lines about unexpected errors."""
        lines = self.log.read_text(errors="replace").splitlines()
        return [line[:500] for line in lines if is_complaint(line)]


def is_complaint(line: str) -> bool:
    """Return whether a log line reports an unexpected error."""
    return "Traceback" in line or '"level": "error"' in line or "Exception" in line


class Stack:
    """All parts of the system, with methods to change and query them."""

    def __init__(
        self, server: RedisServer, bus: WholeBus, reader_url: str, parts: dict[str, Part], gateway: str, simulator: str
    ) -> None:
        self.server = server
        self.bus = bus
        self.reader_url = reader_url
        self.parts = parts
        self.http = httpx.AsyncClient(base_url=gateway, timeout=PATIENCE_S)
        self.control = httpx.AsyncClient(base_url=simulator, timeout=PATIENCE_S)

    def another(self, name: str, as_name: str) -> Part:
        """Return another copy of a part. The caller starts it; it is stopped with the others."""
        copied = self.parts[as_name] = self.parts[name].copy(as_name, free_port())
        return copied

    async def aclose(self) -> None:
        await self.http.aclose()
        await self.control.aclose()

    async def fault(self, exchange: str, kind: str, **parameters: Any) -> None:
        answer = await self.control.post("/control/faults", json={"exchange": exchange, "kind": kind, **parameters})
        assert answer.status_code < 300, answer.text

    async def heal(self) -> None:
        (await self.control.delete("/control/faults")).raise_for_status()

    async def limit_market(self, symbols: list[str], events_per_s: float, *, evenly: bool = False) -> None:
        """Make market events only for these symbols, at this total rate."""
        change = {"events_per_s": events_per_s, "symbols": symbols, "evenly": evenly}
        (await self.control.post("/control/rate", json=change)).raise_for_status()

    async def ready(self) -> bool:
        return await is_complete(self.http, EXCHANGES)

    async def states(self) -> dict[str, str]:
        answer = await self.http.get("/api/status")
        return {name: status["state"] for name, status in answer.json()["exchanges"].items()}

    async def metric(self, part: str, name: str) -> float:
        """Return a metric's sum over its labels."""
        async with httpx.AsyncClient(timeout=PATIENCE_S) as client:
            text = (await client.get(f"{self.parts[part].health}/metrics")).text
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{")))


async def is_complete(http: httpx.AsyncClient, exchanges: Collection[str]) -> bool:
    """Return whether each featured symbol's price is made of all these exchanges, and whether they have told what they list."""
    tickers = await _featured(http)
    return bool(tickers) and all(_contributors(one) == set(exchanges) for one in tickers)


class Contributed:
    """A condition to wait for: each of these exchanges has contributed to the price of BTC since this object was made.

    Not all need to contribute at the same time, because thin markets are silent for longer than HASTE allows. Each featured
    symbol must have a fresh price meanwhile.
    """

    def __init__(self, http: httpx.AsyncClient, exchanges: Collection[str]) -> None:
        self._http = http
        self._missing = set(exchanges)

    async def __call__(self) -> bool:
        tickers = await _featured(self._http)
        for ticker in tickers[:1]:
            self._missing -= _contributors(ticker)
        return bool(tickers) and not self._missing


async def _featured(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    """Return the tickers of the featured symbols, BTC first, or none if one is not fresh or symbols are not known yet."""
    with contextlib.suppress(httpx.TransportError):
        answer = await http.get("/api/ticker", params={"symbols": "BTC,ETH,SOL,BNB"})
        if answer.status_code == 200:
            tickers: list[dict[str, Any]] = answer.json()["tickers"]
            if len(tickers) == 4 and all(one["quality"] == "ok" for one in tickers):
                return tickers if "DOGE-USDT" in (await http.get("/api/symbols")).text else []
    return []


def _contributors(ticker: dict[str, Any]) -> set[str]:
    return {one["exchange"] for one in ticker["sources"] if one["weight"]}


class Events:
    """One stream of the gateway, read by httpx-sse, an independent client."""

    def __init__(self, events: AsyncIterator[Any]) -> None:
        self._events = events
        self.tickers: list[dict[str, Any]] = []

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                event = await anext(self._events)
                assert event.event != "refused", event.data
                if event.event == "message":
                    message: dict[str, Any] = orjson.loads(event.data)
                    if message["type"] == "ticker":
                        self.tickers.append(message["data"])
                    return message

    async def ticker(self, where: Any = lambda _: True, within_s: float = PATIENCE_S) -> dict[str, Any]:
        """Return the next ticker that meets a condition."""
        async with asyncio.timeout(within_s):
            while True:
                message = await self.next()
                if message["type"] == "ticker" and where(message["data"]):
                    ticker: dict[str, Any] = message["data"]
                    return ticker


class Asking(Protocol):
    """An object with an HTTP client for the gateway."""

    http: httpx.AsyncClient


@contextlib.asynccontextmanager
async def events(stack: Asking, path: str) -> AsyncIterator[Events]:
    async with aconnect_sse(stack.http, "GET", path) as source:
        assert source.response.status_code == 200, await source.response.aread()
        stream = source.aiter_sse()
        try:
            yield Events(stream)
        finally:
            await stream.aclose()


def source_of(ticker: dict[str, Any], exchange: str) -> dict[str, Any]:
    source: dict[str, Any] = next(one for one in ticker["sources"] if one["exchange"] == exchange)
    return source


@contextlib.asynccontextmanager
async def running_stack(folder: Path, **environment: str) -> AsyncIterator[Stack]:
    """Run a Redis server with its users and every part on it while the context lasts. Prices are complete at the start."""
    port = free_port()
    urls = make_users(folder, f"redis://127.0.0.1:{port}/0")
    rules = ("--aclfile", str(folder / "redis/users.acl"))
    async with (
        redis_server(port, *rules, url=urls["redis"]) as server,
        WholeBus.open(server.url) as bus,
        running_parts(folder, server, bus, urls, **environment) as stack,
    ):
        yield stack


@contextlib.asynccontextmanager
async def running_parts(
    folder: Path, server: RedisServer, bus: WholeBus, urls: Mapping[str, str], **environment: str
) -> AsyncIterator[Stack]:
    """Run every part on an existing bus, each as its own user, while the context lasts. Prices are complete at the start."""
    ports = {name: free_port() for name in ("simulator", "gateway", *MAKERS, *EXCHANGES)}
    simulator, gateway = (f"http://127.0.0.1:{ports[name]}" for name in ("simulator", "gateway"))
    parts = {"simulator": Part("simulator", "simulator", folder, {"PORT": str(ports["simulator"])}, ports["simulator"])}
    for exchange in EXCHANGES:
        feed = {
            "WS_URL": simulator.replace("http", "ws", 1),
            "REST_URL": simulator,
            "HEALTH_PORT": str(ports[exchange]),
        }
        own = environment | feed | {"REDIS_URL": urls[f"ingest-{exchange}"]}
        parts[exchange] = Part(f"ingest-{exchange}", f"ingest_{exchange}", folder, own, ports[exchange])
    for name in MAKERS:
        own = environment | {"REDIS_URL": urls[name], "HEALTH_PORT": str(ports[name])}
        parts[name] = Part(name, name, folder, own, ports[name])
    own = environment | {"REDIS_URL": urls["gateway"], "PORT": str(ports["gateway"])}
    parts["gateway"] = Part("gateway", "gateway", folder, own, ports["gateway"])
    stack = Stack(server, bus, urls["reader"], parts, gateway, simulator)
    try:
        for part in parts.values():
            await part.start()
        await until(stack.ready, 90)
        yield stack
        codes = {name: await part.stop() for name, part in reversed(parts.items())}
        assert codes == dict.fromkeys(codes, 0), f"a part did not stop cleanly: {codes}"
        complaints = {part.name: part.complaints() for part in parts.values()}
        assert not any(complaints.values()), complaints
    finally:
        for part in parts.values():
            if part.process is not None and part.process.returncode is None:
                part.process.kill()
                await part.process.wait()
        await stack.aclose()
