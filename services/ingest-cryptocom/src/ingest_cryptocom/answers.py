"""The envelope of Crypto.com's REST answers."""

from typing import Any

import orjson

from market_pulse.exchange.errors import FrameError


def data(answer: bytes, instead: dict[int, list[Any]] | None = None) -> list[Any]:
    """Return the rows of an answer, or those that stand for its error's code in `instead`.

    Raises:
        FrameError: the answer is another error.
    """
    message = orjson.loads(answer)
    code = message["code"]
    if code == 0:
        rows: list[Any] = message["result"]["data"]
        return rows
    if instead is not None and code in instead:
        return instead[code]
    raise FrameError("refused", f"{code}: {message.get('message')}")
