"""The bus for a test that stands for several parts at once."""

import redis.asyncio as redis

from market_pulse.bus import AggregatorBus, IngestBus, Reader


class WholeBus(IngestBus, AggregatorBus, Reader):
    """All parts' methods, and the client for commands that no part uses."""

    @property
    def client(self) -> "redis.Redis":
        return self._client
