"""Makes messages that no exchange should send from messages that an exchange does send."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Final, Literal, get_args

import orjson

from .wire import BINARY, TEXT, encode

Variety = Literal["truncated", "not_json", "wrong_type", "binary", "extra_fields", "nan", "negative", "huge", "zero"]
VARIETIES: Final[tuple[Variety, ...]] = get_args(Variety)

_STRANGE: Final[tuple[Any, ...]] = (None, True, 0, "pong", [], [[]], {}, {"data": None}, {"data": [None]}, {"arg": 1})


def row_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return the object with the figures inside a message's envelope. Without an envelope it is the message itself."""
    inner = message.get("result", message)
    data = inner.get("data", inner)
    row: dict[str, Any] = data[0] if isinstance(data, list) else data
    return row


def garble(message: dict[str, Any], price_fields: Sequence[str], variety: Variety, rng: random.Random) -> tuple[bytes, int]:
    """Return the payload of a spoilt message, and the WebSocket opcode to send it with."""
    whole = encode(message)
    match variety:
        case "truncated":
            return whole[: rng.randrange(1, len(whole))], TEXT
        case "not_json":
            return b"<html><body>502 Bad Gateway</body></html>", TEXT
        case "wrong_type":
            return encode(rng.choice((*_STRANGE, _retyped(message, price_fields)))), TEXT
        case "binary":
            return rng.randbytes(len(whole)), BINARY
        case "extra_fields":
            return encode(_changed(message, lambda row: row.update(newField={"a": [1, None]}, st="7"))), TEXT
        case _:
            strange = _PRICES[variety]
            return encode(_changed(message, lambda row: _put(row, price_fields, strange))), TEXT


_PRICES: Final[dict[str, str]] = {"nan": "NaN", "negative": "-1", "huge": "1e400", "zero": "0"}


def _changed(message: dict[str, Any], change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    copied: dict[str, Any] = orjson.loads(encode(message))
    change(row_of(copied))
    return copied


def _retyped(message: dict[str, Any], price_fields: Sequence[str]) -> dict[str, Any]:
    """Return the message with each price in a list."""
    return _changed(message, lambda row: row.update({name: [row[name]] for name in price_fields if name in row}))


def _put(row: dict[str, Any], price_fields: Sequence[str], price: str) -> None:
    """Replace every price in a row, in plain fields and in book levels."""
    for name in price_fields:
        value = row.get(name)
        if isinstance(value, list):
            row[name] = [[price, *level[1:]] for level in value]
        elif value is not None:
            row[name] = price
