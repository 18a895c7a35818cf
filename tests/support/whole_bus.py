"""The bus for a test that plays several parts at once."""

import redis.asyncio as redis

from market_pulse.bus import AggregatorBus, CandlesBus, IngestBus, Reader


class WholeBus(IngestBus, AggregatorBus, CandlesBus, Reader):
    """The bus methods of all parts, and the Redis client for commands that no part uses."""

    @property
    def client(self) -> "redis.Redis":
        return self._client
