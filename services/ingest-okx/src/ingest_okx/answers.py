"""The envelope of OKX's REST answers."""

from typing import Any

import orjson

from market_pulse.exchange.errors import FrameError


def data(answer: bytes) -> list[Any]:
    """Return the entries of an answer.

    Raises:
        FrameError: the answer is an error.
    """
    message = orjson.loads(answer)
    if message["code"] != "0":
        raise FrameError("refused", f"{message['code']}: {message.get('msg')}")
    entries: list[Any] = message["data"]
    return entries
