"""deploy/compose/sentinel.yml as users start it: the master crashes, and no data is lost."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import orjson
import pytest
from httpx_sse import aconnect_sse

from market_pulse import kinds
from market_pulse.messages import Symbol
from support.compose import Deployment, deployed, on_containers
from support.listening import listening
from support.stack import EXCHANGES, HASTE, Events, is_complete
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

pytestmark = on_containers()
OVERLAY = "docker-compose.yml,deploy/compose/sentinel.yml"
CRASH = "for p in /proc/[0-9]*; do read -r name <$p/comm; [ $name != redis-server ] || kill -KILL ${p#/proc/}; done"


@pytest.fixture
async def group() -> AsyncIterator[Deployment]:
    few = {"EXCHANGES": ",".join(EXCHANGES)}
    deployment = Deployment("sentinel", COMPOSE_FILE=OVERLAY, COMPOSE_PATH_SEPARATOR=",", **few, **HASTE)
    with deployed(deployment):
        yield deployment


@pytest.mark.long
async def test_a_master_that_crashes_is_replaced_though_it_is_back_at_once(group: Deployment) -> None:
    """Docker restarts the master within a second, empty, before a Sentinel notices. As master it would empty its replica."""
    async with httpx.AsyncClient(base_url=group.page, timeout=PATIENCE_S) as http:
        await until(lambda: is_complete(http, EXCHANGES))
        known = (await history(http))["times"][0]
        async with aconnect_sse(http, "GET", "/api/realtime/BTC") as source:
            stream = Events(source.aiter_sse())
            before = await stream.ticker(lambda ticker: ticker["quality"] == "ok")
            await asyncio.to_thread(group.compose, "exec", "-T", "redis", "sh", "-c", CRASH)
            while (await stream.next())["type"] != "resync":
                pass
            after = await stream.ticker(lambda ticker: ticker["quality"] == "ok" and ticker["sourcesUsed"] == 3)
        assert after["seq"] > before["seq"]
        assert (await history(http))["times"][0] == known
    await until(lambda: is_replica(group, "redis"))
    async with WholeBus.open(group.redis_url) as bus, listening(bus, kinds.TICKER.channel(Symbol("DOGE-USDT"))) as ear:
        await until(lambda: ear.heard)  # this subscription through the machine's port is a request for the symbol, too
    restarts = {service: one["RestartCount"] for service, [one] in group.containers().items()}
    assert {service: count for service, count in restarts.items() if count} == {"redis": 1}


async def history(http: httpx.AsyncClient) -> dict[str, Any]:
    answer = await http.get("/api/history/BTC", params={"resolution": "1s"})
    body: dict[str, Any] = orjson.loads(answer.content)
    return body


async def is_replica(group: Deployment, service: str) -> bool:
    try:
        state = await asyncio.to_thread(group.compose, "exec", "-T", service, "/deploy/admin", "INFO", "replication")
    except AssertionError:
        return False
    return "master_link_status:up" in state
