"""The watchers during chaos: a subscriber of the bus, streams and a poller through the edge, and a monitor of the containers.

Each runs until it is cancelled. Errors go to the log, with the worst case of each figure.
"""

import asyncio
import contextlib
import json
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, NoReturn

import httpx
import orjson
from httpx_sse import EventSource, SSEError

from support.whole_bus import WholeBus

from .checks import HANGS_FOR_MS, LIVE, LIVE_FOR_MS, Lie, Line, Numbers, wrongs_of
from .system import System, docker

KEEP_WRONGS = 200
EDGE_TIMEOUT_S = 60.0
LOOK_S = 0.25
LATE_S = 0.5
SAMPLE_S = 10.0
ALWAYS_WANTED = ("BTC-USDT", "ETH-USDT", "BNB-USDT")  # not SOL, featured too, which some faults delist
SYMBOL_SILENT = "a symbol silent on the bus"
COUNTERS = {
    "market_pulse_ingest_suppressed_total": "ticks of another copy suppressed",
    "market_pulse_ingest_reconnects_total": "sockets to exchanges lost",
    "market_pulse_ingest_bad_frames_total": "frames that make no sense",
    "market_pulse_aggregator_takeovers_total": "symbols taken over",
    "market_pulse_aggregator_fenced_total": "publishes refused because the members changed",
}


class Log:
    """Collects errors, and the worst value of each figure, for the present episode and for all."""

    def __init__(self, lies: list[Lie]) -> None:
        self.wrongs: list[str] = []
        self._told = 0
        self.counts: Counter[str] = Counter()
        self.worst: dict[str, float] = defaultdict(float)
        self.lies = lies
        self.began_s = time.monotonic()

    def wrong(self, who: str, what: str) -> None:
        """Add an error."""
        if len(self.wrongs) < KEEP_WRONGS:
            self.wrongs.append(f"{time.monotonic() - self.began_s:.1f} s {who}: {what}")

    def news(self) -> list[str]:
        """Return the errors since the last call."""
        news, self._told = self.wrongs[self._told :], len(self.wrongs)
        return [f"    WRONG {what}\n" for what in news]

    def figure(self, name: str, value: float) -> None:
        """Add a value of a figure, of which the highest is kept."""
        self.worst[name] = max(self.worst[name], value)

    def ticker(self, who: str, ticker: dict[str, Any]) -> None:
        """Check a ticker alone, without the tickers before it."""
        now_ms = time.time() * 1000
        self.counts[f"{who}: {ticker['quality']}"] += 1
        if ticker["quality"] in LIVE:
            self.figure("age of a live ticker", (now_ms - ticker["aggregatedTime"]) / 1000)
        for what in wrongs_of(ticker, now_ms, self.lies):
            self.wrong(who, f"{ticker['symbol']} {ticker['seq']}: {what}")

    def episode(self) -> dict[str, float]:
        """Return the worst figures since the last call."""
        worst, self.worst = self.worst, defaultdict(float)
        return worst


class Silence:
    """Measures how long no data came."""

    def __init__(self, log: Log, name: str) -> None:
        self._log, self._name = log, name
        self._heard_s: float | None = None

    def heard(self) -> None:
        self.look()
        self._heard_s = time.monotonic()

    def look(self) -> None:
        self._log.figure(self._name, self.now_s())

    def now_s(self) -> float:
        """Return the time in seconds since the last data; 0 if none came yet."""
        return 0.0 if self._heard_s is None else time.monotonic() - self._heard_s


async def watch_bus(url: str, log: Log) -> NoReturn:
    """Subscribe to all ticks and tickers, as any client may, and compare each message with the one before."""
    numbers, line = Numbers(contiguous=True), Line(ALWAYS_WANTED)
    silence = Silence(log, "silence on the bus")
    silences = {symbol: Silence(log, SYMBOL_SILENT) for symbol in ALWAYS_WANTED}
    epoch = -1

    def take(channel: str, data: bytes) -> None:
        nonlocal epoch
        message = orjson.loads(data)
        # A new connection counts the same before and after it is marked as connected.
        current = subscriber.resyncs + (not subscriber.connected)
        if current != epoch:
            epoch = current
            numbers.interrupted()
            line.interrupted()
        if channel.startswith("ticker:"):
            silence.heard()
            if message["symbol"] in silences:
                silences[message["symbol"]].heard()
            log.ticker("bus", message)
            for what in filter(None, (numbers.wrong(message), *line.unheard(message))):
                log.wrong("bus", f"{message['symbol']}: {what}")
        else:
            log.counts["bus: ticks"] += 1
            if wrong := line.wrong(channel, message, time.monotonic()):
                log.wrong("bus", f"{channel}: {wrong}")

    async def subscribed(lost: bool) -> None:
        log.counts["bus: reconnects"] += lost

    async def look() -> NoReturn:
        while True:
            await asyncio.sleep(LOOK_S)
            for one in (silence, *silences.values()):
                one.look()

    async with WholeBus.open(url) as bus, asyncio.TaskGroup() as tasks:
        subscriber = bus.subscriber(take, subscribed)
        await subscriber.subscribe_patterns("ticker:*", "ticks:*")
        tasks.create_task(look())
        await subscriber.run()
    raise AssertionError("the subscriber ended")


class StreamWatcher:
    """A client like an EventSource: it waits, reconnects, and sends the id of its last event."""

    def __init__(self, url: str, path: str, log: Log) -> None:
        self._url, self._path, self._log = url, path, log
        self._shown: dict[str, dict[str, Any]] = {}
        self._silence = Silence(log, "silence of a stream")
        self._closed_s: float | None = None
        self._last_id = ""
        self._retry_s = 1.0
        self._opened_s = self._resync_s = 0.0

    async def run(self) -> NoReturn:
        timeout = httpx.Timeout(5, read=EDGE_TIMEOUT_S + 5)
        async with httpx.AsyncClient(base_url=self._url, timeout=timeout) as http, asyncio.TaskGroup() as tasks:
            tasks.create_task(self._look())
            while True:
                try:
                    await self._read(http)
                except (httpx.TransportError, SSEError):
                    self._log.counts["streams: broken"] += 1
                self._close()
                await asyncio.sleep(self._retry_s)

    async def _read(self, http: httpx.AsyncClient) -> None:
        headers = {"Last-Event-ID": self._last_id} if self._last_id else {}
        async with http.stream("GET", self._path, headers=headers) as response:
            if response.status_code != 200:
                self._log.counts[f"streams: refused with {response.status_code}"] += 1
                if response.headers["content-type"] != "application/problem+json" or "retry-after" not in response.headers:
                    self._log.wrong(self._path, f"{response.status_code} without saying when to come back")
                return
            numbers = Numbers(contiguous=False)
            self._opened_s = time.monotonic()
            async for event in EventSource(response).aiter_sse():
                self._silence.heard()
                if event.retry is not None:
                    self._retry_s = event.retry / 1000
                self._last_id = event.id or self._last_id
                if event.event == "message":
                    self._take(numbers, **event.json())

    def _take(self, numbers: Numbers, type: str, data: dict[str, Any]) -> None:  # noqa: A002 - the stream's own word
        match type:
            case "connected" if data["resumed"] is not bool(self._last_id):
                self._log.wrong(self._path, f"resumed is {data['resumed']} after id {self._last_id!r}")
            case "resync":
                self._log.counts["streams: resyncs"] += 1
                self._resync_s = time.monotonic()
                numbers.interrupted()
            case "bye":
                self._log.counts["streams: goodbyes"] += 1
            case "ticker":
                self._log.ticker("streams", data)
                if wrong := numbers.wrong(data):
                    self._log.wrong(self._path, f"{data['symbol']}: {wrong}")
                self._shown[data["symbol"]] = data
                if self._closed_s is not None:
                    self._log.figure("stream away", time.monotonic() - self._closed_s)
                    self._closed_s = None

    def _close(self) -> None:
        self._shown.clear()  # a client without a stream shows no price as live
        if self._closed_s is None:
            self._closed_s = time.monotonic()

    async def _look(self) -> NoReturn:
        """Check that prices shown as live are young while the stream is open, even if no more events come."""
        while True:
            before_s = time.monotonic()
            await asyncio.sleep(LOOK_S)
            if time.monotonic() - before_s > LATE_S:
                continue  # this process itself was late
            self._silence.look()
            if self._closed_s is not None:
                self._log.figure("stream away", time.monotonic() - self._closed_s)
            for symbol, ticker in self._shown.items():
                age_ms = time.time() * 1000 - ticker["aggregatedTime"]
                if ticker["quality"] in LIVE:
                    self._log.figure("age on show as live", age_ms / 1000)
                    if age_ms > (HANGS_FOR_MS if self._silence.now_s() > 1.5 else LIVE_FOR_MS):
                        self._log.wrong(self._path, f"{symbol} {ticker['seq']} is still on show as live after {age_ms:.0f} ms")

    def has_begun_anew(self, since_s: float) -> bool:
        """Return whether the stream was opened, or sent a resync, since then."""
        return max(self._opened_s, self._resync_s) > since_s

    def is_live(self) -> bool:
        """Return whether all shown prices are live and of quality `ok`."""
        return bool(self._shown) and all(ticker["quality"] == "ok" for ticker in self._shown.values())


async def poll(url: str, log: Log) -> NoReturn:
    """Request the newest ticker by REST twice a second. It must state its true age, or be an error with a time to retry."""
    async with httpx.AsyncClient(base_url=url, timeout=10) as http:
        while True:
            await asyncio.sleep(0.5)
            try:
                answer = await http.get("/api/ticker/BTC")
            except httpx.TransportError as failed:
                log.counts[f"REST: {type(failed).__name__}"] += 1
                continue
            if answer.status_code == 200:
                log.ticker("REST", answer.json())
            else:
                log.counts[f"REST: refused with {answer.status_code}"] += 1
                if answer.headers["content-type"] != "application/problem+json" or "retry-after" not in answer.headers:
                    log.wrong("REST", f"{answer.status_code} without saying when to come back")


class ContainerWatcher:
    """Records the memory of each container and the counters of the copies. A copy that was killed counts from 0 again."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._counted: dict[str, float] = {}
        self.memory_mb: dict[str, list[float]] = defaultdict(list)
        self.counts: Counter[str] = Counter()

    async def run(self) -> NoReturn:
        while True:
            for line in (await docker("stats", "--no-stream", "--format", "json", *self._system.containers)).splitlines():
                container = json.loads(line)
                if used_mb := megabytes(container["MemUsage"].split("/")[0]):  # a container that is down uses no memory
                    self.memory_mb[container["Name"].removeprefix(f"{self._system.demo.project}-")].append(used_mb)
            for metric, where, value in await self._system.counters(COUNTERS):
                before = self._counted.get(where, 0.0)
                self._counted[where] = value
                self.counts[metric] += round(value - before if value >= before else value)
            await asyncio.sleep(SAMPLE_S)


UNITS: Mapping[str, float] = {"GiB": 1024, "MiB": 1, "KiB": 1 / 1024, "B": 1 / 2**20}


def megabytes(text: str) -> float:
    """Read a size as Docker writes it; return it in MB."""
    unit = next(unit for unit in UNITS if text.strip().endswith(unit))
    return float(text.strip().removesuffix(unit)) * UNITS[unit]


@contextlib.asynccontextmanager
async def watching(*jobs: Any) -> Any:
    """Run watchers while the context lasts. If one fails, all end."""
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(job) for job in jobs]
        yield
        for task in running:
            task.cancel()


def growth(samples: Iterable[float]) -> float:
    """Return by how much the highest value of the last quarter exceeds that of the second quarter, in MB."""
    known = list(samples)
    quarter = max(len(known) // 4, 1)
    return max(known[-quarter:]) - max(known[quarter : 2 * quarter] or known)
