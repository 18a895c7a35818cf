"""Crypto.com's market channels: acknowledgements merged with data, heartbeats to answer, and a limit by calendar second."""

import math
import time
from functools import partial
from typing import Any, ClassVar

import orjson
from aiohttp import web

from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.faults import FaultBoard, OwnAction
from simulator.market import Listing, Market
from simulator.topic import Build, Channel, Message

from . import candles, rest
from .frames import CHANNELS, NO_REQUEST_ID, ROWS, UNNUMBERED, pushed

MAX_CHANNELS = 400
MAX_REQUESTS_PER_S = 100
FEWEST_REQUESTS = 10  # accepted in the second of the opening, however little of it is left
MOST_UNANSWERED = 2
BAD_REQUEST, UNKNOWN_CHANNEL, TOO_MANY_CHANNELS, TOO_FAST = 40001, 40003, 40107, 42901


class Cryptocom(Exchange):
    """Crypto.com Exchange v1 spot. It sends a heartbeat each `heartbeat_every_s`, and closes after two unanswered ones."""

    name = "cryptocom"
    channels: ClassVar[dict[str, Channel]] = {channel.name: channel for channel in (*CHANNELS, candles.CHANNEL)}
    candle_paths: ClassVar[frozenset[str]] = frozenset({"/exchange/v1/public/get-candlestick"})

    def __init__(self, market: Market, faults: FaultBoard, seed: int, heartbeat_every_s: float = 30.0) -> None:
        super().__init__(market, faults, seed)
        self._heartbeat_every_s = heartbeat_every_s

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the market channels and of the REST API."""
        return [web.get("/exchange/v1/market", self.serve), *rest.routes(self)]

    def meaning(self, topic: str) -> tuple[Channel, Listing] | None:
        """Read a topic such as `ticker.BTC_USD` or `candlestick.1m.BTC_USD`."""
        channel_name, _, native = topic.rpartition(".")
        channel, listing = self.channels.get(channel_name), self.find(native)
        return None if channel is None or listing is None else (channel, listing)

    def answer(self, connection: Connection, text: str) -> None:
        """Answer a request. A subscription is acknowledged by the first message of each channel, and refused per channel."""
        request = _read(text)
        method, params = request.get("method"), request.get("params")
        channels = params.get("channels") if isinstance(params, dict) else None
        if not self._within_limit(connection):
            self._refuse(connection, request, TOO_FAST, "TOO_MANY_REQUESTS")
        elif method == "public/respond-heartbeat":
            connection.ponged(str(request.get("id")).encode())
        elif (
            method not in {"subscribe", "unsubscribe"}
            or not isinstance(channels, list)
            or not all(isinstance(channel, str) for channel in channels)
        ):
            self._refuse(connection, request, BAD_REQUEST, "Bad request")
        elif method == "unsubscribe":
            for channel in channels:
                self.unsubscribe(connection, channel)
            connection.send({"id": request.get("id", NO_REQUEST_ID), "method": method, "code": 0})
        else:
            snapshots: dict[str, Build] = {}
            for channel in channels:
                self._subscribe(connection, request, channel, snapshots)
            self.begin(connection, snapshots)

    def keep_alive(self, connection: Connection, now_s: float) -> None:
        """Send a heartbeat. If the client has answered neither of two, close in place of the third."""
        if now_s - connection.pinged_s < self._heartbeat_every_s:
            return
        if len(connection.unanswered) >= MOST_UNANSWERED:
            connection.close(1000)
            return
        number = self.now_ms()
        connection.pinged_s = connection.unanswered[str(number).encode()] = now_s
        connection.send({"id": number, "method": "public/heartbeat", "code": 0})

    def act_alone(self, action: OwnAction) -> None:
        """Do nothing: no action exists at this exchange alone."""

    def _subscribe(self, connection: Connection, request: dict[str, Any], topic: str, snapshots: dict[str, Build]) -> None:
        """Subscribe to a channel. The past candles that come first take time to make, so these channels go to `snapshots`."""
        channel_name, _, native = topic.rpartition(".")
        interval = channel_name.removeprefix("candlestick.")
        if interval in candles.OLD_NAMES:
            topic = f"candlestick.{candles.OLD_NAMES[interval]}.{native}"
        meant = self.meaning(topic)
        if meant is None:
            self._refuse(connection, request, UNKNOWN_CHANNEL, "Unknown symbol", topic)
            return
        if topic not in connection.topics and len(connection.topics) >= MAX_CHANNELS:
            self._refuse(connection, request, TOO_MANY_CHANNELS, "Maximum subscriptions exceeded", topic)
            return
        request_id = request.get("id", NO_REQUEST_ID)
        if meant[0] is candles.CHANNEL:
            connection.topics[topic] = None
            if self.faults.bare_ack():
                connection.send({"id": request_id, "method": "subscribe", "code": 0, "channel": topic})
                request_id = UNNUMBERED
            snapshots[topic] = lambda listing, now_ms: candles.message(
                listing, now_ms, self.newest(listing, candles.SNAPSHOT_MINUTES), request_id
            )
            return
        self.subscribe(connection, topic)
        self.send_snapshot(connection, topic, partial(_first, meant[0].name, request_id))

    @staticmethod
    def _refuse(connection: Connection, request: dict[str, Any], code: int, reason: str, channel: str = "") -> None:
        named = {"channel": channel} if channel else {}
        numbered = {"id": request.get("id", NO_REQUEST_ID), "method": request.get("method"), "code": code}
        connection.send(numbered | named | {"message": reason})

    def _within_limit(self, connection: Connection) -> bool:
        """Count a request; return whether those of this calendar second are within the limit.

        In the second in which the connection opened, the limit is proportional to the rest of that second.
        """
        now_s = time.time()
        requests = connection.recent_frames
        while requests and int(requests[0]) != int(now_s):
            requests.popleft()
        opened_s = now_s - (time.monotonic() - connection.opened_s)
        share = math.ceil(opened_s) - opened_s if int(opened_s) == int(now_s) else 1.0
        if len(requests) >= max(math.ceil(MAX_REQUESTS_PER_S * share), FEWEST_REQUESTS):
            return False
        requests.append(now_s)
        return True


def _first(channel: str, request_id: int | str, listing: Listing, now_ms: int) -> Message:
    return pushed(channel, listing, ROWS[channel](listing, now_ms), request_id)


def _read(text: str) -> dict[str, Any]:
    """Return a request, or an empty one if the text is not a JSON object."""
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError:
        return {}
    return request if isinstance(request, dict) else {}
