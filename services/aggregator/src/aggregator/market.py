"""Each symbol between two prices: its newest ticks and its last ticker. No I/O, no clock."""

from collections.abc import Container, Iterator
from collections.abc import Set as AbstractSet
from typing import Literal

from market_pulse.messages import Symbol, Tick, Ticker, parse_symbol

from .methodology import aggregate, is_figure, source_price
from .parameters import Parameters
from .rounding import MAX_DP, decimals, round_figures

MAX_SOURCES = 32
"""Exchanges per symbol; whatever is published on the bus, memory stays bounded."""
LATEST_TIME_MS = 4_102_444_800_000
"""The year 2100. A later time is none in milliseconds: most often it is in microseconds."""

Refusal = Literal["older", "figure", "time", "full", "symbol"]
"""Why a tick was not taken: older than the stored one, no sensible price, no sensible time, no room, no symbol of ours."""


class SymbolState:
    """One symbol between two prices.

    `seq` is the highest number of its messages that is known. `last` is the ticker that was published last, by this process or
    by the one before it: all that is remembered of earlier prices. Before the first one it knows nothing and is `down`.
    `clock_skew` says whether our clock looked wrong when this process last made one, and `recorded_ms` when the price was last
    added to its history, None if it never was.
    """

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.ticks: dict[str, Tick] = {}
        self.dp = 0
        self.seq = 0
        self.last = _no_ticker(symbol)
        self.clock_skew = False
        self.recorded_ms: int | None = None

    def take(self, tick: Tick, parameters: Parameters) -> Refusal | None:
        """Keep a tick if it is newer than the kept one of its exchange; else say why not."""
        stored = self.ticks.get(tick.exchange)
        if stored is None:
            if len(self.ticks) >= MAX_SOURCES:
                return "full"
        elif _is_older(tick, stored, parameters):
            return "older"
        self.ticks[tick.exchange] = tick
        dp = decimals(source_price(tick)) if tick.dp is None else tick.dp
        if dp > self.dp:  # never fewer than before: a price must not lose decimals because a source was late or silent
            self.dp = min(dp, MAX_DP)
        return None

    def resume(self, ticker: Ticker) -> None:
        """Go on from the last ticker of another process: its number, its decimals and its memory."""
        self.seq = max(self.seq, ticker.seq)
        self.dp = max(self.dp, min(ticker.dp, MAX_DP))
        self.last = ticker

    def make_ticker(self, now_ms: int, parameters: Parameters, away: Container[str] = ()) -> Ticker:
        """Make the ticker of this moment. It is remembered when it is published: set `last` then.

        Args:
            now_ms: our clock, Unix milliseconds.
            parameters: bounds and times.
            away: the exchanges whose feed is known to be away.
        """
        ticker, self.clock_skew = aggregate(now_ms, self.ticks, away, self.last, parameters)
        ticker.seq = self.seq
        round_figures(ticker, self.dp)
        return ticker


class Market:
    """All symbols, up to a bound. When it is reached, symbols that nobody wants yield to wanted ones."""

    def __init__(self, parameters: Parameters, max_symbols: int) -> None:
        self.parameters = parameters
        self.max_symbols = max_symbols
        self._states: dict[Symbol, SymbolState] = {}
        # While there is too little room: the wanted symbols, which alone may come in.
        self._admitted: Container[Symbol] | None = None
        # Symbols that found no room since `yielding` was asked last.
        self._refused: set[Symbol] = set()
        # Followed symbols that nobody wants, the longest unwanted first.
        self._unwanted: dict[Symbol, None] = {}

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[SymbolState]:
        return iter(self._states.values())

    def get(self, symbol: Symbol) -> SymbolState | None:
        """Return what is known of a symbol, or None if it is not followed."""
        return self._states.get(symbol)

    def take(self, tick: Tick) -> Refusal | None:
        """Keep a tick if it is usable and newer than the kept one; else say why not."""
        if not is_figure(tick.price):
            return "figure"
        for time_ms in (tick.received_time_ms, tick.exchange_time_ms, tick.published_time_ms):
            if time_ms is not None and not 0 < time_ms <= LATEST_TIME_MS:
                return "time"
        state = self._states.get(tick.symbol) or self._add(tick.symbol)
        return state if isinstance(state, str) else state.take(tick, self.parameters)

    def resume(self, ticker: Ticker) -> Refusal | None:
        """Go on from the last ticker of an earlier run; say why not if that is impossible."""
        state = self._states.get(ticker.symbol) or self._add(ticker.symbol)
        if isinstance(state, str):
            return state
        state.resume(ticker)
        return None

    def drop(self, symbol: Symbol) -> None:
        """Forget a symbol."""
        self._states.pop(symbol, None)

    @property
    def is_full(self) -> bool:
        """Whether the bound is reached, or a symbol was refused for it."""
        return len(self._states) >= self.max_symbols or bool(self._refused)

    def yielding(self, wanted: AbstractSet[Symbol]) -> list[Symbol]:
        """Return the symbols to drop for wanted ones that found no room: the longest unwanted first.

        Asked again and again while the market is full, and once after that. In between only wanted symbols come in.
        """
        unwanted = dict.fromkeys(symbol for symbol in self._states if symbol not in wanted)
        self._unwanted = {symbol: None for symbol in self._unwanted if symbol in unwanted} | unwanted
        waiting, self._refused = self._refused & wanted, set()
        self._admitted = frozenset(wanted) if self.is_full or waiting else None
        missing = len(self._states) + len(waiting) - self.max_symbols
        return list(self._unwanted)[: max(0, missing)]

    def _add(self, symbol: Symbol) -> SymbolState | Refusal:
        if not _is_ours(symbol):
            return "symbol"
        if len(self._states) >= self.max_symbols or (self._admitted is not None and symbol not in self._admitted):
            if len(self._refused) < self.max_symbols:
                self._refused.add(symbol)
            return "full"
        return self._states.setdefault(symbol, SymbolState(symbol))


def _is_older(tick: Tick, stored: Tick, parameters: Parameters) -> bool:
    """Say whether a tick lies before the stored one (rule 2): by the exchange's clock where both have it, else by ours.

    Neither the end of a symbol nor its new beginning is a matter of order. And the stored exchange time is no yardstick if it
    lies in the future, or once nothing has followed it for T_soft: by it, an exchange whose clock was set back would be mute
    for as long as the clock was ahead.
    """
    if tick.ended is not None:
        return False
    received_later_ms = tick.received_time_ms - stored.received_time_ms
    if tick.exchange_time_ms is not None and stored.exchange_time_ms is not None and stored.ended is None:
        ahead_s = (stored.exchange_time_ms - stored.received_time_ms) / 1000
        if ahead_s <= parameters.max_lag_s and received_later_ms / 1000 <= parameters.soft_age_s:
            return tick.exchange_time_ms < stored.exchange_time_ms
    return received_later_ms < 0


def _no_ticker(symbol: Symbol) -> Ticker:
    """Return what stands for a symbol's last ticker before there is one."""
    return Ticker(symbol=symbol, seq=0, dp=0, quality="down", sources_used=0, sources_total=0, sources=(), aggregated_time_ms=0)


def _is_ours(symbol: Symbol) -> bool:
    try:
        return parse_symbol(symbol) == symbol
    except ValueError:
        return False
