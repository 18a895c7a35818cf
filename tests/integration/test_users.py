"""Each part's Redis user: it has the rights that the part needs, and is refused all else that an attacker might try."""

import asyncio
import inspect
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import NoPermissionError, ResponseError

from cli.doctor import ExaminedBus
from market_pulse import kinds
from market_pulse.bus import AggregatorBus, Bus, BusError, CandlesBus, IngestBus, Reader, keys
from market_pulse.conversions import DEFAULT_CONVERSIONS
from market_pulse.messages import Bar, Candle, Interval, Point, Resolution
from support.exchanges import NAMES
from support.listening import listening
from support.redis_server import make_users, redis_server
from support.waiting import free_port, until
from support.whole_bus import WholeBus

from .bus_fixtures import BTC, STATUS, TICK, TICKER

RULES = Path(__file__).parents[2] / "deploy/redis/users.acl"
USERS = re.findall(r"^user (\S+) on PASSWORD (.+)$", RULES.read_text(), re.MULTILINE)
RATES = [kinds.TICKER.channel(rate) for rate in DEFAULT_CONVERSIONS.rates]
LUA = "return redis.call('{}')"


@pytest.fixture
async def url(redis_url: str) -> AsyncIterator[str]:
    """The URL of a server with all users, each with the password `secret`. `USER@` in it is to be replaced."""
    async with Redis.from_url(redis_url) as redis:
        for name, rules in USERS:
            await ask(redis, "ACL", "SETUSER", name, "reset", "on", ">secret", *rules.split())
        yield redis_url.replace("redis://", "redis://USER:secret@")
        await ask(redis, "ACL", "DELUSER", *(name for name, _ in USERS))


def as_user(url: str, user: str) -> str:
    return url.replace("USER", user)


async def ask(redis: Any, *command: str) -> Any:
    return await redis.execute_command(*command)


CLASSES: dict[str, type[Bus]] = {
    "ingest-okx": IngestBus,
    "aggregator": AggregatorBus,
    "candles": CandlesBus,
    "gateway": Reader,
    "reader": ExaminedBus,
}
# Abilities that a user has because it needs their commands for another: the aggregator's script reads the history it adds to.
BESIDES = {
    "aggregator": {"history", "exchanges"},
    "gateway": {"listing_size", "exchanges", "last_candles", "expiring_exchange_bars"},
    "reader": {"listing_size", "has_listing", "exchanges", "last_candles", "expiring_exchange_bars"},
}
FORGOTTEN = {"ingest-okx": "ticks:okx:BTC-USDT"}  # other users drop last tickers, if they have that right
CANDLE = Candle(
    exchange="okx",
    symbol=BTC,
    interval=Interval.MINUTE,
    start_ms=0,
    end_ms=60_000,
    open=1.0,
    high=1.0,
    low=1.0,
    close=1.0,
    closed=True,
    origin="exchange",
    received_time_ms=60_000,
)
POINTS = {BTC: Point(time_ms=2000, price=64000.5, sources={"okx": 64000.5})}
CANDLE = Candle(
    symbol=BTC, interval=Interval.MINUTE, start_ms=0, end_ms=60_000, open=1.0, high=1.0, low=1.0, close=1.0, closed=True,
    origin="live", received_time_ms=1,
)  # fmt: skip
ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "publish_ticks": ([TICK],),
    "publish_status": (STATUS,),
    "publish": ([("ticks:okx:BTC-USDT", b"{}"), ("status:okx", b"{}")],),
    "publish_listing": ("okx", [BTC]),
    "keep_bars": (Interval.MINUTE, BTC, [Bar(0, 1.0, 1.0, 1.0, 1.0)], "okx"),
    "publish_exchange_candles": ("okx", [CANDLE]),
    "renew_exchange_bars": ("okx", [BTC]),
    "has_listing": ("okx",),
    "listing_size": ("okx",),
    "publish_tickers": ([TICKER],),
    "beat": ("a", 5000),
    "leave": ("a",),
    "record": (Resolution.SECOND, POINTS),
    "last": (kinds.TICKER.channel(BTC),),
    "last_matching": (kinds.TICKER.pattern,),
    "last_aged": (kinds.TICKER.channel(BTC),),
    "publish_candles": (Interval.MINUTE, [CANDLE]),
    "last_candles": (Interval.MINUTE, BTC),
    "renew_bars": ([(Interval.MINUTE, BTC)],),
    "history": (Resolution.SECOND, BTC, 0),
    "expiring_exchange_bars": ("okx", [BTC], 60.0),
    "bars": (Interval.MINUTE, BTC),
    "bars_at": ([(Interval.MINUTE, BTC, 0)],),
}

# The arguments for a user that has this ability with its own channels and keys alone.
OWN_ARGUMENTS: dict[tuple[str, str], tuple[Any, ...]] = {
    ("candles", "last"): (kinds.CANDLES[Interval.MINUTE].channel(BTC),),
    ("candles", "keep_bars"): (Interval.MINUTE, BTC, [Bar(0, 1.0, 1.0, 1.0, 1.0)]),
}


def abilities(kind: type[Bus]) -> set[str]:
    """Return the names of all requests to Redis that a class offers."""
    asks = {name for name, _ in inspect.getmembers(kind, inspect.iscoroutinefunction) if not name.startswith("_")}
    return asks | ({"subscriber"} if hasattr(kind, "subscriber") else set())


@pytest.mark.parametrize("user", CLASSES)
async def test_a_class_can_do_what_its_user_may_and_nothing_else(redis_url: str, url: str, user: str) -> None:
    async with WholeBus.open(redis_url) as anyone, WholeBus.open(as_user(url, user)) as bus:
        await anyone.publish_listing("okx", [BTC])
        await anyone.publish_status(STATUS)
        await anyone.publish_ticks([TICK])
        await anyone.publish_tickers([TICKER])
        await anyone.record(Resolution.SECOND, {BTC: replace(POINTS[BTC], time_ms=1000)})
        granted = {name for name in abilities(WholeBus) if await is_granted(bus, user, name)}
    assert granted - BESIDES.get(user, set()) == abilities(CLASSES[user])


async def is_granted(bus: WholeBus, user: str, name: str) -> bool:
    try:
        if name == "subscriber":
            subscriber = bus.subscriber(lambda *_: None, lambda _: asyncio.sleep(0))
            await subscriber.subscribe(kinds.TICKER.channel(BTC) if user != "aggregator" else keys.MEMBERS)
            await subscriber.attempt()
        elif name == "forget":
            await bus.forget(FORGOTTEN.get(user, "ticker:BTC-USDT"))
        else:
            arguments = OWN_ARGUMENTS.get((user, name)) or ARGUMENTS.get(name, ())
            await getattr(bus, name)(*arguments)
    except BusError as refused:
        if re.search("(?i)permission|ACL failure", str(refused)):
            return False
        raise
    return True


async def test_each_part_hears_and_sees_its_share(url: str) -> None:
    async with (
        IngestBus.open(as_user(url, "ingest-okx")) as ingest,
        AggregatorBus.open(as_user(url, "aggregator")) as aggregator,
        Reader.open(as_user(url, "gateway")) as gateway,
        ExaminedBus.open(as_user(url, "reader")) as reader,
        CandlesBus.open(as_user(url, "candles")) as maker,
        listening(maker, patterns=(kinds.TICKER.pattern, kinds.EXCHANGE_CANDLE.pattern)) as made_of,
        listening(aggregator, keys.MEMBERS, patterns=(kinds.TICK.pattern, kinds.STATUS.pattern, *RATES)) as ticks,
        listening(gateway, kinds.TICKER.channel(BTC), patterns=(kinds.STATUS.pattern, kinds.TICKER.pattern)) as tickers,
        listening(reader, patterns=("ticks:okx:*", "ticker:B*")) as all_of_it,
    ):
        assert await ingest.demanded() == await aggregator.demanded() == await reader.demanded() == {BTC}
        assert await ingest.wanted_channels() == {kinds.TICKER.channel(BTC)}
        assert await ingest.publish_ticks([replace(TICK, order=(1,))]) == 0
        assert await ingest.publish_ticks([replace(TICK, order=(1,))]) == 1
        await ingest.publish_status(STATUS)
        await ingest.publish([(kinds.EXCHANGE_CANDLE.channel("okx", BTC), b"{}")])
        membership = await aggregator.beat("a", 5000)
        assert len(await aggregator.last_matching(kinds.TICK.pattern)) == 1
        assert {channel for channel, _, _ in await aggregator.last_statuses()} == {"status:okx", "status:okx:a:1"}
        await aggregator.publish_tickers([TICKER], membership.epoch)
        await aggregator.leave("a")
        for bus in (gateway, reader):
            assert len(await bus.last_matching(kinds.TICKER.pattern)) == 1
            assert await bus.last(kinds.STATUS.channel("okx")) != [None]
    assert {channel for channel, _ in made_of.heard} == {"ticker:BTC-USDT", "candles:1m:okx:BTC-USDT"}
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
        ("PUBLISH", "ticker:OKX-USDT", "{}"),
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
        ("PSUBSCRIBE", "ticker:*"),
        ("SUBSCRIBE", "ticker:BTC-USDT"),
        ("DEL", "symbols:okx"),
        ("EVAL", LUA.format("PUBLISH', 'ticks:okx:BTC-USDT', '{}"), "0"),
        ("EVAL", LUA.format("SET', 'last:ticks:okx:BTC-USDT', '{}"), "0"),
    ],
    "candles": [
        ("PUBLISH", "ticker:BTC-USDT", "{}"),
        ("PUBLISH", "candles:1m:okx:BTC-USDT", "{}"),
        ("PSUBSCRIBE", "*"),
        ("PSUBSCRIBE", "ticks:*"),
        ("SET", "last:ticker:BTC-USDT", "{}"),
        ("SET", "last:candles:1m:okx:BTC-USDT", "{}"),
        ("ZADD", "bars:1m:okx:BTC-USDT", "1", "[]"),
        ("DEL", "bar:1m:BTC-USDT"),
        ("EVAL", LUA.format("PUBLISH', 'ticker:BTC-USDT', '{}"), "0"),
        ("EVAL", LUA.format("ZADD', 'bars:1m:okx:BTC-USDT', '1', '[]"), "0"),
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
            # Within a script, Redis reports a refusal as the script's error.
            with pytest.raises((NoPermissionError, ResponseError), match=r"(?i)permission|ACL failure"):
                pytest.fail(f"{command} is granted: {await ask(redis, *command)}")


async def test_a_script_that_does_not_end_is_killed(url: str) -> None:
    """A compromised ingest can block Redis for all clients until the operator ends its script."""
    async with (
        Redis.from_url(as_user(url, "ingest-okx")) as ingest,
        Redis.from_url(as_user(url, "admin")) as admin,
        Reader.open(as_user(url, "gateway")) as gateway,
    ):
        await ask(admin, "CONFIG", "SET", "busy-reply-threshold", "50")  # the time in ms after which other clients get an error
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


def test_the_rules_of_all_ingests_are_alike() -> None:
    """So a right refused to one of them is refused to the others."""
    rules = {name.removeprefix("ingest-"): rule for name, rule in USERS if name.startswith("ingest-")}
    assert rules.keys() == NAMES
    assert len({rule.replace(exchange, "*") for exchange, rule in rules.items()}) == 1


@pytest.mark.parametrize(
    "kind", [kind for kind in kinds.KINDS if "{exchange}" in kind.address], ids=lambda kind: str(kind.name)
)
async def test_an_ingest_may_publish_and_keep_every_kind_of_its_exchange_alone(url: str, kind: kinds.Kind) -> None:
    own, another = (kind.channel(*(exchange, "BTC-USDT")[: kind.address.count("{")]) for exchange in ("okx", "bybit"))
    async with Redis.from_url(as_user(url, "ingest-okx")) as redis:
        await ask(redis, "PUBLISH", own, "{}")
        await ask(redis, "SET", f"last:{own}", "{}")
        for command in (("PUBLISH", another, "{}"), ("SET", f"last:{another}", "{}")):
            with pytest.raises(NoPermissionError):
                await ask(redis, *command)


async def test_who_says_no_name_gets_nothing(tmp_path: Path) -> None:
    """The server runs as deployed, with the users that are made for it, each with a password of its own."""
    port = free_port()
    urls = make_users(tmp_path, f"redis://127.0.0.1:{port}/0")
    again = make_users(tmp_path, f"redis://127.0.0.1:{port}/0")
    assert again == urls, "a password stays"
    assert len(set(urls.values())) == len(urls)
    async with redis_server(port, "--aclfile", str(tmp_path / "redis/users.acl"), url=urls["redis"]):
        for url in urls.values():
            async with Bus.open(url) as bus:
                await bus.ping()
        for stranger in ("", "gateway:guessed@", "default:@"):
            async with Reader.open(f"redis://{stranger}127.0.0.1:{port}/0") as bus:
                with pytest.raises(BusError, match="Authentication"):
                    await bus.ping()
                with pytest.raises(BusError, match="Authentication"):
                    await bus.last(kinds.TICKER.channel(BTC))
