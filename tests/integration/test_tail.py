"""`tail` on a bus that requires a user."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from cli.bus_tail import messages
from market_pulse.bus import BusError
from market_pulse.kinds import EXCHANGE_CANDLE, TICKER, needed
from support.redis_server import redis_server
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus


@pytest.mark.parametrize("name", ["ticker:BTC-USDT", "candle:1m:BTC-USDT", "ticks:*"])
async def test_who_may_not_listen_is_told(name: str) -> None:
    async with redis_server() as server, WholeBus.open(server.url) as bus:
        client: Any = bus.client
        await client.execute_command("ACL", "SETUSER", "deaf", "on", ">word", "~*", "resetchannels", "+@all")
        async with (
            asyncio.timeout(PATIENCE_S),
            aclosing(messages(server.url.replace("://", "://deaf:word@"), [name])) as incoming,
        ):
            with pytest.raises(BusError, match="NoPermission"):
                await anext(incoming)


async def test_a_channel_by_name_is_demand_and_a_pattern_only_listens() -> None:
    async with (
        redis_server() as server,
        WholeBus.open(server.url) as bus,
        aclosing(messages(server.url, ["candle:1m:BTC-USDT", "candle:1h:*"])) as incoming,
    ):
        first = asyncio.create_task(anext(incoming))

        async def is_heard() -> bool:
            await bus.client.publish("candle:1h:ETH-USDT", b"{}")
            return first.done()

        await until(is_heard)
        assert (await first).channel == "candle:1h:ETH-USDT"
        channels = await bus.wanted_channels()
        assert needed(TICKER, channels) == needed(EXCHANGE_CANDLE, channels) == {"BTC-USDT"}
