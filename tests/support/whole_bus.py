"""The bus for a test that stands for several parts at once."""

import redis.asyncio as redis

from market_pulse.bus import AggregatorBus, IngestBus, Reader


class WholeBus(IngestBus, AggregatorBus, Reader):
    """All that any part may do on the bus, and the client for what none does."""

    @property
    def client(self) -> "redis.Redis":
        return self._client
