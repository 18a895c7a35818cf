"""A program with a subscription, on a real bus that is stopped and restarted."""

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from market_pulse.bus import RefusedError
from market_pulse.client import UnlistedError, subscribe
from market_pulse.messages import FeedState, Symbol, Ticker
from market_pulse.process.clock import now_ms
from market_pulse.tickers import STALE_AFTER_MS
from support.redis_server import RedisServer, redis_server
from support.waiting import PATIENCE_S, until
from support.whole_bus import WholeBus

from .bus_fixtures import BTC, ETH, STATUS, TICKER, age_last


class Program:
    """Reads the tickers, and records the gaps that it is told of."""

    def __init__(self, url: str, *symbols: str) -> None:
        self.gaps: list[tuple[Symbol, int | None]] = []
        self.tickers = subscribe(*symbols, redis_url=url, on_gap=lambda symbol, missed: self.gaps.append((symbol, missed)))

    async def next(self) -> Ticker:
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self.tickers)


@contextlib.asynccontextmanager
async def program(url: str, *symbols: str) -> AsyncIterator[Program]:
    running = Program(url, *symbols)
    async with contextlib.aclosing(running.tickers):
        yield running


@pytest.fixture
async def bus(server: RedisServer) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(server.url) as opened:
        yield opened


async def publish(bus: WholeBus, price: float, symbol: Symbol = BTC, *, seq: int = 0) -> None:
    time_ms = now_ms()
    await bus.publish_tickers([replace(TICKER, symbol=symbol, price=price, seq=seq, aggregated_time_ms=time_ms)])


async def test_the_last_value_and_then_all_that_is_published(bus: WholeBus, server: RedisServer) -> None:
    await publish(bus, 1.0)
    await publish(bus, 2.0)
    async with program(server.url, "btc", "ETH-USDT", "BTC") as reader:
        first = await reader.next()
        assert (first.symbol, first.seq, first.price, first.quality) == (BTC, 2, 2.0, "single")
        assert await bus.demanded() == {BTC, ETH}, "subscribing requests the symbols"
        await publish(bus, 3.0)
        await publish(bus, 10.0, ETH)
        assert [(one.symbol, one.seq, one.price) for one in (await reader.next(), await reader.next())] == [
            (BTC, 3, 3.0),
            (ETH, 1, 10.0),
        ]
        assert reader.gaps == []
    await until(lambda: _demands_nothing(bus))


async def test_an_old_last_value_is_no_live_price(bus: WholeBus, server: RedisServer) -> None:
    await publish(bus, 1.0)
    await age_last(bus, BTC, STALE_AFTER_MS)
    async with program(server.url, "BTC") as reader:
        old = await reader.next()
        assert (old.seq, old.quality) == (1, "stale")


async def test_what_was_lost_with_a_connection_is_told(bus: WholeBus, server: RedisServer) -> None:
    await publish(bus, 1.0)
    async with program(server.url, "BTC") as reader:
        await reader.next()
        await publish(bus, 2.0)
        await bus.client.client_kill_filter(_type="pubsub")
        await bus.client.config_set("maxclients", "1")  # no client can connect until more has been published
        await publish(bus, 3.0)
        await publish(bus, 4.0)
        await bus.client.config_set("maxclients", "1000")
        seen = [await reader.next()]
        while seen[-1].seq < 4:
            seen.append(await reader.next())
    handed_out = {ticker.seq for ticker in seen}
    assert sum(missed or 0 for _, missed in reader.gaps) + len(handed_out) == 3
    assert seen[-1].price == 4.0


@pytest.fixture
def socket_path() -> Iterator[str]:
    """The socket path of a server that starts later. Another process could take a port meanwhile."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:  # a socket's path must be short
        yield f"{folder}/bus.sock"


async def test_redis_away_at_the_start_and_again_later(socket_path: str, caplog: pytest.LogCaptureFixture) -> None:
    async with program(f"unix://{socket_path}", "BTC") as reader:
        waiting = asyncio.create_task(reader.next())
        await until(lambda: "bus subscription lost" in caplog.text)
        async with redis_server(None, "--unixsocket", socket_path) as server, WholeBus.open(server.url) as bus:
            await until(lambda: _is_demanded(bus))
            await publish(bus, 1.0)
            assert (await waiting).price == 1.0
        away = await reader.next()  # the server is gone, so the price is not renewed
        assert (away.seq, away.price, away.quality) == (1, 1.0, "stale")
        async with redis_server(None, "--unixsocket", socket_path) as server, WholeBus.open(server.url) as bus:
            await until(lambda: _is_demanded(bus))
            await publish(bus, 2.0, seq=1)
            back = await reader.next()
            assert (back.seq, back.price, back.quality) == (2, 2.0, "single")
        assert reader.gaps == []


async def test_what_nobody_lists_is_refused_where_listings_are_known(bus: WholeBus, server: RedisServer) -> None:
    await publish(bus, 1.0)
    async with program(server.url, "BTC", "NOSUCHCOIN") as reader:
        assert (await reader.next()).symbol == BTC, "no exchange has published its listing yet"
    await bus.publish_listing("okx", [BTC])
    await bus.publish_listing("bybit", [])
    async with program(server.url, "BTC", "NOSUCHCOIN") as reader:
        with pytest.raises(UnlistedError, match="NOSUCHCOIN-USDT") as refused:
            await reader.next()
    assert (refused.value.symbols, refused.value.exchanges) == ([Symbol("NOSUCHCOIN-USDT")], ["okx"])


async def test_a_price_that_is_only_converted_is_not_refused(bus: WholeBus, server: RedisServer) -> None:
    await bus.publish_listing("okx", [BTC])
    await bus.publish_listing("kraken", [Symbol("USDT-USD")])
    await bus.publish_tickers([replace(TICKER, symbol=Symbol("BTC-USD"), price=1.0)])
    async with program(server.url, "BTC-USD") as reader:
        assert (await reader.next()).symbol == "BTC-USD"


@pytest.mark.parametrize(
    ("state", "is_refused"),
    [
        pytest.param("connected", False, id="it runs, but has not published its listing"),
        pytest.param("blocked", True, id="it does not serve this place"),
        pytest.param("down", True, id="it was stopped"),
    ],
)
async def test_an_exchange_that_has_not_said_what_it_lists_may_list_it(
    bus: WholeBus, server: RedisServer, state: FeedState, is_refused: bool
) -> None:
    await publish(bus, 1.0)
    await bus.publish_listing("okx", [BTC])
    for exchange, said in (("okx", "connected"), ("bybit", state)):
        await bus.publish_status(replace(STATUS, exchange=exchange, state=said))
    async with program(server.url, "BTC", "NOSUCHCOIN") as reader:
        if is_refused:
            with pytest.raises(UnlistedError):
                await reader.next()
        else:
            assert (await reader.next()).symbol == BTC


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        pytest.param(">other ~* &* +@all", "invalid username-password", id="another password"),
        pytest.param(">word ~* +@all", "channel", id="no channel"),
        pytest.param(">word ~* &* +@all -subscribe", "command", id="no subscription"),
        pytest.param(">word &* +@all", "key", id="no last value"),
    ],
)
async def test_who_is_refused_is_told_so(bus: WholeBus, server: RedisServer, rules: str, said: str) -> None:
    client: Any = bus.client
    await client.execute_command("ACL", "SETUSER", "lesser", "on", *rules.split())
    try:
        async with program(server.url.replace("://", "://lesser:word@"), "BTC") as reader:
            with pytest.raises(RefusedError, match=said):
                await reader.next()
    finally:
        await client.execute_command("ACL", "DELUSER", "lesser")


async def test_messages_that_are_none_are_passed_over(bus: WholeBus, server: RedisServer) -> None:
    await bus.client.set("last:ticker:BTC-USDT", b"nonsense")
    async with program(server.url, "BTC") as reader:
        waiting = asyncio.create_task(reader.next())
        await until(lambda: _is_demanded(bus))
        await bus.client.publish("ticker:BTC-USDT", b"{}")
        await publish(bus, 1.0)
        assert (await waiting).price == 1.0


async def _demands_nothing(bus: WholeBus) -> bool:
    return not await bus.demanded()


async def _is_demanded(bus: WholeBus) -> bool:
    return BTC in await bus.demanded()
