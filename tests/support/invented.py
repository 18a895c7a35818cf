"""Plays the two invented exchanges over real sockets: listing, tickers, candles on sockets and by REST, and refusals."""

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from market_pulse.exchange.adapter import Adapter
from market_pulse.messages import Interval

COINS = ("BTC", "ETH", "SOL", "DOGE")
Row = tuple[float, float, float, float, float]  # open, high, low, close, volume


@dataclass
class Invented:
    """One invented exchange. Times are Unix milliseconds.

    `rows` has what REST gives: (symbol, interval, start) -> open, high, low, close, volume. Symbols are in our spelling.
    """

    adapter: Adapter
    rows: dict[tuple[str, str, int], Row] = field(default_factory=dict)
    most_rows: int = 10_000  # in one answer, the newest ones
    refuses: tuple[int, str] | None = None  # the status of answers to requests for candles, and their Retry-After
    cut: set[str] = field(default_factory=set)  # paths on which no socket is accepted
    asked: list[dict[str, str]] = field(default_factory=list)  # the requests for candles
    refused: int = 0
    connections: dict[ServerConnection, Counter[str]] = field(default_factory=dict)  # with their topics
    port: int = 0

    @property
    def is_toy(self) -> bool:
        return self.adapter.exchange == "toy"

    def native(self, symbol: str) -> str:
        return symbol.replace("-", "/") if self.is_toy else symbol

    def topics(self, path: str) -> set[str]:
        """Return the topics of all sockets of a path."""
        return {topic for one, topics in self.connections.items() if of(one) == path for topic in topics}

    def sockets(self, path: str) -> list[ServerConnection]:
        return [one for one in self.connections if of(one) == path]

    def fill(self, symbol: str, interval: Interval, until_ms: int, count: int, volume: float = 1.0) -> None:
        """Give a symbol's REST candles: as many as `count`, the last of which ends at a moment."""
        for at in range(1, count + 1):
            self.rows[symbol, interval, interval.start_of(until_ms) - at * interval.step_ms] = (10.0, 12.0, 9.0, 11.0, volume)

    async def candle(
        self,
        symbol: str,
        start_ms: int,
        volume: float,
        *,
        final: bool = False,
        sent_ms: int | None = None,
        nth: int | None = None,
    ) -> None:
        """Send a candle of a minute on the sockets that carry it, or on the nth of them."""
        data = {
            "symbol": self.native(symbol),
            "start": start_ms,
            "open": 10,
            "high": 12,
            "low": 9,
            "close": 11,
            "volume": volume,
        }
        data |= {"turnover": volume * 10, "count": int(volume * 10), "final": final, "sent": sent_ms}
        carrying = [one for one, topics in self.connections.items() if f"c:{self.native(symbol)}" in topics]
        for one in carrying if nth is None else carrying[nth : nth + 1]:
            with contextlib.suppress(ConnectionClosed):
                await one.send(json.dumps({"channel": "c", "data": data}, separators=(",", ":")))

    async def drop(self, path: str) -> None:
        """Close all sockets of a path."""
        for one in self.sockets(path):
            await one.close()

    async def serve(self, socket: ServerConnection) -> None:
        topics = self.connections[socket] = Counter()
        try:
            async for frame in socket:
                message = json.loads(frame)
                subscribes = message.get("do") == "sub" or message.get("type") == "subscribe"
                names = message.get("what") or message.get("to") or message.get("from") or []
                for name in names:
                    if subscribes:
                        topics[name] += 1
                    else:
                        topics.pop(name, None)
                answer = {"ok": message["no"]} if self.is_toy else {"type": "subscriptions", "to": list(topics)}
                await socket.send(json.dumps(answer, separators=(",", ":")))
        except ConnectionClosed:
            pass
        finally:
            del self.connections[socket]

    async def tick(self) -> None:
        """Send a ticker of each symbol that is subscribed to, again and again."""
        count = 0
        while True:
            await asyncio.sleep(0.1)
            count += 1
            for one, topics in list(self.connections.items()):
                for topic in list(topics):
                    with contextlib.suppress(ConnectionClosed):
                        if topic.startswith("t:"):
                            data = {"time": 1_786_538_789_464 + count, "symbol": topic[2:], "last": 10.5}
                            await one.send(json.dumps({"channel": "t", "data": data}, separators=(",", ":")))
                        elif not self.is_toy:
                            data = {"symbol": topic, "price": 10.5, "match": count, "time": "2026-12-01T12:00:00.5Z"}
                            await one.send(json.dumps({"type": "ticker", **data}, separators=(",", ":")))

    def answer(self, _: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        if request.headers.get("Upgrade"):
            return Response(503, "no", Headers(), b"") if url.path in self.cut else None
        if url.path == "/markets":
            markets = [{"name": self.native(f"{coin}-USDT"), "base": coin, "quote": "USDT", "step": "0.1"} for coin in COINS]
            return _json(markets)
        if url.path == "/candles":
            return self._candles(dict(parse_qsl(url.query)))
        return _json({"why": "unknown"}, 404)

    def _candles(self, query: dict[str, str]) -> Response:
        if self.refuses is not None:
            self.refused += 1
            status, after = self.refuses
            return Response(status, "no", Headers([("Retry-After", after)] if after else []), b"")
        self.asked.append(query)
        symbol = query["symbol"].replace("/", "-")
        if self.is_toy:
            interval, since, until = Interval(query["every"]), int(query["since"]), int(query["until"])
        else:
            interval = next(one for one in Interval if one.step_ms == int(query["step"]) * 1000)
            since, until = int(query["from"]) * 1000, int(query["to"]) * 1000 + interval.step_ms
        starts = sorted(
            start
            for name, of_interval, start in self.rows
            if name == symbol and of_interval == interval and since <= start < until
        )
        found = [(start, *self.rows[symbol, interval, start]) for start in starts[-self.most_rows :]]
        if self.is_toy:
            names = ("start", "open", "high", "low", "close", "volume")
            return _json([{"symbol": query["symbol"], **dict(zip(names, row, strict=True))} for row in found])
        return _json(
            [[start // 1000, low, high, open_, close, volume] for start, open_, high, low, close, volume in reversed(found)]
        )


def of(socket: ServerConnection) -> str:
    """Return the path of a socket."""
    return socket.request.path if socket.request is not None else ""


def _json(content: Any, status: int = 200) -> Response:
    body = json.dumps(content).encode()
    return Response(status, "OK", Headers([("Content-Length", str(len(body))), ("Connection", "close")]), body)


@contextlib.asynccontextmanager
async def invented(adapter: Adapter) -> AsyncIterator[Invented]:
    """Play an invented exchange on a free port."""
    played = Invented(adapter)
    server: Server
    async with serve(played.serve, "127.0.0.1", 0, process_request=played.answer) as server:
        played.port = next(iter(server.sockets)).getsockname()[1]
        ticking = asyncio.create_task(played.tick())
        try:
            yield played
        finally:
            ticking.cancel()
            await asyncio.gather(ticking, return_exceptions=True)
