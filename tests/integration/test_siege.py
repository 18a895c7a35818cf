"""A gateway under attack without an edge: it needs little more memory and survives, and other streams miss no second.

Among the other tests all attacks run at once and briefly. `make siege` runs each alone for five minutes.
"""

import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from support.attacks import BIG, KINDS
from support.redis_server import RedisServer
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

from .gateway_fixtures import BTC, GatewayProcess, Market, gateway_process

SIEGE_S = float(os.environ.get("SIEGE_S", "0"))
SHORT_S = 8.0
MOST_GROWTH_BYTES = 50_000_000
STREAMS = 100
WATCHES_FROM = "127.0.0.99"
KINDS_OF_HTTP_1 = [kind for kind in KINDS if not kind.startswith("h2_")]
SECOND_S = 1.0

pytestmark = [
    pytest.mark.long,
    pytest.mark.timeout(60 + 2 * SIEGE_S + 10 * PATIENCE_S),
    pytest.mark.skipif(sys.platform != "linux", reason="attackers have addresses of their own on Linux alone"),
]


class Watch:
    """Streams of an address without attacks, and the prices that each has received. A price is the number of its second."""

    def __init__(self) -> None:
        self.seen: list[set[int]] = [set() for _ in range(STREAMS)]
        self.worst_gap_s = 0.0
        self.missed = 0  # the seconds that the worst stream missed

    async def read(self, port: int, number: int) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(WATCHES_FROM, 0))
        last_s = time.monotonic()
        try:
            writer.write(b"GET /api/realtime/BTC HTTP/1.1\r\nHost: x\r\n\r\n")
            while line := await reader.readline():
                if price := re.search(rb'"price":([0-9]+)', line):
                    self.seen[number].add(int(price[1]))
                    now_s = time.monotonic()
                    self.worst_gap_s, last_s = max(self.worst_gap_s, now_s - last_s), now_s
        finally:
            writer.close()

    def have_all_seen(self, second: int) -> bool:
        return all(second in seen for seen in self.seen)


@contextlib.asynccontextmanager
async def watched(port: int) -> AsyncIterator[tuple[Watch, list[asyncio.Task[None]]]]:
    watch = Watch()
    tasks = [asyncio.create_task(watch.read(port, number)) for number in range(STREAMS)]
    try:
        yield watch, tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def attacked(kind: str, port: int, seconds: float, connections: int) -> AsyncIterator[asyncio.Task[bytes]]:
    """Attack from another process, which takes no time from the streams' loop; yield a task that ends with it."""
    command = ("-m", "support.attacks", kind, "127.0.0.1", str(port), "--seconds", str(seconds), "--addresses", "13")
    process = await asyncio.create_subprocess_exec(
        sys.executable, *command, "--connections", str(connections), stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
    )  # fmt: skip
    ending = asyncio.create_task(_output(process))
    try:
        yield ending
    finally:
        if process.returncode is None:
            process.kill()
        await ending


async def _output(process: asyncio.subprocess.Process) -> bytes:
    return (await process.communicate())[0]


def resident_bytes(gateway: GatewayProcess) -> int:
    status = Path(f"/proc/{gateway.process.pid}/status").read_text()
    [kib] = re.findall(r"VmRSS:\s+(\d+) kB", status)
    return int(kib) * 1024


@contextlib.asynccontextmanager
async def besieged(server: RedisServer) -> AsyncIterator[tuple[GatewayProcess, Market]]:
    async with WholeBus.open(server.url) as bus, gateway_process(server.url) as gateway:
        market = Market(bus)
        await market.list_symbols(BTC)
        async with httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S) as http:
            for path in (BIG, "/openapi.json", "/metrics", "/docs", "/api/status", "/api/symbols"):
                # So that memory needed once for each file does not count as growth.
                assert (await http.get(path)).status_code == 200, path
        yield gateway, market


async def hold_out(
    gateway: GatewayProcess, market: Market, attacks: dict[str, int], seconds: float, *, strictly: bool
) -> tuple[int, Watch]:
    """Run several attacks while a price is published each second; return the gateway's growth in bytes, and the watch.

    Unless `strictly`, the next price waits until all streams have received the one before, since a busy machine may be late.
    """
    async with watched(gateway.port) as (watch, streams), contextlib.AsyncExitStack() as stack:
        await market.publish(BTC, 1.0)
        await until(lambda: watch.have_all_seen(1))
        before = peak = resident_bytes(gateway)
        watch.worst_gap_s = 0.0
        endings = [
            await stack.enter_async_context(attacked(kind, gateway.port, seconds, count)) for kind, count in attacks.items()
        ]
        second = 1
        while not all(ending.done() for ending in endings):
            second += 1
            await market.publish(BTC, float(second))
            await asyncio.sleep(SECOND_S)
            if not strictly:
                await until(lambda current=second: watch.have_all_seen(current))  # type: ignore[misc]
            assert gateway.process.returncode is None
            peak = max(peak, resident_bytes(gateway))
        for kind, ending in zip(attacks, endings, strict=True):
            print(kind, ending.result().decode().strip())
        await until(lambda: watch.have_all_seen(second))
        assert not [stream for stream in streams if stream.done()]
    watch.missed = max(second - len(seen) for seen in watch.seen)
    return peak - before, watch


async def is_at_rest(http: httpx.AsyncClient) -> bool:
    """Return whether the connection of this request is the only one left."""
    text = (await http.get("/metrics")).text
    left = dict(line.rsplit(" ", 1) for line in text.splitlines() if line.startswith("market_pulse_gateway_"))
    return float(left["market_pulse_gateway_answers"]) <= 1 and float(left["market_pulse_gateway_connections"]) <= 1


async def test_all_kinds_at_once(server: RedisServer) -> None:
    async with besieged(server) as (gateway, market):
        growth, watch = await hold_out(gateway, market, dict.fromkeys(KINDS_OF_HTTP_1, 10), SHORT_S, strictly=False)
        assert not watch.missed
        assert growth < MOST_GROWTH_BYTES
        async with httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S) as http:
            await until(lambda: is_at_rest(http), every_s=0.5)
            assert (await http.get(BIG)).status_code == 200


@pytest.mark.skipif(SIEGE_S == 0, reason="takes minutes: `make siege` runs it")
@pytest.mark.parametrize("kind", KINDS_OF_HTTP_1)
async def test_one_kind_for_minutes(server: RedisServer, kind: str) -> None:
    async with besieged(server) as (gateway, market):
        growth, watch = await hold_out(gateway, market, {kind: 190}, SIEGE_S, strictly=True)
        seen = f"worst gap {watch.worst_gap_s:.2f} s, {watch.missed} seconds missed"
        print(f"{kind}: {SIEGE_S:.0f} s, grew by {growth / 1e6:.0f} MB, {seen}", flush=True)
        assert not watch.missed
        assert growth < MOST_GROWTH_BYTES
        async with httpx.AsyncClient(base_url=gateway.url, timeout=PATIENCE_S) as http:
            await until(lambda: is_at_rest(http), every_s=0.5)
