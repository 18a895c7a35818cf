"""The text of server-sent events, and the chunks they travel in. Pure.

Each event is a default (`message`) event whose data is `{"type": ..., "data": ...}`, but for the heartbeat and a refusal.
"""

from collections.abc import Sequence
from typing import Any

import orjson

LAST_CHUNK = b"0\r\n\r\n"


def state_event(kind: str, symbol: str, seq: int, message: bytes) -> bytes:
    """Write an event around a state's JSON, unchanged, with an id by which a client may resume. The JSON must be one line."""
    return b"id: %b:%d\n%b" % (symbol.encode(), seq, message_event(kind, message))


def message_event(kind: str, message: bytes) -> bytes:
    """Write an event around a message's JSON, unchanged. The JSON must be one line."""
    return b'data: {"type":"%b","data":%b}\n\n' % (kind.encode(), message)


def with_dropped(event: bytes, count: int) -> bytes:
    """Add to a message's event how many of its kind and channel were dropped before it."""
    return event.replace(b'data: {"', b'data: {"dropped":%d,"' % count, 1)


def event(kind: str, data: dict[str, Any], retry_ms: int | None = None) -> bytes:
    """Write any other event; `retry_ms` is how long a client shall wait before it reconnects, from now on."""
    retry = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    return retry + b"data: %b\n\n" % orjson.dumps({"type": kind, "data": data})


def refused(problem: dict[str, Any], retry_ms: int) -> bytes:
    """Write all of a stream that is refused for now: an event named `refused` that holds the problem and when to come back."""
    data = orjson.dumps({**problem, "retryMs": retry_ms})
    return b"retry: %d\nevent: refused\ndata: %b\n\n" % (retry_ms, data)


def room_event(symbol: str, reason: str | None, exchanges: Sequence[str], detail: str | None) -> bytes:
    """Write a room event: why a symbol has no room, or, without a reason, that it has room again."""
    data = {"symbol": symbol, "room": reason is None, "reason": reason, "exchanges": exchanges, "detail": detail}
    return event("room", data)


def heartbeat(now_ms: int) -> bytes:
    """Write the heartbeat: an event named `hb`, without an id, which `onmessage` does not see."""
    return b'event: hb\ndata: {"time":%d}\n\n' % now_ms


def is_event_id(text: str) -> bool:
    """Tell whether a text is an id as ticker events carry them: `BTC-USDT:42`."""
    symbol, _, seq = text.rpartition(":")
    return "-" in symbol and seq.isascii() and seq.isdigit()


def chunk(text: bytes) -> bytes:
    """Frame a text as one chunk of an HTTP/1.1 body; nothing stays nothing, since an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(text), text) if text else b""


def unframed(text: bytes) -> bytes:
    """Return a text as it is in a body that ends with its connection, as HTTP/1.0 has it."""
    return text
