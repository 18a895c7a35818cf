"""The bus on real servers: publishing, last values, numbers, demand and listings."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, cast

import hiredis
import pytest
import uvloop
from msgspec.structs import replace

from market_pulse import kinds
from market_pulse.bus import BusError, RefusedError, demand, keys, reader, subscriber
from market_pulse.bus.connection import connect
from market_pulse.messages import Bar, Interval, Point, Resolution, Symbol, decode_status, decode_tick, decode_ticker
from support.listening import listening
from support.redis_server import RedisServer, redis_server
from support.waiting import PATIENCE_S, free_port, until
from support.whole_bus import WholeBus

from .bus_fixtures import BTC, ETH, STATUS, TICK, TICKER, age_last

SOL, BNB = Symbol("SOL-USDT"), Symbol("BNB-USDT")


@pytest.fixture
async def bus(redis_url: str) -> AsyncIterator[WholeBus]:
    async with WholeBus.open(redis_url) as opened:
        yield opened


async def test_ticks_are_published_and_kept(bus: WholeBus) -> None:
    async with listening(bus, patterns=(kinds.TICK.pattern,)) as ear:
        await bus.publish_ticks([TICK, replace(TICK, symbol=ETH)])
        await until(lambda: len(ear.heard) == 2)
    assert [channel for channel, _ in ear.heard] == ["ticks:okx:BTC-USDT", "ticks:okx:ETH-USDT"]
    tick = decode_tick(ear.heard[0][1])
    assert replace(tick, published_time_ms=None) == TICK
    assert await bus.last("ticks:okx:BTC-USDT", "ticks:okx:NONE-USDT") == [ear.heard[0][1], None]
    assert sorted(await bus.last_matching(kinds.TICK.pattern)) == sorted(ear.heard)
    assert await bus.client.ttl("last:ticks:okx:BTC-USDT") > 0


async def test_status_is_published_and_expires(bus: WholeBus) -> None:
    async with listening(bus, patterns=(kinds.STATUS.pattern,)) as ear:
        await bus.publish_status(STATUS)
        await until(lambda: ear.heard)
    assert decode_status(ear.heard[0][1]) == STATUS
    assert 0 < await bus.client.ttl("last:status:okx") <= 15


async def test_each_copy_s_last_status_is_kept(bus: WholeBus) -> None:
    await bus.publish_status(STATUS)
    await bus.publish_status(replace(STATUS, instance="b:1", state="down"))
    lasts = [message and decode_status(message) for message in await bus.last("status:okx", "status:okx:a:1", "status:okx:b:1")]
    assert [last and (last.instance, last.state) for last in lasts] == [("b:1", "down"), ("a:1", "connected"), ("b:1", "down")]
    assert len(await bus.last_matching(kinds.STATUS.pattern)) == 3
    assert 0 < await bus.client.ttl("last:status:okx:a:1") <= 15


async def test_tickers_are_numbered_without_a_gap(bus: WholeBus) -> None:
    async with listening(bus, kinds.TICKER.channel(BTC)) as ear:
        first = await bus.publish_tickers([TICKER, replace(TICKER, symbol=ETH), TICKER])
        second = await bus.publish_tickers([TICKER])
        await until(lambda: len(ear.heard) == 3)
    assert [(one.seq, one.receivers) for one in first + second] == [(1, 1), (1, 0), (2, 1), (3, 1)]
    assert [decode_ticker(message).seq for _, message in ear.heard] == [1, 2, 3]
    (last,) = await bus.last(kinds.TICKER.channel(BTC))
    assert last == ear.heard[-1][1]


async def test_a_last_ticker_tells_its_age(bus: WholeBus) -> None:
    """The age comes from the server's clock. If another client has changed the expiry, the age is unknown."""
    await bus.publish_tickers([TICKER, replace(TICKER, symbol=ETH), replace(TICKER, symbol=SOL), replace(TICKER, symbol=BNB)])
    await age_last(bus, ETH, 90_000)
    await age_last(bus, SOL, -90_000)
    await bus.client.persist(keys.last(kinds.TICKER.channel(BNB)))
    *known, unknown = await bus.last_aged(*map(kinds.TICKER.channel, (BTC, ETH, SOL, BNB, Symbol("NONE-USDT"))))
    new_ms, old_ms, longer_ms, endless_ms = (last.age_ms for last in known if last is not None)
    assert new_ms is not None
    assert 0 <= new_ms < 60_000
    assert old_ms is not None
    assert 90_000 <= old_ms < 150_000
    assert (longer_ms, endless_ms, unknown) == (None, None, None)
    assert await bus.last_aged() == []


async def test_numbers_go_on_when_redis_lost_its_memory(bus: WholeBus) -> None:
    await bus.publish_tickers([TICKER])
    await bus.client.flushall()
    (published,) = await bus.publish_tickers([replace(TICKER, seq=41)])
    assert published.seq == 42
    (published,) = await bus.publish_tickers([replace(TICKER, seq=7)])
    assert published.seq == 43


async def test_scripts_survive_a_server_that_forgot_them(bus: WholeBus) -> None:
    await bus.publish_ticks([TICK])
    await bus.client.script_flush()
    await bus.publish_ticks([TICK])


async def test_subscribing_by_name_is_demand_and_a_pattern_is_not(bus: WholeBus) -> None:
    assert await bus.demanded() == set()
    async with listening(
        bus, kinds.TICKER.channel(BTC), "ticker:btc-usdt", "ticker:*x", patterns=(kinds.TICKER.pattern,)
    ) as ear:
        assert await bus.demanded() == {BTC}
        await ear.subscriber.subscribe(kinds.TICKER.channel(ETH))
        await until(lambda: _demands(bus, {BTC, ETH}))
        await ear.subscriber.unsubscribe(kinds.TICKER.channel(BTC))
        await until(lambda: _demands(bus, {ETH}))
    await until(lambda: _demands(bus, set()))


async def test_demand_of_any_kind_is_seen(bus: WholeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    names = {kinds.TICKER.channel(BTC), kinds.TICK.channel("okx", ETH), kinds.STATUS.channel("okx")}
    others = ("members:aggregator", "ticker:btc-usdt", "ticks:okx", "x" * 1000, "ticker:BTC-USDT:x")
    async with listening(bus, *names, *others, patterns=("*",)):
        assert await bus.wanted_channels() == names
        monkeypatch.setattr(demand, "MOST_CHANNELS", 2)
        assert len(await bus.wanted_channels()) == 2
    await until(lambda: _demands(bus, set()))


async def test_messages_are_published_as_they_are_and_those_of_a_state_kept(bus: WholeBus) -> None:
    tick, status, other = (kinds.TICK.channel("okx", BTC), b"1"), (kinds.STATUS.channel("okx"), b"2"), ("ticks:x", b"3")
    async with listening(bus, patterns=("*",)) as ear:
        await bus.publish([tick, status, other, status])
        await until(lambda: len(ear.heard) == 4)
    assert ear.heard == [tick, status, other, status]
    assert await bus.last(*(channel for channel, _ in (tick, status, other))) == [b"1", b"2", None]
    assert 15 < await bus.client.ttl(keys.last(tick[0])) <= 3600
    assert 0 < await bus.client.ttl(keys.last(status[0])) <= 15


async def _demands(bus: WholeBus, expected: set[Symbol]) -> bool:
    return await bus.demanded() == expected


async def test_listings_are_replaced_whole(bus: WholeBus) -> None:
    await bus.publish_listing("okx", [BTC, ETH])
    await bus.publish_listing("okx", [ETH])
    assert not await bus.has_listing("bybit")
    await bus.publish_listing("bybit", [BTC])
    assert await bus.has_listing("bybit")
    assert await bus.listings() == {"okx": {ETH}, "bybit": {BTC}}


async def test_what_is_too_long_is_no_listing(bus: WholeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user with the right to write a listing must not make all readers read millions of names."""
    monkeypatch.setattr(reader, "LONGEST_LISTING", 1)
    await bus.publish_listing("okx", [BTC, ETH])
    await bus.publish_listing("bybit", [BTC])
    assert await bus.listings() == {"bybit": {BTC}}


async def test_keys_of_others_do_not_hide_listings(bus: WholeBus) -> None:
    await bus.publish_listing("okx", [BTC])
    await bus.client.set("symbols:junk", "not a set")
    await bus.client.sadd("symbols:okx", b"\xff", "btc-usdt")
    assert await bus.listings() == {"okx": {BTC}}


@pytest.mark.parametrize("command", ["scan", "scard", "smembers"])
async def test_who_may_not_read_listings_is_told_so(redis_url: str, bus: WholeBus, command: str) -> None:
    """Otherwise exchanges would seem to list no symbols, and every symbol would be refused."""
    await bus.publish_listing("okx", [BTC])
    client: Any = bus.client
    await client.execute_command("ACL", "SETUSER", "lesser", "on", ">word", "~*", "+@all", f"-{command}")
    try:
        async with WholeBus.open(redis_url.replace("://", "://lesser:word@")) as lesser:
            with pytest.raises(RefusedError, match="NoPermission"):
                await lesser.listings()
    finally:
        await client.execute_command("ACL", "DELUSER", "lesser")


async def test_a_broken_counter_stops_no_ticker(bus: WholeBus) -> None:
    await bus.client.set("seq:BTC-USDT", "not a number")
    published = await bus.publish_tickers([replace(TICKER, seq=41), replace(TICKER, symbol=ETH)])
    assert [one.seq for one in published] == [42, 1]


async def test_forgotten_values_are_gone(bus: WholeBus) -> None:
    await bus.publish_ticks([TICK])
    await bus.forget("ticks:okx:BTC-USDT")
    assert await bus.last("ticks:okx:BTC-USDT") == [None]


async def test_history_is_kept_in_order_up_to_its_length_and_expires(bus: WholeBus) -> None:
    resolution = Resolution.SECOND
    points = [point(number * resolution.step_ms, 64000.5 + number) for number in range(1, resolution.points + 6)]
    for one in points:
        assert await bus.record(resolution, {BTC: one, ETH: replace(one, sources={})}) == 2
    assert await bus.history(resolution, BTC, 0) == points[5:]
    assert await bus.history(resolution, BTC, points[-2].time_ms) == points[-2:]
    assert (await bus.history(resolution, ETH, 0))[-1] == replace(points[-1], sources={})
    key = keys.history(resolution, BTC)
    assert await bus.client.xrevrange(key, count=1) == [
        (b"%d-0" % points[-1].time_ms, {b"price": str(points[-1].price).encode(), b"okx": b"64000.1", b"binance": b"1e-07"})
    ]
    assert 0 < await bus.client.ttl(key) <= 600


async def test_a_point_that_another_copy_wrote_is_passed_over(bus: WholeBus) -> None:
    await bus.record(Resolution.SECOND, {BTC: point(5000, 1.0)})
    await bus.client.expire("history:1s:BTC-USDT", 60)
    assert await bus.record(Resolution.SECOND, {BTC: point(5000, 2.0), ETH: point(5000, 3.0)}) == 1
    assert await bus.record(Resolution.SECOND, {BTC: point(4000, 4.0)}) == 0
    assert await bus.history(Resolution.SECOND, BTC, 0) == [point(5000, 1.0)]
    assert await bus.client.ttl("history:1s:BTC-USDT") <= 60  # no point was added, so the expiry is not prolonged


async def test_entries_and_keys_of_others_do_not_hide_history(bus: WholeBus) -> None:
    await bus.client.xadd("history:1s:BTC-USDT", {"note": "hello"}, id="1000-0")
    await bus.client.xadd("history:1s:BTC-USDT", {b"price": b"\xff"}, id="1500-3")
    await bus.client.set("history:1s:ETH-USDT", "not a stream")
    assert await bus.record(Resolution.SECOND, {ETH: point(2000, 1.0), BTC: point(2000, 2.0)}) == 1
    assert await bus.history(Resolution.SECOND, BTC, 0) == [point(2000, 2.0)]
    assert await bus.history(Resolution.SECOND, ETH, 0) == []
    assert await bus.history(Resolution.MINUTE, ETH, 0) == []


def point(time_ms: int, price: float) -> Point:
    return Point(time_ms=time_ms, price=price, sources={"okx": 64000.1, "binance": 1e-7})


def bar(start_ms: int, close: float = 2.0, revision: int = 0) -> Bar:
    return Bar(start_ms, 1.0, 3.0, 0.5, close, 10.0, None, 7, revision)


async def test_bars_may_come_late_twice_and_corrected(bus: WholeBus) -> None:
    minute = Interval.MINUTE
    assert await bus.keep_bars(minute, BTC, [bar(120_000), bar(180_000)]) == 2
    assert await bus.keep_bars(minute, BTC, [bar(60_000), bar(180_000)]) == 1, (
        "a late one is new, and an equal one changes nothing"
    )
    assert await bus.keep_bars(minute, BTC, [bar(120_000, 1.5, revision=2)]) == 1
    assert await bus.keep_bars(minute, BTC, [bar(120_000, 1.7, revision=1)]) == 0, "a lower revision is older"
    assert await bus.bars(minute, BTC) == [bar(60_000), bar(120_000, 1.5, revision=2), bar(180_000)]
    assert await bus.bars(minute, BTC, before_ms=180_000, limit=1) == [bar(120_000, 1.5, revision=2)]
    assert await bus.client.zrange("bar:1m:BTC-USDT", 0, 0) == [b"[60000,1.0,3.0,0.5,2.0,10.0,null,7,0,null]"]


async def test_the_bars_of_moments(bus: WholeBus) -> None:
    """Each is the newest bar that began until then. Other members and other keys are passed over."""
    minute, hour = Interval.MINUTE, Interval.HOUR
    await bus.keep_bars(minute, BTC, [bar(60_000), bar(180_000)])
    await bus.keep_bars(hour, BTC, [bar(0)])
    await bus.client.set("bar:1d:BTC-USDT", "not a sorted set")
    await bus.client.zadd("bar:1m:ETH-USDT", {"no bar": 5})
    asked = [(minute, BTC, at_ms) for at_ms in (59_999, 60_000, 179_999, 180_000, 10**15)]
    asked += [(hour, BTC, 1), (Interval.DAY, BTC, 1), (minute, ETH, 10)]
    expected = [None, bar(60_000), bar(60_000), bar(180_000), bar(180_000), bar(0), None, None]
    assert await bus.bars_at(asked) == expected
    assert await bus.bars_at([]) == []


async def test_as_many_bars_are_kept_as_an_interval_wants(bus: WholeBus) -> None:
    bars = [bar(number * 60_000) for number in range(1500)]
    await bus.keep_bars(Interval.MINUTE, BTC, bars, "okx")
    assert await bus.bars(Interval.MINUTE, BTC, "okx", limit=2000) == bars[-1440:]
    assert await bus.bars(Interval.MINUTE, BTC) == []
    assert 0 < await bus.client.ttl("bars:1m:okx:BTC-USDT") <= 3600
    await bus.keep_bars(Interval.HOUR, BTC, [bar(0)], "okx")
    assert 0 < await bus.client.ttl("bars:1h:okx:BTC-USDT") <= 600, "it only feeds ours"


async def test_members_and_keys_of_others_do_not_hide_bars(bus: WholeBus) -> None:
    await bus.client.zadd("bar:1m:BTC-USDT", {"hello": 60_000, "[120000,0,0,0,0,0,0,0,0]": 120_000})
    await bus.client.set("bar:1m:ETH-USDT", "not a set")
    assert await bus.keep_bars(Interval.MINUTE, BTC, [bar(60_000), bar(180_000)]) == 2
    assert await bus.bars(Interval.MINUTE, BTC) == [bar(60_000), bar(180_000)]
    assert await bus.keep_bars(Interval.MINUTE, ETH, [bar(60_000)]) == 0
    assert await bus.bars(Interval.MINUTE, ETH) == []


async def test_an_unreachable_server_is_a_bus_error() -> None:
    async with WholeBus.open(f"redis://127.0.0.1:{free_port()}/0") as bus:
        with pytest.raises(BusError):
            await bus.publish_ticks([TICK])
        with pytest.raises(BusError):
            await bus.record(Resolution.SECOND, {BTC: point(1000, 1.0)})
        with pytest.raises(BusError):
            await bus.history(Resolution.SECOND, BTC, 0)


async def test_a_subscription_comes_back_after_its_server_and_says_so(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus, listening(bus, kinds.TICKER.channel(BTC)) as ear:
        assert ear.subscribed == [False]
        await server.kill()
        await until(lambda: not ear.subscriber.connected)
        await server.start()
        await until(lambda: ear.subscribed == [False, True])
        await bus.publish_tickers([TICKER])
        await until(lambda: ear.heard)
        assert ear.subscriber.resyncs == 1


async def test_a_frozen_server_is_noticed(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subscriber, "PING_INTERVAL_S", 0.1)
    monkeypatch.setattr(subscriber, "SILENCE_LIMIT_S", 0.5)
    async with WholeBus.open(server.url) as bus, listening(bus, kinds.TICKER.channel(BTC)) as ear:
        server.freeze()
        await until(lambda: not ear.subscriber.connected)
        server.thaw()
        await until(lambda: ear.subscribed[1:])
        assert ear.subscribed[-1] is True


async def test_a_killed_connection_is_noticed(server: RedisServer) -> None:
    async with WholeBus.open(server.url) as bus, listening(bus, kinds.TICKER.channel(BTC)) as ear:
        await bus.client.client_kill_filter(_type="pubsub")
        await until(lambda: ear.subscribed == [False, True])


async def test_a_subscription_ends_when_told_to_at_the_moment_its_connection_fails(bus: WholeBus) -> None:
    async def fail(_: bool) -> None:
        running.cancel()
        raise BusError("away")

    running = asyncio.create_task(bus.subscriber(lambda *_: None, fail).run())
    ended, _ = await asyncio.wait([running], timeout=PATIENCE_S)
    assert ended, "it went on"
    assert running.cancelled()


async def test_what_arrives_at_once_is_all_heard_and_a_refusal_among_it_ends_the_connection() -> None:
    message = b"*3\r\n$7\r\nmessage\r\n$15\r\nticker:BTC-USDT\r\n$1\r\n%b\r\n"
    answers_to = {
        b"PING": b"*2\r\n$4\r\npong\r\n$10\r\nsubscribed\r\n",
        b"UNSUBSCRIBE": message % b"1" + message % b"2" + b"-NOPERM\r\n" + message % b"3",
    }

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        commands = hiredis.Reader()
        with contextlib.closing(writer):
            while data := await reader.read(4096):
                commands.feed(data)
                while command := cast("list[bytes]", commands.gets()):
                    writer.write(answers_to.get(command[0], b"+OK\r\n"))

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as served:
        port = served.sockets[0].getsockname()[1]
        async with WholeBus.open(f"redis://127.0.0.1:{port}/0") as bus, listening(bus, kinds.TICKER.channel(BTC)) as ear:
            await ear.subscriber.unsubscribe(kinds.TICKER.channel(ETH))
            await until(lambda: ear.subscribed == [False, True])
            assert [data for _, data in ear.heard] == [b"1", b"2"]


async def test_a_channel_name_that_is_no_text_ends_nothing(bus: WholeBus) -> None:
    async with listening(bus, patterns=(kinds.TICK.pattern,)) as ear:
        await bus.client.publish(b"ticks:\xff", b"x")
        await bus.publish_ticks([TICK])
        await until(lambda: len(ear.heard) == 2)


@pytest.mark.parametrize("url", ["redis+sentinel://host:1", "redis+sentinel:///name", "http://host", "host:6379"])
def test_urls_that_are_none(url: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        connect(url)


async def test_subscribers_that_do_not_read_take_no_room_from_last_values() -> None:
    """That holds even for many subscribers, of which each stays below its own limit."""
    room = ("--maxmemory", "48mb", "--maxmemory-clients", "16mb", "--maxmemory-policy", "volatile-ttl")
    async with (
        redis_server(None, *room, "--client-output-buffer-limit", "pubsub 64mb 16mb 30") as server,
        WholeBus.open(server.url) as bus,
    ):
        await bus.publish_ticks([TICK])
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(8):
                reader, writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1024)
                stack.callback(writer.close)
                writer.write(b"SUBSCRIBE ticks:okx:BTC-USDT\r\n")
                await reader.readuntil(b":1\r\n")
            for _ in range(150):
                pipeline = bus.client.pipeline(transaction=False)
                for _ in range(100):
                    pipeline.publish("ticks:okx:BTC-USDT", b"x" * 1000)
                await pipeline.execute()
            assert await bus.last("ticks:okx:BTC-USDT") != [None]
            assert (await bus.client.info("stats"))["evicted_clients"] > 0


def test_a_connection_that_was_reset_is_renewed() -> None:
    """This runs on uvloop, the parts' own event loop, which raises an error of its own here."""

    async def scenario() -> None:
        async with (
            redis_server() as server,
            between(server.port) as (port, reset),
            WholeBus.open(f"redis://127.0.0.1:{port}/0") as bus,
        ):
            for _ in range(2):
                await bus.publish_ticks([TICK])
                await bus.ping()
                await reset()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(scenario())


@contextlib.asynccontextmanager
async def between(port: int) -> AsyncIterator[tuple[int, Callable[[], Awaitable[None]]]]:
    """Run a proxy before a server. Yield its port, and a function that resets all its open connections."""
    open_ones: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", port)
        open_ones.append(writer)
        with contextlib.suppress(OSError):
            await asyncio.gather(pass_on(reader, server_writer), pass_on(server_reader, writer))

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            writer.write(data)
        writer.close()

    async def reset() -> None:
        for writer in open_ones:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        open_ones.clear()
        await asyncio.sleep(0.1)  # until the other end has received the reset

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as listening:
        yield listening.sockets[0].getsockname()[1], reset


async def test_a_candles_subscriber_needs_the_ticker(bus: WholeBus) -> None:
    async with listening(bus, kinds.CANDLES[Interval.DAY].channel(ETH), "candles:1m:okx:SOL-USDT"):
        assert await bus.demanded() == {ETH}
