"""Checks that the two ways in which an adapter can read a frame agree."""

import orjson

from market_pulse.exchange.adapter import Endpoint
from market_pulse.exchange.fields import MISFITS


def is_as_declared(endpoint: Endpoint, frame: bytes) -> bool:
    """Return whether a frame has the declared shape. If so, assert that reading it member by member gives the same events."""
    try:
        events = endpoint.declared(frame)
    except MISFITS:
        return False
    try:
        orjson.loads(frame)
    except orjson.JSONDecodeError:
        return True  # the frame is broken in a part that the adapter does not read
    others = endpoint.lenient(frame)
    # As text, because 0.0 equals -0.0.
    assert repr(list(events)) == repr(list(others)), frame
    assert not getattr(others, "skipped", ()), frame
    return True
