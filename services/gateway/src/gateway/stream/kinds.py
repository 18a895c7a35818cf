"""The functions with which the hub reads each kind of state: one row per kind. Events are passed on unchanged."""

from collections.abc import Callable
from dataclasses import dataclass

import orjson

from market_pulse.kinds import TICKER
from market_pulse.messages import LIVE, CodecError
from market_pulse.tickers import LatestTicker, as_of, read_ticker

from .fields import Fields, cut_down


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How the hub handles the messages of one kind of state.

    `read` turns a message into the object that the hub keeps. `as_of` returns that object's JSON, or only these fields of it,
    for a client that reads it later. `is_live` returns whether a message's content is current.
    """

    read: Callable[..., LatestTicker]
    as_of: Callable[[LatestTicker, int, Fields], bytes]
    is_live: Callable[[bytes], bool]


def _is_live_ticker(data: bytes) -> bool:
    return orjson.loads(data)["quality"] in LIVE


def _ticker_as_of(latest: LatestTicker, now_ms: int, fields: Fields) -> bytes:
    return cut_down(as_of(latest, now_ms), fields)


READINGS = {TICKER: Reading(read=read_ticker, as_of=_ticker_as_of, is_live=_is_live_ticker)}


def one_line(message: bytes) -> bytes:
    """Return a message's JSON on a single line, as an event needs it.

    Raises:
        CodecError: the message is not JSON.
    """
    try:
        value = orjson.loads(message)
    except orjson.JSONDecodeError as wrong:
        raise CodecError(f"not JSON: {wrong}") from wrong
    return orjson.dumps(value) if b"\n" in message or b"\r" in message else message
