"""The API conforms to its OpenAPI description for any request. `make fuzz TARGET=api RUNS=1000` runs longer than this test.

Schemathesis generates requests that follow the description and requests that break it, and checks each response and event.
"""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest

from market_pulse.messages import Interval
from market_pulse.process.clock import now_ms
from support.played_candles import candle
from support.redis_server import RedisServer
from support.whole_bus import WholeBus

from .gateway_fixtures import BTC, ETH, Market, gateway_process

RUNS = os.environ.get("FUZZ_RUNS")  # for each operation
DRAWN = ["--seed=1", "--max-examples=20"] if RUNS is None else [f"--max-examples={RUNS}"]
LIMIT_S = 60 if RUNS is None else 24 * 3600
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")
HASTE = {"SYMBOLS": "BTC,ETH", "STREAM_MAX_AGE_S": "0.1", "HEARTBEAT_S": "0.1"}  # so that a stream ends by itself


async def publish(market: Market) -> NoReturn:
    while True:
        for symbol in (BTC, ETH):
            await market.publish(symbol, 1.0)
            for interval in Interval:
                start_ms = interval.start_of(now_ms())
                await market.play(candle(start_ms - interval.step_ms, symbol=symbol, interval=interval, closed=True))
                await market.play(candle(start_ms, symbol=symbol, interval=interval))
            of_an_exchange = {"symbol": symbol, "exchange": "okx", "origin": "exchange", "first_seq": None, "last_seq": None}
            await market.play(candle(Interval.MINUTE.start_of(now_ms()), **of_an_exchange))
        await asyncio.sleep(1)


@pytest.mark.timeout(LIMIT_S + 60)
async def test_every_answer_is_one_that_is_described(server: RedisServer, tmp_path: Path) -> None:
    async with WholeBus.open(server.url) as bus, gateway_process(server.url, **HASTE, MAX_STREAMS_PER_IP="10000") as gateway:
        market = Market(bus)
        await market.list_symbols(BTC, ETH)
        publishing = asyncio.create_task(publish(market))
        done = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "schemathesis.cli", "--config-file", str(CONFIGURATION), "run", f"{gateway.url}/openapi.json",
             "--no-color", "--workers=4", "--request-timeout=10", "--continue-on-failure", *DRAWN],
            cwd=tmp_path, capture_output=RUNS is None, text=True, check=False, timeout=LIMIT_S,
        )  # fmt: skip
        publishing.cancel()
    assert done.returncode == 0, done.stdout
