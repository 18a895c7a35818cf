"""What readers of the bus may do: the gateway, and everybody who reads directly. They change nothing."""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from market_pulse.codec import CodecError, decode_point
from market_pulse.kinds import TICKER
from market_pulse.messages import Point, Resolution, Symbol, is_symbol

from . import keys
from .connection import bounded, is_of_another_type
from .follower import Follower

HISTORY_PAGE = 200
LONGEST_LISTING = 20_000  # symbols; the longest known has some 3,000


class Last(NamedTuple):
    """A last ticker, and for how long it has been the last one; None: the server does not say."""

    message: bytes
    age_ms: int | None


class Reader(Follower):
    """May follow the bus, and read histories and listings."""

    async def last_tickers(self, *symbols: Symbol) -> list[Last | None]:
        """Return each symbol's last ticker with its age, and None for a symbol without one.

        The age goes by the server's clock alone: a ticker's time to live, less the part of it that is left.
        """
        if not symbols:
            return []
        names = [keys.last(TICKER.channel(symbol)) for symbol in symbols]
        async with bounded(), self._client.pipeline(transaction=False) as pipeline:
            for name in names:  # before the messages: one that comes in between then counts as older than it is, never as newer
                pipeline.pttl(name)
            pipeline.mget(names)
            *left_ms, messages = await pipeline.execute(raise_on_error=False)
            if isinstance(messages, Exception):
                raise messages
        return [
            None if message is None else Last(message, _age_ms(left)) for left, message in zip(left_ms, messages, strict=True)
        ]

    async def history(self, resolution: Resolution, symbol: Symbol, since_ms: int) -> list[Point]:
        """Return a symbol's points from a moment on, oldest first. Entries that are no points are left out.

        Read in pages, each a bounded round trip, so that a whole day does not hold up what else this process does.
        """
        points: list[Point] = []
        before = "+"
        for _ in range(ceil(resolution.points / HISTORY_PAGE)):
            async with bounded():
                page = await self._history_page(keys.history(resolution, symbol), before, since_ms)
            points += _points_of(page)
            if len(page) < HISTORY_PAGE:
                break
            before = f"({page[-1][0].decode()}"
        return points[::-1]

    async def _history_page(self, key: str, before: str, since_ms: int) -> Any:
        try:
            return await self._client.xrevrange(key, max=before, min=since_ms, count=HISTORY_PAGE)
        except ResponseError as failed:
            if is_of_another_type(failed):
                return []
            raise

    async def listings(self) -> Mapping[str, frozenset[Symbol]]:
        """Return each exchange's listed symbols, as far as they are known. One of more than LONGEST_LISTING is no listing.

        Three round trips, and more on a server with many keys.
        """
        found = await self._find(keys.ALL_LISTINGS)
        sizes = await self._of_each(found, lambda pipeline, key: pipeline.scard(key))
        short = [key for key, size in sizes.items() if size <= LONGEST_LISTING]
        sets = await self._of_each(short, lambda pipeline, key: pipeline.smembers(key))
        return {
            key.decode(errors="replace").removeprefix(keys.listing("")): frozenset(_symbols_of(members))
            for key, members in sets.items()
        }


def _age_ms(left_ms: object) -> int | None:
    """Return how old a last ticker is that has so long to live, unless somebody else has set another expiry, or none."""
    whole_ms = TICKER.expiry_s * 1000
    return whole_ms - left_ms if type(left_ms) is int and 0 <= left_ms <= whole_ms else None


def _points_of(entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> Iterator[Point]:
    for entry_id, fields in entries:
        try:
            yield decode_point(entry_id, fields)
        except CodecError:
            continue


def _symbols_of(members: Iterable[bytes]) -> Iterator[Symbol]:
    for member in members:
        text = member.decode(errors="replace")
        if is_symbol(text):  # only our own spelling is ever published
            yield Symbol(text)
