"""The demand: the channels that subscribers have subscribed to by name. A pattern subscription is not demand."""

from itertools import islice
from typing import Any

from market_pulse.kinds import TICKER, kind_of, needed
from market_pulse.messages import Symbol

from .connection import Bus, bounded

MOST_CHANNELS = 100_000  # more than all symbols of a few large exchanges


class DemandBus(Bus):
    """Reads the demand."""

    async def wanted_channels(self, pattern: str = "*") -> frozenset[str]:
        """Return the channels that any client of this Redis is subscribed to by name right now.

        Names that are no channel of any kind are left out, and so are channels beyond the first MOST_CHANNELS.
        """
        async with bounded():
            names: list[Any] = await self._client.pubsub_channels(pattern)
        channels = (name.decode(errors="replace") for name in names)
        return frozenset(islice((channel for channel in channels if kind_of(channel) is not None), MOST_CHANNELS))

    async def demanded(self) -> set[Symbol]:
        """Return the symbols whose ticker has a subscriber by name, or is needed for a channel that has one."""
        return needed(TICKER, await self.wanted_channels())
