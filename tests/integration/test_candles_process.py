"""The candle maker as a process, as it is deployed."""

import asyncio
import os
import signal
import sys

import httpx

from market_pulse.kinds import CANDLES
from market_pulse.messages import Interval, decode_candle
from market_pulse.process.clock import now_ms
from support.listening import listening
from support.redis_server import RedisServer
from support.samples import ticker
from support.waiting import free_port, until
from support.whole_bus import WholeBus

MINUTE = CANDLES[Interval.MINUTE]


async def test_life_of_a_process(server: RedisServer) -> None:
    """It becomes ready, publishes, has metrics, and ends at SIGTERM with its last candle published."""
    port = free_port()
    environment = os.environ | {"REDIS_URL": server.url, "HEALTH_PORT": str(port), "SYMBOLS": "BTC"}
    async with (
        WholeBus.open(server.url) as bus,
        listening(bus, patterns=(MINUTE.pattern,)) as ear,
        httpx.AsyncClient() as client,
    ):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "candles", env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )

        async def is_ready() -> bool:
            try:
                return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        async def is_heard() -> bool:
            await bus.publish_tickers([ticker("BTC-USDT", 0, price=64000.0, time_ms=now_ms())])
            return bool(ear.heard)

        await until(is_ready)
        await until(is_heard)
        assert decode_candle(ear.heard[0][1]).open == 64000.0
        metrics = (await client.get(f"http://127.0.0.1:{port}/metrics")).text
        assert "market_pulse_candles_published_total" in metrics
        assert (await client.get(f"http://127.0.0.1:{port}/livez")).status_code == 200
        [last] = await bus.publish_tickers([ticker("BTC-USDT", 0, price=64001.0, time_ms=now_ms())])
        await asyncio.sleep(0.1)
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        await until(lambda: decode_candle(ear.heard[-1][1]).last_seq == last.seq)
