"""The bytes of a stream, and the events that httpx-sse, an independent client, reads from them."""

import httpx
import orjson
import pytest
from httpx_sse import EventSource

from gateway.stream import sse


def events_of(text: bytes) -> list[tuple[str, str, str, int | None]]:
    response = httpx.Response(200, headers={"Content-Type": "text/event-stream"}, content=text)
    return [(event.event, event.data, event.id, event.retry) for event in EventSource(response).iter_sse()]


def test_a_ticker_is_embedded_unchanged() -> None:
    """The event contains the message's bytes from the bus, unchanged."""
    ticker = b'{"v":1,"symbol":"BTC-USDT","seq":7,"price":1e-7}'
    text = sse.state_event("ticker", "BTC-USDT", 7, ticker)
    assert text == b'id: BTC-USDT:7\ndata: {"type":"ticker","data":' + ticker + b"}\n\n"
    assert events_of(text) == [("message", text.decode().split("data: ", 1)[1].strip(), "BTC-USDT:7", None)]


def test_events_are_told_apart_by_type() -> None:
    """All but the heartbeat are `message` events. The heartbeat does not change the last id."""
    text = (
        sse.event("connected", {"symbols": ["BTC-USDT"]}, retry_ms=1500)
        + sse.message_event("status", b'{"v":1}')
        + sse.heartbeat(12)
    )
    names, data, ids, retries = zip(*events_of(text), strict=True)
    assert names == ("message", "message", "hb")
    assert [orjson.loads(one) for one in data] == [
        {"type": "connected", "data": {"symbols": ["BTC-USDT"]}},
        {"type": "status", "data": {"v": 1}},
        {"time": 12},
    ]
    assert (ids, retries) == (("", "", ""), (1500, None, None))


@pytest.mark.parametrize(("text", "expected"), [(b"x" * 18, b"12\r\n" + b"x" * 18 + b"\r\n"), (b"", b"")])
def test_chunk(text: bytes, expected: bytes) -> None:
    """An empty chunk would end the body, so empty input makes no chunk."""
    assert sse.chunk(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("BTC-USDT:42", True), ("42", False), ("BTC-USDT:", False), ("BTC-USDT:x", False), ("BTC:1", False), ("A-B:²", False)],
)
def test_event_id(text: str, expected: bool) -> None:
    """Only the ids of ticker events are accepted."""
    assert sse.is_event_id(text) is expected
