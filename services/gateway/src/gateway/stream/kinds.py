"""The kinds of messages that streams carry: a row each, so that a new kind is a new row."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

import orjson

from market_pulse.codec import CodecError
from market_pulse.messages import Quality, Symbol
from market_pulse.tickers import LatestTicker, as_of, read_ticker

LIVE_QUALITIES: frozenset[Quality] = frozenset({"ok", "single", "disputed"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """One kind of message.

    `name` is the first part of its channels, and the `type` of its events to clients. Of a `state` the newest message replaces
    all before it; of `events` each counts. `pattern` is how its channels are named.
    """

    name: str
    shape: Literal["state", "events"]
    pattern: str

    def channels(self, symbol: Symbol, listed_at: Callable[[Symbol], Iterable[str]]) -> tuple[str, ...]:
        """Return the channels that a wish for this kind of a symbol stands for.

        That is one channel. Where each exchange has a channel of its own, it is one for each exchange that lists the symbol.
        """
        channel = self.pattern.replace("{symbol}", symbol)
        if "{exchange}" not in channel:
            return (channel,)
        return tuple(channel.replace("{exchange}", exchange) for exchange in listed_at(symbol))


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the messages of one kind of state are read: into what is kept, and out of it as they must be read later."""

    read: Callable[..., LatestTicker]
    as_of: Callable[[LatestTicker, int], bytes]
    is_live: Callable[[bytes], bool]


def _is_live_ticker(data: bytes) -> bool:
    return orjson.loads(data)["quality"] in LIVE_QUALITIES


TICKER = Kind(name="ticker", shape="state", pattern="ticker:{symbol}")
KINDS = {kind.name: kind for kind in (TICKER,)}
READINGS = {TICKER.name: Reading(read=read_ticker, as_of=as_of, is_live=_is_live_ticker)}


def one_line(message: bytes) -> bytes:
    """Return a message's JSON as it may stand in an event.

    Raises:
        CodecError: it is no JSON.
    """
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError as wrong:
        raise CodecError(f"not JSON: {wrong}") from wrong
    return orjson.dumps(value) if b"\n" in message or b"\r" in message else message


def kind_of(channel: str) -> Kind:
    """Return the kind of the messages on a channel that some kind's `channels` named."""
    return KINDS[channel.partition(":")[0]]


def symbol_of(channel: str) -> Symbol:
    """Return the symbol that such a channel is about."""
    return Symbol(channel.rpartition(":")[2])
