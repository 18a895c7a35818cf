"""Channels and topics. A client subscribes to a topic, which is one channel of one listing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .connection import Connection
from .market import Listing

Message = dict[str, Any]
Build = Callable[[Listing, int], Message]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A kind of message that an exchange pushes.

    Attributes:
        name: its name on the wire.
        build: makes the message about a listing at a time (Unix milliseconds on the exchange's clock).
        on: the events on which a message is sent: every change of the book, which each event is, or only a trade. With `clock`
            no event sends it: `Publisher.resend` does.
        interval_ms: the shortest time between two messages of one topic. Then the newest state is sent.
        snapshot: whether the current state is sent at once to a new subscriber.
        prices: the fields that hold prices, or the sides of a book.
        optional: the fields that an exchange may leave empty.
        open24h: the field that holds the price of 24 h ago.
    """

    name: str
    build: Build
    on: Literal["book", "trade", "clock"] = "book"
    interval_ms: int = 0
    snapshot: bool = False
    prices: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()
    open24h: str | None = None


class Topic:
    """One channel of one listing, with its subscribers."""

    __slots__ = ("channel", "due", "listing", "name", "previous", "sent_s", "subscribers")

    def __init__(self, name: str, channel: Channel, listing: Listing) -> None:
        self.name = name
        self.channel = channel
        self.listing = listing
        self.subscribers: set[Connection] = set()
        self.sent_s = 0.0  # the monotonic time of the last message
        self.due: asyncio.TimerHandle | None = None  # sends the next message when the interval is over
        self.previous: bytes | None = None  # the last message, kept only while a `duplicate` fault is on

    def forget(self) -> None:
        """Cancel the message that is due."""
        if self.due is not None:
            self.due.cancel()
            self.due = None
