"""A simulator in which only a few symbols move. So each of them moves often, while the machine has little to do."""

import contextlib
from collections.abc import AsyncIterator

from simulator.app import Running, serving
from simulator.settings import Settings

MOVING = ("BTC-USDT", "ETH-USDT", "SOL-USDT", "DOGE-USDT", "PEPE-USDT", "BTC-USD", "ETH-USD", "USDT-USD", "USDC-USDT")
EVENTS_PER_S = 800.0


@contextlib.asynccontextmanager
async def lively() -> AsyncIterator[Running]:
    async with serving(Settings(port=0, rate=EVENTS_PER_S)) as running:
        running.engine.market.focus(MOVING, evenly=True)
        yield running
