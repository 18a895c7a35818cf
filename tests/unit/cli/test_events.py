"""The command line's reading of a stream, on a real socket, with the insertions of proxies and errors between events."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import httpx
import pytest

from cli.gateway import RefusedError, events
from market_pulse.messages import Symbol
from support.waiting import free_port

BTC = Symbol("BTC-USDT")
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
ONE = b'id: BTC-USDT:1\ndata: {"type":"ticker","data":{"seq":1}}\n\n'
TWO = b'id: BTC-USDT:2\ndata: {"type":"ticker","data":{"seq":2}}\n\n'
BUSY = b'retry: 1\nevent: refused\ndata: {"status":503,"code":"busy","detail":"too many requests right now","retryMs":1}\n\n'
NONSENSE = b": ping\n\n:\n\ndata: {half\n\ndata: 7\n\n"


async def test_what_is_no_message_is_passed_over() -> None:
    text = HEAD + ONE + NONSENSE + TWO
    async with answering(text) as url, asyncio.timeout(20), contextlib.aclosing(events(url, [BTC])) as stream:
        seen = [await anext(stream) for _ in range(3)]
    assert seen[:2] == [{"type": "ticker", "data": {"seq": 1}}, {"type": "ticker", "data": {"seq": 2}}]
    assert seen[2]["type"] == "lost"


async def test_who_was_never_reached_is_not_waited_for() -> None:
    async with asyncio.timeout(20), contextlib.aclosing(events(f"http://127.0.0.1:{free_port()}", [BTC])) as stream:
        with pytest.raises(httpx.ConnectError):
            await anext(stream)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n", id="a proxy without a gateway"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 0\r\n\r\n", id="another service"),
    ],
)
async def test_who_answers_otherwise_at_the_start_was_not_reached(answer: bytes) -> None:
    async with answering(answer) as url, asyncio.timeout(20), contextlib.aclosing(events(url, [BTC])) as stream:
        with pytest.raises(httpx.HTTPError):
            await anext(stream)


async def test_who_is_refused_at_the_start_is_told_why() -> None:
    async with answering(HEAD + BUSY) as url, asyncio.timeout(20), contextlib.aclosing(events(url, [BTC])) as stream:
        with pytest.raises(RefusedError, match="too many requests right now") as refused:
            await anext(stream)
    assert refused.value.wait_s == 0.001


@pytest.mark.parametrize("data", [b"", b"data: 7\n", b"data: {half\n", b'data: {"detail":7}\n'])
async def test_who_is_refused_without_a_reason_is_refused_all_the_same(data: bytes) -> None:
    text = HEAD + b"event: refused\n" + (data or b"data:\n") + b"\n"
    async with answering(text) as url, asyncio.timeout(20), contextlib.aclosing(events(url, [BTC])) as stream:
        with pytest.raises(RefusedError, match="refused for now"):
            await anext(stream)


async def test_who_is_refused_later_comes_back() -> None:
    answers = HEAD + ONE, HEAD + BUSY, HEAD + TWO
    async with answering(*answers) as url, asyncio.timeout(20), contextlib.aclosing(events(url, [BTC])) as stream:
        seen = [await anext(stream) for _ in range(4)]
    assert [one["type"] for one in seen] == ["ticker", "lost", "lost", "ticker"]
    assert seen[2]["data"]["reason"] == "too many requests right now"


async def test_who_was_reached_once_is_waited_for() -> None:
    async with answering(HEAD + ONE) as url:
        stream = events(url, [BTC])
        assert (await anext(stream))["type"] == "ticker"
    async with asyncio.timeout(20), contextlib.aclosing(stream):
        assert [(await anext(stream))["type"] for _ in range(3)] == ["lost"] * 3


@contextlib.asynccontextmanager
async def answering(*texts: bytes) -> AsyncIterator[str]:
    """Answer each request with the next text, all further ones with the last, and close after each."""
    answers = list(texts)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answers.pop(0) if len(answers) > 1 else answers[0])
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield "http://{}:{}".format(*server.sockets[0].getsockname())
