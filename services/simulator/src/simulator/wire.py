"""Encodes WebSocket frames, JSON, and numbers in the exchanges' notations."""

import struct
from typing import Any, Final

import orjson

TEXT: Final = 0x1
BINARY: Final = 0x2
PING: Final = 0x9
PONG: Final = 0xA


def frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return one whole, unmasked WebSocket frame (RFC 6455, section 5.2), so the same bytes can be sent to every client."""
    size = len(payload)
    if size < 126:
        return bytes((0x80 | opcode, size)) + payload
    if size < 65_536:
        return struct.pack("!BBH", 0x80 | opcode, 126, size) + payload
    return struct.pack("!BBQ", 0x80 | opcode, 127, size) + payload


def encode(message: Any) -> bytes:
    """Return a message as JSON without spaces."""
    return orjson.dumps(message)


def trimmed(value: float, decimals: int) -> str:
    """Return a number as text, rounded to so many decimals and without trailing zeros: 64500, 0.1, 64000.7."""
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def number(value: float, decimals: int) -> orjson.Fragment:
    """Return a number for a JSON message, rounded to so many decimals and with trailing zeros: 81205.0, 0.00003630."""
    return orjson.Fragment(f"{value:.{decimals}f}")


def eight(value: float) -> str:
    """Return a number as text with eight decimals, as Binance does: 64000.10000000."""
    return f"{value:.8f}"
