"""How the exchanges' feeds are doing, from what they last said and how long ago that was. Pure: time is an argument."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from msgspec.structs import replace

from market_pulse.kinds import STATUS
from market_pulse.messages import CodecError, FeedStatus, Symbol, decode_status, state_of

SILENT_AFTER_MS = STATUS.expiry_s * 1000
MOST_COPIES = 16  # of one exchange's ingest: all are told to each client

_REACHED = frozenset({"connected", "degraded"})
_BEST_FIRST = ("connected", "degraded", "connecting", "reconnecting", "blocked", "down")


@dataclass(frozen=True, slots=True)
class ExchangeStatus:
    """How an exchange is doing: its `feed` is that of the best copy of its ingest, one of which is enough.

    `copies` are all that live, the best first: heard of lately, and not stopped. There may be none. A symbol is turned away
    only where no copy has room for it.
    """

    feed: FeedStatus
    copies: tuple[FeedStatus, ...]

    @property
    def turned_away(self) -> tuple[Symbol, ...]:
        """The symbols that are known to have no room here, the longest waiting first."""
        names = [set(copy.turned_away) for copy in self.copies]
        return tuple(symbol for symbol in self.feed.turned_away if all(symbol in others for others in names)) if names else ()

    @property
    def turned_away_count(self) -> int:
        """How many symbols have no room here; where a copy names only some of its own, how many those are at most."""
        named_all = all(copy.turned_away_count == len(copy.turned_away) for copy in self.copies)
        return len(self.turned_away) if named_all else min(copy.turned_away_count for copy in self.copies)

    def json(self, *, with_room: bool = False) -> bytes:
        """Write it for clients: a FeedStatus, with how many copies there are and what the others than the best say.

        Args:
            with_room: also which symbols have no room. A stream is told that of its own symbols alone, by `room` events.
        """
        others = [
            {"instance": copy.instance, "state": copy.state, "reason": copy.reason, "since": copy.since_ms}
            for copy in self.copies[1:]
        ]
        message = state_of(self.feed) | {"instances": len(self.copies), "others": others}
        if with_room:
            message |= {"turnedAway": self.turned_away, "turnedAwayCount": self.turned_away_count}
        return orjson.dumps(message)


class Statuses:
    """Each exchange's status. `simulated` tells whether any exchange's prices come from the simulator.

    While this process does not hear the bus, no exchange counts as silent: each stays what it was.
    """

    def __init__(self) -> None:
        self.simulated = False
        self._heard: dict[str, dict[str, tuple[FeedStatus, int]]] = {}
        self._simulated: dict[str, bool] = {}  # as an ingest knows it that has reached the other end
        self._shown: dict[str, object] = {}
        self._deaf_since_ms: int | None = None

    def listen(self, now_ms: int, *, hears: bool) -> None:
        """Note whether this process hears the bus now. The time in which it did not is no silence of the exchanges."""
        if not hears and self._deaf_since_ms is None:
            self._deaf_since_ms = now_ms
        elif hears and self._deaf_since_ms is not None:
            deaf_ms = now_ms - self._deaf_since_ms
            self._deaf_since_ms = None
            for copies in self._heard.values():
                for instance, (status, heard_ms) in copies.items():
                    copies[instance] = status, min(heard_ms + deaf_ms, now_ms)

    def take(self, exchange: str, data: bytes, now_ms: int) -> None:
        """Note a status message that came on an exchange's channel.

        Raises:
            CodecError: it is none, it is another exchange's, or from one copy too many.
        """
        status = decode_status(data)
        if status.exchange != exchange:
            raise CodecError("not the channel's exchange")
        self.listen(now_ms, hears=True)
        copies = self._heard.setdefault(exchange, {})
        for instance, (_, heard_ms) in list(copies.items()):
            if now_ms - heard_ms >= SILENT_AFTER_MS:
                del copies[instance]
        if status.instance not in copies and len(copies) >= MOST_COPIES:
            stopped = next((instance for instance, (copy, _) in copies.items() if copy.state == "down"), None)
            if stopped is None:
                raise CodecError(f"more than {MOST_COPIES} copies")
            del copies[stopped]  # one that has said its last word yields to one that lives
        copies[status.instance] = status, now_ms
        reached = [one.simulated for one, _ in copies.values() if one.state in _REACHED]
        if reached:  # an ingest on its way to the other end does not know yet who that is
            self._simulated[exchange] = any(reached)
            self.simulated = any(self._simulated.values())

    def current(self, now_ms: int) -> dict[str, ExchangeStatus]:
        """Return each exchange's status; one not heard from for SILENT_AFTER_MS is down."""
        return {exchange: self._of(exchange, now_ms) for exchange in sorted(self._heard)}

    def serving(self, now_ms: int) -> set[str]:
        """Return the exchanges whose ingests live and are not refused by the exchange."""
        return {name for name, one in self.current(now_ms).items() if one.copies and one.feed.state != "blocked"}

    def _of(self, exchange: str, now_ms: int) -> ExchangeStatus:
        status = _of(self._heard[exchange].values(), now_ms if self._deaf_since_ms is None else self._deaf_since_ms)
        feed = replace(status.feed, simulated=self._simulated.get(exchange, status.feed.simulated))
        if self._deaf_since_ms is not None:
            deaf_s = (now_ms - self._deaf_since_ms) // 1000
            feed = replace(feed, reason=f"as of {deaf_s} s ago: this gateway does not hear the bus")
        return ExchangeStatus(feed=feed, copies=status.copies)

    def without_room(self, now_ms: int) -> tuple[dict[Symbol, tuple[str, ...]], frozenset[str]]:
        """Return which exchanges turn which symbols away, and the exchanges that turn away more than they name."""
        exchanges: dict[Symbol, tuple[str, ...]] = {}
        overfull = []
        for exchange, status in self.current(now_ms).items():
            names = status.turned_away
            for symbol in names:
                exchanges[symbol] = (*exchanges.get(symbol, ()), exchange)
            if status.turned_away_count > len(names):
                overfull.append(exchange)
        return exchanges, frozenset(overfull)

    def changed(self, now_ms: int) -> list[ExchangeStatus]:
        """Return the statuses that differ from what this method returned before."""
        news = []
        for exchange, status in self.current(now_ms).items():
            silent = self._is_silent(exchange, now_ms)
            told = [(copy.instance, copy.state, copy.reason) for copy in status.copies[1:]]
            deaf = self._deaf_since_ms is not None
            shown = (status.feed.state, deaf, deaf or silent or status.feed.reason, status.feed.simulated, told)
            if self._shown.get(exchange) != shown:
                self._shown[exchange] = shown
                news.append(status)
        return news

    def _is_silent(self, exchange: str, now_ms: int) -> bool:
        return all(now_ms - heard_ms >= SILENT_AFTER_MS for _, heard_ms in self._heard[exchange].values())


def _of(copies: Iterable[tuple[FeedStatus, int]], now_ms: int) -> ExchangeStatus:
    living = [status for status, heard_ms in copies if now_ms - heard_ms < SILENT_AFTER_MS and status.state != "down"]
    if living:
        living.sort(key=_badness)
        return ExchangeStatus(living[0], tuple(living))
    status, heard_ms = max(copies, key=lambda one: one[1])
    if now_ms - heard_ms < SILENT_AFTER_MS:
        return ExchangeStatus(status, ())
    silent_s = (now_ms - heard_ms) // 1000
    return ExchangeStatus(replace(status, state="down", reason=f"no status for {silent_s} s", since_ms=heard_ms, symbols=0), ())


def _badness(status: FeedStatus) -> tuple[int, int, str]:
    """Return by what the best copy is the first: of those in the same state, the one that has been in it the longest."""
    rank = _BEST_FIRST.index(status.state) if status.state in _BEST_FIRST else len(_BEST_FIRST)
    return rank, status.since_ms, status.instance
