"""The kinds of messages on the bus: the type of each, its channels, and how long its last message is kept. Pure.

To add a kind, add a row and list it in KINDS.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from .messages import FeedStatus, Symbol, Tick, Ticker, is_symbol

_NAME = re.compile(r"[a-z0-9_-]{1,32}")


class Shape(StrEnum):
    """How a message relates to the one before it on its channel."""

    STATE = "state"
    """It is complete and replaces the one before it. The last one is kept."""
    EVENTS = "events"
    """It stands beside the one before it. No last one is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One sort of message.

    `address` is the pattern of its channels, for example `ticks:{exchange}:{symbol}`; its first word is no other kind's.
    `expiry_s` is how long a channel's last message is kept, in seconds; it is 0 for events, which are not kept.
    """

    name: str
    message: type
    shape: Shape
    address: str
    expiry_s: int

    @cached_property
    def prefix(self) -> str:
        """The beginning of all its channels' names, for example `ticks:`."""
        return self.address.partition(":")[0] + ":"

    @cached_property
    def pattern(self) -> str:
        """The pattern by which Redis finds all its channels, for example `ticks:*`."""
        return self.prefix + "*"

    def channel(self, *names: str) -> str:
        """Name a channel. The names take the places in braces of the address, in order: `TICK.channel("okx", "BTC-USDT")`.

        Raises:
            TypeError: more or fewer names than the address has.
        """
        return self._template % names

    def channels(self, symbol: Symbol, listed_at: Callable[[Symbol], Iterable[str]]) -> tuple[str, ...]:
        """Return the channels that a wish for this kind of a symbol stands for.

        That is one channel. Where each exchange has a channel of its own, it is one for each exchange that lists the symbol.
        """
        if "{exchange}" not in self.address:
            return (self.channel(symbol),)
        return tuple(self.channel(exchange, symbol) for exchange in listed_at(symbol))

    def names(self, channel: str) -> tuple[str, ...] | None:
        """Return the names in one of this kind's channels, in the order of the address, or None for any other text.

        A symbol must be in our own spelling, because nothing is ever published on a channel with another one.
        """
        words, parts = self.address.split(":"), channel.split(":")
        if len(parts) != len(words) or not all(map(_fits, words, parts)):
            return None
        return tuple(part for word, part in zip(words, parts, strict=True) if word.startswith("{"))

    @cached_property
    def _template(self) -> str:
        return re.sub(r"{\w+}", "%s", self.address)


def _fits(word: str, part: str) -> bool:
    """Return whether a part of a channel's name fits a word of an address."""
    if word == "{symbol}":
        return is_symbol(part)
    return _NAME.fullmatch(part) is not None if word.startswith("{") else part == word


TICK = Kind(name="tick", message=Tick, shape=Shape.STATE, address="ticks:{exchange}:{symbol}", expiry_s=3600)
TICKER = Kind(name="ticker", message=Ticker, shape=Shape.STATE, address="ticker:{symbol}", expiry_s=86_400)
# A status expires after three of the beats at which a living ingest repeats it.
STATUS = Kind(name="status", message=FeedStatus, shape=Shape.STATE, address="status:{exchange}", expiry_s=15)

KINDS = (TICK, TICKER, STATUS)

_BY_PREFIX = {kind.prefix: kind for kind in KINDS}


def kind_of(channel: str) -> Kind | None:
    """Return the kind whose channel this is, or None for any other text."""
    kind = _BY_PREFIX.get(channel.partition(":")[0] + ":")
    return None if kind is None or kind.names(channel) is None else kind


def read_channel(channel: str) -> tuple[Kind, Symbol]:
    """Return the kind of a channel, and the symbol that its name ends with.

    Raises:
        ValueError: it is no channel of a kind.
    """
    kind = kind_of(channel)
    names = kind.names(channel) if kind else None
    if kind is None or names is None:
        raise ValueError(f"{channel[:100]!r} is no channel")
    return kind, Symbol(names[-1])


def symbols_of(kind: Kind, channels: Iterable[str]) -> set[Symbol]:
    """Return the symbols of those channels that are this kind's. Its address must end with a symbol."""
    return {Symbol(names[-1]) for channel in channels if (names := kind.names(channel))}
