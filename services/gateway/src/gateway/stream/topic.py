"""A wanted channel: its newest message, the groups that get it, and the counts of its clients."""

import asyncio
from typing import Literal, NamedTuple

from market_pulse.kinds import read_channel

from . import sse
from .fields import Fields
from .group import Group, Notice
from .kinds import READINGS, Reading, State

MOST_PARTS = 16
"""The candles of a channel that the hub knows, and the most that wait for a client that does not read. The candle maker
corrects up to ten at once."""


class NoRoom(NamedTuple):
    """Why a symbol has no room: its exchanges are full, or all addresses that want it have used up their share."""

    reason: Literal["full", "share"]
    exchanges: tuple[str, ...] = ()


class Part:
    """A part of a channel's state, and the slot of the events about it. A ticker's channel has one, a candle is one."""

    __slots__ = ("_events", "_events_of", "_reading", "_symbol", "latest", "level")

    def __init__(self, reading: Reading, symbol: str, latest: State, now_ms: int) -> None:
        self._reading, self._symbol = reading, symbol
        self._events: dict[Fields, bytes] = {}  # the newest event, cut down to each set of fields that was asked for
        self._events_of: tuple[State, int, int] | None = None  # the message, staleness and second of _events
        self.renew(latest, now_ms)

    def renew(self, latest: State, now_ms: int) -> None:
        """Keep the latest message, and how old it is."""
        self.latest = latest
        self.level = latest.staleness(now_ms)  # the staleness that was last reported to clients

    def newest(self, now_ms: int, fields: Fields = None) -> bytes:
        """Return the latest message's event, in the form that it has at its age."""
        # Write an event once for all streams that get the same fields. One with an old message is renewed each second.
        level = self.latest.staleness(now_ms)
        if self._reading.whole:
            level, fields = 0, None
        events_of = self.latest, level, now_ms // 1000 if level else 0
        if self._events_of != events_of:
            self._events_of, self._events = events_of, {}
        event = self._events.get(fields)
        if event is None:
            event = self._events[fields] = self._event(self.read(now_ms, fields))
        return event

    def read(self, now_ms: int, fields: Fields = None) -> bytes:
        """Return the latest message, in the form that it has at its age."""
        return self._reading.as_of(self.latest, now_ms, fields)

    def _event(self, message: bytes) -> bytes:
        number = self._reading.event_id(self.latest)
        if number is None:
            return sse.message_event(self._reading.type, message)
        return sse.state_event(self._reading.type, self._symbol, number, message)


class Topic:
    """A wanted channel."""

    __slots__ = (
        "_parts",
        "channel",
        "groups",
        "holders",
        "idle_since",
        "kind",
        "lead",
        "live",
        "names",
        "no_room",
        "room",
        "sharers",
        "symbol",
        "tail",
        "wanted_since",
    )

    def __init__(self, channel: str, now: float) -> None:
        self.channel = channel
        self.kind, self.symbol = read_channel(channel)
        self.names = self.kind.names(channel) or ()
        self.wanted_since = now  # since when an address wants it within its share
        self.holders = 0  # how many times it is held
        self.sharers = 0  # how many addresses want it within their share
        self.idle_since = now  # when it was last released
        self._parts: dict[int, Part] = {}  # those of the latest messages, the one without news for longest first
        self.lead: Part | None = None  # the newest part, with the channel's latest message
        self.tail = Notice()  # the slot of events that do not replace each other
        self.live = asyncio.Event()  # set once a live message has come
        self.no_room: NoRoom | None = None  # what was last reported to clients about room
        self.room = Notice()  # the event that reported it; empty if there has always been room
        self.groups: set[Group] = set()

    @property
    def reading(self) -> Reading | None:
        """How its messages are read, or None for events."""
        return READINGS.get(self.kind)

    def take(self, reading: Reading, latest: State, now_ms: int) -> Part | None:
        """Keep a message. Return the part that it renews, or None if it has no news.

        A message about another part than the newest one has news only if it is final: a candle that is closed, or corrected,
        after the next one has begun.
        """
        key = reading.part(latest)
        known = self._parts.get(key)
        leads = self.lead is None or latest.supersedes(self.lead.latest)
        if not leads and not reading.is_final(latest):
            return None
        if known is not None and known is not self.lead and not latest.supersedes(known.latest):
            return None
        if not leads and known is self.lead:
            return None
        part = self._place(reading, key, latest, now_ms)
        if leads:
            self.lead = part
        return part

    def _place(self, reading: Reading, key: int, latest: State, now_ms: int) -> Part:
        """Put a message into its part. At MOST_PARTS the one without news for longest is given up for it."""
        part = self._parts.pop(key, None)
        if part is None and len(self._parts) >= MOST_PARTS:
            part = self._parts.pop(next(known for known, one in self._parts.items() if one is not self.lead))
        if part is None:
            part = Part(reading, self.symbol, latest, now_ms)
        else:
            part.renew(latest, now_ms)
        self._parts[key] = part
        return part

    def grown_old(self, now_ms: int) -> Part | None:
        """Return the newest part if it must be sent again, because its message has grown old since it was last sent."""
        if self.lead is None or self.reading is None or self.reading.whole:
            return None
        before, self.lead.level = self.lead.level, self.lead.latest.staleness(now_ms)
        return self.lead if self.lead.level > before else None

    def shown(self, group: Group) -> list[Part]:
        """Return the parts for a snapshot: the newest one, after those that wait for the group's next flush."""
        waiting = [part for part in self._parts.values() if part is not self.lead and part in group.pending]
        return waiting if self.lead is None else [*waiting, self.lead]

    def states(self) -> list[State]:
        """Return the latest message of each part that is known, in the order of the parts."""
        return [self._parts[key].latest for key in sorted(self._parts)]

    def read(self, now_ms: int) -> bytes | None:
        """Return the latest message, in the form that it has at its age, or None before the first one."""
        return None if self.lead is None else self.lead.read(now_ms)

    def is_live(self, now_ms: int) -> bool:
        """Return whether the latest message is live, judged by its age and its content."""
        if self.lead is None or self.reading is None or self.lead.latest.staleness(now_ms):
            return False
        return self.reading.is_live(self.lead.latest.data)
