"""Coinbase's feed: requests, which are answered with the whole state of the socket, heartbeats, and the cut of idle sockets."""

import random
from typing import Any, ClassVar
from weakref import WeakSet

import orjson
from aiohttp import web

from simulator.connection import Connection
from simulator.exchange import Exchange
from simulator.faults import FaultBoard, OwnAction
from simulator.market import Listing, Market
from simulator.topic import Build, Channel

from . import frames, rest

MAX_MESSAGES_PER_S = 100
BATCH_MS = 5_000
HEARTBEAT_S = 1.0
USDC_BOOKS = frozenset({"USDT-USDC", "EURC-USDC"})
"""The products in USDC with a book of their own. Each other one is another name of the product in USD."""


class Refusal(Exception):
    """A request that Coinbase refuses as a whole, with a reason."""


class Coinbase(Exchange):
    """Coinbase Exchange. A connection that has not subscribed within `first_request_s` is cut."""

    name = "coinbase"
    candle_paths: ClassVar[frozenset[str]] = frozenset({"/products/{id}/candles"})

    def __init__(self, market: Market, faults: FaultBoard, seed: int, first_request_s: float = 5.0) -> None:
        super().__init__(market, faults, seed)
        self._first_request_s = first_request_s
        self._subscribed = WeakSet[Connection]()  # the connections that have subscribed to anything
        self._rng = random.Random(seed)
        # A message has the time of the match, and not the time at which it is sent.
        prices = ("price", "open_24h", "low_24h", "high_24h", "best_bid", "best_ask")
        optional = ("best_bid", "best_bid_size", "best_ask", "best_ask_size")
        tickers = [
            Channel(
                name=name,
                build=lambda listing, _: frames.ticker(listing, self._clock_ms()),
                on="trade",
                interval_ms=interval_ms,
                snapshot=True,
                prices=prices,
                optional=optional,
                open24h="open_24h",
            )
            for name, interval_ms in (("ticker", 0), ("ticker_batch", BATCH_MS))
        ]
        matches = Channel(
            name="matches",
            build=lambda listing, _: frames.match(listing, self._clock_ms()),
            on="trade",
            prices=("price",),
            optional=("size",),
        )
        heartbeat = Channel(name="heartbeat", build=frames.heartbeat, on="clock", snapshot=True)
        self.channels = {channel.name: channel for channel in (*tickers, matches, heartbeat)}

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the feed and of the REST API."""
        return [web.get("/", self.serve), *rest.routes(self, self.product, self.aliases)]

    def aliases(self) -> dict[str, Listing]:
        """Return the products in USDC that are other names of products in USD, by that name."""
        return {
            f"{listing.base}-USDC": listing
            for listing in self.listed()
            if listing.quote == "USD" and f"{listing.base}-USDC" not in USDC_BOOKS
        }

    def product(self, native: str) -> Listing | None:
        """Return the product of a name or alias, or None if that is not traded."""
        base, _, quote = native.partition("-")
        listing = self.find(f"{base}-USD" if quote == "USDC" and native not in USDC_BOOKS else native)
        return None if listing is None or listing.state == "suspended" else listing

    def meaning(self, topic: str) -> tuple[Channel, Listing] | None:
        """Read a topic such as `ticker:BTC-USD`, our short form of a channel and a product."""
        channel_name, _, native = topic.partition(":")
        channel, listing = self.channels.get(channel_name), self.product(native)
        return None if channel is None or listing is None else (channel, listing)

    def answer(self, connection: Connection, text: str) -> None:
        """Answer a request with all subscriptions of the connection, or with one error if any part of it is wrong."""
        try:
            request = orjson.loads(text)
        except orjson.JSONDecodeError:
            request = None
        kind = request.get("type") if isinstance(request, dict) else None
        if kind not in {"subscribe", "unsubscribe"}:
            connection.send({"type": "error", "message": "Malformed JSON" if request is None else "Type has to be subscribe"})
            return
        try:
            topics = self._topics(request, is_strict=kind == "subscribe")
        except Refusal as refused:
            connection.send({"type": "error", "message": f"Failed to {kind}", "reason": str(refused)})
            return
        for topic in topics:
            if kind == "subscribe":
                self._subscribed.add(connection)
                self.subscribe(connection, topic)
            else:
                self.unsubscribe(connection, topic)
        connection.send({"type": "subscriptions", "channels": self._state(connection)})
        if kind == "subscribe":
            for topic in topics:
                self.send_snapshot(connection, topic)

    def keep_alive(self, connection: Connection, now_s: float) -> None:
        """Cut a connection that has not subscribed to anything in time."""
        if connection not in self._subscribed and now_s - connection.opened_s >= self._first_request_s:
            connection.cut()

    def send_snapshot(self, connection: Connection, name: str, build: Build | None = None) -> None:
        """Send a new subscriber the topic's current state. The last match has a type of its own."""
        channel, _, native = name.partition(":")
        if channel == "matches":
            listing = self.seen(self.listings[native])
            connection.send(frames.match(listing, self._clock_ms()) | {"type": "last_match"})
        super().send_snapshot(connection, name, build)

    def count(self, connection: Connection, now_s: float) -> bool:
        """Close a connection that sends more than MAX_MESSAGES_PER_S."""
        recent = connection.recent_frames
        recent.append(now_s)
        while recent[0] <= now_s - 1.0:
            recent.popleft()
        if len(recent) > MAX_MESSAGES_PER_S:
            connection.close(1008, "rate limit exceeded")
            return False
        return True

    def upkeep(self) -> None:
        """Send the heartbeats that are due."""
        super().upkeep()
        self.publisher.resend(self.channels["heartbeat"], HEARTBEAT_S)

    def act_alone(self, action: OwnAction) -> None:
        """Do nothing: Coinbase announces nothing on these channels."""

    def _clock_ms(self) -> int:
        return self.faults.clock_ms(self.name)

    def _topics(self, request: dict[str, Any], *, is_strict: bool) -> list[str]:
        """Return the topics of a request. A channel may have products of its own.

        Raises:
            Refusal: the request has no channels, or names an unknown channel or product.
        """
        channels = request.get("channels")
        if not isinstance(channels, list) or not channels:
            raise Refusal("No channels provided")
        topics = []
        for channel in channels:
            name = channel.get("name") if isinstance(channel, dict) else channel
            products = channel.get("product_ids", []) if isinstance(channel, dict) else request.get("product_ids", [])
            if name not in self.channels:
                raise Refusal(f"{name} is not a valid channel")
            for native in products or [""]:
                listing = self.product(native) if isinstance(native, str) else None
                if listing is not None:
                    topics.append(f"{name}:{listing.native}")
                elif is_strict:
                    raise Refusal(f"{native} is not a valid product")
        return topics

    def _state(self, connection: Connection) -> list[dict[str, Any]]:
        """Return all subscriptions of a connection. Their order means nothing."""
        products: dict[str, list[str]] = {}
        for topic in self._rng.sample(list(connection.topics), len(connection.topics)):
            channel, _, native = topic.partition(":")
            products.setdefault(channel, []).append(native)
        return [{"name": name, "product_ids": natives, "account_ids": None} for name, natives in products.items()]
