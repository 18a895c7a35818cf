"""The candle maker's side of the bus: it hears tickers and exchanges' candles, and publishes candles across exchanges."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import redis.asyncio as redis

from market_pulse.kinds import CANDLES
from market_pulse.messages import Candle, Interval, Symbol, encode

from . import keys
from .bars import EXPIRY_S, BarsBus, PastBus
from .connection import bounded
from .demand import DemandBus
from .follower import Listener

LAST_EXPIRY_S = CANDLES[Interval.MINUTE].expiry_s


class Memory(NamedTuple):
    """How many bytes Redis uses, how many it may use (0: no limit), and how many keys it has evicted for lack of memory."""

    used: int
    most: int
    evicted: int


class CandlesBus(Listener, PastBus, BarsBus, DemandBus):
    """Follows the bus, reads past candles, and publishes and keeps candles across exchanges."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(client)
        self._publish_candles = self._script("publish_candles.lua")
        self._renew_bars = self._script("renew_bars.lua")

    async def publish_candles(self, interval: Interval, candles: Sequence[Candle]) -> list[bytes | None]:
        """Publish candles of one interval in one command, each merged with other copies' of the same start.

        Of each candle, Redis keeps the newest two of its symbol as last messages, and a closed one also as a bar. The answer
        has, for each, the JSON of the candle as it is now known, or None if it is the given one or not known.
        """
        if not candles:
            return []
        names: list[str] = []
        args: list[str | bytes | int] = [LAST_EXPIRY_S, EXPIRY_S, interval.kept]
        for candle in candles:
            channel = CANDLES[interval].channel(candle.symbol)
            names += keys.last(channel), keys.last(before(channel)), keys.bars(interval, candle.symbol)
            args += channel, encode(candle)
        async with bounded():
            known: list[bytes | None] = await self._publish_candles(names, args)
        return known

    async def last_candles(self, interval: Interval, symbol: Symbol) -> list[bytes]:
        """Return the JSON of a symbol's newest two candles across exchanges, the older one first, as far as Redis has them."""
        channel = CANDLES[interval].channel(symbol)
        return [message for message in await self.last(before(channel), channel) if message is not None]

    async def renew_bars(self, sets: Sequence[tuple[Interval, Symbol]]) -> list[int]:
        """Keep our sets of bars for another EXPIRY_S. Return how many bars each has; -1: its key holds another type."""
        if not sets:
            return []
        async with bounded():
            sizes: list[int] = await self._renew_bars([keys.bars(*one) for one in sets], [EXPIRY_S])
        return sizes

    async def memory(self) -> Memory:
        """Return how much memory Redis uses."""
        async with bounded():
            found: dict[str, Any] = {**await self._client.info("memory"), **await self._client.info("stats")}
        return Memory(
            *(int(found.get(name, 0)) for name in ("used_memory", "maxmemory", "evicted_keys")),
        )

    async def exchanges(self) -> list[str]:
        """Return the names of the exchanges that have published which symbols they list, in order."""
        found = await self._find(keys.listing("*"))
        return sorted(key.decode(errors="replace").removeprefix(keys.listing("")) for key in found)


def before(channel: str) -> str:
    """Return the name under which the candle before a channel's last one is kept. Nothing is published on it."""
    return f"{channel}:previous"
