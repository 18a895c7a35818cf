"""The simulator as a process: it logs that its prices are made up, and ends promptly with sockets open."""

import asyncio
import json
import os
import signal
import sys

import httpx
import pytest
from websockets.asyncio.client import connect

WITHIN_S = 20.0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_with_sockets_open(number: signal.Signals) -> None:
    """Clients that read, that never answer or that are frozen do not delay its end."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "simulator"),
        env=dict(os.environ, PORT="0", LOG_FORMAT="json"),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(WITHIN_S):
        started = json.loads(await process.stdout.readline())
        assert "made up" in started["event"]
        host, port = started["url"].removeprefix("http://").split(":")
        async with httpx.AsyncClient(base_url=started["url"]) as http, connect(f"ws://{host}:{port}/ws/btcusdt@trade"):
            _, mute = await asyncio.open_connection(host, int(port))
            mute.write(
                b"GET /ws/v5/public HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\nSec-WebSocket-Version: 13\r\n\r\n"
            )
            async with connect(f"ws://{host}:{port}/v5/public/spot"):
                fault = {"exchange": "bybit", "kind": "half_open"}
                assert (await http.post("/control/faults", json=fault)).status_code == 200
                process.send_signal(number)
                assert await process.wait() == 0
            mute.transport.abort()
        assert await process.stdout.read() == b""  # only one line, at the start
