"""The edge under attack over HTTP/2: its gateways need little more memory, and streams of another address miss no second.

Among the other tests it is short; `make siege` runs each attack for five minutes.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator

import httpx
import pytest

from support.attacks import Attack
from support.compose import on_containers
from support.demo import STREAMS_PER_IP, Demo
from support.waiting import PATIENCE_S, until

SIEGE_S = float(os.environ.get("SIEGE_S", "0"))
SHORT_S = 12.0
CONNECTIONS = 25
MOST_GROWTH_BYTES = 50_000_000
# Runs in a container, at another address than the attack. It opens streams, prints that, reads them for a time, and prints in
# how many of these seconds a stream had no price.
WATCH = """
import asyncio, json, os, sys, time
streams, seconds = int(sys.argv[1]), float(sys.argv[2])
seen, ended = [set() for _ in range(streams)], []
async def watch(number):
    reader, writer = await asyncio.open_connection("edge", 8080)
    writer.write(b"GET /api/realtime/BTC HTTP/1.1\\r\\nHost: edge\\r\\n\\r\\n")
    while line := await reader.readline():
        if b'"type":"ticker"' in line:
            seen[number].add(int(time.time()))
    ended.append(number)
async def main():
    watching = [asyncio.create_task(watch(number)) for number in range(streams)]
    while not all(seen):
        await asyncio.sleep(0.1)
    print("watching", flush=True)
    began = time.time()
    await asyncio.wait(watching, timeout=seconds)
    whole = set(range(int(began) + 1, int(time.time())))
    print(json.dumps({"ended": len(ended), "missed": max(len(whole - mine) for mine in seen), "of": len(whole)}), flush=True)
    os._exit(0)
asyncio.run(main())
"""
RESIDENT = """
import re, urllib.request
text = urllib.request.urlopen("http://127.0.0.1:8000/metrics", timeout=10).read().decode()
print(int(float(re.search("^process_resident_memory_bytes (.*)$", text, re.M)[1])))
"""

pytestmark = on_containers(60 + 2 * SIEGE_S)


async def resident_bytes(demo: Demo) -> int:
    return int(await asyncio.to_thread(demo.compose, "exec", "-T", "gateway", "python", "-c", RESIDENT))


@contextlib.asynccontextmanager
async def watching(demo: Demo, seconds: float) -> AsyncIterator[asyncio.StreamReader]:
    """Read streams at another address for a time; yield the output of that process, whose last line is the result."""
    image = demo.containers()["gateway"][0]["Image"]
    run = ("docker", "run", "--rm", "--network", f"{demo.project}_web", "--entrypoint", "python", image, "-c", WATCH)
    process = await asyncio.create_subprocess_exec(*run, str(STREAMS_PER_IP), str(seconds), stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        assert await asyncio.wait_for(process.stdout.readline(), 3 * PATIENCE_S) == b"watching\n"
        yield process.stdout
    finally:
        if process.returncode is None:
            process.terminate()  # which also ends the container
        await process.wait()


@pytest.mark.long
@pytest.mark.parametrize("kind", ["h2_unread", "h2_body"])
async def test_gateways_hold_out_behind_the_edge(demo: Demo, kind: str) -> None:
    seconds = SIEGE_S or SHORT_S
    async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as http:
        assert (await http.get("/docs-assets/swagger-ui-bundle.js")).status_code == 200
    before = peak = await resident_bytes(demo)
    attack = Attack("127.0.0.1", demo.page_port, seconds, 1, CONNECTIONS)
    async with watching(demo, seconds) as watcher:
        attacking = asyncio.create_task(attack.run(kind))
        while not attacking.done():
            await asyncio.sleep(2)
            peak = max(peak, await resident_bytes(demo))
        await attacking
        watched: dict[str, int] = json.loads(await asyncio.wait_for(watcher.readline(), PATIENCE_S))
    print(
        f"\n{kind}: {seconds:.0f} s, grew by {(peak - before) / 1e6:.0f} MB, streams {watched}, {dict(attack.happened)}",
        flush=True,
    )
    assert attack.happened["opened"] >= CONNECTIONS
    assert peak - before < MOST_GROWTH_BYTES
    assert not watched["ended"]
    if SIEGE_S:
        assert not watched["missed"]
    async with httpx.AsyncClient(base_url=demo.page, timeout=PATIENCE_S) as http:

        async def is_served() -> bool:
            return (await http.get("/api/ticker/BTC")).status_code == 200

        await until(is_served, every_s=1)
