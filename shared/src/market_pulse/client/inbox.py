"""Tickers that wait for one reader: in order, bounded, with gaps told, and never an old price as a live one. No I/O."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from market_pulse.messages import CodecError, Symbol, Ticker, decode_ticker
from market_pulse.tickers import LATER_BY_MS, Clocks, LatestTicker, as_of, read_ticker

from .line import OnGap, log

LAG_LIMIT_MS = 1_000
"""How far a ticker that is handed out may be behind its symbol's newest. A reader slower than that skips to the newest."""
MAX_WAITING = 200
"""Tickers that may wait for the reader, per symbol: 4 s at the default top rate. Beyond it, only each symbol's newest stays."""
UNEVEN_MS = 1_000
"""How unevenly tickers may arrive. When counting starts again it starts at the Unix time in ms, and no symbol has a ticker each
millisecond. So if `seq` grew by more than the milliseconds passed plus this, counting has started again."""


class _Received(NamedTuple):
    """A ticker as it was published, and the same ticker with the times from which its age is computed."""

    ticker: Ticker
    latest: LatestTicker


@dataclass(slots=True)
class _Known:
    """A symbol's newest ticker, the one handed out last (`told`), and the staleness that one was handed out with (`level`)."""

    newest: _Received
    told: _Received | None = None
    level: int = 0


class _Begin(NamedTuple):
    """The number after which a reader goes on, when that ticker arrived at its reader, and since when we wait for the next."""

    seq: int
    arrived_ms: int
    since_ms: int

    def holds(self, received: _Received) -> bool:
        """Return whether what comes before the begin has this ticker already. If it comes late, counting has begun again."""
        return received.ticker.seq <= self.seq and received.latest.current_ms - self.since_ms <= LATER_BY_MS


class Inbox:
    """The tickers that wait for one reader, in order of arrival, and the last one it got of each symbol. Time is an argument.

    The newest ticker of each symbol is always either waiting or already handed out.
    """

    def __init__(
        self,
        symbols: Iterable[Symbol],
        on_gap: OnGap | None = None,
        *,
        lag_limit_ms: int = LAG_LIMIT_MS,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        self._waiting: deque[_Received] = deque()
        self._most = max_waiting * len(tuple(symbols))
        self._lag_limit_ms = lag_limit_ms
        self._known: dict[Symbol, _Known] = {}
        self._clocks = Clocks()
        self._on_gap = on_gap
        self._begins: dict[Symbol, _Begin] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, symbol: Symbol, data: bytes, now_ms: int, *, live: bool, age_ms: int | None = None) -> None:
        """Add a message from a symbol's channel, unless a newer ticker is known already.

        If `live` is False, the message is the channel's last value, and `age_ms` its age if known.

        Raises:
            CodecError: the message is no ticker of this symbol.
        """
        known = self._known.get(symbol)
        received = _Received(decode_ticker(data), read_ticker(symbol, data, now_ms, self._clocks, live=live, age_ms=age_ms))
        if known is None:
            self._known[symbol] = _Known(received)
        elif received.latest.supersedes(known.newest.latest):
            known.newest = received
        else:
            return
        self._waiting.append(received)
        if len(self._waiting) > self._most:
            self._waiting = deque(one for one in self._waiting if one is self._known[one.ticker.symbol].newest)

    def take_last(self, symbol: Symbol, data: bytes, now_ms: int, *, age_ms: int | None) -> None:
        """Add a channel's last value. One that is no ticker of this symbol is logged and left out: another program wrote it."""
        try:
            self.take(symbol, data, now_ms, live=False, age_ms=age_ms)
        except CodecError as wrong:
            log.debug("last value not understood", symbol=symbol, cause=str(wrong))

    def oldest(self, symbol: Symbol) -> int | None:
        """Return the number of a symbol's oldest waiting ticker, or None if no ticker of it waits."""
        return next((one.ticker.seq for one in self._waiting if one.ticker.symbol == symbol), None)

    def begin_after(self, symbol: Symbol, seq: int, arrived_ms: int, now_ms: int) -> None:
        """Hand out only a symbol's tickers after this number, and tell the gap if the first of them is not the next.

        `arrived_ms` is when the ticker of this number arrived, by the clock of its reader.
        """
        self._begins[symbol] = _Begin(seq, arrived_ms, now_ms)

    def age(self, now_ms: int) -> None:
        """Queue a symbol's newest ticker again if it was handed out and has become stale, or down, since."""
        for known in self._known.values():
            level = known.newest.latest.staleness(now_ms)
            if known.told is known.newest and level > known.level:
                known.level = level
                self._waiting.append(known.newest)

    def next(self, now_ms: int) -> Ticker | None:
        """Return the next ticker to hand out, as it must be shown at `now_ms`, or None if nothing waits."""
        while self._waiting:
            received = self._waiting.popleft()
            known = self._known[received.ticker.symbol]
            if known.newest.latest.current_ms - received.latest.current_ms > self._lag_limit_ms:
                continue
            if (begin := self._begins.get(received.ticker.symbol)) and begin.holds(received):
                continue
            self._tell_gap(known.told, received)
            known.told, known.level = received, received.latest.staleness(now_ms)
            return received.ticker if known.level == 0 else decode_ticker(as_of(received.latest, now_ms))
        return None

    def _tell_gap(self, told: _Received | None, received: _Received) -> None:
        symbol = received.ticker.symbol
        begin = self._begins.pop(symbol, None)
        if told is not None:
            # By our clock, because the two tickers may be of different publishers.
            step, passed_ms = received.ticker.seq - told.ticker.seq, received.latest.current_ms - told.latest.current_ms
        elif begin is not None:
            step, passed_ms = received.ticker.seq - begin.seq, abs(received.latest.current_ms - begin.arrived_ms)
        else:
            return
        if self._on_gap is None:
            return
        if step < 0 or step > passed_ms + UNEVEN_MS:  # counting has started again, at the Unix time in milliseconds
            self._on_gap(symbol, None)
        elif step > 1:
            self._on_gap(symbol, step - 1)
