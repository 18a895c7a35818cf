"""Bybit's public topics: requests, each answered once and refused as a whole, and repeats of unchanged level 1 books."""

from typing import Any, ClassVar

import orjson
from aiohttp import web

from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.faults import BybitRestart, OwnAction
from simulator.market import Listing
from simulator.topic import Channel

from . import candles, rest
from .frames import CHANNELS

MAX_ARGS = 10
RESEND_AFTER_S = 3.0


class Bybit(Exchange):
    """Bybit v5 spot: its WebSocket topics and its REST API."""

    name = "bybit"
    channels: ClassVar[dict[str, Channel]] = {channel.name: channel for channel in (*CHANNELS, candles.CHANNEL)}
    candle_paths: ClassVar[frozenset[str]] = frozenset({"/v5/market/kline"})

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the public spot topics and of the REST API."""
        return [web.get("/v5/public/spot", self.serve), *rest.routes(self)]

    def meaning(self, topic: str) -> tuple[Channel, Listing] | None:
        """Read a topic such as `tickers.BTCUSDT` or `orderbook.1.BTCUSDT`."""
        channel_name, _, native = topic.rpartition(".")
        channel, listing = self.channels.get(channel_name), self.find(native)
        return None if channel is None or listing is None else (channel, listing)

    def answer(self, connection: Connection, text: str) -> None:
        """Answer a request once. It succeeds or fails as a whole."""
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            request = None
        if not isinstance(request, dict):
            self._reply(connection, {}, "", refused="error:request is not a JSON object")
            return
        op, args = request.get("op"), request.get("args", [])
        match op:
            case "ping":
                self._reply(connection, {}, "ping", said="pong")
            case "subscribe" | "unsubscribe":
                self._change(connection, request, op, args)
            case _:
                self._reply(connection, request, str(op), refused=f"error:unknown op:{op}")

    def keep_alive(self, connection: Connection, now_s: float) -> None:
        """Do nothing: Bybit does not document that it closes idle public connections."""

    def upkeep(self) -> None:
        """Repeat each level 1 book that has not changed for RESEND_AFTER_S, with the same `u`."""
        super().upkeep()
        self.publisher.resend(self.channels["orderbook.1"], RESEND_AFTER_S)

    def act_alone(self, action: OwnAction) -> None:
        """Start the order books of one symbol or of all symbols again at u=1."""
        if not isinstance(action, BybitRestart):
            return
        for listing in self.listings.values():
            if action.symbol in {None, listing.symbol}:
                listing.update_id = 1
        for topic in list(self.publisher.topics.values()):
            if topic.channel.name.startswith("orderbook") and action.symbol in {None, topic.listing.symbol}:
                self.publisher.push(topic)

    def _change(self, connection: Connection, request: dict[str, Any], op: str, args: Any) -> None:
        refused = self._refusal(connection, op, args)
        if refused is not None:
            self._reply(connection, request, op, refused=refused)
            return
        for topic in args:
            if op == "subscribe":
                self.subscribe(connection, topic)
            else:
                self.unsubscribe(connection, topic)
        self._reply(connection, request, op, said=op)
        if op == "subscribe":
            for topic in args:
                self.send_snapshot(connection, topic)

    def _refusal(self, connection: Connection, op: str, args: Any) -> str | None:
        """Return the reason to refuse a request, which names the first wrong topic, or None to accept the request."""
        if not isinstance(args, list) or not args or not all(isinstance(topic, str) for topic in args):
            return "error:args is not a list of topics"
        if len(args) > MAX_ARGS:
            return "args size >10"
        if op == "unsubscribe":
            return None
        taken = set(connection.topics)
        for topic in args:
            channel_name, _, _ = topic.rpartition(".")
            if channel_name not in self.channels:
                return f"error:handler not found,topic:{topic}"
            if self.meaning(topic) is None:
                return f"Invalid symbol :[{topic}]"
            if topic in taken:
                return f"error:already subscribed,topic:{topic}"
            taken.add(topic)
        return None

    @staticmethod
    def _reply(connection: Connection, request: dict[str, Any], op: str, *, said: str = "", refused: str | None = None) -> None:
        reply: dict[str, Any] = {
            "success": refused is None,
            "ret_msg": said if refused is None else refused,
            "conn_id": connection.id,
        }
        if "req_id" in request:
            reply["req_id"] = str(request["req_id"])
        connection.send(reply | {"op": op})
