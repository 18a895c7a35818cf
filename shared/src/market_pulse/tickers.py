"""A ticker as it came over the bus, and what it is worth by now. Pure: time is an argument.

A living aggregator repeats each ticker every second. A ticker that has not been repeated for STALE_AFTER_MS is no live price
any more, whoever is to blame, and is never handed out as one.
"""

from typing import Any, NamedTuple

import orjson

from .codec import LARGEST_INTEGER, CodecError

STALE_AFTER_MS = 5_000
DOWN_AFTER_MS = STALE_AFTER_MS + 60_000
SOURCE_STALE_AFTER_MS = 60_000
STEP_MS = 60_000  # a difference between two clocks that takes longer to be believed than it may take, if it is a clock's step

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


class LatestTicker(NamedTuple):
    """A ticker's JSON, in one line, and the little that those need who pass it on.

    `current_ms` is when it was surely the newest, by our own clock: another machine's need not agree with it.
    `held_since_ms` is when its price was last fresh, if the aggregator holds a price that no source backs any more.
    `arrived_ms` is when it came, if it came live.
    """

    seq: int
    aggregated_time_ms: int
    data: bytes
    current_ms: int
    held_since_ms: int | None = None
    arrived_ms: int | None = None

    def staleness(self, now_ms: int) -> int:
        """Return 0 for a ticker that is live by its age, 1 for a stale one, 2 for one so old that it says nothing."""
        age_ms = now_ms - self.current_ms
        if age_ms < STALE_AFTER_MS:
            return 0
        oldest_ms = self.current_ms if self.held_since_ms is None else min(self.current_ms, self.held_since_ms)
        return 2 if now_ms - oldest_ms >= DOWN_AFTER_MS else 1

    def supersedes(self, other: "LatestTicker | None") -> bool:
        """Tell whether this ticker is news after the other.

        A higher number is. So is a later time with a lower number: that is what counting begun anew looks like.
        """
        return other is None or self.seq > other.seq or self.aggregated_time_ms > other.aggregated_time_ms


def read_ticker(symbol: str, data: bytes, now_ms: int, *, live: bool, previous: LatestTicker | None = None) -> LatestTicker:
    """Read as much of a ticker message as is needed to pass it on.

    Args:
        symbol: whose ticker it has to be.
        data: the message.
        now_ms: our clock.
        live: whether it came just now; a last value is as old as it says.
        previous: the symbol's ticker before, if any, by which it is known whether this one was held up on its way.

    Raises:
        CodecError: not a ticker of this symbol.
    """
    try:
        message = orjson.loads(data)
    except orjson.JSONDecodeError as wrong:
        raise CodecError(f"not JSON: {wrong}") from wrong
    match message:
        case {
            "symbol": str(name),
            "seq": int(seq),
            "aggregatedTime": int(time_ms),
            "quality": str(quality),
            "sources": [*sources],
        } if name == symbol and all(type(source) is dict for source in sources):
            one_line = orjson.dumps(message) if b"\n" in data or b"\r" in data else data
            received_ms = message.get("receivedTime")
            held_since_ms = received_ms if quality == "stale" and type(received_ms) is int else None
            if not live:
                return LatestTicker(seq, time_ms, one_line, min(time_ms, now_ms), held_since_ms)
            return LatestTicker(seq, time_ms, one_line, _sent_at(time_ms, now_ms, previous), held_since_ms, now_ms)
    raise CodecError(f"not a ticker of {symbol}")


def _sent_at(time_ms: int, now_ms: int, previous: LatestTicker | None) -> int:
    """Return when a ticker that came now was sent, by our clock, if the way before had taken as long as for the one before.

    Two clocks tell nothing about each other but how fast they run. What comes with a larger difference between them than the
    one before was held up: in a server that was frozen, or unread while this process was. So the difference grows by no more
    than the time that has passed on both sides: nothing, in a backlog that is read at once. A clock that was set looks the
    same until that much has passed; a step of minutes or hours is made up for within ten minutes.
    """
    if previous is None or previous.arrived_ms is None:
        return now_ms
    held_up_ms = now_ms - previous.current_ms - (time_ms - previous.aggregated_time_ms)
    if held_up_ms <= 0:
        return now_ms
    passed_ms = max(0, min(now_ms - previous.arrived_ms, time_ms - previous.aggregated_time_ms))
    return now_ms - held_up_ms + min(held_up_ms, passed_ms * max(1, held_up_ms // STEP_MS))


def as_of(ticker: LatestTicker, now_ms: int) -> bytes:
    """Return the ticker's JSON as it must be read now.

    A live ticker is returned as it is. A stale one keeps its numbers and times, but its quality is `stale` and its sources
    are as old as they have become. After another minute the quality is `down` and the price is not known.
    """
    level = ticker.staleness(now_ms)
    if level == 0:
        return ticker.data
    message: dict[str, Any] = orjson.loads(ticker.data)
    for source in message["sources"]:
        _grow_older(source, now_ms - ticker.current_ms)
    if level == 1 and message["quality"] != "down":
        message["quality"] = "stale"
    else:
        message |= dict.fromkeys(_UNKNOWN_WHEN_DOWN) | {"quality": "down", "sourcesUsed": 0}
        for source in message["sources"]:
            source |= {"usedPrice": None, "weight": 0}
    return orjson.dumps(message)


def _grow_older(source: dict[str, Any], elapsed_ms: int) -> None:
    age_ms = source.get("ageMs")
    if isinstance(age_ms, int | float):
        source["ageMs"] = min(age_ms + elapsed_ms, LARGEST_INTEGER)
        if source["ageMs"] >= SOURCE_STALE_AFTER_MS:
            source["state"] = "stale"
