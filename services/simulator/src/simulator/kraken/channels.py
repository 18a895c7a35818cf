"""Kraken's public channels: a status at the opening, one answer per symbol, and heartbeats while nothing else is sent."""

import secrets
import time
from typing import Any, ClassVar

import orjson
from aiohttp import web

from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.faults import FaultBoard, KrakenMaintenance, OwnAction
from simulator.market import Listing, Market
from simulator.topic import Channel, Message

from . import candles, rest
from .frames import channels, instant, message, ticker_row

HEARTBEAT_EVERY_S = 1.0
MAX_MESSAGES_PER_S = 20
TRIGGERS = {"bbo": "ticker", "trades": "ticker:trades"}
ONLINE, MAINTENANCE = "online", "maintenance"


class Kraken(Exchange):
    """Kraken spot, WebSocket v2. A connection without subscriptions and without traffic for `idle_s` is closed."""

    name = "kraken"
    candle_paths: ClassVar[frozenset[str]] = frozenset({"/0/public/OHLC"})

    def __init__(self, market: Market, faults: FaultBoard, seed: int, idle_s: float = 60.0) -> None:
        super().__init__(market, faults, seed)
        self._idle_s = idle_s
        self._channels: dict[str, Channel] = {channel.name: channel for channel in (*channels(self._event_us), candles.CHANNEL)}
        self._back_online_s = 0.0  # when maintenance ends, a monotonic time

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the public channels and of the REST API."""
        return [web.get("/v2", self.serve), *rest.routes(self)]

    def meaning(self, topic: str) -> tuple[Channel, Listing] | None:
        """Read a topic such as `ticker BTC/USD` or `ticker:trades BTC/USD`, our short form of a request for one symbol."""
        channel_name, _, native = topic.partition(" ")
        channel, listing = self._channels.get(channel_name), self.find(native)
        return None if channel is None or listing is None else (channel, listing)

    def opened(self, connection: Connection) -> None:
        """Send the state of the trading system, with a number of the connection that a double cannot represent."""
        self._send_status(connection)

    def answer(self, connection: Connection, text: str) -> None:
        """Answer a request once per symbol, or with one error if it is malformed."""
        received = self._now()
        request = _read(text)
        method = request.get("method")
        if not self._within_limit(connection):
            self._refuse(connection, request, received, "Exceeded msg rate")
        elif method == "ping":
            self._reply(connection, request, received, {"method": "pong"})
        elif method in {"subscribe", "unsubscribe"}:
            self._change(connection, request, received)
        else:
            self._refuse(connection, request, received, "Method not found" if isinstance(method, str) else "Malformed request")

    def keep_alive(self, connection: Connection, now_s: float) -> None:
        """Send a heartbeat to a subscriber that got nothing for a second. Close an idle connection without subscriptions."""
        if not connection.topics:
            if now_s - connection.active_s >= self._idle_s:
                connection.close(1000)
        elif now_s - max(connection.active_s, connection.pinged_s) >= HEARTBEAT_EVERY_S:
            connection.pinged_s = now_s
            connection.send({"channel": "heartbeat"})

    def act_alone(self, action: OwnAction) -> None:
        """Announce maintenance, end all subscriptions, and close all connections later."""
        if not isinstance(action, KrakenMaintenance):
            return
        self._back_online_s = time.monotonic() + action.close_after_s
        for connection in list(self.connections):
            self._send_status(connection)
            for topic in list(connection.topics):
                self.publisher.remove(connection, topic)
            connection.close_at_s = self._back_online_s

    def _change(self, connection: Connection, request: dict[str, Any], received: str) -> None:
        params = request.get("params")
        given = params if isinstance(params, dict) else {}
        symbols = given.get("symbol")
        if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
            self._refuse(connection, request, received, "Malformed request")
            return
        channel, trigger = given.get("channel"), given.get("event_trigger", "trades")
        if channel not in {"ticker", "trade", "ohlc"} or trigger not in TRIGGERS:
            self._refuse(connection, request, received, f"Unsupported channel {channel}, event_trigger {trigger}")
            return
        if channel == "ohlc" and str(given.get("interval")) not in candles.STEPS:
            self._refuse(connection, request, received, "Unsupported ohlc interval")
            return
        for symbol in symbols:
            name = TRIGGERS[trigger] if channel == "ticker" else channel
            self._change_one(connection, request, received, f"{name} {symbol}", given)

    def _change_one(
        self, connection: Connection, request: dict[str, Any], received: str, topic: str, given: dict[str, Any]
    ) -> None:
        channel_name, _, symbol = topic.partition(" ")
        channel = channel_name.partition(":")[0]
        # A symbol has one subscription of a channel, whatever its trigger is.
        subscribed = next((name for name in connection.topics if _same_place(name, topic)), None)
        if request["method"] == "unsubscribe":
            if subscribed is None:
                self._refuse(connection, request, received, "Subscription Not Found", symbol)
                return
            self.unsubscribe(connection, subscribed)
            self._accept(connection, request, received, {"channel": channel, "symbol": symbol})
            return
        if channel == "ohlc":
            self._begin_candles(connection, request, received, symbol, given)
            return
        if self.find(symbol) is None:
            self._refuse(connection, request, received, f"Currency pair not supported {symbol}", symbol)
            return
        if subscribed is not None:
            self._refuse(connection, request, received, "Already subscribed", symbol)
            return
        self.subscribe(connection, topic)
        wants_snapshot = given.get("snapshot", channel == "ticker")
        result = {"channel": channel, "snapshot": wants_snapshot, "symbol": symbol}
        if channel == "ticker":
            result = {"channel": channel, "event_trigger": given.get("event_trigger", "trades")} | result
        self._accept(connection, request, received, result)
        if wants_snapshot:
            self.send_snapshot(connection, topic, self._snapshot)

    def _begin_candles(
        self, connection: Connection, request: dict[str, Any], received: str, symbol: str, given: dict[str, Any]
    ) -> None:
        """Subscribe to the candles of a symbol. Those of another interval than a minute are accepted, but never sent."""

        def snapshot(listing: Listing, now_ms: int) -> Message:
            return candles.snapshot(listing, now_ms, self.newest(listing, candles.SNAPSHOT_ROWS))

        topic = f"{candles.CHANNEL.name} {symbol}"
        if self.find(symbol) is None or topic in connection.topics:
            reason = "Already subscribed" if topic in connection.topics else f"Currency pair not supported {symbol}"
            self._refuse(connection, request, received, reason, symbol)
            return
        connection.topics[topic] = None
        wants_snapshot = given.get("snapshot", True)
        result = {"channel": "ohlc", "interval": given["interval"], "snapshot": wants_snapshot, "symbol": symbol}
        self._accept(connection, request, received, result | {"warnings": [candles.WARNING]})
        if given["interval"] == 1 and wants_snapshot:
            self.begin(connection, {topic: snapshot})
        elif given["interval"] == 1:
            self.subscribe(connection, topic)

    def _snapshot(self, listing: Listing, now_ms: int) -> Message:
        return message("ticker", "snapshot", ticker_row(listing, self._event_us(listing), now_ms))

    def _event_us(self, listing: Listing) -> int:
        return listing.changed_us + 1000 * self.faults.clock_ms(self.name)

    def _send_status(self, connection: Connection) -> None:
        system = MAINTENANCE if time.monotonic() < self._back_online_s else ONLINE
        state = {"version": "2.0.10", "system": system, "api_version": "v2", "connection_id": 2**62 + secrets.randbits(62)}
        connection.send({"channel": "status", "type": "update", "data": [state]})

    def _accept(self, connection: Connection, request: dict[str, Any], received: str, result: dict[str, Any]) -> None:
        self._reply(connection, request, received, {"method": request["method"], "result": result, "success": True})

    def _refuse(self, connection: Connection, request: dict[str, Any], received: str, reason: str, symbol: str = "") -> None:
        named = {"symbol": symbol} if symbol else {}
        self._reply(connection, request, received, {"error": reason, "method": request.get("method"), "success": False} | named)

    def _reply(self, connection: Connection, request: dict[str, Any], received: str, reply: dict[str, Any]) -> None:
        echoed = {"req_id": request["req_id"]} if isinstance(request.get("req_id"), int) else {}
        connection.send(reply | echoed | {"time_in": received, "time_out": self._now()})

    def _now(self) -> str:
        return instant(time.time_ns() // 1000 + 1000 * self.faults.clock_ms(self.name))

    @staticmethod
    def _within_limit(connection: Connection) -> bool:
        """Count a request; return whether those of the last second are within MAX_MESSAGES_PER_S."""
        now_s, requests = time.monotonic(), connection.recent_frames
        while requests and requests[0] <= now_s - 1:
            requests.popleft()
        if len(requests) >= MAX_MESSAGES_PER_S:
            return False
        requests.append(now_s)
        return True


def _same_place(one: str, other: str) -> bool:
    """Return whether two topics are the same channel of the same symbol. Their triggers may differ."""
    channel, _, symbol = one.partition(" ")
    other_channel, _, other_symbol = other.partition(" ")
    return symbol == other_symbol and channel.partition(":")[0] == other_channel.partition(":")[0]


def _read(text: str) -> dict[str, Any]:
    """Return a request, or an empty one if the text is not a JSON object."""
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return request if isinstance(request, dict) else {}
