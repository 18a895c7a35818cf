"""An aggregator's side of the bus: it follows ticks, publishes tickers, divides symbols among copies, records histories."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import redis.asyncio as redis

from market_pulse.kinds import TICKER
from market_pulse.messages import Point, Resolution, Symbol, Ticker, encode_points, encode_ticker_around_seq

from . import keys
from .connection import BusError, bounded
from .demand import DemandBus
from .follower import Follower

HISTORY_EXPIRY_S = 600  # how long Redis keeps a history after its last point


class MembersChangedError(BusError):
    """The epoch is another one, or a membership has expired. Nothing was published.

    Beat again, then decide again what to publish.
    """


class Membership(NamedTuple):
    """The members of the group of aggregators. Within one epoch they never change.

    `age_ms` is for how long this Redis server has known the group. It is 0 after the server lost its data, and negative
    after the server's clock was set back. `joined` is whether this call made the caller a member.
    """

    epoch: int
    members: tuple[str, ...]
    age_ms: int
    joined: bool


class Published(NamedTuple):
    """A published ticker's `seq`, and how many subscribers received it (pattern subscriptions included)."""

    seq: int
    receivers: int


class AggregatorBus(Follower, DemandBus):
    """Follows the bus, publishes tickers as one of the aggregators, and records histories."""

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__(client)
        self._publish_tickers = self._script("publish_tickers.lua")
        self._record = self._script("record.lua")
        self._members = self._script("members.lua")

    async def publish_tickers(self, tickers: Sequence[Ticker], epoch: int | None = None) -> list[Published]:
        """Publish tickers in one command. Redis numbers each: one above its own counter or `ticker.seq`, whichever is higher.

        If neither Redis nor the ticker knows a number and an epoch is given, numbering starts at the Unix time in milliseconds.

        Args:
            tickers: the tickers to publish.
            epoch: the epoch in which the caller owns these symbols; None: publish in any epoch.

        Raises:
            MembersChangedError: the group is in another epoch, or a membership has expired; nothing was published.
        """
        if not tickers:
            return []
        names = [keys.EPOCH, keys.MEMBERS]
        args: list[str | bytes | int] = [TICKER.expiry_s, "" if epoch is None else epoch]
        for ticker in tickers:
            channel = TICKER.channel(ticker.symbol)
            names += keys.sequence(ticker.symbol), keys.last(channel)
            args += channel, *encode_ticker_around_seq(ticker), ticker.seq
        async with bounded():
            answer = await self._publish_tickers(names, args)
        if answer is None:
            raise MembersChangedError("the group of aggregators has changed")
        return list(map(Published, answer[::2], answer[1::2]))

    async def forget(self, *channels: str) -> None:
        """Delete the last messages of channels on which nothing is published any more."""
        if channels:
            async with bounded():
                await self._client.delete(*map(keys.last, channels))

    async def beat(self, member: str, expiry_ms: int, yielding: str = "") -> Membership:
        """Become or stay a member of the group for `expiry_ms`, and return the group.

        `yielding` is a prefix of names. If the name of any member lacks it, the caller is not made a member.
        """
        async with bounded():
            epoch, age_ms, joined, members = await self._members([keys.MEMBERS, keys.EPOCH], [member, expiry_ms, yielding])
        return Membership(epoch, tuple(name.decode() for name in members), age_ms, joined == 1)

    async def leave(self, member: str) -> None:
        """Leave the group now rather than at the membership's expiry."""
        async with bounded():
            await self._members([keys.MEMBERS, keys.EPOCH], [member, 0, ""])

    async def record(self, resolution: Resolution, points: Mapping[Symbol, Point]) -> int:
        """Add a point to each symbol's history, all in one command. Return how many were added.

        A point is skipped if its history has one of that time or later, or if its key is not a stream.
        """
        if not points:
            return 0
        names = [keys.history(resolution, symbol) for symbol in points]
        entries = encode_points(points.values())
        async with bounded():
            written: int = await self._record(names, [resolution.points, HISTORY_EXPIRY_S, entries])
        return written
