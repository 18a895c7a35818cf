"""A recording of a bus on which others publish, too."""

import asyncio
import contextlib
from pathlib import Path

import orjson
import pytest

from cli.output import Output
from cli.tape import record, replay
from market_pulse.bus import open_bus
from support.redis_server import redis_server
from support.waiting import until

from .bus_fixtures import STATUS


async def test_what_others_publish_spoils_no_recording(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    tape = tmp_path / "tape.jsonl"
    others = [b"{", b"[1]", b"", b"\xff", b'{"v":\n2}']
    async with redis_server() as server, open_bus(server.url) as bus:
        recording = asyncio.create_task(record(server.url, tape, Output(json=True), 0))
        await until(bus.client.pubsub_numpat)
        for nonsense in others:
            await bus.client.publish("ticks:okx:BTC-USDT", nonsense)

        async def is_written() -> bool:
            await bus.publish_status(STATUS)
            return tape.stat().st_size > 0  # a buffer is full, so all that came before is in it

        await until(is_written)
        recording.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await recording
        assert await replay(server.url, tape, 1000, Output(json=True))
    recorded, replayed = map(orjson.loads, capsysbinary.readouterr().out.splitlines())
    assert recorded["skipped"] == len(others) - 1
    assert replayed["messages"] == recorded["messages"]
    assert b'"message":{"v": 2}' in tape.read_bytes()
