"""The kinds of messages on the bus: the type of each kind, its channels, and how long its last message is kept. No I/O.

To add a kind, define a `Kind` below and list it in KINDS.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from .messages import Candle, FeedStatus, Interval, Symbol, Tick, Ticker, is_symbol

_NAME = re.compile(r"[a-z0-9_-]{1,32}")


class Shape(StrEnum):
    """How a message relates to the one before it on its channel."""

    STATE = "state"
    """Each message is complete and replaces the one before it. The last message is kept."""
    EVENTS = "events"
    """Each message adds to those before it. No last message is kept."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One kind of message.

    `address` is the pattern of its channels' names, for example `ticks:{exchange}:{symbol}`. No two kinds may have the same
    text before the first brace. `expiry_s` is how long Redis keeps a channel's last message, in seconds. It is 0 for events,
    which are not kept. `made_of` has the kinds that its messages are made of: whoever subscribes to it also needs those.
    """

    name: str
    message: type
    shape: Shape
    address: str
    expiry_s: int
    made_of: tuple["Kind", ...] = ()

    @cached_property
    def prefix(self) -> str:
        """The text that all its channels' names begin with, for example `ticks:`."""
        return self.address.partition("{")[0]

    @cached_property
    def pattern(self) -> str:
        """The Redis pattern that matches all its channels, for example `ticks:*`."""
        return self.prefix + "*"

    def channel(self, *names: str) -> str:
        """Return a channel's name. The names fill the address's braces in order: `TICK.channel("okx", "BTC-USDT")`.

        Raises:
            TypeError: the number of names is not the number of braces in the address.
        """
        return self._template % names

    def channels(self, symbol: Symbol, listed_at: Callable[[Symbol], Iterable[str]]) -> tuple[str, ...]:
        """Return the channels that carry this kind of message for a symbol.

        If each exchange has a channel of its own, these are the channels of the exchanges that list the symbol. Otherwise it is
        one channel.
        """
        if "{exchange}" not in self.address:
            return (self.channel(symbol),)
        return tuple(self.channel(exchange, symbol) for exchange in listed_at(symbol))

    def names(self, channel: str) -> tuple[str, ...] | None:
        """Return the names in one of this kind's channels, in the order of the address. Return None for any other text.

        A symbol must be in our own spelling, because nothing is published on a channel with any other spelling.
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
# A running ingest repeats its status every 5 s, so a status expires after three missed repetitions.
STATUS = Kind(name="status", message=FeedStatus, shape=Shape.STATE, address="status:{exchange}", expiry_s=15)

EXCHANGE_CANDLE = Kind(
    name="candles:1m", message=Candle, shape=Shape.STATE, address="candles:1m:{exchange}:{symbol}", expiry_s=3600
)
CANDLES = {
    interval: Kind(
        name=f"candle:{interval}",
        message=Candle,
        shape=Shape.STATE,
        address=f"candle:{interval}:{{symbol}}",
        expiry_s=3600,
        made_of=(TICKER, EXCHANGE_CANDLE),
    )
    for interval in Interval
}
"""The candles across exchanges, one kind for each interval."""

KINDS = (TICK, TICKER, STATUS, EXCHANGE_CANDLE, *CANDLES.values())


def kind_of(channel: str) -> Kind | None:
    """Return the kind that a channel belongs to, or None if the text is no channel of any kind."""
    return next((kind for kind in KINDS if channel.startswith(kind.prefix) and kind.names(channel) is not None), None)


def read_channel(channel: str) -> tuple[Kind, Symbol]:
    """Return the kind of a channel, and the symbol at the end of its name.

    Raises:
        ValueError: the text is no channel of any kind.
    """
    kind = kind_of(channel)
    names = kind.names(channel) if kind else None
    if kind is None or names is None:
        raise ValueError(f"{channel[:100]!r} is no channel")
    return kind, Symbol(names[-1])


def symbols_of(kind: Kind, channels: Iterable[str], exchange: str | None = None) -> set[Symbol]:
    """Return the symbols of this kind's channels, ignoring other channels. The kind's address must end with a symbol.

    If the kind has a channel for each exchange, only those of one exchange count, where one is given.
    """
    found = (names for channel in channels if (names := kind.names(channel)))
    return {Symbol(names[-1]) for names in found if exchange is None or len(names) == 1 or names[0] == exchange}


def needed(kind: Kind, channels: Iterable[str], exchange: str | None = None) -> set[Symbol]:
    """Return the symbols of which this kind is needed: for its own channels, or for those of kinds that are made of it."""
    channels = tuple(channels)
    return set().union(*(symbols_of(one, channels, exchange) for one in KINDS if one is kind or kind in one.made_of))
