"""Which exchanges' feeds are away, from the statuses that ingests publish. Time is an argument, in monotonic seconds.

An ingest publishes its feed's status each 5 s, and at once when it changes. An ingest that is silent for long is away, too. But
time in which Redis did not answer, or this process was suspended, does not count as an ingest's silence.
"""

from collections.abc import Mapping

from market_pulse.kinds import STATUS
from market_pulse.messages import FeedStatus, Tick

OPEN = frozenset({"connected", "degraded"})
SILENT_AFTER_S = float(STATUS.expiry_s)
"""A copy's status is valid for this long."""
REDIS_SILENT_AFTER_S = 7.0
"""Redis answers a ping at least each 5 s. After a longer silence, statuses may have been missed."""
ASLEEP_AFTER_S = 3.0
"""`look` is called at least each second. After a longer pause than this the process was suspended."""
LOOK_EACH_S = 0.2
MAX_EXCHANGES = 64
MAX_COPIES = 64
NONE: frozenset[str] = frozenset()


class Feeds:
    """Keeps the last status of every copy of every ingest, for at most MAX_EXCHANGES with at most MAX_COPIES each."""

    def __init__(self) -> None:
        # By exchange and instance: whether the feed is open, and when that was said, by the clock of `_listened_s`.
        self._copies: dict[str, dict[str, tuple[bool, float]]] = {}
        self._open: set[str] = set()
        self._away: set[str] = set()
        self._listened_s = 0.0  # for how long statuses could be heard, without the times that do not count
        self._gap_s = 0.0  # when the last gap ended, by the clock of `_listened_s`
        self._looked_s: float | None = None

    def take(self, status: FeedStatus, age_s: float = 0.0) -> None:
        """Take a status of one copy of an ingest. It was published `age_s` ago."""
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
        """Note that statuses may have been missed. Known ones are kept, and silence is counted from now on."""
        self._gap_s = self._listened_s
        for copies in self._copies.values():
            for instance, (is_open, _) in copies.items():
                copies[instance] = is_open, self._listened_s

    def look(self, now_s: float, redis_silent_s: float) -> None:
        """Count the time since the last look.

        Args:
            now_s: now.
            redis_silent_s: for how long Redis has sent nothing at all; infinite without a connection.
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
        """Return which exchanges of these ticks (by exchange) are known to be away.

        An exchange without any status so far is away in two cases. Either statuses could be heard for SILENT_AFTER_S without a
        gap; or its tick is older than that, and its ingest has been silent since, because Redis would have kept a later status.
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
