"""Past candles in Redis: sorted sets of bars, one set per symbol and interval."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import redis.asyncio as redis
from redis.exceptions import ResponseError

from market_pulse.messages import Bar, CodecError, Interval, Symbol, decode_bar, encode_bar

from . import keys
from .connection import Bus, bounded, is_of_another_type

MOST_BARS_A_COMMAND = 300
"""A command of more bars would keep Redis from its other work for more than a few milliseconds."""
EXPIRY_S = 3600
"""How long Redis keeps bars after the last write. Each write of the set renews it."""
FEEDING_EXPIRY_S = 600
"""How long Redis keeps an exchange's bars of an hour or a day. They only feed ours."""


class PastBus(Bus):
    """Reads bars."""

    async def bars(
        self,
        interval: Interval,
        symbol: Symbol,
        exchange: str | None = None,
        *,
        before_ms: int | None = None,
        limit: int = 500,
    ) -> list[Bar]:
        """Return the newest past candles of a symbol, oldest first: an exchange's, or ours if no exchange is given.

        Members that are not valid bars are left out.

        Args:
            interval: how long each candle lasts.
            symbol: our spelling.
            exchange: whose candles; None: ours.
            before_ms: only candles that began before this moment (Unix ms).
            limit: the most candles to return.
        """
        highest = "+inf" if before_ms is None else f"({before_ms}"
        async with bounded():
            try:
                members: list[Any] = await self._client.zrange(
                    keys.bars(interval, symbol, exchange), highest, "-inf", desc=True, byscore=True, offset=0, num=limit
                )
            except ResponseError as failed:
                if not is_of_another_type(failed):
                    raise
                members = []
        return list(_bars_of(reversed(members)))

    async def bars_at(self, asked: Sequence[tuple[Interval, Symbol, int]]) -> list[Bar | None]:
        """Return for each interval, symbol and moment (Unix ms) our newest past candle that began until then, or None.

        Takes one round trip.
        """
        async with bounded(), self._client.pipeline(transaction=False) as pipeline:
            for interval, symbol, at_ms in asked:
                pipeline.zrange(keys.bars(interval, symbol), at_ms, "-inf", desc=True, byscore=True, offset=0, num=1)
            answers: list[Any] = await pipeline.execute(raise_on_error=False) if asked else []
            for answer in answers:
                if isinstance(answer, Exception) and not is_of_another_type(answer):
                    raise answer
        return [None if isinstance(answer, Exception) else next(_bars_of(answer), None) for answer in answers]


class BarsBus(Bus):
    """Keeps bars."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(client)
        self._keep_bars = self._script("keep_bars.lua")

    async def keep_bars(self, interval: Interval, symbol: Symbol, bars: Iterable[Bar], exchange: str | None = None) -> int:
        """Keep past candles of a symbol: an exchange's, or ours if no exchange is given. Return how many were new or changed.

        A bar replaces the one with the same start, unless that one has a higher revision.
        """
        key, kept, batch = keys.bars(interval, symbol, exchange), 0, list(bars)
        expiry_s = EXPIRY_S if exchange is None or interval is Interval.MINUTE else FEEDING_EXPIRY_S
        for at in range(0, len(batch), MOST_BARS_A_COMMAND):
            part = batch[at : at + MOST_BARS_A_COMMAND]
            args: list[str | bytes | int] = [interval.kept, expiry_s]
            for bar in part:
                args += bar.start_ms, bar.revision, encode_bar(bar)
            async with bounded():
                kept += await self._keep_bars([key] * len(part), args)
        return kept


def _bars_of(members: Iterable[bytes]) -> Iterator[Bar]:
    for member in members:
        try:
            yield decode_bar(member)
        except CodecError:
            continue
