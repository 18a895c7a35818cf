"""Which exchanges' feeds are away, as their ingests say it. Pure: time is an argument, in seconds of any monotonic clock.

An ingest says each 5 s how its feed is doing, and at once when that changes. Silence says something too, but only while we
would have heard: time in which Redis did not answer, or this process was asleep, does not count.
"""

from collections.abc import Mapping

from market_pulse.kinds import STATUS
from market_pulse.messages import FeedStatus, Tick

OPEN = frozenset({"connected", "degraded"})
SILENT_AFTER_S = float(STATUS.expiry_s)
"""What a copy said counts for this long."""
REDIS_SILENT_AFTER_S = 7.0
"""Redis answers a ping each 5 s at least. After a longer silence nobody knows what was said meanwhile."""
ASLEEP_AFTER_S = 3.0
"""We look each second at least. After longer than this the process was asleep."""
LOOK_EACH_S = 0.2
MAX_EXCHANGES = 64
MAX_COPIES = 64
NONE: frozenset[str] = frozenset()


class Feeds:
    """Keeps the last word of every copy of every ingest. The numbers of exchanges and of copies are bounded."""

    def __init__(self) -> None:
        self._copies: dict[str, dict[str, tuple[bool, float]]] = {}  # by exchange and instance: whether it is open, and when
        self._open: set[str] = set()
        self._away: set[str] = set()
        self._listened_s = 0.0  # for so long we have listened, without the times that do not count
        self._gap_s = 0.0  # by that clock: since when without a gap
        self._looked_s: float | None = None

    def take(self, status: FeedStatus, age_s: float = 0.0) -> None:
        """Take what one copy of an ingest says, or said so long ago."""
        copies = self._copies.get(status.exchange)
        if copies is None:
            if len(self._copies) >= MAX_EXCHANGES:
                return
            copies = self._copies[status.exchange] = {}
        if status.instance not in copies and len(copies) >= MAX_COPIES:
            del copies[min(copies, key=lambda instance: copies[instance][1])]
        copies[status.instance] = status.state in OPEN, self._listened_s - age_s
        self._judge(status.exchange)

    def note_gap(self) -> None:
        """Note that messages may have been missed. Known states are kept, and silence counts from now on."""
        self._gap_s = self._listened_s
        for copies in self._copies.values():
            for instance, (is_open, _) in copies.items():
                copies[instance] = is_open, self._listened_s

    def look(self, now_s: float, redis_silent_s: float) -> None:
        """Count the time since the last look.

        Args:
            now_s: now.
            redis_silent_s: for how long Redis has said nothing at all; infinite without a connection.
        """
        passed_s = 0.0 if self._looked_s is None else now_s - self._looked_s
        if 0 < passed_s < LOOK_EACH_S:
            return
        self._looked_s = now_s
        if passed_s > ASLEEP_AFTER_S or redis_silent_s > REDIS_SILENT_AFTER_S:
            self.note_gap()
        else:
            self._listened_s += passed_s
        for exchange in self._copies:
            self._judge(exchange)

    def away(self, ticks: Mapping[str, Tick], now_ms: int) -> frozenset[str]:
        """Return which of the exchanges that these ticks are of are known to be away.

        An exchange that was never heard is away once we have listened for long enough; or, at the start, if its tick is older
        than that: Redis would have kept any status that its ingest has published since.
        """
        if self._open.issuperset(ticks):
            return NONE
        is_silent = self._listened_s - self._gap_s >= SILENT_AFTER_S
        oldest_ms = now_ms - SILENT_AFTER_S * 1000
        return frozenset(
            exchange
            for exchange, tick in ticks.items()
            if exchange in self._away or (exchange not in self._open and (is_silent or tick.received_time_ms <= oldest_ms))
        )

    def _judge(self, exchange: str) -> None:
        copies = self._copies[exchange]
        for instance in [one for one, (_, said_s) in copies.items() if self._listened_s - said_s >= SILENT_AFTER_S]:
            del copies[instance]
        is_open = any(is_open for is_open, _ in copies.values())
        (self._open if is_open else self._away).add(exchange)
        (self._away if is_open else self._open).discard(exchange)
