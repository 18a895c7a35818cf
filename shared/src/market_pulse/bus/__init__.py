"""The bus: publish, last values, history, demand. With `subscriber`, `sentinel` and `connections`, all that knows Redis."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from importlib.resources import files
from math import ceil
from typing import TYPE_CHECKING, Any, NamedTuple

import hiredis
import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, NoPermissionError, NoScriptError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError

from market_pulse import channels
from market_pulse.messages import (
    CodecError,
    FeedStatus,
    Point,
    Resolution,
    Symbol,
    Tick,
    Ticker,
    decode_point,
    encode_points,
    encode_status,
    encode_tick,
    encode_ticker_around_seq,
    parse_symbol,
)
from market_pulse.process.addresses import read_redis_url
from market_pulse.process.clock import now_ms

from .losses import tell_losses
from .sentinel import follow_master, is_astray, master_client

if TYPE_CHECKING:
    from collections.abc import Iterator

AGGREGATORS = "aggregator"  # the group of those who publish tickers
LAST_TICK_EXPIRY_S = 3600
LAST_TICKER_EXPIRY_S = 86_400
LAST_STATUS_EXPIRY_S = 15  # three of the beats at which a living ingest repeats it
LISTING_EXPIRY_S = 86_400
HISTORY_EXPIRY_S = {Resolution.SECOND: 600, Resolution.MINUTE: 3600}  # after the last point
COMMAND_TIMEOUT_S = 3.0
SCAN_COUNT = 1000
HISTORY_PAGE = 200
LONGEST_LISTING = 20_000  # symbols; the longest known has some 3,000

_OPTIONS: dict[str, Any] = {
    "protocol": 2,  # RESP3's pushes cost more and leaked memory in some hiredis versions
    "socket_timeout": None,  # our own bound is cheaper: the library's is a task per command, and may swallow a cancellation
    "socket_connect_timeout": COMMAND_TIMEOUT_S,
    "socket_keepalive": True,
}


class BusError(Exception):
    """Redis could not be reached in time, or refused a command. Transient: the caller tries again later."""


class RefusedError(BusError):
    """This user may not do that, or is none. Asking again is of no use until somebody changes it in Redis."""


class MembersChangedError(BusError):
    """What was decided by who the members are was not done: they are others by now. Beat, and decide anew."""


class Membership(NamedTuple):
    """Who the members of a group are: in one epoch they never change.

    `age_ms` is for how long this server has known the group; a server that lost its memory begins at 0. `joined` says that
    the caller was no member, or no longer one, until now.
    """

    epoch: int
    members: tuple[str, ...]
    age_ms: int
    joined: bool


class Published(NamedTuple):
    """What became of a published ticker: its number, and how many subscribers received it (patterns included)."""

    seq: int
    receivers: int


class Last(NamedTuple):
    """A last ticker, and for how long it has been the last one; None: the server does not tell."""

    message: bytes
    age_ms: int | None


def connect(redis_url: str) -> "redis.Redis":
    """Return a client for a Redis URL; connects when first used.

    Args:
        redis_url: as `addresses.read_redis_url` takes it. The library by itself would take any of its many options after a ?.

    Raises:
        ValueError: the URL is none of those.
    """
    address = read_redis_url(redis_url)
    retry = Retry(NoBackoff(), 1)  # once, because a pooled connection may have died since; beyond that the caller decides
    options = _OPTIONS | {"retry": retry}
    if address.service is not None:
        return master_client(address, options)
    kind: Any = redis.Connection if address.tls is None else redis.SSLConnection
    if address.path is not None:
        kind = redis.UnixDomainSocketConnection
        del options["socket_keepalive"]  # there is no network to keep anything alive on
        options["path"] = address.path
    else:
        [(options["host"], options["port"])] = address.nodes
    options |= {"db": address.db, "username": address.username, "password": address.password} | (address.tls or {})
    client = redis.Redis.from_pool(redis.ConnectionPool(kind, **options))
    tell_losses(client)
    return client


class Bus:
    """One process's side of the bus. Every method is one round trip, bounded by COMMAND_TIMEOUT_S, and raises BusError."""

    def __init__(self, client: "redis.Redis") -> None:
        self.client = client
        self._publish_ticks = _Script(client, "publish_ticks.lua")
        self._publish_tickers = _Script(client, "publish_tickers.lua")
        self._record = _Script(client, "record.lua")
        self._members = _Script(client, "members.lua")

    async def aclose(self) -> None:
        """Close the connections. Nothing may be asked after that."""
        await self._publish_ticks.aclose()
        await self._publish_tickers.aclose()
        await self._record.aclose()
        await self._members.aclose()
        await self.client.aclose()
        pool: Any = self.client.connection_pool
        await pool.aclose()
        if isinstance(pool, SentinelConnectionPool):  # the library leaves the sentinels' own connections to us
            await pool.sentinel_manager.aclose()

    async def ping(self) -> None:
        """Ask whether Redis answers."""
        async with _bounded():
            await self.client.ping()

    async def time_ms(self) -> int:
        """Return the time in Unix milliseconds by Redis's clock."""
        async with _bounded():
            seconds, microseconds = await self.client.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

    async def republish(self, messages: Sequence[tuple[str, bytes]]) -> None:
        """Publish recorded messages again, channel and message each, as they are."""
        async with _bounded(), self.client.pipeline(transaction=True) as pipeline:
            for channel, message in messages:
                pipeline.set(channels.last(channel), message, ex=LAST_TICK_EXPIRY_S)
                pipeline.publish(channel, message)
            await pipeline.execute()

    async def publish_ticks(self, ticks: Iterable[Tick]) -> int:
        """Publish ticks, stamped with this moment, all in one command, but for those whose `order` says that they are no news.

        Returns how many were none: another copy had published all that is in them.
        """
        published_time_ms = now_ms()
        keys: list[str] = []
        args: list[str | bytes | int] = [LAST_TICK_EXPIRY_S]
        for tick in ticks:
            channel = channels.ticks(tick.exchange, tick.symbol)
            keys.append(channels.last(channel))
            args += channel, encode_tick(tick, published_time_ms)
        if not keys:
            return 0
        async with _bounded():
            suppressed: int = await self._publish_ticks(keys, args)
        return suppressed

    async def publish_status(self, status: FeedStatus) -> None:
        """Publish a feed's status, and keep it as the last one of its copy too, whatever the others say after it."""
        channel, message = channels.status(status.exchange), encode_status(status)
        async with _bounded(), self.client.pipeline(transaction=True) as pipeline:
            for name in (channel, f"{channel}:{status.instance}"):
                pipeline.set(channels.last(name), message, ex=LAST_STATUS_EXPIRY_S)
            pipeline.publish(channel, message)
            await pipeline.execute()

    async def publish_tickers(self, tickers: Sequence[Ticker], epoch: int | None = None) -> list[Published]:
        """Publish tickers in one command. Redis gives each its number: one more than `ticker.seq` or its own, if higher.

        Args:
            tickers: what to publish.
            epoch: in which these are the caller's to publish; None: in any.

        Raises:
            MembersChangedError: the group is in another epoch, or about to be; nothing was published.
        """
        if not tickers:
            return []
        keys: list[str] = [channels.epoch(AGGREGATORS), channels.members(AGGREGATORS)]
        args: list[str | bytes | int] = [LAST_TICKER_EXPIRY_S, "" if epoch is None else epoch]
        for ticker in tickers:
            channel = channels.ticker(ticker.symbol)
            keys += channels.sequence(ticker.symbol), channels.last(channel)
            args += channel, *encode_ticker_around_seq(ticker), ticker.seq
        async with _bounded():
            answer = await self._publish_tickers(keys, args)
        if answer is None:
            raise MembersChangedError("other members by now")
        return list(map(Published, answer[::2], answer[1::2]))

    async def beat(self, group: str, member: str, expiry_ms: int, yielding: str = "") -> Membership:
        """Be a member of a group for so long, and learn who the others are.

        With `yielding`, a prefix of names, be a member only while the names of all the others begin with it, too.
        """
        keys = [channels.members(group), channels.epoch(group)]
        async with _bounded():
            epoch, age_ms, joined, members = await self._members(keys, [member, expiry_ms, yielding])
        return Membership(epoch, tuple(name.decode() for name in members), age_ms, joined == 1)

    async def leave(self, group: str, member: str) -> None:
        """Be a member no more."""
        async with _bounded():
            await self._members([channels.members(group), channels.epoch(group)], [member, 0, ""])

    async def record(self, resolution: Resolution, points: Mapping[Symbol, Point]) -> int:
        """Add a point to the history of each symbol, all in one command. Return how many were news: the others were there."""
        if not points:
            return 0
        keys = [channels.history(resolution, symbol) for symbol in points]
        entries = encode_points(points.values())
        async with _bounded():
            written: int = await self._record(keys, [resolution.points, HISTORY_EXPIRY_S[resolution], entries])
        return written

    async def history(self, resolution: Resolution, symbol: Symbol, since_ms: int) -> list[Point]:
        """Return a symbol's points from a moment on, oldest first. What is no point is left out.

        Read in pages, each a bounded round trip, so that a whole day does not hold up what else this process does.
        """
        points: list[Point] = []
        before = "+"
        for _ in range(ceil(resolution.points / HISTORY_PAGE)):
            async with _bounded():
                page = await self._history_page(channels.history(resolution, symbol), before, since_ms)
            points += _points_of(page)
            if len(page) < HISTORY_PAGE:
                break
            before = f"({page[-1][0].decode()}"
        return points[::-1]

    async def _history_page(self, key: str, before: str, since_ms: int) -> Any:
        try:
            return await self.client.xrevrange(key, max=before, min=since_ms, count=HISTORY_PAGE)
        except ResponseError as failed:
            if _is_of_another_type(failed):
                return []
            raise

    async def last(self, *names: str) -> list[bytes | None]:
        """Return the last message of each channel, or None where there is none."""
        if not names:
            return []
        async with _bounded():
            messages: list[Any] = await self.client.mget([channels.last(name) for name in names])
        return messages

    async def last_tickers(self, *symbols: Symbol) -> list[Last | None]:
        """Return each symbol's last ticker with its age, and None for a symbol without one.

        The age goes by the server's clock alone: a ticker's time to live, less the part of it that is left.
        """
        if not symbols:
            return []
        keys = [channels.last(channels.ticker(symbol)) for symbol in symbols]
        async with _bounded(), self.client.pipeline(transaction=False) as pipeline:
            for key in keys:  # before the messages: one that comes in between then counts as older than it is, never as newer
                pipeline.pttl(key)
            pipeline.mget(keys)
            *left_ms, messages = await pipeline.execute(raise_on_error=False)
            if isinstance(messages, Exception):
                raise messages
        return [
            None if message is None else Last(message, _age_ms(left)) for left, message in zip(left_ms, messages, strict=True)
        ]

    async def last_matching(self, pattern: str) -> list[tuple[str, bytes]]:
        """Return the last message of each channel that matches a pattern, for example `ticks:*`, with the channel before it."""
        found = await self._keys(channels.last(pattern))
        async with _bounded():
            messages: list[Any] = await self.client.mget(found) if found else []
        names = [key.decode(errors="replace").removeprefix(channels.last("")) for key in found]
        return [(name, message) for name, message in zip(names, messages, strict=True) if message is not None]

    async def last_statuses(self) -> list[tuple[str, bytes, float]]:
        """Return the last status of each exchange and of each copy of its ingest: channel, message, and its age in seconds.

        The age goes by the server's clock alone: what is left of the time for which it keeps a status.
        """
        keys = await self._keys(channels.last(channels.ALL_STATUS))
        # Before the messages: one that comes in between then counts as older than it is, never as newer.
        left_ms = await self._of_each(keys, lambda pipeline, key: pipeline.pttl(key))
        messages = await self._of_each(keys, lambda pipeline, key: pipeline.get(key))
        return [
            (
                key.decode(errors="replace").removeprefix(channels.last("")),
                message,
                LAST_STATUS_EXPIRY_S - min(max(left_ms.get(key, 0) / 1000, 0), LAST_STATUS_EXPIRY_S),
            )
            for key, message in messages.items()
            if message is not None
        ]

    async def forget(self, *names: str) -> None:
        """Drop the last values of channels that nobody serves any more."""
        if names:
            async with _bounded():
                await self.client.delete(*(channels.last(name) for name in names))

    async def demanded(self) -> set[Symbol]:
        """Return the symbols that somebody, anywhere, is subscribed to by name right now."""
        async with _bounded():
            names: list[Any] = await self.client.pubsub_channels(channels.ALL_TICKERS)
        return set(_symbols_of(names, channels.ALL_TICKERS))

    async def publish_listing(self, exchange: str, symbols: Iterable[Symbol]) -> None:
        """Replace the set of symbols that an exchange lists."""
        key = channels.listing(exchange)
        members = list(symbols)
        async with _bounded(), self.client.pipeline(transaction=True) as pipeline:
            pipeline.delete(key)
            if members:
                pipeline.sadd(key, *members)
                pipeline.expire(key, LISTING_EXPIRY_S)
            await pipeline.execute()

    async def has_listing(self, exchange: str) -> bool:
        """Return whether the set of symbols that an exchange lists is known."""
        async with _bounded():
            return bool(await self.client.exists(channels.listing(exchange)))

    async def listing_size(self, exchange: str) -> int:
        """Return how many symbols are in an exchange's published listing, 0 where there is none."""
        async with _bounded():
            return int(await self.client.scard(channels.listing(exchange)))

    async def listings(self) -> Mapping[str, frozenset[Symbol]]:
        """Return each exchange's listed symbols, as far as they are known. One of more than LONGEST_LISTING is no listing."""
        keys = await self._keys(channels.ALL_SYMBOLS)
        sizes = await self._of_each(keys, lambda pipeline, key: pipeline.scard(key))
        keys = [key for key, size in sizes.items() if size <= LONGEST_LISTING]
        sets = await self._of_each(keys, lambda pipeline, key: pipeline.smembers(key))
        return {
            key.decode(errors="replace").removeprefix("symbols:"): frozenset(_symbols_of(members, ""))
            for key, members in sets.items()
        }

    async def _of_each(self, keys: Sequence[bytes], ask: Callable[[Any, bytes], object]) -> dict[bytes, Any]:
        """Ask something of each key in one round trip; keys that are somebody else's, of another type, are left out."""
        async with _bounded(), self.client.pipeline(transaction=False) as pipeline:
            for key in keys:
                ask(pipeline, key)
            answers = await pipeline.execute(raise_on_error=False)
            found: dict[bytes, Any] = {}
            for key, answer in zip(keys, answers, strict=True):
                if not isinstance(answer, Exception):
                    found[key] = answer
                elif not _is_of_another_type(answer):
                    raise answer
        return found

    async def _keys(self, pattern: str) -> list[bytes]:
        """Return the keys that match a pattern. Each page is a bounded round trip, however large the server."""
        found: set[bytes] = set()
        cursor = 0
        while True:
            async with _bounded():
                page: Any
                cursor, page = await self.client.scan(cursor, match=pattern, count=SCAN_COUNT)
            found.update(page)
            if cursor == 0:
                return list(found)


@asynccontextmanager
async def open_bus(redis_url: str) -> AsyncIterator[Bus]:
    """Open the bus and close it at the end. Needs no Redis yet: each call finds out for itself."""
    bus = Bus(connect(redis_url))
    pool = bus.client.connection_pool
    following = asyncio.create_task(follow_master(pool)) if isinstance(pool, SentinelConnectionPool) else None
    try:
        yield bus
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait({following})
        await bus.aclose()


class _Script:
    """One Lua script on a connection of its own, one call at a time.

    Every tick and ticker goes out through here. Without the client's pool, retries and telemetry a call costs the processor
    about 30 % less (benchmarks/publish.py).
    """

    def __init__(self, client: "redis.Redis", name: str) -> None:
        self._client = client
        self._text = (files(__package__) / name).read_text()
        self._sha = hashlib.sha1(self._text.encode(), usedforsecurity=False).hexdigest()
        self._connection: Any = None
        self._turn = asyncio.Lock()

    async def __call__(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        async with self._turn:
            reused = self._connection is not None
            try:
                return await self._run(keys, args)
            except RedisConnectionError:
                if not reused:
                    raise
                return await self._run(keys, args)  # once, because an idle connection may have died since

    async def _run(self, keys: Sequence[str], args: Sequence[str | bytes | int]) -> Any:
        try:
            connection = await self._open()
            command: Any = ("EVALSHA", self._sha, len(keys), *keys, *args)
            await connection.send_packed_command(hiredis.pack_command(command), check_health=False)
            try:
                return await connection.read_response()
            except NoScriptError:  # a server that is new or has forgotten learns it by this
                await connection.send_command("EVAL", self._text, len(keys), *keys, *args, check_health=False)
                return await connection.read_response()
        except BaseException:  # cancelled or failed: what is still under way on this connection must not answer the next call
            await self.aclose()
            raise

    async def _open(self) -> Any:
        if is_astray(self._connection):
            await self.aclose()
        if self._connection is None:
            pool: Any = self._client.connection_pool
            self._connection = pool.make_connection()
            await self._connection.connect()
        return self._connection

    async def aclose(self) -> None:
        """Close the connection; the next call opens another."""
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.disconnect(nowait=True)


@asynccontextmanager
async def _bounded() -> AsyncIterator[None]:
    """Bound a round trip, and turn what the Redis library raises into this module's own error."""
    try:
        async with asyncio.timeout(COMMAND_TIMEOUT_S):
            yield
    except TimeoutError as late:
        raise BusError(f"no answer within {COMMAND_TIMEOUT_S:.0f} s") from late
    except (RedisError, OSError) as failed:
        raise as_bus_error(failed) from failed


def as_bus_error(failed: Exception) -> BusError:
    """Return what the Redis library raised as this module's own error."""
    kind = RefusedError if isinstance(failed, AuthenticationError | NoPermissionError) else BusError
    return kind(f"{type(failed).__name__}: {failed}")


def _is_of_another_type(failed: Exception) -> bool:
    """Return whether a command failed because the key is somebody else's."""
    return str(failed).startswith("WRONGTYPE")


def _age_ms(left_ms: object) -> int | None:
    """Return how old a last ticker is that has so long to live, unless somebody else has set another expiry, or none."""
    whole_ms = LAST_TICKER_EXPIRY_S * 1000
    return whole_ms - left_ms if type(left_ms) is int and 0 <= left_ms <= whole_ms else None


def _points_of(entries: "Iterable[tuple[bytes, Mapping[bytes, bytes]]]") -> "Iterator[Point]":
    for entry_id, fields in entries:
        try:
            yield decode_point(entry_id, fields)
        except CodecError:
            continue


def _symbols_of(names: Iterable[bytes], pattern: str) -> "Iterator[Symbol]":
    prefix = pattern.removesuffix("*")
    for name in names:
        text = name.decode(errors="replace").removeprefix(prefix)
        try:
            symbol = parse_symbol(text)
        except ValueError:
            continue
        if symbol == text:  # only our own spelling is a channel that is ever published to
            yield symbol
