"""The states of the exchanges' feeds, by the last status of each and its age. Pure: time is an argument."""

from collections.abc import Iterable
from dataclasses import dataclass

import orjson
from msgspec.structs import replace

from market_pulse.kinds import STATUS
from market_pulse.messages import CodecError, FeedStatus, Symbol, decode_status, state_of

SILENT_AFTER_MS = STATUS.expiry_s * 1000
MOST_COPIES = 16  # of one exchange's ingest; it is bounded because each client gets the states of all of them

_REACHED = frozenset({"connected", "degraded"})
_BEST_FIRST = ("connected", "degraded", "connecting", "reconnecting", "blocked", "down")


@dataclass(frozen=True, slots=True)
class ExchangeStatus:
    """The state of an exchange. `feed` is the status of the best copy of its ingest, because one working copy is enough.

    `copies` are the statuses of all living copies, the best first. A copy lives if it has sent a status lately and has not
    stopped, so the tuple may be empty. A symbol counts as turned away only if no copy has room for it.
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
        """How many symbols have no room here. If a copy names only some of its own, this is an upper bound."""
        named_all = all(copy.turned_away_count == len(copy.turned_away) for copy in self.copies)
        return len(self.turned_away) if named_all else min(copy.turned_away_count for copy in self.copies)

    def json(self, *, with_room: bool = False) -> bytes:
        """Write the status for clients: a FeedStatus, the number of copies, and the states of the copies after the best.

        Args:
            with_room: whether to name the symbols without room. A stream gets `room` events about its own symbols instead.
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
    """Each exchange's status. `simulated` is true if any exchange's prices come from the simulator.

    While this process is not connected to the bus, no exchange counts as silent, and each keeps its state.
    """

    def __init__(self) -> None:
        self.simulated = False
        # Exchange -> copy -> its last status, and when it was received.
        self._heard: dict[str, dict[str, tuple[FeedStatus, int]]] = {}
        self._simulated: dict[str, bool] = {}  # by exchange, as reported by copies that have a connection
        self._shown: dict[str, object] = {}  # exchange -> the facts that `changed` compares
        self._deaf_since_ms: int | None = None  # since when there is no connection to the bus; None while there is one

    def listen(self, now_ms: int, *, hears: bool) -> None:
        """Record whether this process is connected to the bus. Time without a connection does not make an exchange silent."""
        if not hears and self._deaf_since_ms is None:
            self._deaf_since_ms = now_ms
        elif hears and self._deaf_since_ms is not None:
            deaf_ms = now_ms - self._deaf_since_ms
            self._deaf_since_ms = None
            for copies in self._heard.values():
                for instance, (status, heard_ms) in copies.items():
                    copies[instance] = status, min(heard_ms + deaf_ms, now_ms)

    def take(self, exchange: str, data: bytes, now_ms: int) -> None:
        """Take a message from an exchange's status channel.

        Raises:
            CodecError: the message is not a status, is about another exchange, or comes from more than MOST_COPIES copies.
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
            del copies[stopped]  # a copy that has stopped makes room for a living one
        copies[status.instance] = status, now_ms
        reached = [one.simulated for one, _ in copies.values() if one.state in _REACHED]
        if reached:  # an ingest that is still connecting does not know yet whether it reaches the simulator
            self._simulated[exchange] = any(reached)
            self.simulated = any(self._simulated.values())

    def current(self, now_ms: int) -> dict[str, ExchangeStatus]:
        """Return each exchange's status. An exchange whose copies have sent no status for SILENT_AFTER_MS is down."""
        return {exchange: self._of(exchange, now_ms) for exchange in sorted(self._heard)}

    def serving(self, now_ms: int) -> set[str]:
        """Return the exchanges that have a living ingest and do not block it."""
        return {name for name, one in self.current(now_ms).items() if one.copies and one.feed.state != "blocked"}

    def _of(self, exchange: str, now_ms: int) -> ExchangeStatus:
        status = _of(self._heard[exchange].values(), now_ms if self._deaf_since_ms is None else self._deaf_since_ms)
        feed = replace(status.feed, simulated=self._simulated.get(exchange, status.feed.simulated))
        if self._deaf_since_ms is not None:
            deaf_s = (now_ms - self._deaf_since_ms) // 1000
            feed = replace(feed, reason=f"as of {deaf_s} s ago: this gateway does not hear the bus")
        return ExchangeStatus(feed=feed, copies=status.copies)

    def without_room(self, now_ms: int) -> tuple[dict[Symbol, tuple[str, ...]], frozenset[str]]:
        """Return the exchanges that turn away each symbol, and the exchanges that turn away more symbols than they name."""
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
        """Return the statuses that have changed since the last call."""
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
    """Return a sort key that puts the best copy first. Of copies in the same state, the one in it for longest is the best."""
    rank = _BEST_FIRST.index(status.state) if status.state in _BEST_FIRST else len(_BEST_FIRST)
    return rank, status.since_ms, status.instance
