"""The bus: all that knows Redis. There is a class for what each user in deploy/redis/users.acl may do."""

from .aggregator import AggregatorBus, MembersChangedError, Membership, Published
from .connection import Bus, BusError, RefusedError
from .demand import DemandBus
from .follower import Last
from .ingest import IngestBus
from .reader import Reader

__all__ = [
    "AggregatorBus",
    "Bus",
    "BusError",
    "DemandBus",
    "IngestBus",
    "Last",
    "MembersChangedError",
    "Membership",
    "Published",
    "Reader",
    "RefusedError",
]
