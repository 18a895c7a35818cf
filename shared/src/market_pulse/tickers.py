"""A ticker as it arrived over the bus, its age, and how it must be shown at that age. No I/O: time is an argument.

A running aggregator repeats each ticker every second. If a ticker has not been repeated for STALE_AFTER_MS, it is no longer a
live price and is never handed out as one, whatever the cause. Ages are measured by this process's clock. Each publisher has a
clock of its own, so `Clocks` learns how far each of them is from ours.
"""

from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct, field

from .messages import LARGEST_INTEGER, CodecError, Decoder, Message, Text, Whole

STALE_AFTER_MS = 5_000
DOWN_AFTER_MS = STALE_AFTER_MS + 60_000
SOURCE_STALE_AFTER_MS = 60_000
# Above this, a ticker that seems late is probably not late: its publisher's clock, or ours, was set. Our estimate of the
# difference between the clocks then catches up faster.
STEP_MS = 60_000
FORGOTTEN_AFTER_MS = 60_000
MOST_PUBLISHERS = 64
LATER_BY_MS = 2_000
"""A ticker with a lower `seq` counts as newer if it was sent this much later: a running publisher repeats it each second."""

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


# Decode only the outer object and keep each member's bytes, so that fields added by a later version are passed on unchanged.
_MEMBERS = msgspec.json.Decoder(dict[str, Raw])
_LIST_OF_MEMBERS = msgspec.json.Decoder(list[dict[str, Raw]])
_NULL, _ZERO, _STALE, _DOWN = Raw(b"null"), Raw(b"0"), Raw(b'"stale"'), Raw(b'"down"')


class LatestTicker(NamedTuple):
    """A ticker's JSON, in one line, with the fields that are needed to pass it on.

    `current_ms` is the last moment, by our clock, at which this is known to have been the newest ticker.
    `held_since_ms` is set if the aggregator holds a price that no source backs any more. It is when that price was last fresh,
    by our clock. `aggregated_time_ms` is by the clock of `publisher`, so it must not be compared with another publisher's time.
    """

    seq: int
    aggregated_time_ms: int
    data: bytes
    current_ms: int
    held_since_ms: int | None = None
    publisher: str | None = None

    @property
    def published_ms(self) -> int:
        """When it was published, Unix ms: the publisher's time, or ours if the two differ by STALE_AFTER_MS or more."""
        return self.aggregated_time_ms if abs(self.current_ms - self.aggregated_time_ms) < STALE_AFTER_MS else self.current_ms

    def staleness(self, now_ms: int) -> int:
        """Return 0 if the ticker is young enough to be live, 1 if it is stale, 2 if it is too old to be shown as a price."""
        age_ms = now_ms - self.current_ms
        if age_ms < STALE_AFTER_MS:
            return 0
        oldest_ms = self.current_ms if self.held_since_ms is None else min(self.current_ms, self.held_since_ms)
        return 2 if now_ms - oldest_ms >= DOWN_AFTER_MS else 1

    def supersedes(self, other: "LatestTicker | None") -> bool:
        """Return whether this ticker is newer than the other.

        A ticker with a higher `seq` is newer. One with a lower `seq` is newer only if counting has started again, which shows
        in one of two ways: the same publisher made it later, or it was sent more than LATER_BY_MS later by our clock.
        """
        if other is None or self.seq > other.seq:
            return True
        if self.publisher == other.publisher and self.aggregated_time_ms > other.aggregated_time_ms:
            return True
        return self.current_ms - other.current_ms > LATER_BY_MS


class _Clock(NamedTuple):
    """A publisher's clock: how far ours is ahead of it, and when its newest ticker was made (its clock) and arrived (ours)."""

    ahead_ms: int
    made_ms: int
    arrived_ms: int


class Clocks:
    """How far our clock is from each publisher's, learnt from the tickers that arrive live.

    A publisher is forgotten when a ticker of another publisher was sent FORGOTTEN_AFTER_MS after its last one, or when more
    than MOST_PUBLISHERS are known. Aggregators of earlier versions do not send a name, and count together as one publisher.
    """

    def __init__(self) -> None:
        self._known: dict[str | None, _Clock] = {}  # ordered by last arrival: the first has been silent for the longest

    def __len__(self) -> int:
        return len(self._known)

    def sent_at(self, publisher: str | None, made_ms: int, now_ms: int) -> int:
        """Return when a ticker that arrived now was sent, by our clock.

        This assumes that it travelled for as long as the publisher's previous ticker: the true travel time is not known. If our
        clock is further ahead of the ticker's time than it was with the previous ticker, this one was delayed: Redis was
        frozen, or this process was and did not read. The estimated difference may therefore grow only by as much time as has
        passed on both sides. In a backlog that is read at once no time passes on our side, so it does not grow.

        A clock that was set looks like a delay until that much time has passed. Where the difference is a multiple of STEP_MS
        the estimate grows that many times faster, so it makes up for a step of minutes or hours within ten minutes.
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
        """Return when a ticker was made, by our clock, but not later than now.

        If nothing is known of the publisher's clock, it is taken to agree with ours.
        """
        known = self._known.get(publisher)
        return min(now_ms, made_ms if known is None else made_ms + known.ahead_ms)

    def _forget_silent(self, sent_ms: int) -> None:
        """Forget publishers whose last ticker arrived FORGOTTEN_AFTER_MS before `sent_ms`, when a known one sent its ticker.

        The present time would not do: after this process was suspended, tickers that were sent earlier still wait to be read.
        """
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


class _Aged(Struct, gc=False):
    """The one field of a rate that changes with its age."""

    age_ms: Whole | None = field(name="ageMs", default=None)


class _Aging(_Aged, gc=False):
    """The fields of a source that change with its age. Only a converted source has a rate."""

    via: _Aged | None = None


class _Head(Message, kw_only=True):
    """The fields of a ticker that are needed to pass it on. The others stay undecoded."""

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
    """Read the fields of a ticker message that are needed to pass it on.

    Args:
        symbol: the symbol that the ticker must be of.
        data: the message.
        now_ms: the time by our clock.
        clocks: the publishers' clocks as known so far; a live ticker updates them.
        live: whether the message arrived just now; otherwise it is a kept last value.
        age_ms: the age of a last value, if known; otherwise it is derived from the ticker's own time.

    Raises:
        CodecError: the message is no ticker of this symbol.
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
        # Both times are by the publisher's clock, so their difference holds whatever our clock says.
        held_since_ms = current_ms - max(0, head.aggregated_time_ms - head.received_time_ms)
    one_line = data.translate(None, b"\r\n")  # safe: inside a JSON string a line break is always escaped
    return LatestTicker(head.seq, head.aggregated_time_ms, one_line, current_ms, held_since_ms, head.publisher)


def as_of(ticker: LatestTicker, now_ms: int) -> bytes:
    """Return the ticker's JSON as it must be shown at `now_ms`.

    A live ticker is returned unchanged. A stale one keeps its numbers and times; its quality becomes `stale`, and its sources'
    ages are brought up to date. After another minute the quality is `down`, and the price and the figures made of it are null.
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
    """Bring a source's age up to date, and that of its rate if it is a converted one."""
    older_ms = _add_age(source, elapsed_ms)
    if source.get("via", _NULL) != _NULL:
        rate = _MEMBERS.decode(source["via"])
        older_ms = max(older_ms, _add_age(rate, elapsed_ms))
        source["via"] = Raw(msgspec.json.encode(rate))
    if older_ms >= SOURCE_STALE_AFTER_MS:
        source["state"] = _STALE


def _add_age(members: dict[str, Raw], elapsed_ms: int) -> int:
    """Add to an age, and return the sum. An unknown age stays unknown, and -1 is returned."""
    age_ms = msgspec.json.decode(members.get("ageMs", _NULL))
    if age_ms is None:
        return -1
    older_ms: int = min(age_ms + elapsed_ms, LARGEST_INTEGER)
    members["ageMs"] = Raw(msgspec.json.encode(older_ms))
    return older_ms
