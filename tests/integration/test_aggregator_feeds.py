"""The aggregator on a real server: if all feeds are lost, prices are stale at once; in a quiet market they are not."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from msgspec.structs import replace

from market_pulse import kinds
from market_pulse.messages import FeedState, FeedStatus, decode_status, encode
from support.samples import status_bytes
from support.waiting import free_port, until
from support.whole_bus import WholeBus

from .aggregator_fixtures import Listener, aggregator, listening, server, tick

EXCHANGES = ("binance", "okx")
SILENT_AFTER_S = 3.0


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
async def bus(port: int) -> AsyncIterator[WholeBus]:
    async with server(port) as running_bus:
        yield running_bus


def status(exchange: str, state: FeedState, copy: int = 1) -> FeedStatus:
    return replace(decode_status(status_bytes(exchange, state)), instance=f"{exchange}:{copy}")


async def say(bus: WholeBus, state: FeedState, copies: int = 1) -> None:
    """Publish this state of its feed for every copy of every ingest."""
    for exchange in EXCHANGES:
        for copy in range(copies):
            await bus.publish_status(status(exchange, state, copy))


async def trade(bus: WholeBus, *, age_s: float = 0.0) -> None:
    await bus.publish_ticks([tick(64000.0 + number, exchange, age_s=age_s) for number, exchange in enumerate(EXCHANGES)])


async def until_quality(listener: Listener, quality: str) -> None:
    await until(lambda: listener.tickers and listener.last().quality == quality)


async def several_beats(listener: Listener) -> None:
    before = len(listener.tickers)
    await until(lambda: len(listener.tickers) >= before + 3)


@pytest.mark.parametrize("copies", [1, 2])
async def test_all_feeds_are_lost(port: int, bus: WholeBus, copies: int) -> None:
    """The next ticker is `stale`, as long as no copy of any used source's ingest is connected to its exchange."""
    async with aggregator(port), listening(bus) as listener:
        await say(bus, "connected", copies)
        await trade(bus)
        await until_quality(listener, "ok")
        await say(bus, "blocked", copies)
        await until_quality(listener, "stale")
        stale = listener.last()
        assert (stale.price, stale.sources_used) == (64000.5, 2)
        assert {source.reason for source in stale.sources} == {"its feed is away"}
        await bus.publish_status(status("okx", "degraded", copies - 1))
        await until_quality(listener, "ok")
        await bus.publish_status(status("okx", "reconnecting", copies - 1))
        await until_quality(listener, "stale")


async def test_all_ingests_die(port: int, bus: WholeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their last statuses report healthy feeds, and no statuses follow."""
    monkeypatch.setattr("aggregator.feeds.SILENT_AFTER_S", SILENT_AFTER_S)
    async with aggregator(port), listening(bus) as listener:
        await say(bus, "connected", 2)
        await trade(bus)
        await until_quality(listener, "ok")
        await until_quality(listener, "stale")
        assert all(SILENT_AFTER_S * 1000 - 500 <= source.age_ms < 10_000 for source in listener.last().sources)


async def test_a_quiet_market_is_not_stale(port: int, bus: WholeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """There are no trades, while the ingests report that they are connected."""
    monkeypatch.setattr("aggregator.feeds.SILENT_AFTER_S", SILENT_AFTER_S)
    async with aggregator(port), listening(bus) as listener:
        await say(bus, "connected")
        await trade(bus)

        async def quiet_for_long() -> bool:
            await say(bus, "connected")
            return bool(listener.tickers) and listener.last().sources[0].age_ms > 3 * SILENT_AFTER_S * 1000

        await until(quiet_for_long)
        assert {one.quality for one in listener.tickers if one.sources_used == 2} == {"ok"}


async def test_one_that_was_never_heard_is_not_missed_at_once(
    port: int, bus: WholeBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aggregator.feeds.SILENT_AFTER_S", SILENT_AFTER_S)
    async with aggregator(port), listening(bus) as listener:
        await trade(bus)
        await until_quality(listener, "ok")
        await until_quality(listener, "stale")


@pytest.mark.parametrize("age_s", [20.0, 5.0])
async def test_an_aggregator_that_starts_after_all_ingests_died(port: int, bus: WholeBus, age_s: float) -> None:
    """Redis still has a tick but no status. The first ticker says that no ingest is connected."""
    await trade(bus, age_s=age_s)
    async with listening(bus) as listener, aggregator(port):
        await several_beats(listener)
        qualities = {one.quality for one in listener.tickers}
        assert qualities == ({"stale"} if age_s > 15 else {"ok"}), "an ingest may not have published its status yet"


async def test_an_aggregator_that_starts_while_all_is_well(port: int, bus: WholeBus) -> None:
    """Its first tickers are live, even in a quiet market."""
    await trade(bus, age_s=20)
    await say(bus, "connected")
    async with listening(bus) as listener, aggregator(port):
        await several_beats(listener)
        assert {one.quality for one in listener.tickers} == {"ok"}


async def test_a_status_that_was_kept_is_as_old_as_it_is(port: int, bus: WholeBus) -> None:
    """All ingests died a while before an aggregator starts, and Redis still has their last statuses."""
    await trade(bus, age_s=14)
    await say(bus, "connected")
    for name in [key async for key in bus.client.scan_iter("last:status:*")]:
        await bus.client.pexpire(name, 2_000)
    async with listening(bus) as listener, aggregator(port):
        await until_quality(listener, "ok")
        await until_quality(listener, "stale")
        assert all(source.age_ms < 24_000 for source in listener.last().sources)


async def test_redis_forgets_what_was_said(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Redis there is no news of the feeds. Their known states stay until new statuses would have come."""
    monkeypatch.setattr("aggregator.feeds.SILENT_AFTER_S", SILENT_AFTER_S)
    async with server(port) as bus:
        service = aggregator(port)
        await service.__aenter__()
        async with listening(bus) as listener:
            await say(bus, "connected")
            await trade(bus)
            await until_quality(listener, "ok")
    await asyncio.sleep(SILENT_AFTER_S + 0.5)
    async with server(port) as bus, listening(bus) as listener:
        await until(lambda: listener.tickers)
        assert listener.tickers[0].quality == "ok"
        await until_quality(listener, "stale")
        await say(bus, "connected")
        await until_quality(listener, "ok")
        await service.__aexit__(None, None, None)


async def test_a_status_speaks_for_its_channel_only(port: int, bus: WholeBus) -> None:
    async with aggregator(port), listening(bus) as listener:
        await say(bus, "connected")
        await trade(bus)
        await until_quality(listener, "ok")
        for data in (b"{", encode(status("binance", "blocked"))):
            await bus.client.publish(kinds.STATUS.channel("okx"), data)
        await say(bus, "connected")
        await bus.publish_status(status("okx", "blocked"))
        await several_beats(listener)
        assert listener.last().quality == "ok"
