"""Turns a listing's event into messages to its subscribers: built once for all of them, paced, with the faults applied."""

import asyncio
import random
import time
import zlib
from collections import deque
from collections.abc import Callable, Iterable

from .candles import MINUTE_MS, Candle
from .catalogue import ExchangeName
from .clock import wall_ms
from .connection import Connection
from .faults import NO_EFFECTS, Effects, FaultBoard
from .garble import VARIETIES, garble, row_of
from .market import Event, Listing, Market
from .topic import Build, Channel, Topic
from .wire import TEXT, encode, frame

MAX_BURST_TRIES = 3  # events tried per wanted message, since a channel that sends only trades skips every book change

Wrap = Callable[[Topic, bytes], bytes]
"""Puts a message into the envelope for connections with `wrapped`."""


class Publisher:
    """Publishes an exchange's topics, as long as they have subscribers."""

    def __init__(
        self, exchange: ExchangeName, market: Market, faults: FaultBoard, rng: random.Random, wrap: Wrap | None = None
    ) -> None:
        self.exchange = exchange
        self.pacing = True
        self.topics: dict[str, Topic] = {}
        self._market, self._faults, self._rng, self._wrap = market, faults, rng, wrap
        self._of_listing: dict[str, list[Topic]] = {}  # by native symbol
        self._candles: dict[str, Topic] = {}  # the topics whose candles are closed
        self._held: deque[tuple[Topic, bytes, int]] | None = None  # during a stall: the messages to send after it

    def add(self, connection: Connection, name: str, channel: Channel, listing: Listing) -> None:
        """Subscribe a connection to a topic."""
        topic = self.topics.get(name)
        if topic is None:
            topic = self.topics[name] = Topic(name, channel, listing)
            self._of_listing.setdefault(listing.native, []).append(topic)
            if channel.closing is not None:
                self._candles[name] = topic
                current = listing.tape.last()
                if current is not None and wall_ms() < current.start_ms + MINUTE_MS:
                    topic.open_ms = current.start_ms
        topic.subscribers.add(connection)

    def remove(self, connection: Connection, name: str) -> None:
        """Unsubscribe a connection, and drop the topic if that was its last subscriber."""
        topic = self.topics.get(name)
        if topic is None:
            return
        topic.subscribers.discard(connection)
        if not topic.subscribers:
            topic.forget()
            del self.topics[name]
            self._candles.pop(name, None)
            self._of_listing[topic.listing.native].remove(topic)

    def effects(self, listing: Listing) -> Effects:
        """Return the effects of the faults that are on a listing now."""
        return self._faults.of(self.exchange, listing.symbol)

    def on_event(self, event: Event) -> None:
        """Send the event on each of its listing's topics, now or when the topic's interval is over."""
        for topic in self._of_listing.get(event.listing.native, ()):
            if _is_about(event, topic.channel):
                self._offer(topic)

    def push(self, topic: Topic, build: Build | None = None) -> None:
        """Send a topic's current state to its subscribers now. `build` makes the message in place of the channel's."""
        topic.forget()
        if build is None and not _may_send(topic):
            return
        topic.sent_s = time.monotonic()
        effects = self.effects(topic.listing)
        if effects is NO_EFFECTS and self._held is None:
            message = (build or topic.channel.build)(topic.listing, wall_ms())
            self._write(topic, encode(message), TEXT, topic.subscribers)
        elif not effects.silence(topic.channel.name):
            payload, opcode = self._spoil(topic, effects, build)
            if self._held is None:
                self._deliver(topic, payload, opcode, effects, topic.subscribers)
            else:
                self._held.append((topic, payload, opcode))

    def push_to(self, connection: Connection, topic: Topic, build: Build | None = None) -> None:
        """Send a topic's current state to one of its subscribers now. `build` makes the message in place of the channel's."""
        effects = self.effects(topic.listing)
        if build is None and not _may_send(topic):
            return
        if self._held is None and not effects.silence(topic.channel.name):
            topic.sent_s = topic.sent_s or time.monotonic()
            payload, opcode = self._spoil(topic, effects, build)
            self._deliver(topic, payload, opcode, effects, (connection,))

    def resend(self, channel: Channel, after_s: float) -> None:
        """Send the current state of each topic of a channel that has sent nothing for `after_s`."""
        oldest_s = time.monotonic() - after_s
        for topic in list(self.topics.values()):
            if topic.channel is channel and topic.sent_s <= oldest_s and topic.due is None:
                self.push(topic)

    def close_candles(self) -> None:
        """Close each candle that is due, and send the next one if that has a trade."""
        now_ms = wall_ms()
        for topic in list(self._candles.values()):
            open_ms, closing = topic.open_ms, topic.channel.closing
            if open_ms is None or closing is None or now_ms < open_ms + MINUTE_MS + _delay_ms(topic, closing.after_ms, open_ms):
                continue
            current = topic.listing.tape.last()
            newer = None if current is None or current.start_ms == open_ms else current
            topic.open_ms = None if newer is None else newer.start_ms
            effects = self.effects(topic.listing)
            if not effects.never_closed:
                for candle in topic.listing.tape.minutes(open_ms, open_ms + 1) * (2 if effects.closed_twice else 1):
                    self.send_closed(topic, candle, newer if closing.joined else None)
            if newer is not None and (effects.never_closed or not closing.joined):
                self._offer(topic)

    def send_closed(self, topic: Topic, candle: Candle, newer: Candle | None = None) -> None:
        """Send a closed candle of a topic, and the one after it if that is given."""
        closing = topic.channel.closing
        if closing is not None:
            build = closing.build
            self.push(topic, lambda listing, now_ms: build(listing, now_ms, candle, newer))

    def stall(self, stall_s: float, n: int) -> None:
        """Hold all messages back for `stall_s`, then send `n` at once: the newest of those held, filled up with new ones."""
        self._held = deque(self._held or (), maxlen=n)
        asyncio.get_running_loop().call_later(stall_s, self._burst, n)

    def _offer(self, topic: Topic) -> None:
        """Send a topic's state now, or as soon as its interval is over."""
        if topic.due is not None or not _may_send(topic):
            return
        interval_ms = topic.channel.interval_ms
        wait_s = topic.sent_s + interval_ms / 1000 - time.monotonic() if self.pacing and interval_ms else 0.0
        if wait_s <= 0:
            self.push(topic)
        else:
            topic.due = asyncio.get_running_loop().call_later(wait_s, self.push, topic)

    def _burst(self, n: int) -> None:
        held, self._held = self._held or deque(), None
        for topic, payload, opcode in held:
            self._write(topic, payload, opcode, topic.subscribers)
        topics, sent = [topic for topic in self.topics.values() if topic.listing.state == "trading"], len(held)
        for number in range((n - sent) * MAX_BURST_TRIES if topics else 0):
            topic = topics[number % len(topics)]
            event = self._market.step(topic.listing, wall_ms())
            if sent < n and _is_about(event, topic.channel):
                self.push(topic)
                sent += 1

    def _spoil(self, topic: Topic, effects: Effects, build: Build | None = None) -> tuple[bytes, int]:
        """Return a topic's message with the faults applied, and its WebSocket opcode."""
        channel = topic.channel
        message = (build or channel.build)(effects.distort(topic.listing), wall_ms() + effects.clock_ms)
        row = row_of(message)
        if effects.no_open and channel.open24h is not None:
            row[channel.open24h] = "0"
        if effects.empty and channel.optional:
            row.update({name: [] if isinstance(row[name], list) else "" for name in channel.optional})
        if effects.garbage_share and self._rng.random() < effects.garbage_share:
            variety = self._rng.choice(effects.varieties or VARIETIES)
            return garble(message, channel.prices, variety, self._rng)
        return encode(message), TEXT

    def _deliver(self, topic: Topic, payload: bytes, opcode: int, effects: Effects, to: Iterable[Connection]) -> None:
        """Write a message, now or late. With the `duplicate` fault, write it twice, then its predecessor."""
        payloads = [payload, payload, topic.previous or payload] if effects.duplicate else [payload]
        topic.previous = payload if effects.duplicate else None
        late = effects.late_ms and self._rng.random() < effects.late_share
        for each in payloads:
            if late:
                delay_s = effects.late_ms / 1000
                asyncio.get_running_loop().call_later(delay_s, self._write, topic, each, opcode, to)
            else:
                self._write(topic, each, opcode, to)

    def _write(self, topic: Topic, payload: bytes, opcode: int, to: Iterable[Connection]) -> None:
        bare = frame(payload, opcode)
        wrapped: bytes | None = None
        for connection in to:
            if connection.wrapped and self._wrap is not None and opcode == TEXT:
                if wrapped is None:
                    wrapped = frame(self._wrap(topic, payload))
                connection.write(wrapped)
            else:
                connection.write(bare)


def _is_about(event: Event, channel: Channel) -> bool:
    """Return whether a channel sends a message about an event."""
    return channel.on == "book" or (event.traded and channel.on == "trade")


def _may_send(topic: Topic) -> bool:
    """Return whether a topic's state may be sent. A candle waits until the one before it is closed."""
    if topic.channel.closing is None:
        return True
    current = topic.listing.tape.last()
    if topic.open_ms is None and current is not None and wall_ms() < current.start_ms + MINUTE_MS:
        topic.open_ms = current.start_ms
    return current is not None and current.start_ms == topic.open_ms


def _delay_ms(topic: Topic, between: tuple[int, int], start_ms: int) -> float:
    """Return a topic's delay for the candle that began at `start_ms`, so far as it is the same at each call."""
    share = zlib.crc32(f"{topic.name} {start_ms}".encode()) / 2**32
    return between[0] + (between[1] - between[0]) * share
