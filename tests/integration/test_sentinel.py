"""Failover: publishers and subscribers follow the master, also away from a server that lives but is master no longer."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from market_pulse import kinds
from market_pulse.bus import BusError, sentinel
from market_pulse.messages import decode_ticker
from support.listening import Ear, listening
from support.sentinels import Guarded, guarded, role
from support.waiting import until
from support.whole_bus import WholeBus

from .bus_fixtures import BTC, TICKER


@pytest.fixture
async def group(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Guarded]:
    async with guarded(tmp_path_factory.mktemp("sentinels")) as running:
        yield running


async def reaches(publisher: WholeBus, ear: Ear, seq: int) -> bool:
    """Publish the ticker after `seq`, and return whether the subscriber has received one as new as that."""
    try:
        await publisher.publish_tickers([replace(TICKER, seq=seq)])
    except BusError:
        return False
    return bool(ear.heard) and decode_ticker(ear.heard[-1][1]).seq > seq


async def test_a_killed_master_is_replaced(group: Guarded) -> None:
    """It is so even if a Sentinel does not answer. Numbers continue from the publisher's, even if replication lacked them."""
    async with WholeBus.open(group.url) as bus, listening(bus, kinds.TICKER.channel(BTC)) as ear:
        await until(lambda: reaches(bus, ear, 41))
        group.freeze_a_sentinel()
        await group.first.kill()
        await until(lambda: group.names(group.second))
        await until(lambda: reaches(bus, ear, 1000))
        await until(lambda: ear.subscribed == [False, True])
        assert await bus.demanded() == {BTC}


async def test_nobody_stays_with_a_master_that_comes_back(group: Guarded) -> None:
    """It acts as the master until the Sentinels demote it. For these seconds its clients would be cut off from the others."""
    async with (
        WholeBus.open(group.url) as bus,
        WholeBus.open(group.url) as other,
        listening(other, kinds.TICKER.channel(BTC)) as ear,
    ):
        await until(lambda: reaches(bus, ear, 0))
        assert await bus.demanded() == {BTC}
        group.first.freeze()
        await until(lambda: group.names(group.second))
        group.first.thaw()
        await until(lambda: ear.subscribed == [False, True])
        await until(lambda: reaches(bus, ear, 1000))
        assert await bus.demanded() == {BTC}
        assert await role(group.first) == "master"
        async with WholeBus.open(group.second.url) as direct:
            (last,) = await direct.last(kinds.TICKER.channel(BTC))
        assert last is not None
        assert decode_ticker(last).seq > 1000


async def test_without_sentinels_the_last_master_stays(group: Guarded) -> None:
    async with WholeBus.open(group.url) as bus, listening(bus, kinds.TICKER.channel(BTC)) as ear:
        await until(lambda: reaches(bus, ear, 0))
        await group.kill_sentinels()
        await asyncio.sleep(2 * sentinel.ASK_INTERVAL_S)
        await until(lambda: reaches(bus, ear, 1000))
        assert ear.subscribed == [False]
