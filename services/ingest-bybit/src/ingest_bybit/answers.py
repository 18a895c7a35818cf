"""The envelope of Bybit's REST answers."""

from typing import Any

import orjson

from market_pulse.exchange.errors import FrameError


def result(answer: bytes) -> list[Any]:
    """Return the entries of an answer.

    Raises:
        FrameError: the answer is an error.
    """
    message = orjson.loads(answer)
    if message["retCode"] != 0:
        raise FrameError("refused", f"{message['retCode']}: {message.get('retMsg')}")
    entries: list[Any] = message["result"]["list"]
    return entries
