"""An ingest's side of the bus: it publishes its exchange's messages and listing, and reads the demand."""

from collections.abc import Collection, Iterable
from typing import Any

import redis.asyncio as redis
from msgspec.structs import replace

from market_pulse.kinds import EXCHANGE_CANDLE, STATUS, TICK, kind_of
from market_pulse.messages import Candle, FeedStatus, Interval, Symbol, Tick, bar_of, encode, encode_bar, encode_tick
from market_pulse.process.clock import now_ms

from . import keys
from .bars import EXPIRY_S, BarsBus
from .connection import bounded
from .demand import DemandBus

LISTING_EXPIRY_S = 86_400


class IngestBus(BarsBus, DemandBus):
    """Publishes all kinds of messages of an exchange, its past candles, and its listing."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(client)
        self._publish_ticks = self._script("publish_ticks.lua")
        self._publish_exchange_candles = self._script("publish_exchange_candles.lua")

    async def publish_ticks(self, ticks: Iterable[Tick]) -> int:
        """Publish ticks, stamped with the present time, all in one command. Ticks whose `order` shows nothing new are left out.

        Returns how many were left out: another copy of the ingest had published their content already.
        """
        published_time_ms = now_ms()
        lasts: list[str] = []
        args: list[str | bytes | int] = [TICK.expiry_s]
        for tick in ticks:
            channel = TICK.channel(tick.exchange, tick.symbol)
            lasts.append(keys.last(channel))
            args += channel, encode_tick(tick, published_time_ms)
        if not lasts:
            return 0
        async with bounded():
            suppressed: int = await self._publish_ticks(lasts, args)
        return suppressed

    async def publish_exchange_candles(self, exchange: str, candles: Iterable[Candle]) -> int:
        """Publish an exchange's candles of a minute, stamped with the present time, and keep the closed ones as bars.

        All are published in one command. Candles that add nothing to those of another copy are left out. Returns how many were
        published.
        """
        published_time_ms = now_ms()
        names: list[str] = []
        args: list[str | bytes | int] = [EXCHANGE_CANDLE.expiry_s, Interval.MINUTE.kept, EXPIRY_S]
        for candle in candles:
            symbol = Symbol(candle.symbol)
            channel = EXCHANGE_CANDLE.channel(exchange, symbol)
            names += keys.last(channel), keys.bars(Interval.MINUTE, symbol, exchange)
            volume = "" if candle.volume is None else repr(candle.volume)
            bar = encode_bar(bar_of(candle)) if candle.closed else b""
            message = encode(replace(candle, published_time_ms=published_time_ms))
            args += channel, candle.start_ms, candle.revision, volume, bar, message
        if not names:
            return 0
        async with bounded():
            published: int = await self._publish_exchange_candles(names, args)
        return published

    async def renew_exchange_bars(self, exchange: str, symbols: Collection[Symbol]) -> set[Symbol]:
        """Keep an exchange's past candles of a minute for as long again. Return the symbols of which Redis has none."""
        async with bounded(), self._client.pipeline(transaction=False) as pipeline:
            for symbol in symbols:
                pipeline.expire(keys.bars(Interval.MINUTE, symbol, exchange), EXPIRY_S)
            renewed: list[Any] = await pipeline.execute()
        return {symbol for symbol, is_there in zip(symbols, renewed, strict=True) if not is_there}

    async def expiring_exchange_bars(self, exchange: str, symbols: Collection[Symbol], within_s: float) -> list[Symbol]:
        """Return the symbols of which Redis has no hours or no days of an exchange, or not for longer than this."""
        if not symbols:
            return []
        async with bounded(), self._client.pipeline(transaction=False) as pipeline:
            for symbol in symbols:
                for interval in (Interval.HOUR, Interval.DAY):
                    pipeline.pttl(keys.bars(interval, symbol, exchange))
            lives_ms: list[int] = await pipeline.execute()
        pairs = zip(symbols, lives_ms[::2], lives_ms[1::2], strict=True)
        return [symbol for symbol, *lives in pairs if min(lives) < 1000 * within_s]

    async def publish_status(self, status: FeedStatus) -> None:
        """Publish a feed's status. Redis keeps it both as the exchange's last status and as the last one of this copy."""
        channel, message = STATUS.channel(status.exchange), encode(status)
        async with bounded(), self._client.pipeline(transaction=True) as pipeline:
            _keep(pipeline, f"{channel}:{status.instance}", message, STATUS.expiry_s)
            _publish(pipeline, channel, message)
            await pipeline.execute()

    async def publish(self, messages: Collection[tuple[str, bytes]]) -> None:
        """Publish pairs of channel and message, of any kinds, unchanged and in one transaction."""
        async with bounded(), self._client.pipeline(transaction=True) as pipeline:
            for channel, message in messages:
                _publish(pipeline, channel, message)
            await pipeline.execute()

    async def forget(self, *channels: str) -> None:
        """Delete the last messages of channels on which no ingest publishes any more."""
        if channels:
            async with bounded():
                await self._client.delete(*map(keys.last, channels))

    async def publish_listing(self, exchange: str, symbols: Iterable[Symbol]) -> None:
        """Replace the set of symbols that an exchange lists. Redis keeps it for LISTING_EXPIRY_S."""
        key = keys.listing(exchange)
        members = list(symbols)
        async with bounded(), self._client.pipeline(transaction=True) as pipeline:
            pipeline.delete(key)
            if members:
                pipeline.sadd(key, *members)
                pipeline.expire(key, LISTING_EXPIRY_S)
            await pipeline.execute()

    async def has_listing(self, exchange: str) -> bool:
        """Return whether Redis holds a listing of an exchange."""
        async with bounded():
            return bool(await self._client.exists(keys.listing(exchange)))

    async def listing_size(self, exchange: str) -> int:
        """Return how many symbols are in an exchange's published listing, or 0 if it has not published any."""
        async with bounded():
            return int(await self._client.scard(keys.listing(exchange)))


def _publish(pipeline: Any, channel: str, message: bytes) -> None:
    """Queue a message to be published. A state is also kept as the last message, for its kind's `expiry_s`; an event is not."""
    kind = kind_of(channel)
    if kind is not None and kind.expiry_s:
        _keep(pipeline, channel, message, kind.expiry_s)
    pipeline.publish(channel, message)


def _keep(pipeline: Any, channel: str, message: bytes, expiry_s: int) -> None:
    pipeline.set(keys.last(channel), message, ex=expiry_s)
