"""A reader's side of the bus, for the gateway and every other program that only reads. It writes nothing."""

from collections.abc import Iterable, Iterator, Mapping
from math import ceil
from typing import Any

from redis.exceptions import ResponseError

from market_pulse.messages import CodecError, Point, Resolution, Symbol, decode_point, is_symbol

from . import keys
from .bars import PastBus
from .connection import bounded, is_of_another_type
from .follower import Follower

HISTORY_PAGE = 200
LONGEST_LISTING = 20_000  # symbols; the largest exchange lists some 3,000


class Reader(Follower, PastBus):
    """Follows the bus, and reads histories, past candles and listings."""

    async def history(self, resolution: Resolution, symbol: Symbol, since_ms: int) -> list[Point]:
        """Return a symbol's points since `since_ms` (Unix ms), oldest first. Entries that are not valid points are left out.

        Reads in pages, each a round trip with its own time limit, so that decoding a whole day does not block the process.
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
        """Return each exchange's listed symbols, as far as Redis has them. Listings above LONGEST_LISTING symbols are ignored.

        Takes three round trips, and more on a server with many keys.
        """
        found = await self._find(keys.listing("*"))
        sizes = await self._of_each(found, lambda pipeline, key: pipeline.scard(key))
        short = [key for key, size in sizes.items() if size <= LONGEST_LISTING]
        sets = await self._of_each(short, lambda pipeline, key: pipeline.smembers(key))
        return {
            key.decode(errors="replace").removeprefix(keys.listing("")): frozenset(_symbols_of(members))
            for key, members in sets.items()
        }


def _points_of(entries: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> Iterator[Point]:
    for entry_id, fields in entries:
        try:
            yield decode_point(entry_id, fields)
        except CodecError:
            continue


def _symbols_of(members: Iterable[bytes]) -> Iterator[Symbol]:
    for member in members:
        text = member.decode(errors="replace")
        if is_symbol(text):  # ingests publish only our own spelling
            yield Symbol(text)
