"""What is known of each symbol between two prices: newest ticks, flags, the last good price. No I/O, no clock."""

from collections.abc import Container, Iterator
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import Literal

from market_pulse.model import Symbol, Tick, Ticker, parse_symbol

from .methodology import aggregate, is_figure, source_price
from .result import LastGood, Parameters, Result
from .rounding import MAX_DP, decimals, to_ticker

MAX_SOURCES = 32
"""Exchanges per symbol; whatever is published on the bus, memory stays bounded."""
LATEST_TIME_MS = 2**53
"""Times beyond are no Unix milliseconds, and no JSON number that every reader could hold."""

Refusal = Literal["older", "figure", "time", "full", "symbol"]
"""Why a tick was not taken: older than the stored one, no sensible price, no sensible time, no room, no symbol of ours."""


class SymbolState:
    """One symbol between two prices.

    `seq` is the highest number of its messages that is known, `published` the ticker that this process published last, and
    `recorded_ms` when its price was last added to its history, None if it never was.
    """

    def __init__(self, symbol: Symbol) -> None:
        self.symbol = symbol
        self.ticks: dict[str, Tick] = {}
        self.flags: frozenset[str] = frozenset()
        self.last_good: LastGood | None = None
        self.dp = 0
        self.seq = 0
        self.result: Result | None = None
        self.published: Ticker | None = None
        self.recorded_ms: int | None = None

    def take(self, tick: Tick, max_lag_s: float) -> Refusal | None:
        """Keep a tick if it is newer than what is kept of its exchange; else say why not."""
        stored = self.ticks.get(tick.exchange)
        if stored is None:
            if len(self.ticks) >= MAX_SOURCES:
                return "full"
        elif _is_older(tick, stored, max_lag_s):
            return "older"
        self.ticks[tick.exchange] = tick
        dp = decimals(source_price(tick)) if tick.dp is None else tick.dp
        if dp > self.dp:  # never fewer than before: a price must not lose decimals because a source was late or silent
            self.dp = min(dp, MAX_DP)
        return None

    def resume(self, ticker: Ticker) -> None:
        """Go on from the last ticker of an earlier run: its number, decimals, exclusions and last good price."""
        self.seq = max(self.seq, ticker.seq)
        self.dp = max(self.dp, min(ticker.dp, MAX_DP))
        if self.result is not None:
            return  # this run already knows better
        self.flags = frozenset(source.exchange for source in ticker.sources if source.state == "excluded")
        self.last_good = _last_good(ticker)

    def hand_over(self) -> None:
        """Forget what only a publisher knows: from now on another process goes on, and we from its last ticker one day."""
        self.result = self.published = None

    def make_ticker(self, now_ms: int, parameters: Parameters) -> Ticker:
        """Make the ticker of this moment, and remember what the next one needs."""
        result = aggregate(now_ms, self.ticks, self.flags, self.last_good, parameters)
        self.result, self.flags = result, result.flags
        if result.sources_used:
            self.last_good = result
        return to_ticker(result, self.symbol, self.seq, self.dp)


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
        """Keep a tick if it is usable and newer than what is kept; else say why not."""
        if not is_figure(tick.price):
            return "figure"
        exchange_time_ms = tick.exchange_time_ms
        if not (
            0 < tick.received_time_ms < LATEST_TIME_MS and (exchange_time_ms is None or 0 < exchange_time_ms < LATEST_TIME_MS)
        ):
            return "time"
        state = self._states.get(tick.symbol) or self._add(tick.symbol)
        return state if isinstance(state, str) else state.take(tick, self.parameters.max_lag_s)

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


def _is_older(tick: Tick, stored: Tick, max_lag_s: float) -> bool:
    """Say whether a tick lies before the stored one: by the exchange's clock where both have it, else by the receiver's.

    A stored exchange time from the future is no yardstick: by it, one fault of an exchange's clock would mute that source
    for as long as the clock was ahead.
    """
    if tick.exchange_time_ms is not None and stored.exchange_time_ms is not None:
        ahead_s = (stored.exchange_time_ms - stored.received_time_ms) / 1000
        if ahead_s <= max_lag_s:
            return tick.exchange_time_ms < stored.exchange_time_ms
    return tick.received_time_ms < stored.received_time_ms


def _last_good(ticker: Ticker) -> LastGood | None:
    if not is_figure(ticker.price):
        return None
    if ticker.quality in {"ok", "single", "disputed"}:
        return ticker
    if ticker.received_time_ms is None:
        return None
    # Held already: all that is known is that it is no younger than its newest tick.
    return replace(ticker, aggregated_time_ms=ticker.received_time_ms)


def _is_ours(symbol: Symbol) -> bool:
    try:
        return parse_symbol(symbol) == symbol
    except ValueError:
        return False
