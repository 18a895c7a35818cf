"""A subscriber to a price in USD makes each ingest carry the market that it contributes, and releases it afterwards.

Kraken has markets in USD, and USDT itself. Bybit has none in USD.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from pydantic import SecretStr

from ingest_bybit.adapter import ADAPTER as BYBIT
from ingest_kraken.adapter import ADAPTER as KRAKEN
from market_pulse.exchange.adapter import Adapter
from market_pulse.exchange.main import serve
from market_pulse.exchange.settings import IngestSettings
from market_pulse.kinds import TICK, TICKER
from market_pulse.messages import Symbol
from market_pulse.process.way_out import STRAIGHT
from simulator import app
from simulator.settings import Settings
from support.redis_server import RedisServer
from support.waiting import free_port, until
from support.whole_bus import WholeBus

FEATURED = Symbol("BTC-USDT")
BESIDE = Symbol("SOL-USD")


@asynccontextmanager
async def ingests(adapters: Iterable[Adapter], redis_url: str) -> AsyncIterator[None]:
    """Run ingests on a simulator. They release a symbol a second after its last subscriber has left."""
    async with AsyncExitStack() as stack:
        at = f"127.0.0.1:{(await stack.enter_async_context(app.serving(Settings(port=0, rate=2000.0)))).port}"
        running = []
        for adapter in adapters:
            settings = IngestSettings(
                redis_url=SecretStr(redis_url),
                symbols=(FEATURED,),
                symbol_grace_s=1,
                health_port=free_port(),
                ws_url=f"ws://{at}",
                rest_url=f"http://{at}",
            )
            running.append(asyncio.create_task(serve(adapter, settings, STRAIGHT)))
        try:
            yield
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


async def test_the_markets_of_a_converted_price_are_carried_while_it_is_wanted(server: RedisServer) -> None:
    always = {"kraken:BTC-USDT", "bybit:BTC-USDT"}
    async with WholeBus.open(server.url) as bus, ingests((KRAKEN, BYBIT), server.url):

        async def carried(*expected: str) -> bool:
            keys = await bus.client.keys(f"last:{TICK.prefix}*")
            last_ticks = {key if isinstance(key, str) else key.decode() for key in keys}
            return last_ticks == {f"last:{TICK.prefix}{place}" for place in always | set(expected)}

        await until(carried)
        subscriber = bus.subscriber(lambda *_: None, _subscribed)
        listening = asyncio.create_task(subscriber.run())
        await subscriber.subscribe(TICKER.channel(BESIDE))
        await until(lambda: carried("kraken:SOL-USD", "kraken:USDT-USD", "bybit:SOL-USDT"))

        await subscriber.unsubscribe(TICKER.channel(BESIDE))
        await until(carried)
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


async def _subscribed(lost: bool) -> None:
    assert not lost
