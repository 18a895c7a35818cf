"""Feeds of Kraken and Crypto.com on the simulator: notices that say that a socket lives, that wait for an answer, or that end it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest
from pydantic import SecretStr

from ingest_cryptocom.adapter import ADAPTER as CRYPTOCOM
from ingest_kraken.adapter import ADAPTER as KRAKEN
from market_pulse.exchange import feed as runner
from market_pulse.exchange import merge
from market_pulse.exchange.adapter import Adapter, Listed
from market_pulse.exchange.feed import Feed
from market_pulse.exchange.quiet import QuietSymbols
from market_pulse.exchange.rest import RestClient
from market_pulse.exchange.settings import IngestSettings
from market_pulse.exchange.status import status_of
from market_pulse.messages import FeedStatus, Symbol, Tick
from simulator.app import Running, serving
from simulator.faults import read_fault
from simulator.settings import Settings
from support.waiting import until

BTC = Symbol("BTC-USD")


class Played:
    """A feed that carries one symbol, on a simulator."""

    def __init__(self, running: Running, adapter: Adapter) -> None:
        self.running, self.exchange = running, running.engine.exchanges[adapter.exchange]  # type: ignore[index]
        self.ticks: list[Tick] = []
        url = f"ws://127.0.0.1:{running.port}{adapter.ws_path}"
        self.feed = Feed(adapter, (url,), self.ticks.append, blocked_retry_s=0.5, max_age_s=None)
        native = adapter.native(BTC)
        self.feed.want({native: Listed(BTC, native, None)})

    @property
    def status(self) -> FeedStatus:
        return status_of(self.feed.facts())

    def sent(self) -> int:
        """Return how many messages the exchange has sent on the one open socket."""
        (connection,) = self.exchange.connections
        return connection.sent


@contextlib.asynccontextmanager
async def playing(adapter: Adapter, settings: Settings) -> AsyncIterator[Played]:
    async with serving(settings) as running:
        played = Played(running, adapter)
        task = asyncio.create_task(played.feed.run())
        try:
            await until(lambda: played.ticks)
            yield played
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_kraken_s_heartbeats_keep_a_socket_on_which_nothing_is_traded() -> None:
    patient = replace(KRAKEN, silence_s=3.0)
    async with playing(patient, Settings(port=0, rate=0.0)) as played:
        before = played.sent()
        await until(lambda: played.sent() >= before + 6, 30)  # a heartbeat each second, for twice as long as it may be silent
        assert (played.status.state, played.status.reconnects, len(played.ticks)) == ("connected", 0, 1)


async def test_a_mute_channel_of_kraken_is_found_although_heartbeats_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """REST, whose ticker has neither a time nor a trade's number, shows another price. So the symbol is asked for again."""
    monkeypatch.setattr(merge, "NEWER_BY_MS", 500)
    settings = IngestSettings(redis_url=SecretStr("redis://127.0.0.1:1/0")).model_copy(update={"quiet_symbol_s": 1.0})
    async with (
        playing(KRAKEN, Settings(port=0, rate=4000.0)) as played,
        RestClient(KRAKEN, f"http://127.0.0.1:{played.running.port}") as rest,
    ):
        quiet = asyncio.create_task(QuietSymbols(settings, rest, played.feed, lambda: None).run())
        try:
            (connection,) = played.exchange.connections
            requests = connection.control_messages
            played.running.engine.inject(read_fault(b'{"exchange": "kraken", "kind": "mute"}'))
            await until(lambda: connection.control_messages >= requests + 2, 60)  # the end of the subscription, and a new one
            assert list(connection.topics) == ["ticker BTC/USD"]
            played.running.engine.faults.clear()
            seen = len(played.ticks)
            await until(lambda: len(played.ticks) > seen)
            assert (played.status.state, played.status.reconnects) == ("connected", 0)
        finally:
            quiet.cancel()
            await asyncio.gather(quiet, return_exceptions=True)


async def test_an_old_snapshot_of_kraken_says_nothing_about_the_lag() -> None:
    async with playing(KRAKEN, Settings(port=0, rate=0.0)) as played:
        assert [tick.lag_unknown for tick in played.ticks] == [True]
        event = played.running.engine.market.step(played.exchange.listings["BTC/USD"], 0, traded=False)
        played.exchange.publisher.on_event(event)
        await until(lambda: len(played.ticks) > 1)
        assert not played.ticks[1].lag_unknown
        assert played.ticks[1].order > played.ticks[0].order, "a microsecond later"


async def test_kraken_s_maintenance_is_told_until_data_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "backoff_s", lambda *_, **__: 0.1)
    monkeypatch.setattr(runner, "HALTED_DELAY_S", 0.5)
    async with playing(KRAKEN, Settings(port=0, rate=4000.0)) as played:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{played.running.port}") as http:
            fault = {"exchange": "kraken", "kind": "kraken_maintenance", "close_after_s": 1.0}
            (await http.post("/control/faults", json=fault)).raise_for_status()
        await until(lambda: played.status.state == "degraded")
        assert played.status.reason == "closed by the exchange: status maintenance"
        seen = len(played.ticks)
        await until(lambda: played.status.state == "connected" and len(played.ticks) > seen, 30)


async def test_answered_heartbeats_keep_a_socket_of_crypto_com() -> None:
    async with playing(CRYPTOCOM, Settings(port=0, rate=0.0, cryptocom_heartbeat_every_s=0.2)) as played:
        before = played.sent()
        await until(lambda: played.sent() >= before + 8, 30)  # unanswered, the third would have ended it
        assert (played.status.state, played.status.reconnects) == ("connected", 0)
