"""The clients of the growth benchmark: C programs that read streams of the gateway and measure the age of each price."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from fanout.traffic import Group, Tool, readers
from growth.parts import ALL_CORES, System
from market_pulse.messages import Symbol

PAGES, SYMBOLS_PER_PAGE, SYMBOLS_PER_STREAM = 8, 4, 100
OPEN_LIMIT_S = 60.0


@dataclass(frozen=True)
class Heard:
    """The clients' figures of one window: ages from the exchange's time on, events, and streams that ended or failed."""

    p50_ms: float | None
    p99_ms: float | None
    deliveries_s: float
    megabits_s: float
    lost: int
    load_cores: float


SILENCE = Heard(None, None, 0.0, 0.0, 0, 0.0)


class Audience:
    """The open streams: a page of symbols for each client, and a few that together request all symbols."""

    def __init__(self, crowd: Tool | None) -> None:
        self._crowd = crowd

    async def begin(self) -> None:
        """Start a new window."""
        if self._crowd is not None:
            await asyncio.to_thread(self._crowd.ask, "window")

    async def end(self) -> Heard:
        """Return the figures of the window."""
        if self._crowd is None:
            return SILENCE
        report: dict[str, Any] = await asyncio.to_thread(self._crowd.ask, "report")
        groups = report["groups"].values()
        return Heard(
            p50_ms=report["p50_ms"] if report["ticks"] else None,
            p99_ms=report["p99_ms"] if report["ticks"] else None,
            deliveries_s=sum(group["ticks"] + group["others"] for group in groups) / report["seconds"],
            megabits_s=8 * sum(group["bytes"] for group in groups) / report["seconds"] / 1e6,
            lost=sum(group["ended"] for group in groups) + report["errors"],
            load_cores=report["cpu_s"] / report["seconds"],
        )


@asynccontextmanager
async def audience(system: System, symbols: Sequence[Symbol], clients: int) -> AsyncIterator[Audience]:
    """Open the streams for the time of the context."""
    async with AsyncExitStack() as stack:

        async def opened(groups: Sequence[Group], *, only_news: bool) -> Tool:
            crowd = readers(system.gateway_port, groups, ALL_CORES, only_news=only_news)
            stack.push_async_callback(asyncio.to_thread, crowd.close)
            failed = (await asyncio.to_thread(crowd.ask, "open", OPEN_LIMIT_S))["failed"]
            if failed:
                print(f"{failed} streams could not be opened", flush=True)
            return crowd

        await opened(_of_all(symbols), only_news=False)
        yield Audience(await opened(_of_pages(symbols, clients), only_news=True) if clients else None)


def _of_all(symbols: Sequence[Symbol]) -> list[Group]:
    """Return one stream for each hundred symbols, so that the gateway requests all symbols."""
    batches = [symbols[at : at + SYMBOLS_PER_STREAM] for at in range(0, len(symbols), SYMBOLS_PER_STREAM)]
    return [Group(name=f"all{n}", count=1, path=_path(batch)) for n, batch in enumerate(batches)]


def _of_pages(symbols: Sequence[Symbol], clients: int) -> list[Group]:
    """Return `clients` streams. Each requests one of eight pages, of four symbols that are spread over all symbols."""
    step = max(1, len(symbols) // PAGES)
    groups = []
    for page in range(min(PAGES, clients)):
        chosen = [symbols[(page * step + n) % len(symbols)] for n in range(min(SYMBOLS_PER_PAGE, len(symbols)))]
        groups.append(Group(name=f"page{page}", count=clients // PAGES + (page < clients % PAGES), path=_path(chosen)))
    return groups


def _path(symbols: Sequence[Symbol]) -> str:
    return f"/api/realtime?symbols={','.join(symbols)}"
