"""Which past candles to ask an exchange for next, and when. Pure: time is passed in, in seconds and in Unix milliseconds.

The requests are one after the other, and take at most a fifth of the exchange's rate. The last minutes come first. Then comes
the history of each symbol in the order of importance: minutes before hours before days, the newest first.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from market_pulse.messages import Candle, Interval, Symbol

from .adapter import CandleHistory, Listed, Rate

SHARE = 5
"""Candles take at most this part of the exchange's rate: one of five requests."""
RECENT = 3
"""After a socket was lost, this many candles before the gap are asked for again, because they may have been corrected."""
POLLED = 12
"""Without a socket for candles, each minute's request covers this many minutes, to see corrections for ten minutes."""
RETRY_S = (5.0, 300.0)
"""The first and the longest pause after a request of a symbol whose answer could not be used. It doubles each time."""
MOST_TRIES = 10
"""How often one request is sent whose answers cannot be used: for some twenty minutes."""
MOST_REMAINDERS = 20
"""How often the rest of one window is asked for, if answers are shorter than `CandleHistory.rows` promises."""


class Budget:
    """A token bucket of one token: it says when the next request may be sent."""

    def __init__(self, rate: Rate) -> None:
        self._pause_s = SHARE * rate.window_s / rate.messages
        self._next_s = -inf

    def delay_s(self, now_s: float) -> float:
        """Return the seconds until the next request may be sent: zero if it may be sent now."""
        return max(0.0, self._next_s - now_s)

    def spend(self, now_s: float) -> None:
        """Note that a request is sent."""
        self._next_s = max(self._next_s, now_s + self._pause_s)

    def pause(self, now_s: float, for_s: float) -> None:
        """Send no request for this long: the exchange refused one, or cannot be reached."""
        self._next_s = max(self._next_s, now_s + for_s)


@dataclass(frozen=True, slots=True)
class Request:
    """A request for a symbol's candles that began at or after one moment and before another (Unix ms).

    `history` is false if it asks for the last minutes. `tries` counts the answers that could not be used.
    """

    symbol: Symbol
    native: str
    interval: Interval
    since_ms: int
    until_ms: int
    history: bool
    tries: int = 0
    remainders: int = 0

    def holds(self, candle: Candle) -> bool:
        """Return whether the request asked for a candle."""
        return self.since_ms <= candle.start_ms < self.until_ms


def windows(interval: Interval, now_ms: int, history: CandleHistory) -> Iterator[tuple[int, int]]:
    """Return what to ask for to get all past candles of an interval that we keep: pairs of moments, the newest first.

    A candle that is open, or that the exchange may still change, is left out.
    """
    until_ms = interval.start_of(now_ms - round(history.settled_s * 1000))
    oldest_ms = max(0, until_ms - min(interval.kept, history.reach or interval.kept) * interval.step_ms)
    while until_ms > oldest_ms:
        since_ms = max(oldest_ms, until_ms - history.rows * interval.step_ms)
        yield since_ms, until_ms
        until_ms = since_ms


def remainder(request: Request, candles: Sequence[Candle]) -> Request | None:
    """Return the request for the rest of a window that an answer does not cover, or None if the answer counts as complete.

    A minute without a trade has no candle. So of a market that is rarely traded an answer must cover half of the window, and of
    one that is traded nearly each minute nearly all of it. An empty answer is complete: the market may be younger.
    """
    starts = [candle.start_ms for candle in candles if request.holds(candle)]
    if not starts or request.remainders == MOST_REMAINDERS:
        return None
    before_ms = min(starts) - request.since_ms
    after_ms = request.until_ms - max(starts) - request.interval.step_ms
    asked_ms = request.until_ms - request.since_ms
    is_dense = len(starts) > 0.9 * (max(starts) - min(starts)) / request.interval.step_ms
    if max(before_ms, after_ms) <= asked_ms * (0.05 if is_dense else 0.5):
        return None
    more = replace(request, tries=0, remainders=request.remainders + 1)
    if before_ms >= after_ms:
        return replace(more, until_ms=min(starts))
    return replace(more, since_ms=max(starts) + request.interval.step_ms)


@dataclass(frozen=True, slots=True)
class _Recent:
    """The last minutes of a symbol are to be asked for: those from a moment on, at another moment or later (Unix ms)."""

    since_ms: int
    due_ms: int
    tries: int = 0

    def is_due(self, now_ms: int) -> bool:
        return not self.due_ms - 2 * Interval.MINUTE.step_ms < now_ms < self.due_ms  # earlier: our clock was set back


@dataclass(slots=True)
class _Symbol:
    """The requests that a symbol still needs."""

    listed: Listed
    wanted_s: float  # when it last had subscribers, or was first carried
    history: list[Request] = field(default_factory=list)  # in the order in which they are sent
    recent: "_Recent | None" = None
    not_before_s: float = -inf  # the earliest time for the next request, after an answer that could not be used
    polled_ms: int = 0  # the end of the last minute that was asked for
    covered_ms: int = 0  # until when the requests for the history, and the answers for the last minutes, reach
    had_subscribers: bool = False  # at the last look


class History:
    """The requests for past candles of all carried symbols.

    Args:
        history: how the exchange gives past candles.
        grace_s: if a symbol had no subscribers for longer than this and has them again, its history is asked for again.
        polls: whether the candles of each last minute are asked for, because the exchange has no socket for candles.
    """

    def __init__(self, history: CandleHistory, grace_s: float, *, polls: bool) -> None:
        self._of = history
        self._grace_s = grace_s
        self._polls = polls
        self._settled_ms = round(history.settled_s * 1000)
        self._symbols: dict[Symbol, _Symbol] = {}
        self._carried: tuple[Symbol, ...] = ()

    def want(self, now_s: float, now_ms: int, carried: Sequence[Listed], subscribed: Collection[Symbol]) -> None:
        """Set which symbols are carried, the most important first, and which of them have subscribers."""
        for listed in carried:
            known = self._symbols.get(listed.symbol)
            if known is None:
                self._symbols[listed.symbol] = known = _Symbol(listed, now_s)
                self._begin(known, now_ms)
            elif listed.symbol in subscribed and not known.had_subscribers and now_s - known.wanted_s > self._grace_s:
                self._begin(known, now_ms)
            known.listed = listed
            known.had_subscribers = listed.symbol in subscribed
            if known.had_subscribers:
                known.wanted_s = now_s
        self._carried = tuple(listed.symbol for listed in carried)
        # If a symbol comes back within the grace period, its requests go on.
        gone = self._symbols.keys() - set(self._carried)
        for symbol in [symbol for symbol in gone if now_s - self._symbols[symbol].wanted_s > self._grace_s]:
            del self._symbols[symbol]

    def again(self, symbol: Symbol, now_ms: int) -> None:
        """Ask for a symbol's whole history again, because Redis has lost it."""
        if (known := self._symbols.get(symbol)) is not None:
            self._begin(known, now_ms)

    def refresh(self, symbol: Symbol, now_ms: int) -> bool:
        """Ask for a symbol's hours and days again. Return whether that is to be: not while its history is being asked for."""
        known = self._symbols.get(symbol)
        if known is None or known.history:
            return False
        known.history = self._past(known, now_ms, (Interval.HOUR, Interval.DAY))
        return True

    def reopened(self, symbol: Symbol, newest_closed_ms: int | None, now_ms: int) -> None:
        """Ask for the candles of a gap, and for the last ones before it: a socket has opened, the first one or after a loss."""
        known = self._symbols.get(symbol)
        if known is None:
            return
        step_ms = Interval.MINUTE.step_ms
        last_ms = Interval.MINUTE.start_of(now_ms) - step_ms
        since_ms = min(known.covered_ms if newest_closed_ms is None else newest_closed_ms, last_ms) - (RECENT - 1) * step_ms
        self._ask_recent(known, since_ms, Interval.MINUTE.start_of(now_ms) + self._settled_ms)

    def next(self, now_s: float, now_ms: int) -> Request | None:
        """Return the next request, or None if there is nothing to ask for now. It counts as sent from now on."""
        settled_ms = Interval.MINUTE.start_of(now_ms - self._settled_ms)
        carried = [known for symbol in self._carried if (known := self._symbols[symbol]).not_before_s <= now_s]
        for known in carried:
            if (recent := known.recent) is not None and recent.is_due(now_ms):
                known.recent = None
                if recent.since_ms < settled_ms:  # later only if our clock was set back
                    return self._recent(known, recent, settled_ms)
        if self._polls:
            # Not later than the last poll, but another minute: our clock may be set back.
            due = [known for known in carried if known.polled_ms != settled_ms]
            if due:
                known = min(due, key=lambda one: one.polled_ms)
                known.polled_ms = settled_ms
                # If earlier requests failed, their minutes are asked for too.
                step_ms = Interval.MINUTE.step_ms
                since_ms = min(settled_ms, known.covered_ms + step_ms) - POLLED * step_ms
                since_ms = max(since_ms, settled_ms - self._of.rows * step_ms)
                return self._request(known, Interval.MINUTE, since_ms, settled_ms, history=False)
        return next((known.history.pop(0) for known in carried if known.history), None)

    def has_work(self, now_ms: int) -> bool:
        """Return whether there is a request to send now or later, apart from those for minutes that have not ended."""
        return any(
            known.history or (known.recent is not None and known.recent.is_due(now_ms))
            for known in map(self._symbols.__getitem__, self._carried)
        )

    def answered(self, request: Request, candles: Sequence[Candle]) -> None:
        """Note an answer that could be used. If it lacks much of the window, the rest is asked for next."""
        known = self._symbols.get(request.symbol)
        if known is None:
            return
        if not request.history:
            known.covered_ms = request.until_ms
        elif (more := remainder(request, candles)) is not None:
            known.history.insert(0, more)

    def failed(self, request: Request, now_s: float) -> bool:
        """Note an answer that could not be used. Return whether it is asked for again."""
        known = self._symbols.get(request.symbol)
        is_poll = self._polls and not request.history  # the next minute's request covers this one
        if known is None or is_poll or request.tries + 1 >= MOST_TRIES:
            return False
        first_s, longest_s = RETRY_S
        known.not_before_s = now_s + min(first_s * 2**request.tries, longest_s)
        again = replace(request, tries=request.tries + 1)
        if request.history:
            known.history.append(again)  # the other requests of the symbol come first
        else:
            self._put_back(known, again)
        return True

    def not_sent(self, request: Request) -> None:
        """Ask again later: the exchange refused the request, or could not be reached."""
        if (known := self._symbols.get(request.symbol)) is not None:
            self._put_back(known, request)

    def _put_back(self, known: _Symbol, request: Request) -> None:
        if request.history:
            known.history.insert(0, request)
        elif self._polls:
            known.polled_ms = 0
        else:
            self._ask_recent(known, request.since_ms, request.until_ms + self._settled_ms, request.tries)

    def _ask_recent(self, known: _Symbol, since_ms: int, due_ms: int, tries: int = 0) -> None:
        before = known.recent
        if before is not None:
            since_ms, due_ms = min(since_ms, before.since_ms), max(due_ms, before.due_ms)
        known.recent = _Recent(max(since_ms, 0), due_ms, tries)

    def _begin(self, known: _Symbol, now_ms: int) -> None:
        known.not_before_s = -inf
        known.covered_ms = Interval.MINUTE.start_of(now_ms - self._settled_ms)
        known.history = self._past(known, now_ms, (Interval.MINUTE, Interval.HOUR, Interval.DAY))
        if not self._polls:
            # The socket may deliver only after the present minute, so that minute is asked for when it has ended.
            minute = Interval.MINUTE
            due_ms = minute.start_of(now_ms) + minute.step_ms + self._settled_ms
            self._ask_recent(known, minute.start_of(now_ms - self._settled_ms), due_ms)

    def _past(self, known: _Symbol, now_ms: int, intervals: Iterable[Interval]) -> list[Request]:
        return [
            self._request(known, interval, since_ms, until_ms, history=True)
            for interval in intervals
            for since_ms, until_ms in windows(interval, now_ms, self._of)
        ]

    def _recent(self, known: _Symbol, recent: _Recent, until_ms: int) -> Request:
        since_ms = max(recent.since_ms, until_ms - self._of.rows * Interval.MINUTE.step_ms)
        request = self._request(known, Interval.MINUTE, since_ms, until_ms, history=False)
        return replace(request, tries=recent.tries)

    @staticmethod
    def _request(known: _Symbol, interval: Interval, since_ms: int, until_ms: int, *, history: bool) -> Request:
        return Request(known.listed.symbol, known.listed.native, interval, since_ms, until_ms, history)
