"""Which candles of an exchange are published: from one or two sockets, from REST, in any order, and as often as they come.

Pure: time is passed in, in Unix milliseconds. Of each start there is one closed message with revision 0. Its corrections follow
with revision 1, 2 and so on. A candle never goes back: not to an earlier start, from closed to open, to a lower revision, or
while it is open to fewer trades or less volume.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from math import isclose

from msgspec.structs import replace

from market_pulse.messages import Bar, Candle, Symbol, bar_of

OPEN_INTERVAL_MS = 1000
"""An open candle is published at most once in this time."""
CLOSE_AFTER_MS = 3000
"""A candle without a closing frame is closed this long after its end: exchanges send the last frame up to 2 s after it."""
UNSURE_MS = 60_000
"""If the socket was lost during a candle, its last trades may be missing. REST's candle is awaited for this long."""
KEPT = 15
"""How many closed candles of a symbol are remembered, so that their corrections are recognised."""
FUTURE_MS = 10_000
"""A candle that begins further ahead of the exchange's time than this is not used. Clocks differ by less."""
OLDEST_MS = 600_000
"""A socket's candle that began longer ago than this is not used. REST gives the past."""
MOST_VERSIONS = 8
"""How many contents of one candle are told apart."""


class Clock:
    """The exchange's time, judged by the shortest recent time from sending to arrival. Without sending times it is ours."""

    def __init__(self) -> None:
        self._minute = 0
        self._least_ms: tuple[float | None, float | None] = None, None  # in this minute and in the one before

    def heard(self, sent_ms: int | None, received_ms: int) -> None:
        """Note when a message was sent, by the exchange's clock, and when it arrived, by ours."""
        minute = received_ms // 60_000
        if minute != self._minute:
            self._least_ms = None, self._least_ms[0] if minute == self._minute + 1 else None
            self._minute = minute
        if sent_ms is not None:
            least_ms = self._least_ms[0]
            took_ms = received_ms - sent_ms
            self._least_ms = took_ms if least_ms is None else min(least_ms, took_ms), self._least_ms[1]

    def now_ms(self, our_ms: int) -> int:
        """Return the exchange's time at a moment of our clock, or somewhat less: the way from there is not subtracted."""
        known = [least_ms for least_ms in self._least_ms if least_ms is not None]
        return our_ms - int(min(known)) if known else our_ms


Content = tuple[float | None, ...]


def content_of(candle: Candle) -> Content:
    """Return what makes one version of a candle differ from another. The quote volume may be rounded, so it does not count."""
    return candle.open, candle.high, candle.low, candle.close, candle.volume, candle.trades


def is_same(one: Content, other: Content) -> bool:
    """Return whether two contents are the same. A figure that one of them lacks does not count; nor does how it is rounded."""
    return all(a is None or b is None or isclose(a, b, rel_tol=1e-9) for a, b in zip(one, other, strict=True))


def is_idle(candle: Candle) -> bool:
    """Return whether an exchange fills a minute without trades by a candle. Others send none, so it is left out everywhere."""
    return candle.volume == 0 or candle.trades == 0


def is_less(candle: Candle, known: Candle) -> bool:
    """Return whether a candle has fewer trades or less volume than the known one of the same start."""
    pairs = (candle.trades, known.trades), (candle.volume, known.volume)
    return any(one is not None and other is not None and one < other for one, other in pairs)


def is_more(candle: Candle, known: Candle) -> bool:
    """Return whether a candle has more trades or more volume than the known one of the same start, and none less."""
    return is_less(known, candle) and not is_less(candle, known)


@dataclass(slots=True)
class _Symbol:
    """The candles of one symbol: the open one, and the last closed ones by start, each with all its known contents."""

    open: Candle | None = None
    is_told: bool = True  # whether the open candle has been published as it is
    told_ms: int = 0  # when an open candle was last published
    first_ms: int | None = None  # the earliest start that a socket has sent, or that was published
    closed: dict[int, Candle] = field(default_factory=dict)
    versions: dict[int, list[Content]] = field(default_factory=dict)

    def is_before_all(self, start_ms: int) -> bool:
        """Return whether a start is too old to know whether its candle was closed."""
        return len(self.closed) == KEPT and start_ms < min(self.closed)


class Candles:
    """One exchange's candles of a minute. Each method returns the messages to publish now, in their order.

    `skipped` counts the candles that were not used, by kind: idle, future, old, outdated.
    """

    def __init__(self, exchange: str, skipped: Counter[str] | None = None) -> None:
        self._exchange = exchange
        self._symbols: dict[Symbol, _Symbol] = {}
        self.clock = Clock()
        self.skipped: Counter[str] = Counter() if skipped is None else skipped

    def keep(self, symbols: Collection[Symbol]) -> None:
        """Forget all symbols except these."""
        for symbol in self._symbols.keys() - set(symbols):
            del self._symbols[symbol]

    def newest_closed_ms(self, symbol: Symbol) -> int | None:
        """Return the start of the newest closed candle that is known, or None."""
        known = self._symbols.get(symbol)
        return max(known.closed, default=None) if known is not None else None

    def told(self, symbol: Symbol, candle: Candle, received_ms: int) -> list[Candle]:
        """Take a candle that a socket has sent."""
        self.clock.heard(candle.exchange_time_ms, received_ms)
        here_ms = self.clock.now_ms(received_ms)
        if candle.start_ms > max(here_ms, received_ms) + FUTURE_MS:
            self.skipped["future"] += 1
            return []
        if candle.start_ms < min(here_ms, received_ms) - OLDEST_MS:
            self.skipped["old"] += 1
            return []
        known = self._symbols.setdefault(symbol, _Symbol())
        messages = []
        if known.open is not None and candle.start_ms > known.open.start_ms:
            messages += self._close(known, known.open)
        if is_idle(candle):
            self.skipped["idle"] += 1
            return messages
        known.first_ms = candle.start_ms if known.first_ms is None else min(known.first_ms, candle.start_ms)
        candle = self._filled(symbol, candle, received_ms)
        return messages + self._take(known, candle, received_ms)

    def _take(self, known: _Symbol, candle: Candle, received_ms: int) -> list[Candle]:
        closed = known.closed.get(candle.start_ms)
        if closed is not None:
            # An open candle of a closed start is a late frame: of another socket, or with trades that the closing one lacked.
            return self._correct(known, closed, candle) if candle.closed or is_more(candle, closed) else self._outdated()
        if known.is_before_all(candle.start_ms):
            return self._outdated()
        newest_ms = known.open.start_ms if known.open is not None else max(known.closed, default=-1)
        if candle.start_ms < newest_ms:
            return self._close(known, candle)  # a later one has begun
        if candle.closed:
            return self._close(known, candle)
        if known.open is not None and is_less(candle, known.open):
            return self._outdated()
        if known.open is not None and content_of(candle) == content_of(known.open):
            known.open = candle
            return []
        known.open, known.is_told = candle, False
        return self._tell_open(known, received_ms)

    def rows(
        self, symbol: Symbol, rows: Iterable[Candle], received_ms: int, settled_ms: int, *, history: bool
    ) -> tuple[list[Candle], list[Bar]]:
        """Take REST's candles of minutes, the oldest first. Return the messages, and the older candles to keep as bars.

        Args:
            symbol: our spelling.
            rows: the candles. Those that are not settled yet are left out.
            received_ms: when the answer arrived.
            settled_ms: how long after its end REST's candle is final.
            history: whether candles from before the first one of the socket are only kept. Otherwise they are published.
        """
        known = self._symbols.setdefault(symbol, _Symbol())
        here_ms = self.clock.now_ms(received_ms)
        messages, bars = [], []
        for row in rows:
            if row.end_ms + settled_ms > here_ms:
                continue
            if is_idle(row):
                self.skipped["idle"] += 1
                continue
            candle = self._filled(symbol, row, received_ms)
            closed = known.closed.get(row.start_ms)
            first_ms = known.first_ms
            if closed is not None:
                # An answer may be out of a cache, so less than is known is a correction only if the exchange calls it final.
                if row.closed or not is_less(row, closed):
                    messages += self._correct(known, closed, candle)
                if history:
                    bars.append(bar_of(known.closed[row.start_ms]))  # perhaps Redis has lost it
            elif known.is_before_all(row.start_ms) or (history and (first_ms is None or row.start_ms < first_ms)):
                bars.append(bar_of(candle))
            else:
                known.first_ms = row.start_ms if first_ms is None else min(first_ms, row.start_ms)
                if known.open is not None and known.open.start_ms < row.start_ms:
                    messages += self._close(known, known.open)  # a later one has begun
                is_cached = known.open is not None and known.open.start_ms == row.start_ms and is_less(row, known.open)
                messages += self._close(known, known.open if is_cached and known.open and not row.closed else candle)
        return messages, bars

    def tick(self, now_ms: int, unbroken_since_ms: int | None) -> list[Candle]:
        """Return what is due by the clock: open candles that waited for their second, and candles that have ended.

        Args:
            now_ms: our clock.
            unbroken_since_ms: since when sockets have delivered without a gap; None: none is open.
        """
        here_ms = self.clock.now_ms(now_ms)
        messages: list[Candle] = []
        for known in self._symbols.values():
            if known.open is None:
                continue
            is_whole = unbroken_since_ms is not None and known.open.received_time_ms >= unbroken_since_ms
            wait_ms = CLOSE_AFTER_MS if is_whole else UNSURE_MS
            if here_ms >= known.open.end_ms + wait_ms:
                messages += self._close(known, known.open)
            else:
                messages += self._tell_open(known, now_ms)
        return messages

    def _filled(self, symbol: Symbol, candle: Candle, received_ms: int) -> Candle:
        return replace(
            candle, exchange=self._exchange, symbol=symbol, exchanges=(self._exchange,), received_time_ms=received_ms
        )

    def _outdated(self) -> list[Candle]:
        self.skipped["outdated"] += 1
        return []

    @staticmethod
    def _tell_open(known: _Symbol, now_ms: int) -> list[Candle]:
        # If our clock was set back, the next one need not wait for the old time.
        waits = 0 <= now_ms - known.told_ms < OPEN_INTERVAL_MS
        if known.open is None or known.is_told or waits:
            return []
        known.is_told, known.told_ms = True, now_ms
        return [known.open]

    @staticmethod
    def _close(known: _Symbol, candle: Candle) -> list[Candle]:
        if known.open is not None and known.open.start_ms <= candle.start_ms:
            known.open, known.is_told = None, True
        candle = replace(candle, closed=True)
        known.closed[candle.start_ms] = candle
        known.versions[candle.start_ms] = [content_of(candle)]
        while len(known.closed) > KEPT:
            oldest_ms = min(known.closed)
            del known.closed[oldest_ms], known.versions[oldest_ms]
        return [candle]

    @staticmethod
    def _correct(known: _Symbol, closed: Candle, candle: Candle) -> list[Candle]:
        """Return a correction of a closed candle, unless its content was known already."""
        versions, content = known.versions[closed.start_ms], content_of(candle)
        if len(versions) == MOST_VERSIONS or any(is_same(content, version) for version in versions):
            return []
        versions.append(content)
        corrected = replace(candle, closed=True, revision=closed.revision + 1)
        known.closed[closed.start_ms] = corrected
        return [corrected]


MOST_WAITING = 60
"""How many candles of one symbol wait while Redis is away."""


def newest_of_each(old: tuple[Candle, ...], new: tuple[Candle, ...]) -> tuple[Candle, ...]:
    """Join the candles that wait for one channel: the newest of each start, at most MOST_WAITING of them.

    A closed candle that has not been published is joined with its correction, which then has its revision.
    """
    by_start = {candle.start_ms: candle for candle in old}
    for candle in new:
        by_start.pop(candle.start_ms, None)
        by_start[candle.start_ms] = candle
    return tuple(by_start.values())[-MOST_WAITING:]
