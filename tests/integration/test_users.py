"""Each part's user on the bus: what it needs is granted, and whatever else a part in wrong hands might try is refused."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from market_pulse import channels
from market_pulse.bus import AGGREGATORS, Bus, BusError, open_bus
from market_pulse.messages import Point, Resolution
from support.listening import listening
from support.redis_server import make_users, redis_server
from support.waiting import free_port, until

from .bus_fixtures import BTC, STATUS, TICK, TICKER

RULES = Path(__file__).parents[2] / "deploy/redis/users.acl"
USERS = re.findall(r"^user (\S+) on PASSWORD (.+)$", RULES.read_text(), re.MULTILINE)
LUA = "return redis.call('{}')"


@pytest.fixture
async def url(redis_url: str) -> AsyncIterator[str]:
    """A server that has the users, each with `secret` for a password; with USER@ to be replaced."""
    async with Redis.from_url(redis_url) as redis:
        for name, rules in USERS:
            await ask(redis, "ACL", "SETUSER", name, "reset", "on", ">secret", *rules.split())
        yield redis_url.replace("redis://", "redis://USER:secret@")
        await ask(redis, "ACL", "DELUSER", *(name for name, _ in USERS))


def as_user(url: str, user: str) -> str:
    return url.replace("USER", user)


async def ask(redis: Any, *command: str) -> Any:
    return await redis.execute_command(*command)


async def test_each_part_may_do_its_work(url: str) -> None:
    async with (
        open_bus(as_user(url, "ingest-okx")) as ingest,
        open_bus(as_user(url, "aggregator")) as aggregator,
        open_bus(as_user(url, "gateway")) as gateway,
        open_bus(as_user(url, "reader")) as reader,
        listening(aggregator, channels.members(AGGREGATORS), patterns=(channels.ALL_TICKS, channels.ALL_STATUS)) as ticks,
        listening(gateway, channels.ticker(BTC), patterns=(channels.ALL_STATUS, channels.ALL_TICKERS)) as tickers,
        listening(reader, patterns=("ticks:okx:*", "ticker:B*")) as all_of_it,
    ):
        await ingest.publish_listing("okx", [BTC])
        assert await ingest.has_listing("okx")
        assert await ingest.listing_size("okx") == 1
        assert await ingest.demanded() == await aggregator.demanded() == {BTC}
        assert await ingest.publish_ticks([replace(TICK, order=(1,))]) == 0
        assert await ingest.publish_ticks([replace(TICK, order=(1,))]) == 1
        await ingest.publish_status(STATUS)
        membership = await aggregator.beat(AGGREGATORS, "a", 5000)
        assert len(await aggregator.last_matching(channels.ALL_TICKS)) == 1
        assert {channel for channel, _, _ in await aggregator.last_statuses()} == {"status:okx", "status:okx:a:1"}
        await aggregator.publish_tickers([TICKER], membership.epoch)
        assert (
            await aggregator.record(Resolution.SECOND, {BTC: Point(time_ms=1000, price=64000.5, sources={"okx": 64000.5})}) == 1
        )
        await aggregator.leave(AGGREGATORS, "a")
        for bus in (gateway, reader):
            assert len(await bus.last_matching(channels.ALL_TICKERS)) == 1
            assert await bus.last(channels.status("okx")) != [None]
            assert await bus.history(Resolution.SECOND, BTC, 0) != []
            assert await bus.listings() == {"okx": {BTC}}
            assert await bus.last_tickers(BTC) != [None]
        for bus in (ingest, aggregator, gateway, reader):
            assert await bus.time_ms() > 0
        await aggregator.forget(channels.ticker(BTC))
        await ingest.forget(channels.ticks("okx", BTC))
    assert {channel for channel, _ in ticks.heard} == {"ticks:okx:BTC-USDT", "status:okx", "members:aggregator"}
    assert {channel for channel, _ in tickers.heard} == {"ticker:BTC-USDT", "status:okx"}
    assert {channel for channel, _ in all_of_it.heard} == {"ticks:okx:BTC-USDT", "ticker:BTC-USDT"}


@pytest.mark.parametrize("user", [name for name, _ in USERS if name != "admin"])
async def test_nobody_may_command_the_server(url: str, user: str) -> None:
    async with Redis.from_url(as_user(url, user)) as redis:
        for command in (
            "FLUSHALL",
            "KEYS *",
            "CONFIG GET requirepass",
            "CONFIG SET save ''",
            "ACL LIST",
            "MONITOR",
            "SCRIPT FLUSH",
        ):
            with pytest.raises(NoPermissionError):
                await ask(redis, *command.split())


REFUSED = {
    "ingest-okx": [
        ("PUBLISH", "ticks:binance:BTC-USDT", "{}"),
        ("PUBLISH", "status:bybit", "{}"),
        ("PUBLISH", "ticker:BTC-USDT", "{}"),
        ("PUBLISH", "members:aggregator", "1"),
        ("SET", "last:ticks:binance:BTC-USDT", "{}"),
        ("SET", "last:status:binance:a", "{}"),
        ("SET", "last:ticker:BTC-USDT", "{}"),
        ("DEL", "symbols:binance"),
        ("GET", "last:ticks:bybit:BTC-USDT"),
        ("DEL", "seq:BTC-USDT"),
        ("SUBSCRIBE", "ticks:binance:BTC-USDT"),
        ("PSUBSCRIBE", "*"),
        ("EVAL", LUA.format("PUBLISH', 'ticks:binance:BTC-USDT', '{}"), "0"),
        ("EVAL", LUA.format("SET', 'last:ticks:bybit:BTC-USDT', '{}"), "0"),
        ("EVAL", LUA.format("FLUSHALL"), "0"),
    ],
    "aggregator": [
        ("PUBLISH", "ticks:okx:BTC-USDT", "{}"),
        ("PUBLISH", "status:okx", "{}"),
        ("SET", "last:ticks:okx:BTC-USDT", "{}"),
        ("DEL", "last:ticks:okx:BTC-USDT"),
        ("SET", "last:status:okx", "{}"),
        ("DEL", "last:status:okx"),
        ("GET", "symbols:okx"),
        ("PSUBSCRIBE", "*"),
        ("DEL", "symbols:okx"),
        ("EVAL", LUA.format("PUBLISH', 'ticks:okx:BTC-USDT', '{}"), "0"),
        ("EVAL", LUA.format("SET', 'last:ticks:okx:BTC-USDT', '{}"), "0"),
    ],
    "gateway": [
        ("PUBLISH", "ticker:BTC-USDT", "{}"),
        ("PUBLISH", "status:okx", "{}"),
        ("SET", "last:ticker:BTC-USDT", "{}"),
        ("DEL", "symbols:okx"),
        ("XADD", "history:1s:BTC-USDT", "*", "p", "1"),
        ("GET", "last:ticks:okx:BTC-USDT"),
        ("PSUBSCRIBE", "ticks:*"),
        ("PUBSUB", "CHANNELS"),
        ("EVAL", "return 1", "0"),
    ],
    "reader": [
        ("PUBLISH", "ticker:BTC-USDT", "{}"),
        ("PUBLISH", "anything", "{}"),
        ("SPUBLISH", "anything", "{}"),
        ("SET", "anything", "1"),
        ("DEL", "last:ticker:BTC-USDT"),
        ("EXPIRE", "last:ticker:BTC-USDT", "1"),
        ("GET", "members:aggregator"),
        ("EVAL", "return 1", "0"),
        ("CLIENT", "KILL", "TYPE", "pubsub"),
    ],
    "replica": [("GET", "last:ticker:BTC-USDT"), ("PUBLISH", "ticker:BTC-USDT", "{}"), ("SUBSCRIBE", "ticker:BTC-USDT")],
    "sentinel": [("GET", "last:ticker:BTC-USDT"), ("SET", "seq:BTC-USDT", "1"), ("CONFIG", "SET", "save", "1 1")],
}


@pytest.mark.parametrize("user", REFUSED)
async def test_what_is_not_ones_work_is_refused(url: str, user: str) -> None:
    async with Redis.from_url(as_user(url, user)) as redis:
        for command in REFUSED[user]:
            # Within a script the refusal is the script's error.
            with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission|ACL failure"):
                pytest.fail(f"{command} is granted: {await ask(redis, *command)}")


async def test_a_script_that_does_not_end_is_killed(url: str) -> None:
    """What an ingest in wrong hands can do to all: nobody is answered, until the operator ends it."""
    async with (
        Redis.from_url(as_user(url, "ingest-okx")) as ingest,
        Redis.from_url(as_user(url, "admin")) as admin,
        open_bus(as_user(url, "gateway")) as gateway,
    ):
        await ask(admin, "CONFIG", "SET", "busy-reply-threshold", "50")  # after how many ms others are told
        endless = asyncio.create_task(ask(ingest, "EVAL", "while true do end", "0"))
        try:
            await until(lambda: is_busy(gateway))
            await ask(admin, "SCRIPT", "KILL")
            with pytest.raises(ResponseError, match="killed"):
                await endless
            await gateway.ping()
        finally:
            endless.cancel()
            await ask(admin, "CONFIG", "SET", "busy-reply-threshold", "5000")


async def is_busy(bus: Bus) -> bool:
    try:
        await bus.ping()
    except BusError as refused:
        return "busy running a script" in str(refused)
    return False


def test_the_rules_of_the_three_ingests_are_alike() -> None:
    """So what one of them is refused, the others are."""
    rules = {name.removeprefix("ingest-"): rule for name, rule in USERS if name.startswith("ingest-")}
    assert rules.keys() == {"binance", "bybit", "okx"}
    assert len({rule.replace(exchange, "*") for exchange, rule in rules.items()}) == 1


async def test_who_says_no_name_gets_nothing(tmp_path: Path) -> None:
    """On a server as it is started: with the users that are made for it, of whom each has a password of its own."""
    port = free_port()
    urls = make_users(tmp_path, f"redis://127.0.0.1:{port}/0")
    again = make_users(tmp_path, f"redis://127.0.0.1:{port}/0")
    assert again == urls, "a password stays"
    assert len(set(urls.values())) == len(urls)
    async with redis_server(port, "--aclfile", str(tmp_path / "redis/users.acl"), url=urls["redis"]):
        for url in urls.values():
            async with open_bus(url) as bus:
                await bus.ping()
        for stranger in ("", "gateway:guessed@", "default:@"):
            async with open_bus(f"redis://{stranger}127.0.0.1:{port}/0") as bus:
                with pytest.raises(BusError, match="Authentication"):
                    await bus.ping()
                with pytest.raises(BusError, match="Authentication"):
                    await bus.last(channels.ticker(BTC))
