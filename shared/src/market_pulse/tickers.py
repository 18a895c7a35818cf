"""A ticker as it came over the bus, and what it is worth by now. Pure: time is an argument.

A living aggregator repeats each ticker every second. A ticker that has not been repeated for STALE_AFTER_MS is no live price
any more, whoever is to blame, and is never handed out as one. How old a ticker is goes by our own clock: each publisher has
another one, and `Clocks` learns how far each is from ours.
"""

from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct, field

from .messages import LARGEST_INTEGER, CodecError, Decoder, Message, Text, Whole

STALE_AFTER_MS = 5_000
DOWN_AFTER_MS = STALE_AFTER_MS + 60_000
SOURCE_STALE_AFTER_MS = 60_000
STEP_MS = 60_000  # a difference between two clocks that takes longer to be believed than it may take, if it is a clock's step
FORGOTTEN_AFTER_MS = 60_000
MOST_PUBLISHERS = 64
LATER_BY_MS = 2_000
"""A ticker with a lower number is news if it was sent so much later: a living publisher has said something new by then."""

_UNKNOWN_WHEN_DOWN = (
    "price",
    "bid",
    "ask",
    "change24h",
    "changePercent24h",
    "open24h",
    "high24h",
    "low24h",
    "confidence",
    "spreadBps",
)


# JSON's objects with their members as they came, so that the fields of a later version live on.
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_LIST_OF_MEMBERS = msgspec.json.Decoder(list[dict[str, Raw]])
_NULL, _ZERO, _STALE, _DOWN = Raw(b"null"), Raw(b"0"), Raw(b'"stale"'), Raw(b'"down"')


class LatestTicker(NamedTuple):
    """A ticker's JSON, in one line, and the little that those need who pass it on.

    `current_ms` is when it was surely the newest, by our own clock: another machine's need not agree with it.
    `held_since_ms` is when its price was last fresh, if the aggregator holds a price that no source backs any more, by our own
    clock too. `aggregated_time_ms` is by the clock of `publisher`, and says nothing beside another publisher's.
    """

    seq: int
    aggregated_time_ms: int
    data: bytes
    current_ms: int
    held_since_ms: int | None = None
    publisher: str | None = None

    @property
    def published_ms(self) -> int:
        """When it was published: as it says itself, or by our clock alone where its publisher's is another one."""
        return self.aggregated_time_ms if abs(self.current_ms - self.aggregated_time_ms) < STALE_AFTER_MS else self.current_ms

    def staleness(self, now_ms: int) -> int:
        """Return 0 for a ticker that is live by its age, 1 for a stale one, 2 for one so old that it says nothing."""
        age_ms = now_ms - self.current_ms
        if age_ms < STALE_AFTER_MS:
            return 0
        oldest_ms = self.current_ms if self.held_since_ms is None else min(self.current_ms, self.held_since_ms)
        return 2 if now_ms - oldest_ms >= DOWN_AFTER_MS else 1

    def supersedes(self, other: "LatestTicker | None") -> bool:
        """Tell whether this ticker is news after the other.

        A higher number is. A lower one is where counting has begun anew: then the same publisher made it later, or it was
        sent clearly later by our own clock.
        """
        if other is None or self.seq > other.seq:
            return True
        if self.publisher == other.publisher and self.aggregated_time_ms > other.aggregated_time_ms:
            return True
        return self.current_ms - other.current_ms > LATER_BY_MS


class _Clock(NamedTuple):
    """A publisher's clock: how far ours is ahead of it, and the two times of the newest ticker that came from it."""

    ahead_ms: int
    made_ms: int
    arrived_ms: int


class Clocks:
    """How far our clock is from each publisher's, learnt from the tickers that come live.

    A publisher is forgotten once others have said something that was sent FORGOTTEN_AFTER_MS after its last ticker, and when
    more than MOST_PUBLISHERS are known. Older parts do not name themselves: they count as one publisher.
    """

    def __init__(self) -> None:
        self._known: dict[str | None, _Clock] = {}  # in the order of arrival: the first has been silent for the longest

    def __len__(self) -> int:
        return len(self._known)

    def sent_at(self, publisher: str | None, made_ms: int, now_ms: int) -> int:
        """Return when a ticker that came now was sent, by our clock, if its way had taken as long as that of the one before.

        Two clocks tell nothing about each other but how fast they run. A ticker that comes with a larger difference between
        them than its publisher's last one was held up: in a server that was frozen, or unread while this process was. So the
        difference grows by no more than the time that has passed on both sides: nothing, in a backlog that is read at once.
        A clock that was set looks the same until that much has passed; a step of minutes or hours is made up for within ten
        minutes.
        """
        known = self._known.pop(publisher, None)
        if known is not None:
            self._forget_silent(made_ms + known.ahead_ms)
        if len(self._known) >= MOST_PUBLISHERS:
            del self._known[next(iter(self._known))]
        sent_ms = now_ms if known is None else _sent_at(made_ms, now_ms, known)
        self._known[publisher] = _Clock(sent_ms - made_ms, made_ms, now_ms)
        return sent_ms

    def made_at(self, publisher: str | None, made_ms: int, now_ms: int) -> int:
        """Return when a ticker was made, by our clock: as it says itself where nothing is known of its publisher's clock."""
        known = self._known.get(publisher)
        return min(now_ms, made_ms if known is None else made_ms + known.ahead_ms)

    def _forget_silent(self, sent_ms: int) -> None:
        """Forget those silent until then. A publisher that is known tells the time: after a sleep our own clock is too late."""
        for publisher, known in list(self._known.items()):
            if sent_ms - known.arrived_ms < FORGOTTEN_AFTER_MS:
                break
            del self._known[publisher]


def _sent_at(made_ms: int, now_ms: int, known: _Clock) -> int:
    held_up_ms = now_ms - made_ms - known.ahead_ms
    if held_up_ms <= 0:
        return now_ms
    passed_ms = max(0, min(now_ms - known.arrived_ms, made_ms - known.made_ms))
    return now_ms - held_up_ms + min(held_up_ms, passed_ms * max(1, held_up_ms // STEP_MS))


class _Aging(Struct, gc=False):
    """The field of a source that grows older."""

    age_ms: Whole | None = field(name="ageMs", default=None)


class _Head(Message, kw_only=True):
    """The fields of a ticker that are read to pass it on. The client that shows it reads the rest."""

    symbol: str
    seq: Whole
    quality: Text
    sources: tuple[_Aging, ...]
    received_time_ms: Whole | None = None
    aggregated_time_ms: Whole
    publisher: Text | None = None


_HEAD = Decoder(_Head)


def read_ticker(
    symbol: str, data: bytes, now_ms: int, clocks: Clocks | None = None, *, live: bool, age_ms: int | None = None
) -> LatestTicker:
    """Read as much of a ticker message as is needed to pass it on.

    Args:
        symbol: whose ticker it has to be.
        data: the message.
        now_ms: our clock.
        clocks: what is known of the publishers' clocks; a live ticker adds to it.
        live: whether it came just now.
        age_ms: how old a last value is, where that is known; else it is as old as it says.

    Raises:
        CodecError: not a ticker of this symbol.
    """
    head = _HEAD.decode(data)
    if head.symbol != symbol:
        raise CodecError(f"not a ticker of {symbol}")
    clocks = Clocks() if clocks is None else clocks
    if live:
        current_ms = clocks.sent_at(head.publisher, head.aggregated_time_ms, now_ms)
    elif age_ms is not None:
        current_ms = now_ms - age_ms
    else:
        current_ms = clocks.made_at(head.publisher, head.aggregated_time_ms, now_ms)
    held_since_ms = None
    if head.quality == "stale" and head.received_time_ms is not None:
        # One publisher's two times: no clock of ours beside them.
        held_since_ms = current_ms - max(0, head.aggregated_time_ms - head.received_time_ms)
    one_line = data.translate(None, b"\r\n")  # in JSON they stand between its parts alone
    return LatestTicker(head.seq, head.aggregated_time_ms, one_line, current_ms, held_since_ms, head.publisher)


def as_of(ticker: LatestTicker, now_ms: int) -> bytes:
    """Return the ticker's JSON as it must be read now.

    A live ticker is returned as it is. A stale one keeps its numbers and times, but its quality is `stale` and its sources
    are as old as they have become. After another minute the quality is `down` and the price is not known.
    """
    level = ticker.staleness(now_ms)
    if level == 0:
        return ticker.data
    message = _MEMBERS.decode(ticker.data)
    sources = _LIST_OF_MEMBERS.decode(message["sources"])
    for source in sources:
        _grow_older(source, now_ms - ticker.current_ms)
    if level == 1 and message["quality"] != _DOWN:
        message["quality"] = _STALE
    else:
        message |= dict.fromkeys(_UNKNOWN_WHEN_DOWN, _NULL) | {"quality": _DOWN, "sourcesUsed": _ZERO}
        for source in sources:
            source |= {"usedPrice": _NULL, "weight": _ZERO}
    message["sources"] = Raw(msgspec.json.encode(sources))
    return msgspec.json.encode(message)


def _grow_older(source: dict[str, Raw], elapsed_ms: int) -> None:
    age_ms = msgspec.json.decode(source.get("ageMs", _NULL))
    if age_ms is not None:
        older_ms = min(age_ms + elapsed_ms, LARGEST_INTEGER)
        source["ageMs"] = Raw(msgspec.json.encode(older_ms))
        if older_ms >= SOURCE_STALE_AFTER_MS:
            source["state"] = _STALE
