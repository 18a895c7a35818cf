"""What can be subscribed to: channels, and topics, which are one channel of one listing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .connection import Connection
from .market import Listing

Message = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A kind of message that an exchange pushes.

    Attributes:
        name: as it is written on the wire.
        build: makes the message of a listing at a time (Unix milliseconds, the exchange's clock).
        on: what makes it due: a change of the book (each event is one) or only a trade.
        interval_ms: messages of one topic are at least this far apart; the newest state is sent when it is over.
        snapshot: whether the current state is sent as soon as it is subscribed to.
        prices: the fields that hold prices, or a book's sides.
        optional: the fields that an exchange may leave empty.
        open24h: the field that holds the price of 24 h ago.
    """

    name: str
    build: Callable[[Listing, int], Message]
    on: Literal["book", "trade"] = "book"
    interval_ms: int = 0
    snapshot: bool = False
    prices: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    open24h: str | None = None


class Topic:
    """One channel of one listing, and who listens."""

    __slots__ = ("channel", "due", "listing", "name", "previous", "sent_s", "subscribers")

    def __init__(self, name: str, channel: Channel, listing: Listing) -> None:
        self.name = name
        self.channel = channel
        self.listing = listing
        self.subscribers: set[Connection] = set()
        self.sent_s = 0.0
        self.due: asyncio.TimerHandle | None = None
        self.previous: bytes | None = None

    def forget(self) -> None:
        """Send no message that is still due."""
        if self.due is not None:
            self.due.cancel()
            self.due = None
