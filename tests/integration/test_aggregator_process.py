"""The aggregator as a process, as it is deployed."""

import asyncio
import os
import signal
import sys
import time

import httpx
import pytest

from support.waiting import free_port, until

from .aggregator_fixtures import listening, server, tick, url


async def started(port: int, health_port: int, **variables: str) -> asyncio.subprocess.Process:
    environment = os.environ | {"REDIS_URL": url(port), "HEALTH_PORT": str(health_port)} | variables
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aggregator", env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )


async def test_life_of_a_process() -> None:
    """It becomes ready, publishes, has metrics, and ends within three seconds of SIGTERM, with its last change published."""
    port, health_port = free_port(), free_port()
    async with server(port) as bus, listening(bus) as listener, httpx.AsyncClient() as client:
        process = await started(port, health_port, MAX_RATE_HZ="1")

        async def is_ready() -> bool:
            try:
                return (await client.get(f"http://127.0.0.1:{health_port}/readyz")).status_code == 200
            except httpx.TransportError:
                return False

        await until(is_ready)
        await bus.publish_ticks([tick(64000.0)])
        await until(lambda: listener.tickers)
        metrics = (await client.get(f"http://127.0.0.1:{health_port}/metrics")).text
        assert "market_pulse_aggregator_tickers_total" in metrics
        assert (await client.get(f"http://127.0.0.1:{health_port}/livez")).status_code == 200
        await bus.publish_ticks([tick(64001.0)])
        await asyncio.sleep(0.1)
        stopped_s = time.monotonic()
        process.send_signal(signal.SIGTERM)
        _, errors = await process.communicate()
        assert (process.returncode, errors) == (0, b"")
        assert time.monotonic() - stopped_s < 3
        await until(lambda: listener.last().price == 64001.0)


async def test_not_ready_without_redis() -> None:
    """Without Redis the process runs, is not ready, and still stops in time."""
    health_port = free_port()
    process = await started(free_port(), health_port)

    async def is_unready() -> bool:
        try:
            answer = await client.get(f"http://127.0.0.1:{health_port}/readyz")
        except httpx.TransportError:
            return False
        assert answer.status_code == 503
        return True

    async with httpx.AsyncClient() as client:
        await until(is_unready)
        assert (await client.get(f"http://127.0.0.1:{health_port}/livez")).status_code == 200
    stopped_s = time.monotonic()
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0
    assert time.monotonic() - stopped_s < 3


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HARD_AGE_S", "10"), ("EXCLUSION", "0.001"), ("CLAMP", "nan"), ("MAX_RATE_HZ", "0"), ("HOLD_S", "soon")],
)
async def test_nonsense_is_refused_by_name(variable: str, value: str) -> None:
    """A wrong setting ends the process before it does anything, and names the variable."""
    process = await started(free_port(), free_port(), **{variable: value})
    _, errors = await process.communicate()
    assert process.returncode == 78
    assert f"configuration: {variable}: ".encode() in errors
