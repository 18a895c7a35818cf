"""OKX's public channels: requests, which are answered once per argument, limits, keep-alive and notices."""

import time
from typing import Any, ClassVar

import orjson
from aiohttp import web

from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.faults import FaultBoard, Notice64008, OwnAction
from simulator.market import Listing, Market
from simulator.topic import Channel

from . import candles, rest
from .frames import CHANNELS

MAX_REQUESTS_PER_HOUR = 480
HOUR_S = 3600.0
BUSINESS_PATH = "/ws/v5/business"  # of the socket that has the candles, and nothing else
SERVICE_UPGRADE = "The connection will soon be closed for a service upgrade. Please reconnect."


class Okx(Exchange):
    """OKX v5 spot. A connection without traffic for `idle_s` is closed."""

    name = "okx"
    channels: ClassVar[dict[str, Channel]] = {channel.name: channel for channel in (*CHANNELS, candles.CHANNEL)}
    candle_paths: ClassVar[frozenset[str]] = frozenset({"/api/v5/market/candles", "/api/v5/market/history-candles"})

    def __init__(self, market: Market, faults: FaultBoard, seed: int, idle_s: float = 30.0) -> None:
        super().__init__(market, faults, seed)
        self._idle_s = idle_s

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the public channels and of the REST API."""
        return [web.get("/ws/v5/public", self.serve), web.get(BUSINESS_PATH, self.serve), *rest.routes(self)]

    def meaning(self, topic: str) -> tuple[Channel, Listing] | None:
        """Read a topic such as `tickers:BTC-USDT`, our short form of a request's argument."""
        channel_name, _, native = topic.partition(":")
        channel, listing = self.channels.get(channel_name), self.find(native)
        return None if channel is None or listing is None else (channel, listing)

    def overflow(self, connection: Connection) -> None:
        """Close a connection whose client reads too slowly, with OKX's own code."""
        connection.close(4005, "Buffer is full, unable to write data")

    def answer(self, connection: Connection, text: str) -> None:
        """Answer a request once per argument, or with one error if it is malformed."""
        if text == "ping":
            connection.send_text("pong")
            return
        request = _read(text)
        if request is None:
            self._refuse(connection, {}, "60012", f"Invalid request: {text}")
            return
        op, args = request["op"], request.get("args")
        if op not in {"subscribe", "unsubscribe"}:
            self._refuse(connection, request, "60019", f"Invalid op: {op}")
        elif not isinstance(args, list):
            self._refuse(connection, request, "60012", f"Invalid request: {text}")
        elif not args:
            self._refuse(connection, request, "60013", "Invalid args")
        elif not self._within_limit(connection):
            self._refuse(connection, request, "60014", "Requests too frequent")
        else:
            for arg in args:
                self._change(connection, request, arg)

    def keep_alive(self, connection: Connection, now_s: float) -> None:
        """Close a connection without traffic in either direction for `idle_s`."""
        if now_s - connection.active_s >= self._idle_s:
            connection.close(4004, "No data received in 30s")

    def act_alone(self, action: OwnAction) -> None:
        """Announce a service upgrade, and close all connections later."""
        if not isinstance(action, Notice64008):
            return
        for connection in list(self.connections):
            connection.send(
                {"event": "notice", "code": "64008", "msg": SERVICE_UPGRADE, "connId": connection.id},
            )
            connection.close_at_s = time.monotonic() + action.close_after_s

    def _change(self, connection: Connection, request: dict[str, Any], arg: Any) -> None:
        given = arg if isinstance(arg, dict) else {}
        channel, native = given.get("channel"), given.get("instId")
        topic = f"{channel}:{native}"
        is_elsewhere = (channel == candles.CHANNEL.name) != (connection.path == BUSINESS_PATH)
        if (self.meaning(topic) is None or is_elsewhere) and topic not in connection.topics:
            self._refuse(
                connection,
                request,
                "60018",
                f"Wrong URL or channel:{channel},instId:{native} doesn't exist. "
                "Please use the correct URL, channel and parameters referring to API document.",
            )
            return
        if request["op"] == "subscribe" and topic not in connection.topics:
            self.subscribe(connection, topic)
        elif request["op"] == "unsubscribe":
            self.unsubscribe(connection, topic)
        self._reply(connection, request, {"event": request["op"], "arg": {"channel": channel, "instId": native}})
        if request["op"] == "subscribe":
            self.send_snapshot(connection, topic)

    def _refuse(self, connection: Connection, request: dict[str, Any], code: str, reason: str) -> None:
        self._reply(connection, request, {"event": "error", "code": code, "msg": reason})

    @staticmethod
    def _reply(connection: Connection, request: dict[str, Any], reply: dict[str, Any]) -> None:
        echoed = {"id": request["id"]} if "id" in request else {}
        connection.send(echoed | reply | {"connId": connection.id})

    @staticmethod
    def _within_limit(connection: Connection) -> bool:
        """Count a request; return whether the last hour's requests are within MAX_REQUESTS_PER_HOUR."""
        now_s, requests = time.monotonic(), connection.recent_frames
        while requests and requests[0] <= now_s - HOUR_S:
            requests.popleft()
        if len(requests) >= MAX_REQUESTS_PER_HOUR:
            return False
        requests.append(now_s)
        return True


def _read(text: str) -> dict[str, Any] | None:
    """Return a request, or None if the text is not a JSON object with an operation."""
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(request, dict) or not isinstance(request.get("op"), str):
        return None
    return request
