"""The envelope of Kraken's REST answers."""

from typing import Any

import orjson

from market_pulse.exchange.adapter import Skipped
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import text

UNKNOWN_PAIR = "EQuery:Unknown asset pair"


def result(answer: bytes) -> tuple[dict[str, Any], list[Skipped]]:
    """Return the result of an answer, and the errors beside it. An unknown pair is not an error.

    Raises:
        FrameError: there is no result.
    """
    message = orjson.loads(answer)
    errors = [text(error) for error in message["error"]]
    found = message.get("result", {} if UNKNOWN_PAIR in errors else None)
    if not isinstance(found, dict):
        raise FrameError("refused", "; ".join(errors))
    return found, [Skipped("refused", error[:200]) for error in errors if error != UNKNOWN_PAIR]
