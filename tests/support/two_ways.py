"""An adapter reads each frame in one of two ways, and both must agree."""

import orjson

from market_pulse.exchange.adapter import Endpoint
from market_pulse.exchange.fields import MISFITS


def is_as_declared(endpoint: Endpoint, frame: bytes) -> bool:
    """Return whether a frame has the shape that is declared. If it has, reading it member by member gives the same."""
    try:
        events = endpoint.declared(frame)
    except MISFITS:
        return False
    try:
        orjson.loads(frame)
    except orjson.JSONDecodeError:
        return True  # broken where nobody reads
    others = endpoint.lenient(frame)
    # As text, because 0.0 equals -0.0.
    assert repr(list(events)) == repr(list(others)), frame
    assert not getattr(others, "skipped", ()), frame
    return True
