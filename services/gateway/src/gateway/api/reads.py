"""Reads from the bus that requests share: one read serves all requests for the same key within a second."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .problems import ProblemError

SHARED_FOR_S = 1.0

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Read(Generic[T]):
    owner: str
    began_s: float
    task: "asyncio.Task[T]"


class SharedReads(Generic[K, T]):
    """Results of reads, by key. Requests for the same key within SHARED_FOR_S share one read, even if that fails.

    Args:
        read: reads what belongs to a key.
        name: what is read, in the plural, for refusals.
        most: how many results are in memory. One address may have a quarter as many reads under way, so that others have room.
        clock: monotonic seconds.
    """

    def __init__(
        self, read: Callable[[K], Awaitable[T]], name: str, most: int, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read, self._name, self._most, self._clock = read, name, most, clock
        self._reads: dict[K, _Read[T]] = {}

    async def get(self, key: K, owner: str = "local") -> T:
        """Return what belongs to a key, at most SHARED_FOR_S old. `owner` is the client's address.

        Raises:
            BusError: it could not be read.
            ProblemError: too much is being read already, for this address or in total.
        """
        read = self._reads.get(key)
        if read is None or self._is_over(read):
            self._make_room(owner)
            read = _Read(owner, self._clock(), asyncio.ensure_future(self._run(key)))
            self._reads[key] = read
        return await asyncio.shield(read.task)  # a cancelled request must not end the read for others

    async def _run(self, key: K) -> T:
        return await self._read(key)

    def _is_over(self, read: _Read[T]) -> bool:
        return read.task.done() and self._clock() - read.began_s >= SHARED_FOR_S

    def _make_room(self, owner: str) -> None:
        if sum(read.owner == owner and not read.task.done() for read in self._reads.values()) >= self._most // 4:
            detail = f"too many {self._name} are being read for this address: ask again"
            raise ProblemError(429, "busy", detail, retry_after_s=1)
        self._reads = {key: read for key, read in self._reads.items() if not self._is_over(read)}
        if len(self._reads) < self._most:
            return
        oldest = next((key for key, read in self._reads.items() if read.task.done()), None)
        if oldest is None:
            raise ProblemError(503, "busy", f"too many {self._name} are being read at once: ask again", retry_after_s=1)
        del self._reads[oldest]
