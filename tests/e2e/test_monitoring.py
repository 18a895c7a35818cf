"""A real Prometheus on the running system: all metrics exist, no alert fires while all is well, and faults fire theirs."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio

from support.exchanges import NAMES
from support.prometheus import Prometheus, names_in, no_prometheus, panel_expressions, prometheus, rules
from support.stack import EXCHANGES, HASTE, Stack, events, running_stack
from support.waiting import PATIENCE_S, until

pytestmark = [
    pytest.mark.timeout(240),
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(no_prometheus is not None, reason=str(no_prometheus)),
]
PARTS = {
    **{exchange: f"ingest-{exchange}" for exchange in EXCHANGES},
    **{name: name for name in ("aggregator", "candles", "gateway")},
}
ABSENT = {  # the alerts of the parts that do not run here
    ("MarketPulsePartMissing", "edge"),
    *(("MarketPulseIngestMissing", f"ingest-{name}") for name in NAMES - set(EXCHANGES)),
}
OF_THE_MACHINE = {"MarketPulseSlowHop", "MarketPulseBusy"}  # these alerts may be right on a machine where tests share two cores
ONLY_WHEN_IT_HAPPENS = {  # these metrics appear with their first event
    "market_pulse_ingest_bad_frames_total",
    "market_pulse_ingest_reconnects_total",
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with running_stack(tmp_path_factory.mktemp("logs"), **HASTE) as running:
        yield running
        await until(running.ready, 60)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watched(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Prometheus]:
    """A Prometheus that has scraped the healthy system, with a client, for a moment."""
    targets = {part: [stack.parts[name].health.removeprefix("http://")] for name, part in PARTS.items()}
    folder: Path = tmp_path_factory.mktemp("prometheus")
    async with prometheus(folder, targets) as watching, events(stack, "/api/realtime?symbols=BTC,DOGE"):

        async def has_seen_enough() -> bool:
            hops = await watching.ask("hop:market_pulse_seconds:p99 >= 0")  # drops NaN, the value of a hop without messages
            return len(hops) == 4 and complaints(await watching.alerts()) == ABSENT

        await until(has_seen_enough, 60, every_s=0.2)
        yield watching


def complaints(alerts: set[tuple[str, str]]) -> set[tuple[str, str]]:
    return {alert for alert in alerts if alert[0] not in OF_THE_MACHINE}


async def test_all_that_is_asked_for_is_exposed(watched: Prometheus) -> None:
    asked = {name for rule in rules() for name in names_in(rule["expr"])}
    asked |= {name for _, expression in panel_expressions() for name in names_in(expression)}
    missing = asked - await watched.names() - ONLY_WHEN_IT_HAPPENS
    assert {name for name in missing if not name.startswith("haproxy_")} == set()


async def test_every_panel_shows_something(watched: Prometheus) -> None:
    shown: dict[str, int] = {}
    for title, expression in panel_expressions():
        shown[title] = shown.get(title, 0) + len(await watched.ask(expression))
    assert {title for title, series in shown.items() if not series and not title.startswith("Edge")} == set()


async def test_no_label_is_made_of_what_a_client_asks_for(stack: Stack, watched: Prometheus) -> None:
    symbols = await watched.ask('count by (symbol) ({symbol!=""})')
    assert {one["metric"]["symbol"] for one in symbols} == {"BTC-USDT", "ETH-USDT", "SOL-USDT", "BNB-USDT"}
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        for name in PARTS:
            assert "DOGE" not in (await http.get(f"{stack.parts[name].health}/metrics")).text


async def test_a_healthy_system_is_not_complained_of(watched: Prometheus) -> None:
    assert complaints(await watched.alerts()) == ABSENT


async def test_a_killed_part_is_missed_and_so_are_its_prices(stack: Stack, watched: Prometheus) -> None:
    expected = {("MarketPulsePartMissing", "aggregator"), ("MarketPulseSymbolStale", "BTC-USDT")}

    async def told() -> bool:
        return expected <= await watched.alerts()

    await stack.parts["aggregator"].kill()
    await until(told, 60, every_s=0.2)
    await stack.parts["aggregator"].start()

    async def calm() -> bool:
        return not expected & await watched.alerts()

    await until(calm, 60, every_s=0.2)


async def test_without_redis_each_part_says_that_it_is_redis(stack: Stack, watched: Prometheus) -> None:
    expected = {("MarketPulseRedisUnreachable", part) for part in PARTS.values()}

    async def told() -> bool:
        return expected <= await watched.alerts()

    await stack.server.kill()
    await until(told, 60, every_s=0.2)
    async with httpx.AsyncClient(timeout=PATIENCE_S) as http:
        answers = await asyncio.gather(*(http.get(f"{stack.parts[name].health}/readyz") for name in PARTS))
    for part, answer in zip(PARTS.values(), answers, strict=True):
        failing = {name for name, finding in answer.json()["checks"].items() if finding != "ok"}
        assert answer.status_code == 503, part
        assert failing, part
        assert failing <= {"bus", "subscription", "membership", "publishing"}, part
    await stack.server.start()
