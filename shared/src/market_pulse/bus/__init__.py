"""The bus: only this package talks to Redis. Each class can do what one user in deploy/redis/users.acl may do, and no more."""

from .aggregator import AggregatorBus, MembersChangedError, Membership, Published
from .candles import CandlesBus
from .connection import Bus, BusError, RefusedError
from .demand import DemandBus
from .follower import Last
from .ingest import IngestBus
from .reader import Reader

__all__ = [
    "AggregatorBus",
    "Bus",
    "BusError",
    "CandlesBus",
    "DemandBus",
    "IngestBus",
    "Last",
    "MembersChangedError",
    "Membership",
    "Published",
    "Reader",
    "RefusedError",
]
