"""The programs in docs/bus.md, as they stand there, on a real bus."""

import asyncio
import re
import shutil
import sys
from pathlib import Path

import pytest

from market_pulse.bus import open_bus
from support.compose import ROOT
from support.redis_server import RedisServer, redis_server
from support.waiting import PATIENCE_S

HERE = Path(__file__).parent
CHANNEL = "ticker:BTC-USDT"
NODE_MODULES = HERE / "node_modules"


def example(language: str, server: RedisServer) -> str:
    """Return the page's one program in a language, told where this bus is."""
    (text,) = re.findall(rf"```{language}\n(.*?)```", (ROOT / "docs/bus.md").read_text(), re.DOTALL)
    assert "redis://127.0.0.1:6379/0" in text
    return str(text).replace("redis://127.0.0.1:6379/0", server.url)


class Program:
    """A program and the lines that it prints."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def line(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE_S):
            return (await self._process.stdout.readline()).decode().strip()


@pytest.mark.parametrize(
    ("language", "command"),
    [
        pytest.param("python", (sys.executable, "-u", "-c"), id="Python"),
        pytest.param(
            "js",
            ("node", "--input-type=module", "--eval"),
            id="Node",
            marks=pytest.mark.skipif(
                shutil.which("node") is None or not (NODE_MODULES / "ioredis").exists(),
                reason="no node on the PATH, or its packages are not installed (`make check` does)",
            ),
        ),
    ],
)
async def test_a_subscriber_of_the_docs(language: str, command: tuple[str, ...]) -> None:
    async with redis_server() as server, open_bus(server.url) as bus:

        async def keep(seq: int) -> str:
            message = f'{{"symbol":"BTC-USDT","price":64000.5,"quality":"ok","seq":{seq}}}'
            await bus.client.set(f"last:{CHANNEL}", message)
            return message

        await keep(5)
        process = await asyncio.create_subprocess_exec(
            *command, example(language, server), cwd=HERE, stdout=asyncio.subprocess.PIPE
        )
        program = Program(process)
        try:
            assert await program.line() == "BTC-USDT 64000.5 ok", "the last value first"
            await bus.client.publish(CHANNEL, await keep(6))
            assert await program.line() == "BTC-USDT 64000.5 ok"
            await bus.client.publish(CHANNEL, await keep(6))  # old news: nothing is printed
            await bus.client.publish(CHANNEL, await keep(9))
            assert [await program.line(), await program.line()] == ["missed 2", "BTC-USDT 64000.5 ok"]
            await keep(12)  # as if published while the subscriber is away
            await bus.client.client_kill_filter(_type="pubsub")
            assert [await program.line(), await program.line()] == ["missed 2", "BTC-USDT 64000.5 ok"]
            assert "not live" in await program.line(), "silence is told"
        finally:
            process.kill()
            await process.wait()
