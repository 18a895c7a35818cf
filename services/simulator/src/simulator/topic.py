"""Channels and topics. A client subscribes to a topic, which is one channel of one listing."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .candles import Candle
from .connection import Connection
from .market import Listing

Message = dict[str, Any]
Build = Callable[[Listing, int], Message]


@dataclass(frozen=True, slots=True)
class Closing:
    """How a channel of candles ends each candle.

    `build` makes the message about the closed candle, and about the next one if that has begun and `joined` is true. It is sent
    some milliseconds after the candle's end, between the two numbers of `after_ms`. Until then the next candle waits.
    """

    build: Callable[[Listing, int, Candle, Candle | None], Message]
    after_ms: tuple[int, int]
    joined: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """A kind of message that an exchange pushes.

    Attributes:
        name: its name on the wire.
        build: makes the message about a listing at a time (Unix milliseconds on the exchange's clock).
        on: the events on which a message is sent: every change of the book, which each event is, or only a trade. With `clock`
            no event sends it: `Publisher.resend` does.
        interval_ms: the shortest time between two messages of one topic. Then the newest state is sent.
        closing: for a channel of candles of a minute: how it ends each candle. Without it nothing ends a candle.
        snapshot: whether the current state is sent at once to a new subscriber.
        prices: the fields that hold prices, or the sides of a book.
        optional: the fields that an exchange may leave empty.
        open24h: the field that holds the price of 24 h ago.
    """

    name: str
    build: Build
    on: Literal["book", "trade", "clock"] = "book"
    interval_ms: int = 0
    closing: Closing | None = None
    snapshot: bool = False
    prices: tuple[str | int, ...] = ()
    optional: tuple[str, ...] = ()
    open24h: str | None = None


class Topic:
    """One channel of one listing, with its subscribers."""

    __slots__ = ("channel", "due", "listing", "name", "open_ms", "previous", "sent_s", "subscribers")

    def __init__(self, name: str, channel: Channel, listing: Listing) -> None:
        self.name = name
        self.channel = channel
        self.listing = listing
        self.subscribers: set[Connection] = set()
        self.sent_s = 0.0  # the monotonic time of the last message
        self.open_ms: int | None = None  # the start of the candle that has been sent, or may be, and is not closed
        self.due: asyncio.TimerHandle | None = None  # sends the next message when the interval is over
        self.previous: bytes | None = None  # the last message, kept only while a `duplicate` fault is on

    def forget(self) -> None:
        """Cancel the message that is due."""
        if self.due is not None:
            self.due.cancel()
            self.due = None
