"""Binance's market streams: control messages, limits, keep-alive and the end of a connection."""

import asyncio
from dataclasses import dataclass
from typing import Any, ClassVar

from aiohttp import web

from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.faults import FaultBoard, OwnAction, ServerShutdown
from simulator.market import Listing, Market
from simulator.topic import Channel

from . import rest
from .frames import CHANNELS, wrap
from .requests import Request, RequestError, read_request, stream_names

MAX_STREAMS = 1024
MAX_FRAMES_PER_S = 5


@dataclass(frozen=True, slots=True)
class Timing:
    """Binance's time limits, in seconds."""

    ping_every_s: float = 20.0
    pong_within_s: float = 60.0
    max_age_s: float = 86_400.0


class Binance(Exchange):
    """Binance spot: its WebSocket streams and its REST API."""

    name = "binance"
    candle_paths: ClassVar[frozenset[str]] = frozenset({"/api/v3/klines"})
    channels: ClassVar[dict[str, Channel]] = {channel.name: channel for channel in CHANNELS}

    def __init__(self, market: Market, faults: FaultBoard, seed: int, timing: Timing) -> None:
        super().__init__(market, faults, seed, wrap)
        self._timing = timing
        self._streams = {native.lower(): listing for native, listing in self.listings.items()}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of raw streams, of combined streams and of the REST API."""
        return [
            web.get("/stream", self._combined),
            web.get("/ws", self._raw),
            web.get("/ws/{streams:.*}", self._raw),
            *rest.routes(self),
        ]

    def meaning(self, topic: str) -> tuple[Channel, Listing] | None:
        """Read a topic such as `btcusdt@ticker`. As at Binance, upper case names are unknown."""
        symbol, _, channel_name = topic.partition("@")
        channel, listing = self.channels.get(channel_name), self._streams.get(symbol)
        return None if channel is None or listing is None else (channel, listing)

    def count(self, connection: Connection, now_s: float) -> bool:
        """Close a connection that sends more than MAX_FRAMES_PER_S frames of any kind within a second."""
        frames = connection.recent_frames
        frames.append(now_s)
        while frames[0] <= now_s - 1:
            frames.popleft()
        if len(frames) > MAX_FRAMES_PER_S:
            connection.close(1008, "Too many requests")
            return False
        return True

    def answer(self, connection: Connection, text: str) -> None:
        """Answer a control message with a result or an error; the error is nested or flat."""
        try:
            request = read_request(text)
            connection.send({"result": self._result(connection, request), "id": request.id})
        except RequestError as refused:
            error: dict[str, Any] = {"code": refused.code, "msg": refused.reason}
            if self.faults.nested_errors():
                connection.send({"error": error, "id": refused.request_id})
            else:
                connection.send(error if refused.request_id is None else error | {"id": refused.request_id})

    def keep_alive(self, connection: Connection, now_s: float) -> None:
        """Ping the client, and close a connection whose pong is overdue or that is too old."""
        if now_s - connection.opened_s >= self._timing.max_age_s:
            connection.close(1001, "connection reached its maximum age")
        elif now_s - min(connection.unanswered.values(), default=now_s) >= self._timing.pong_within_s:
            connection.close(1008, "Pong timeout")
        elif now_s - connection.pinged_s >= self._timing.ping_every_s:
            connection.ping(str(self.now_ms()).encode(), now_s)

    def act_alone(self, action: OwnAction) -> None:
        """Announce a shutdown, and close all connections a moment later."""
        if not isinstance(action, ServerShutdown):
            return
        event = {"e": "serverShutdown", "E": self.now_ms()}
        for connection in list(self.connections):
            connection.send({"stream": "!serverShutdown", "data": event} if connection.wrapped else event)
            asyncio.get_running_loop().call_later(action.close_after_s, connection.close, 1001, "server shutdown")

    def _result(self, connection: Connection, request: Request) -> Any:
        match request.method:
            case "SUBSCRIBE":
                self._subscribe(connection, request)
            case "UNSUBSCRIBE":
                for name in stream_names(request):
                    self.unsubscribe(connection, name)
            case "LIST_SUBSCRIPTIONS":
                return list(connection.topics)
            case "SET_PROPERTY":
                connection.wrapped = _combined_value(request)
            case _:
                _check_property(request, parameters=1)
                return connection.wrapped
        return None

    def _subscribe(self, connection: Connection, request: Request) -> None:
        new = [name for name in dict.fromkeys(stream_names(request)) if name not in connection.topics]
        if len(connection.topics) + len(new) > MAX_STREAMS:
            raise RequestError(4, "Too many subscriptions", request.id)
        for name in new:
            self.subscribe(connection, name)

    async def _combined(self, request: web.Request) -> web.StreamResponse:
        return await self._open(request, request.query.get("streams", ""), wrapped=True)

    async def _raw(self, request: web.Request) -> web.StreamResponse:
        return await self._open(request, request.match_info.get("streams", ""), wrapped=False)

    async def _open(self, request: web.Request, path: str, *, wrapped: bool) -> web.StreamResponse:
        names = path.split("/") if path else []
        if len(names) > MAX_STREAMS or not all(name and name.isprintable() and " " not in name for name in names):
            return web.Response(status=400, text="Bad Request")
        return await self.serve(request, wrapped=wrapped, topics=dict.fromkeys(names))


def _combined_value(request: Request) -> bool:
    _check_property(request, parameters=2)
    value = request.params[1]
    if not isinstance(value, bool):
        raise RequestError(1, "Invalid value type: expected Boolean", request.id)
    return value


def _check_property(request: Request, parameters: int) -> None:
    if not request.params or request.params[0] != "combined":
        raise RequestError(0, "Unknown property", request.id)
    if len(request.params) > parameters:
        raise RequestError(2, "Invalid request: too many parameters", request.id)
    if len(request.params) < parameters:
        raise RequestError(1, "Invalid value type: expected Boolean", request.id)
