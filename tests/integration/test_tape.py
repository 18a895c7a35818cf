"""Recordings of a bus on which other programs publish, too."""

import asyncio
import contextlib
import signal
import sys
from pathlib import Path

import orjson
import pytest
import structlog

from cli.output import Output
from cli.tape import FORMAT, VERSION, RecordingError, record, replay
from market_pulse.messages import Symbol
from support.redis_server import redis_server
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

from .bus_fixtures import STATUS


async def test_neither_what_others_publish_nor_a_lost_connection_spoils_a_recording(
    tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    tape = tmp_path / "tape.jsonl"
    others = [b"{", b"[1]", b"", b"\xff", b'{"v":\n2}']
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        recording = asyncio.create_task(record(server.url, tape, Output(json=True), 0))

        async def until_longer() -> None:
            """Wait until a buffer is full, so that all messages before are in the file."""
            length = tape.stat().st_size if tape.exists() else 0

            async def is_longer() -> bool:
                await bus.publish_status(STATUS)
                return tape.exists() and tape.stat().st_size > length

            await until(is_longer)

        await until_longer()
        await bus.client.client_kill_filter(_type="pubsub")
        await until(bus.client.pubsub_numpat)
        for nonsense in others:
            await bus.client.publish("ticks:okx:BTC-USDT", nonsense)
        await until_longer()
        recording.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await recording
        assert await replay(server.url, tape, 1000, Output(json=True))
    recorded, replayed = map(orjson.loads, capsysbinary.readouterr().out.splitlines())
    assert recorded["skipped"] == len(others) - 1
    assert (recorded["missed"], recorded["gaps"]) == (0, 1), "the number of missed messages is unknown"
    assert replayed["messages"] == recorded["messages"]
    assert b'"message":{"v": 2}' in tape.read_bytes()


async def test_a_recording_that_was_told_to_end_is_whole(tmp_path: Path) -> None:
    tape = tmp_path / "tape.jsonl"
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "cli", "record", str(tape), "--redis", server.url, "--json"),
            stdout=asyncio.subprocess.PIPE,
        )
        try:
            await until(bus.client.pubsub_numpat)

            async def is_written() -> bool:
                await bus.publish_status(STATUS)
                return tape.stat().st_size > 0  # a full buffer has been written, which most likely ends within a line

            await until(is_written)
            process.send_signal(signal.SIGTERM)
            async with asyncio.timeout(PATIENCE_S):
                said, _ = await process.communicate()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 128 + signal.SIGTERM
    beginning, *messages = map(orjson.loads, tape.read_bytes().splitlines())
    assert beginning["version"] == 1
    assert len(messages) == orjson.loads(said)["messages"]


async def test_a_last_line_that_was_cut_off_is_passed_over(tmp_path: Path, capsysbinary: pytest.CaptureFixture[bytes]) -> None:
    tape = tmp_path / "tape.jsonl"
    line = orjson.dumps({"at": 0, "channel": "status:okx", "message": {"v": 1}}) + b"\n"
    tape.write_bytes(orjson.dumps({"format": FORMAT, "version": VERSION, "started": 1}) + b"\n" + 2 * line + line[:20])
    async with redis_server() as server:
        with structlog.testing.capture_logs() as logs:
            assert await replay(server.url, tape, 1000, Output(json=True))
        assert orjson.loads(capsysbinary.readouterr().out)["messages"] == 2
        assert [log["line"] for log in logs] == [4]
        tape.write_bytes(tape.read_bytes() + b"\n")
        with pytest.raises(RecordingError, match="line 4"):
            await replay(server.url, tape, 1000, Output(json=True))


async def test_a_listing_that_is_published_later_is_recorded_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An ingest that was away at the start may come back, and a Redis that does not answer does not end the recording."""
    monkeypatch.setattr("cli.tape.LISTINGS_AGAIN_S", 0.0)
    tape = tmp_path / "tape.jsonl"
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        await bus.publish_listing("okx", [Symbol("BTC-USDT")])
        recording = asyncio.create_task(record(server.url, tape, Output(json=True), 0))
        await until(bus.client.pubsub_numpat)
        await bus.publish_listing("bybit", [Symbol("ETH-USDT")])

        async def is_written() -> bool:
            await bus.publish_status(STATUS)
            return tape.stat().st_size > 0

        await until(is_written)
        recording.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await recording
    lines = [orjson.loads(line) for line in tape.read_bytes().splitlines()]
    assert [(line["listing"], line["symbols"]) for line in lines if "listing" in line] == [
        ("okx", ["BTC-USDT"]),
        ("bybit", ["ETH-USDT"]),
    ]
