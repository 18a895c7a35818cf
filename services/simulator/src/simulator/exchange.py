"""The common base of all exchanges: connections, subscriptions, and faults of a whole exchange."""

import asyncio
import random
import time
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from typing import ClassVar

from aiohttp import WSMessage, WSMsgType, web

from .candles import DAY_MS, HOUR_MS, MINUTE_MS, Candle, filled, grouped, start_of
from .catalogue import ExchangeName
from .clock import wall_ms
from .connection import Connection
from .faults import Action, BeginAnew, Burst, CorrectCandle, Cut, FaultBoard, OwnAction
from .history import History
from .market import Listing, Market
from .publisher import Publisher, Wrap
from .topic import Build, Channel

MAX_MESSAGE_BYTES = 1024 * 1024
LONGEST_STALL_S = 0.002  # of the event loop, while the candles of an answer are made


async def unhurried(blocks: Iterator[list[Candle]]) -> list[Candle]:
    """Return the candles of all blocks. Other work of the event loop is done in between."""
    found, worked_s = list[Candle](), time.perf_counter()
    for block in blocks:
        found += block
        if time.perf_counter() - worked_s > LONGEST_STALL_S:
            await asyncio.sleep(0)
            worked_s = time.perf_counter()
    return found


class Exchange(ABC):
    """One exchange's public WebSocket API. A subclass defines its wire format: channels, answers to clients, keep-alive."""

    name: ClassVar[ExchangeName]
    candle_paths: ClassVar[frozenset[str]]
    """The paths of the REST API that answer with candles."""

    def __init__(self, market: Market, faults: FaultBoard, seed: int, wrap: Wrap | None = None) -> None:
        self.market, self.faults = market, faults
        self.listings = market.of(self.name)
        self.connections: set[Connection] = set()
        self.publisher = Publisher(self.name, market, faults, random.Random(seed), wrap)
        self.history = History(market.past)
        self._sent_on_closed = 0
        self._beginning = set[asyncio.Task[None]]()

    @abstractmethod
    def routes(self) -> list[web.RouteDef]:
        """Return the exchange's WebSocket and REST routes."""

    @abstractmethod
    def meaning(self, topic: str) -> tuple[Channel, Listing] | None:
        """Return the channel and listing that a topic's name on the wire stands for, or None if it is unknown."""

    @abstractmethod
    def act_alone(self, action: OwnAction) -> None:
        """Carry out an action that exists only at this exchange."""

    @abstractmethod
    def answer(self, connection: Connection, text: str) -> None:
        """Answer a text frame from a client: a request, or a ping written as text."""

    @abstractmethod
    def keep_alive(self, connection: Connection, now_s: float) -> None:
        """Send the pings or the close that are due on a connection at `now_s`, a monotonic time."""

    def opened(self, connection: Connection) -> None:
        """Send what the exchange sends on a new connection. By default that is nothing."""
        del connection

    @property
    def messages_sent(self) -> int:
        """The frames written since the start, those on closed connections included."""
        return self._sent_on_closed + sum(connection.sent for connection in self.connections)

    def now_ms(self) -> int:
        """Return the time in Unix milliseconds on the exchange's clock, which a fault may shift."""
        return wall_ms() + self.faults.clock_ms(self.name)

    def find(self, native: str) -> Listing | None:
        """Return a listing by its native symbol, or None if it is unknown or delisted."""
        listing = self.listings.get(native)
        return None if listing is None or self.publisher.effects(listing).delist else listing

    def listed(self) -> list[Listing]:
        """Return all listings that are not delisted."""
        return [listing for native, listing in self.listings.items() if self.find(native) is not None]

    def seen(self, listing: Listing) -> Listing:
        """Return a listing with the prices that this exchange states, which a fault may distort."""
        return self.publisher.effects(listing).distort(listing)

    async def candles(
        self, listing: Listing, step_ms: int, first_ms: int, end_ms: int, *, shift_ms: int = 0, fill: bool = True
    ) -> list[Candle]:
        """Return what the REST API knows of a listing's candles, the oldest first and the open one included.

        Args:
            listing: the market.
            step_ms: how long each lasts: minutes that divide an hour, hours that divide a day, or days.
            first_ms: the first moment at which a candle may begin.
            end_ms: the moment before which each begins.
            shift_ms: the candles begin so long before the multiples of `step_ms`.
            fill: whether an interval without a trade has a candle, at the last price and with no volume.
        """
        effects = self.publisher.effects(listing)
        now_ms = wall_ms() - effects.old_ms
        first_ms, end_ms = max(first_ms, self.history.past.begin_ms), min(end_ms, now_ms + 1)
        first_ms += -(first_ms + shift_ms) % step_ms
        if first_ms >= end_ms or listing.state == "preopen":
            return []
        unit_ms = MINUTE_MS if step_ms < HOUR_MS else HOUR_MS if step_ms < DAY_MS or shift_ms else DAY_MS
        last_ms = min(start_of(end_ms - 1, step_ms, shift_ms) + step_ms, now_ms + 1)
        found = await unhurried(self.history.blocks(listing, unit_ms, first_ms, last_ms))
        found = grouped(found, step_ms, shift_ms) if step_ms > unit_ms else found
        if fill:
            found = filled(found, step_ms, range(first_ms, end_ms), self.history.close_before(listing, first_ms))
        seen = self.seen(listing)
        found = [seen.stated(candle) for candle in found] if seen is not listing else found
        return found if effects.few_rows is None else found[max(len(found) - effects.few_rows, 0) :]

    def newest(self, listing: Listing, minutes: int) -> list[Candle]:
        """Return the candles of a listing's last minutes, without those that have no trade."""
        now_ms = wall_ms()
        first_ms = start_of(now_ms, MINUTE_MS) - (minutes - 1) * MINUTE_MS
        blocks = self.history.blocks(listing, MINUTE_MS, first_ms, now_ms + 1)
        return [listing.stated(candle) for block in blocks for candle in block]

    async def serve(self, request: web.Request, *, wrapped: bool = False, topics: Iterable[str] = ()) -> web.StreamResponse:
        """Serve one client's WebSocket until it ends. The client is subscribed to `topics` from the start."""
        websocket = web.WebSocketResponse(autoping=False, compress=False, max_msg_size=MAX_MESSAGE_BYTES, timeout=1.0)
        await websocket.prepare(request)
        transport = request.transport
        if transport is None:
            return websocket
        connection = Connection(websocket, transport, self.overflow, path=request.path, wrapped=wrapped)
        self.connections.add(connection)
        try:
            for topic in topics:
                self.subscribe(connection, topic)
            half_open = self.faults.half_open(self.name)
            if half_open is not None and half_open.also_new:
                connection.freeze()
            self.opened(connection)
            async for message in websocket:
                if not connection.frozen and not connection.ending:
                    self._read(connection, message)
        finally:
            self.connections.discard(connection)
            self._sent_on_closed += connection.sent
            for name in list(connection.topics):
                self.unsubscribe(connection, name)
        return websocket

    def subscribe(self, connection: Connection, name: str) -> None:
        """Subscribe a connection to a topic. An unknown name is remembered, but brings no messages."""
        meant = self.meaning(name)
        connection.topics[name] = None
        if meant is not None:
            self.publisher.add(connection, name, *meant)

    def unsubscribe(self, connection: Connection, name: str) -> None:
        """Unsubscribe a connection from a topic."""
        connection.topics.pop(name, None)
        self.publisher.remove(connection, name)

    def send_snapshot(self, connection: Connection, name: str, build: Build | None = None) -> None:
        """Send a new subscriber the topic's current state, if the channel starts with a snapshot.

        `build` makes the message in place of the channel's.
        """
        topic = self.publisher.topics.get(name)
        if topic is not None and connection in topic.subscribers and topic.channel.snapshot:
            self.publisher.push_to(connection, topic, build)

    def begin(self, connection: Connection, snapshots: Mapping[str, Build]) -> None:
        """Subscribe a connection to topics whose snapshots take time to make: one after another, each with its snapshot.

        The connection already names them among its topics.
        """

        async def subscribe() -> None:
            for name, build in snapshots.items():
                if connection in self.connections and name in connection.topics:
                    self.subscribe(connection, name)
                    self.send_snapshot(connection, name, build)
                await asyncio.sleep(0)

        task = asyncio.get_running_loop().create_task(subscribe())
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    def overflow(self, connection: Connection) -> None:
        """Close a connection whose client reads too slowly."""
        connection.close(1008, "slow reader")

    def count(self, connection: Connection, now_s: float) -> bool:
        """Count a client's frame against the exchange's rate limit, if it has one; return whether the frame is allowed."""
        del connection, now_s
        return True

    def act(self, action: Action) -> None:
        """Carry out an action."""
        match action:
            case Cut():
                for connection in list(self.connections):
                    connection.cut()
            case Burst():
                self.publisher.stall(action.stall_s, action.n)
            case BeginAnew():
                for listing in self.listings.values():
                    if action.symbol in {None, listing.symbol}:
                        listing.begin_anew()
            case CorrectCandle():
                self._correct(action)
            case _:
                self.act_alone(action)

    def freeze(self) -> None:
        """Stop reading and writing all sockets that are open now."""
        for connection in list(self.connections):
            connection.freeze()

    def thaw(self) -> None:
        """Resume reading and writing all sockets."""
        for connection in list(self.connections):
            connection.thaw()

    def close_all(self, code: int) -> None:
        """Close every connection."""
        for connection in list(self.connections):
            connection.close(code)

    def upkeep(self) -> None:
        """Close the candles that are over. Close, ping or note the activity of each connection, as is due now."""
        self.publisher.close_candles()
        now_s = time.monotonic()
        for connection in list(self.connections):
            if connection.frozen or connection.ending:
                continue
            if connection.sent != connection.sent_before:
                connection.sent_before, connection.active_s = connection.sent, now_s
            if connection.close_at_s is not None and now_s >= connection.close_at_s:
                connection.close(1000)
            else:
                self.keep_alive(connection, now_s)

    def _correct(self, action: CorrectCandle) -> None:
        for listing in self.listings.values():
            if listing.symbol == action.symbol:
                candle = self.history.correct(listing, action.ago, wall_ms())
                topics = [it for it in self.publisher.topics.values() if it.listing is listing] if action.push else []
                for topic in topics:
                    if candle is not None:
                        self.publisher.send_closed(topic, candle)

    def _read(self, connection: Connection, message: WSMessage) -> None:
        now_s = time.monotonic()
        connection.active_s = now_s
        connection.frames_received += 1
        if not self.count(connection, now_s):
            return
        if message.type is WSMsgType.TEXT:
            connection.control_messages += 1
            self.answer(connection, message.data)
        elif message.type is WSMsgType.PING:
            connection.pong(message.data)
        elif message.type is WSMsgType.PONG:
            connection.ponged(bytes(message.data))
