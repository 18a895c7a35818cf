"""A stream as the command line reads it, on a real socket, with what proxies and mistakes put between events."""

import asyncio
import contextlib

from cli.gateway import events
from market_pulse.model import Symbol

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
ONE = b'id: BTC-USDT:1\ndata: {"type":"ticker","data":{"seq":1}}\n\n'
TWO = b'id: BTC-USDT:2\ndata: {"type":"ticker","data":{"seq":2}}\n\n'
NONSENSE = b": ping\n\n:\n\ndata: {half\n\ndata: 7\n\n"


async def test_what_is_no_message_is_passed_over() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(HEAD + ONE + NONSENSE + TWO)
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        url = "http://{}:{}".format(*server.sockets[0].getsockname())
        async with asyncio.timeout(20), contextlib.aclosing(events(url, [Symbol("BTC-USDT")])) as stream:
            seen = [await anext(stream) for _ in range(3)]
    assert seen[:2] == [{"type": "ticker", "data": {"seq": 1}}, {"type": "ticker", "data": {"seq": 2}}]
    assert seen[2]["type"] == "lost"
