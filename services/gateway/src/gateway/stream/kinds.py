"""How the hub reads each kind of state: one row for each. Events are passed on as they are."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from market_pulse.kinds import TICKER
from market_pulse.messages import LIVE, CodecError
from market_pulse.tickers import LatestTicker, as_of, read_ticker


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the messages of one kind of state are read: into what is kept, and out of it as they must be read later."""

    read: Callable[..., LatestTicker]
    as_of: Callable[[LatestTicker, int], bytes]
    is_live: Callable[[bytes], bool]


def _is_live_ticker(data: bytes) -> bool:
    return orjson.loads(data)["quality"] in LIVE


READINGS = {TICKER: Reading(read=read_ticker, as_of=as_of, is_live=_is_live_ticker)}


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
