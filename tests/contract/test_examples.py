"""Runs the programs in docs/bus.md, unchanged, on a real bus."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest

from market_pulse.messages import bar_of, encode
from market_pulse.process.clock import now_ms
from support.compose import ROOT
from support.played_bus import BTC, MINUTE, Market
from support.redis_server import RedisServer, redis_server
from support.samples import ticker_bytes
from support.waiting import PATIENCE_S
from support.whole_bus import WholeBus

HERE = Path(__file__).parent
CHANNEL = "ticker:BTC-USDT"
NODE_MODULES = HERE / "node_modules"
PYTHON = (sys.executable, "-u", "-c")


def example(language: str, uses: str, server: RedisServer) -> str:
    """Return the page's only program in this language that uses a certain library, with this bus's address filled in."""
    programs = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/bus.md").read_text(), re.DOTALL)
    (text,) = [program for program in programs if uses in program]
    assert "redis://127.0.0.1:6379/0" in text
    return str(text).replace("redis://127.0.0.1:6379/0", server.url)


class Program:
    """A running program, and the lines that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return (await self._process.stdout.readline()).decode().strip()


@pytest.mark.parametrize(
    ("language", "uses", "command", "silence"),
    [
        pytest.param("python", "import subscribe\n", PYTHON, "BTC-USDT 64000.5 stale", id="our client"),
        pytest.param("python", "redis.asyncio", PYTHON, "not live", id="redis-py"),
        pytest.param(
            "js",
            "ioredis",
            ("node", "--input-type=module", "--eval"),
            "not live",
            id="ioredis",
            marks=pytest.mark.skipif(
                shutil.which("node") is None or not (NODE_MODULES / "ioredis").exists(),
                reason="no node on the PATH, or its packages are not installed (`make check` does)",
            ),
        ),
    ],
)
async def test_a_subscriber_of_the_docs(language: str, uses: str, command: tuple[str, ...], silence: str) -> None:
    async with redis_server() as server, WholeBus.open(server.url) as bus:

        async def keep(seq: int) -> bytes:
            slow_start_ms = 60_000  # a future time counts as now, however long the program takes to start
            message = ticker_bytes(seq=seq, price=64000.5, time_ms=now_ms() + slow_start_ms)
            await bus.client.set(f"last:{CHANNEL}", message)
            return message

        await keep(5)
        process = await asyncio.create_subprocess_exec(
            *command, example(language, uses, server), cwd=HERE, stdout=asyncio.subprocess.PIPE
        )
        program = Program(process)
        try:
            assert await program.line() == "BTC-USDT 64000.5 ok", "the last value first"
            message = await keep(6)
            await bus.client.publish(CHANNEL, message)
            assert await program.line() == "BTC-USDT 64000.5 ok"
            await bus.client.publish(CHANNEL, message)  # an old message, for which nothing is printed
            await bus.client.publish(CHANNEL, await keep(9))
            assert [await program.line(), await program.line()] == ["missed 2", "BTC-USDT 64000.5 ok"]
            await keep(12)  # as if published while the subscriber is away
            await bus.client.client_kill_filter(_type="pubsub")
            assert [await program.line(), await program.line()] == ["missed 2", "BTC-USDT 64000.5 ok"]
            assert silence in await program.line(), "silence is told"
        finally:
            process.kill()
            await process.wait()


async def test_the_program_of_the_docs_that_joins_past_and_live() -> None:
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        market = Market(seq=100)
        for number in range(502):
            market.heard(market.ticker(100.0 + number % 3, number * MINUTE.step_ms))
        await bus.keep_bars(MINUTE, BTC, [bar_of(candle) for candle in market.ended])
        assert market.open is not None
        await bus.client.set(f"last:candle:1m:{BTC}", encode(market.open))
        await bus.client.set(f"last:{CHANNEL}", ticker_bytes(seq=market.seq, time_ms=now_ms()))
        process = await asyncio.create_subprocess_exec(
            *PYTHON, example("python", "candles_then_tickers", server), cwd=HERE, stdout=asyncio.subprocess.PIPE
        )
        program = Program(process)
        try:
            candles = [await program.line() for _ in range(501)]
            assert {line.split()[-1] for line in candles[:-1]} == {"True"}
            assert candles[-1] == f"{market.open.start_ms} 100.0 100.0 100.0 100.0 False"
            await bus.client.publish(CHANNEL, ticker_bytes(seq=market.seq + 1, price=64000.5, time_ms=now_ms()))
            assert await program.line() == f"{market.seq + 1} 64000.5 ok"
        finally:
            process.kill()
            await process.wait()
