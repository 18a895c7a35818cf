"""Two thousand browsers on four gateways: how they spread, and their prices when one gateway is killed and all are renewed.

It takes minutes and most of two processors, so only `make chaos` runs it.
"""

import asyncio
import os
import subprocess
import time
from collections.abc import AsyncIterator
from operator import itemgetter
from typing import Any

import pytest
import pytest_asyncio

from support.compose import Deployment, deployed, on_containers
from support.waiting import until
from support.watching import Crowd, crowd

from .checks import LIVE_FOR_MS

CLIENTS = int(os.environ.get("CHAOS_CLIENTS", "0"))
GATEWAYS = 4
MAX_AGE_S = 90
STEP_LIMIT_S = 120.0

pytestmark = [
    *on_containers(10 * STEP_LIMIT_S),
    pytest.mark.skipif(CLIENTS == 0, reason="takes minutes and both processors: `make chaos` runs it"),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def deployment_of_four() -> AsyncIterator[Deployment]:
    unlimited = dict.fromkeys(
        ("MAX_STREAMS_PER_IP", "EDGE_MAX_CONNECTIONS_PER_IP", "EDGE_MAX_OPEN_PER_IP", "EDGE_MAX_REQUESTS_PER_IP"),
        str(10 * CLIENTS),
    )
    deployment = Deployment("crowd", STREAM_MAX_AGE_S=str(MAX_AGE_S), RATE="60", **unlimited)
    with deployed(deployment):
        await scaled(deployment, GATEWAYS)
        yield deployment


async def scaled(deployment: Deployment, gateways: int) -> None:
    scale = ("up", "--detach", "--wait", "--no-recreate", "--scale", f"gateway={gateways}")
    await asyncio.to_thread(deployment.compose, *scale, within_s=STEP_LIMIT_S)


async def docker(*arguments: str) -> None:
    await asyncio.to_thread(subprocess.run, ["docker", *arguments], check=True, capture_output=True, timeout=STEP_LIMIT_S)


def names(deployment: Deployment) -> list[str]:
    return [container["Name"].strip("/") for container in sorted(deployment.containers()["gateway"], key=itemgetter("Name"))]


async def told(watching: Crowd, what: str, since_s: float) -> dict[str, Any]:
    """Wait until all clients see live prices; print and return their figures since `begin`."""
    await until(watching.live, STEP_LIMIT_S)
    seen = watching.seen()
    print(f"\n{what}: {time.monotonic() - since_s:.0f} s,", seen, "spread", sorted(watching.spread().values()), flush=True)
    assert seen["gap_s"] * 1000 < LIVE_FOR_MS, "after a longer gap a tile would have become stale by itself"
    return seen


def is_even(watching: Crowd, gateways: int) -> bool:
    counts = watching.spread().values()
    return len(counts) == gateways and max(counts) < 1.3 * min(counts)


async def test_a_crowd_stays_live(deployment_of_four: Deployment) -> None:
    deployment = deployment_of_four
    async with crowd(f"{deployment.page}/api/realtime?symbols=BTC&max_hz=2", CLIENTS) as watching:
        since_s = time.monotonic()
        seen = await told(watching, "opened", since_s)
        assert not seen["errors"]
        assert is_even(watching, GATEWAYS), watching.spread()
        await asyncio.sleep(5)

        since_s = time.monotonic()
        watching.begin()
        victim = names(deployment)[0]
        await docker("kill", victim)
        await asyncio.sleep(5)
        killed = await told(watching, "one killed", since_s)
        assert (killed["errors"], killed["not_live"]) == ({}, {})
        assert killed["losses"] >= CLIENTS // GATEWAYS * 0.7
        await docker("start", victim)
        await scaled(deployment, GATEWAYS)

        since_s = time.monotonic()
        watching.begin()
        for name in names(deployment):
            await docker("restart", name)
            await scaled(deployment, GATEWAYS)
        rolled = await told(watching, "all renewed, one after another", since_s)
        assert (rolled["errors"], rolled["not_live"]) == ({}, {})

        since_s = time.monotonic()
        watching.begin()
        await scaled(deployment, GATEWAYS + 1)
        await until(lambda: is_even(watching, GATEWAYS + 1), 2 * MAX_AGE_S)
        levelled = await told(watching, "levelled after one more has come", since_s)
        assert (levelled["errors"], levelled["not_live"]) == ({}, {})
