"""The text of server-sent events, and the chunks in which they are sent. Pure.

All events except the heartbeat and the refusal are default (`message`) events, whose data is `{"type": ..., "data": ...}`.
"""

from collections.abc import Sequence
from typing import Any

import orjson

LAST_CHUNK = b"0\r\n\r\n"


def state_event(kind: str, symbol: str, seq: int, message: bytes) -> bytes:
    """Write an event with a state's unchanged JSON, and an id that a client can resume from. The JSON must be one line."""
    return b"id: %b:%d\n%b" % (symbol.encode(), seq, message_event(kind, message))


def message_event(kind: str, message: bytes) -> bytes:
    """Write an event with a message's unchanged JSON. The JSON must be one line."""
    return b'data: {"type":"%b","data":%b}\n\n' % (kind.encode(), message)


def with_dropped(event: bytes, count: int) -> bytes:
    """Add to a message's event how many events of its kind and channel were dropped before it."""
    return event.replace(b'data: {"', b'data: {"dropped":%d,"' % count, 1)


def event(kind: str, data: dict[str, Any], retry_ms: int | None = None) -> bytes:
    """Write any other event. `retry_ms` sets how long the client waits before it reconnects, from now on."""
    retry = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    return retry + b"data: %b\n\n" % orjson.dumps({"type": kind, "data": data})


def refused(problem: dict[str, Any], retry_ms: int) -> bytes:
    """Write the whole stream of a client that is refused for now: one event named `refused`, with the problem and `retryMs`."""
    data = orjson.dumps({**problem, "retryMs": retry_ms})
    return b"retry: %d\nevent: refused\ndata: %b\n\n" % (retry_ms, data)


def room_event(symbol: str, reason: str | None, exchanges: Sequence[str], detail: str | None) -> bytes:
    """Write a room event: why a symbol has no room. Without a reason it says that the symbol has room again."""
    data = {"symbol": symbol, "room": reason is None, "reason": reason, "exchanges": exchanges, "detail": detail}
    return event("room", data)


def heartbeat(now_ms: int) -> bytes:
    """Write the heartbeat: an event named `hb`, without an id, which `onmessage` does not receive."""
    return b'event: hb\ndata: {"time":%d}\n\n' % now_ms


def is_event_id(text: str) -> bool:
    """Return whether a text is a ticker event's id, for example `BTC-USDT:42`."""
    symbol, _, seq = text.rpartition(":")
    return "-" in symbol and seq.isascii() and seq.isdigit()


def chunk(text: bytes) -> bytes:
    """Frame a text as one chunk of an HTTP/1.1 body. An empty text stays empty, because an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(text), text) if text else b""


def unframed(text: bytes) -> bytes:
    """Return a text unchanged, for HTTP/1.0, where a body has no chunks and ends with its connection."""
    return text
