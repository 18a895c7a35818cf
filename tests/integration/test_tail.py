"""`tail` on a bus that requires a user."""

import asyncio
from contextlib import aclosing
from typing import Any

import pytest

from cli.bus_tail import messages
from market_pulse.bus import BusError
from support.redis_server import redis_server
from support.waiting import PATIENCE_S
from support.whole_bus import WholeBus


@pytest.mark.parametrize("name", ["ticker:BTC-USDT", "ticks:*"])
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
