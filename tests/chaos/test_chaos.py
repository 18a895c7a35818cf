"""The system in containers while a seeded schedule kills, pauses and renews parts, and makes Redis and exchanges fail.

`make chaos` runs it for long, with several copies, and prints the worst case of each figure. Among the other tests it is short.
"""

import asyncio
import logging
import os
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping

import httpx
import pytest
import pytest_asyncio
import structlog

from support.compose import on_containers
from support.demo import Demo
from support.stack import Contributed
from support.waiting import PATIENCE_S, until

from .checks import TAKEOVER_S
from .schedule import ALL, EXCHANGE_FAULTS, EXCHANGES, INGESTS, LOSES_SUBSCRIBERS, Episode, Fault, pairs, schedule
from .system import System
from .watchers import SYMBOL_SILENT, ContainerWatcher, Log, StreamWatcher, growth, poll, watch_bus, watching

SEED = int(os.environ.get("CHAOS_SEED", "27"))
MINUTES = float(os.environ.get("CHAOS_MINUTES", "0.5"))
PAIRS = os.environ.get("CHAOS_PAIRS", "3")
COPIES = {**dict.fromkeys(INGESTS, 2), "aggregator": 3, "gateway": 3}
ONE_EACH = dict.fromkeys(COPIES, 1)
RECOVERY_LIMIT_S = 60.0
CALM_S = 2.0
# The edge takes this long to notice a gateway that left without its goodbye, for which there is no time here. Requests that it
# sends to that gateway until then are lost.
EDGE_NOTICES_S = 3.0
LONG_MINUTES = 5
GROWTH_LIMIT_MB = 30.0
MOVING = ["BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT", "DOGE-USDT"]
PATHS = ("/api/realtime/BTC", "/api/realtime?symbols=BTC,ETH,SOL,BNB", "/api/realtime?symbols=BTC,DOGE&max_hz=2")

pytestmark = [
    *on_containers((MINUTES * 60 if PAIRS != "all" else 3600) * 4),
    pytest.mark.asyncio(loop_scope="module"),
]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def system(deployment: Demo) -> AsyncIterator[System]:
    # The watchers count their losses themselves.
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    system = System(deployment, COPIES)
    await system.scale(COPIES)
    await deployment.control("POST", "/control/rate", {"events_per_s": 100, "symbols": MOVING})
    yield system
    await deployment.control("POST", "/control/rate", {"events_per_s": 300})
    await system.scale(ONE_EACH)
    await asyncio.sleep(EDGE_NOTICES_S)
    structlog.reset_defaults()


@pytest.mark.long
async def test_chaos(system: System) -> None:
    """While one to three faults are on at a time, no message states anything false, and afterwards nothing stays broken."""
    await _run(system, schedule(SEED, MINUTES * 60, COPIES))


@pytest.mark.long
async def test_faults_of_exchanges_by_pairs(system: System) -> None:
    """Inflict each fault of the simulator alone and with each other. Without CHAOS_PAIRS=all, the seed draws some of these."""
    episodes = list(pairs())
    await _run(system, episodes if PAIRS == "all" else random.Random(SEED).sample(episodes, int(PAIRS)))


@pytest.mark.skipif(MINUTES < LONG_MINUTES, reason="takes more than a minute: `make chaos` runs it")
async def test_redis_frozen_for_a_minute(system: System) -> None:
    """A minute is longer than any wait in the system: its pending requests have timed out, and prices are `down`."""
    await _run(system, [(Fault("frozen", "redis", for_s=60.0),)])


async def _run(system: System, episodes: list[Episode]) -> None:
    """Run all episodes under the watchers, then print a report and assert that nothing was wrong."""
    log = Log(system.lies)
    streams = [StreamWatcher(system.demo.page, path, log) for path in PATHS]
    containers = ContainerWatcher(system)
    table: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    async with watching(
        watch_bus(system.demo.redis_url, log),
        poll(system.demo.page, log),
        containers.run(),
        *(stream.run() for stream in streams),
    ):
        await _whole(system, streams)
        log.episode()
        print(f"\nseed {SEED}, {len(episodes)} episodes, copies {system.copies}", flush=True)
        for number, episode in enumerate(episodes, start=1):
            print(f"{number}/{len(episodes)}", *episode, sep="\n    ", flush=True)
            since_s = time.monotonic()
            await asyncio.gather(*map(system.inflict, episode))
            recovery_s = await _recovery(system, streams, log, episode, since_s)
            figures = {"recovery": recovery_s, **log.episode()}
            await _look_back(system, log, episode, figures)
            print("   ", *(f"{name} {value:.1f} s;" for name, value in figures.items()), flush=True)
            print(*log.news(), sep="", end="", flush=True)
            _note(table, episode, figures)
    print(_report(table, log, containers))
    assert [*log.wrongs, *await system.complaints()] == []
    if MINUTES >= LONG_MINUTES:
        assert {
            name: growth(samples) for name, samples in containers.memory_mb.items() if growth(samples) > GROWTH_LIMIT_MB
        } == {}


async def _recovery(system: System, streams: list[StreamWatcher], log: Log, episode: Episode, began_s: float) -> float:
    """Wait until the system is whole again; return how long that took, in seconds."""
    since_s = time.monotonic()
    try:
        await _whole(system, streams)
    except TimeoutError:
        log.wrong("recovery", f"not whole {RECOVERY_LIMIT_S:.0f} s after {', '.join(map(str, episode))}")
    recovery_s = time.monotonic() - since_s
    if any(fault.place == "redis" and fault.kind in LOSES_SUBSCRIBERS for fault in episode):
        try:  # a gateway may wait for a few seconds before it reconnects
            await until(lambda: all(stream.has_begun_anew(began_s) for stream in streams), RECOVERY_LIMIT_S, every_s=0.2)
        except TimeoutError:
            log.wrong("recovery", f"no resync, though messages may have been missed, after {', '.join(map(str, episode))}")
    await asyncio.sleep(CALM_S)
    return recovery_s


async def _look_back(system: System, log: Log, episode: Episode, figures: Mapping[str, float]) -> None:
    """Check the conditions that must hold at the end of an episode."""
    leaves_others = all(
        fault.kind in EXCHANGE_FAULTS or (fault.place == "aggregator" and fault.copy != ALL) for fault in episode
    )
    silent_s = figures.get(SYMBOL_SILENT, 0.0)
    if leaves_others and silent_s > TAKEOVER_S:
        log.wrong("bus", f"a symbol was silent for {silent_s:.1f} s, though there were others to take it over")
    # Checked here, because the engine's count starts at 0 when a container is started by hand.
    for ended in await system.ended_by_themselves():
        log.wrong("containers", ended)


async def _whole(system: System, streams: list[StreamWatcher]) -> None:
    async with httpx.AsyncClient(base_url=system.demo.page, timeout=PATIENCE_S) as http:
        contributed = Contributed(http, EXCHANGES)

        async def whole() -> bool:
            return await contributed() and all(stream.is_live() for stream in streams)

        await until(whole, RECOVERY_LIMIT_S, every_s=0.2)


def _note(table: dict[str, dict[str, float]], episode: Episode, figures: Mapping[str, float]) -> None:
    """Keep the worst figures of each kind of fault. Figures of an episode count for each of its faults."""
    for name in {_name(fault) for fault in episode}:
        table[name]["times"] += 1
        for figure, value in figures.items():
            table[name][figure] = max(table[name][figure], value)


def _name(fault: Fault) -> str:
    part = "exchange" if fault.place in {"*", *EXCHANGES} else fault.place.partition("-")[0]
    return f"{part} {fault.kind}"


def _report(table: Mapping[str, Mapping[str, float]], log: Log, containers: ContainerWatcher) -> str:
    columns = sorted({name for row in table.values() for name in row} - {"times"})
    lines = [f"| seconds, worst case | times | {' | '.join(columns)} |", f"|---|{'---|' * (len(columns) + 1)}"]
    for name, row in sorted(table.items()):
        lines.append(f"| {name} | {row['times']:.0f} | {' | '.join(f'{row.get(column, 0):.1f}' for column in columns)} |")
    lines += ["", *(f"{name}: {count}" for name, count in sorted((log.counts + containers.counts).items()))]
    lines += [
        f"memory of {name}: at most {max(samples):.0f} MB, growth {growth(samples):+.1f} MB"
        for name, samples in sorted(containers.memory_mb.items())
    ]
    return "\n".join(["", *lines, f"{len(log.wrongs)} wrong", ""])
