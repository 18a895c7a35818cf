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
    """Return the object with the figures inside a message's envelope. Without an envelope it is the message itself.

    An OKX candle is a list in place of an object.
    """
    inner = message.get("result", message)
    data = inner.get("data", inner)
    row: dict[str, Any] = data[0] if isinstance(data, list) else data
    inside = row.get("k") if isinstance(row, dict) else None
    return inside if isinstance(inside, dict) else row


def garble(
    message: dict[str, Any], price_fields: Sequence[str | int], variety: Variety, rng: random.Random
) -> tuple[bytes, int]:
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
            return encode(_changed(message, _extend)), TEXT
        case _:
            strange = _PRICES[variety]
            return encode(_changed(message, lambda row: _put(row, price_fields, strange))), TEXT


_PRICES: Final[dict[str, str]] = {"nan": "NaN", "negative": "-1", "huge": "1e400", "zero": "0"}


def _changed(message: dict[str, Any], change: Callable[[Any], None]) -> dict[str, Any]:
    copied: dict[str, Any] = orjson.loads(encode(message))
    change(row_of(copied))
    return copied


def _extend(row: Any) -> None:
    if isinstance(row, list):
        row.extend(({"a": [1, None]}, "7"))
    else:
        row.update(newField={"a": [1, None]}, st="7")


def _retyped(message: dict[str, Any], price_fields: Sequence[str | int]) -> dict[str, Any]:
    """Return the message with each price in a list."""

    def change(row: Any) -> None:
        for name in _present(row, price_fields):
            row[name] = [row[name]]

    return _changed(message, change)


def _put(row: Any, price_fields: Sequence[str | int], price: str) -> None:
    """Replace every price in a row, in plain fields and in book levels."""
    for name in _present(row, price_fields):
        value = row[name]
        if isinstance(value, list):
            row[name] = [[price, *level[1:]] for level in value]
        elif value is not None:
            row[name] = price


def _present(row: Any, names: Sequence[str | int]) -> list[str | int]:
    return [name for name in names if isinstance(row, list) or name in row]
