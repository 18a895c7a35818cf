"""The Redis master fails under the whole system, and the Sentinels promote its replica. All parts run as processes.

The tests share one running system, and leave it with a master and a replica.
"""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any

import orjson
import pytest
import pytest_asyncio
from redis.asyncio import Redis

from market_pulse import kinds
from market_pulse.process.clock import now_ms
from support.listening import listening
from support.redis_server import RedisServer
from support.sentinels import Guarded, guarded, role
from support.stack import EXCHANGES, Events, Stack, events, running_parts
from support.waiting import until
from support.whole_bus import WholeBus

pytestmark = [pytest.mark.timeout(240), pytest.mark.asyncio(loop_scope="module")]
# Enough for two aggregators to share.
SYMBOLS = tuple(f"{coin}-USDT" for coin in ("BTC", "ETH", "SOL", "BNB", "XRP", "DOGE", "ADA", "LTC"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def group(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    async with guarded(tmp_path_factory.mktemp("sentinels")) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(group: Guarded, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """Every part and a second aggregator, on the master that the Sentinels name."""
    users = (*(f"ingest-{exchange}" for exchange in EXCHANGES), "aggregator", "candles", "gateway", "reader")
    urls = dict.fromkeys(users, group.url)
    async with (
        WholeBus.open(group.url) as bus,
        running_parts(
            tmp_path_factory.mktemp("logs"), group.first, bus, urls, SYMBOLS=",".join(SYMBOLS), DRAIN_S="0.3"
        ) as running,
    ):
        await running.another("aggregator", "aggregator-2").start()
        yield running


@pytest.mark.long
@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_everybody_follows_the_master_and_stays_away_from_the_old_one(stack: Stack, group: Guarded, how: str) -> None:
    """It is so when the old master returns, empty or after a freeze. A subscriber of the new one from before stays, too."""
    old, new = group.first, group.second
    if await role(new) == "master":
        old, new = new, old
    await until(lambda: is_replica(new), 60)  # the Sentinels are slow to reconfigure a server that was away
    assert await is_left_alone(new)
    await until(lambda: are_two(stack))
    pids = [part.pid for part in stack.parts.values()]
    async with (
        events(stack, f"/api/realtime?symbols={','.join(SYMBOLS)}") as stream,
        WholeBus.open(new.url) as bus,
        listening(bus, patterns=(kinds.TICKER.pattern,)) as ear,
    ):
        await go_on(stream)
        if how == "killed":
            await old.kill()
        else:
            old.freeze()
        await until(lambda: group.names(new))
        while (await stream.next())["type"] != "resync":
            pass
        await go_on(stream)
        if how == "killed":
            await old.start()
        else:
            old.thaw()
        await until(lambda: is_left_alone(old))
        await go_on(stream)
        assert await is_left_alone(old)
    nothing_goes_back(stream.tickers)
    nothing_goes_back(orjson.loads(message) for _, message in ear.heard)
    assert [part.pid for part in stack.parts.values() if part.process and part.process.returncode is None] == pids


async def are_two(stack: Stack) -> bool:
    """Return whether the group of aggregators has two members."""
    return await stack.metric("aggregator", "market_pulse_aggregator_members") == 2


async def go_on(stream: Events) -> None:
    """Wait until each symbol has a price from all exchanges that was made after this moment."""
    since_ms = now_ms()
    waiting = set(SYMBOLS)
    while waiting:
        ticker = await stream.ticker(lambda ticker: ticker["quality"] == "ok" and ticker["aggregatedTime"] > since_ms)
        if ticker["sourcesUsed"] == len(EXCHANGES):
            waiting.discard(ticker["symbol"])


def nothing_goes_back(tickers: Iterable[dict[str, Any]]) -> None:
    of_each: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for ticker in tickers:
        of_each[ticker["symbol"]].append(ticker)
    assert set(of_each) >= set(SYMBOLS)
    for before, after in (pair for of_one in of_each.values() for pair in pairwise(of_one)):
        assert after["seq"] >= before["seq"], (before, after)
        assert after["aggregatedTime"] >= before["aggregatedTime"], (before, after)


async def is_replica(server: RedisServer) -> bool:
    """Return whether a server is a replica in sync with its master, with a working connection to it."""
    async with Redis(port=server.port, decode_responses=True) as redis:
        state: dict[str, Any] = await redis.info("replication")
    return state.get("master_link_status") == "up"


async def is_left_alone(server: RedisServer) -> bool:
    """Return whether only Sentinels, the master and this check itself are connected to a replica."""
    async with Redis(port=server.port, decode_responses=True) as redis:
        clients: list[dict[str, str]] = await redis.client_list()
        me = str(await redis.client_id())
    return all(one["name"].startswith("sentinel-") or "M" in one["flags"] or one["id"] == me for one in clients)
