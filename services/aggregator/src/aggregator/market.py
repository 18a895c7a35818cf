"""The state of each symbol: the newest tick of each exchange, and its last ticker. No I/O, no clock."""

from collections.abc import Container, Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from typing import Literal

from market_pulse.conversions import Conversions, Leg
from market_pulse.messages import Symbol, Tick, Ticker, parse_symbol

from .conversion import LegTicks, Rate
from .figures import is_figure, source_price
from .methodology import aggregate
from .parameters import Parameters
from .rounding import MAX_DP, decimals, round_figures

MAX_SOURCES = 32
"""The most exchanges per symbol, so that memory stays bounded whatever is published on the bus."""
LATEST_TIME_MS = 4_102_444_800_000
"""The year 2100. A later time is not in milliseconds; most often it is in microseconds."""

Refusal = Literal["older", "figure", "time", "full", "symbol"]
"""Why a tick was not kept: it is older than the stored one; its price or one of its times makes no sense; there is no room; its
symbol is not in our spelling."""


class SymbolState:
    """The state of one symbol.

    `ticks` holds the newest tick by exchange. `dp` is the number of decimals of its prices. `seq` is the highest known number
    of its tickers. `last` is the last published ticker, of this process or another one; nothing else is kept of earlier prices.
    Before the first ticker, `last` has quality `down` and no price. `clock_skew` is whether our clock looked wrong when this
    process last made a ticker. `recorded_ms` is when the price was last added to the history, None if it never was. `legs` are
    the markets in other quotes that also price the symbol. `wanted_ms` is when such a symbol was last known to be wanted.
    """

    def __init__(self, symbol: Symbol, legs: tuple[Leg, ...] = ()) -> None:
        self.symbol = symbol
        self.legs = legs
        self.wanted_ms = 0
        self.ticks: dict[str, Tick] = {}
        self.dp = 0
        self.seq = 0
        self.last = _no_ticker(symbol)
        self.clock_skew = False
        self.recorded_ms: int | None = None

    def take(self, tick: Tick, parameters: Parameters) -> Refusal | None:
        """Keep a tick unless it is older than the kept one of its exchange. Return None, or why it was not kept."""
        stored = self.ticks.get(tick.exchange)
        if stored is None:
            if len(self.ticks) >= MAX_SOURCES:
                return "full"
        elif _is_older(tick, stored, parameters):
            return "older"
        self.ticks[tick.exchange] = tick
        dp = decimals(source_price(tick)) if tick.dp is None else tick.dp
        if dp > self.dp:  # never decrease it: a price must not lose decimals because a source is late or silent
            self.dp = min(dp, MAX_DP)
        return None

    def resume(self, ticker: Ticker) -> None:
        """Continue from the last ticker of another process: from its number and decimals, and with it as `last`."""
        self.seq = max(self.seq, ticker.seq)
        self.dp = max(self.dp, min(ticker.dp, MAX_DP))
        self.last = ticker

    def make_ticker(
        self, now_ms: int, parameters: Parameters, away: Container[str] = (), legs: Sequence[LegTicks] = ()
    ) -> Ticker:
        """Make the ticker of this moment. The caller must set `last` to it when it has been published.

        Args:
            now_ms: the time by our clock, Unix milliseconds.
            parameters: the methodology's parameters.
            away: the exchanges whose feed is known to be away.
            legs: the ticks and rates of `legs`.
        """
        for leg in legs:
            self.dp = max(self.dp, leg.dp)
        ticker, self.clock_skew = aggregate(now_ms, self.ticks, away, self.last, parameters, legs)
        ticker.seq = self.seq
        round_figures(ticker, self.dp)
        return ticker


class Market:
    """All followed symbols, at most `max_symbols`. When there is no more room, unwanted symbols give way to wanted ones.

    A symbol is followed from its first tick on. One that is made of converted markets alone is followed while it is wanted.
    """

    def __init__(self, parameters: Parameters, max_symbols: int, conversions: Conversions = Conversions()) -> None:  # noqa: B008
        self.parameters = parameters
        self.max_symbols = max_symbols
        self.conversions = conversions
        self._states: dict[Symbol, SymbolState] = {}
        # The newest ticker of each rate that was received.
        self._rates: dict[Symbol, Rate] = {}
        # By the symbol of a leg: the followed symbols that its markets also price.
        self._priced_too: dict[Symbol, list[SymbolState]] = {}
        # While there is too little room: the wanted symbols. Only these may be added then.
        self._admitted: Container[Symbol] | None = None
        # Symbols for which there was no room since the last call of `yielding`.
        self._refused: set[Symbol] = set()
        # Followed symbols that have no subscribers, the longest unwanted first.
        self._unwanted: dict[Symbol, None] = {}

    def __len__(self) -> int:
        return len(self._states)

    def __iter__(self) -> Iterator[SymbolState]:
        return iter(self._states.values())

    def get(self, symbol: Symbol) -> SymbolState | None:
        """Return a symbol's state, or None if it is not followed."""
        return self._states.get(symbol)

    def take(self, tick: Tick) -> Refusal | None:
        """Keep a tick if it is usable and not older than the kept one. Return None, or why it was not kept."""
        if not is_figure(tick.price):
            return "figure"
        for time_ms in (tick.received_time_ms, tick.exchange_time_ms, tick.published_time_ms):
            if time_ms is not None and not 0 < time_ms <= LATEST_TIME_MS:
                return "time"
        state = self._states.get(tick.symbol) or self._add(tick.symbol)
        return state if isinstance(state, str) else state.take(tick, self.parameters)

    def resume(self, ticker: Ticker) -> Refusal | None:
        """Continue a symbol from its last ticker of an earlier run. Return None, or why that is impossible."""
        state = self._states.get(ticker.symbol) or self._add(ticker.symbol)
        if isinstance(state, str):
            return state
        state.resume(ticker)
        return None

    def drop(self, symbol: Symbol) -> None:
        """Forget a symbol, its ticks and its last ticker."""
        state = self._states.pop(symbol, None)
        for leg in () if state is None else state.legs:
            others = [one for one in self._priced_too.pop(leg.symbol) if one is not state]
            if others:
                self._priced_too[leg.symbol] = others

    def take_rate(self, ticker: Ticker, received_ms: int) -> None:
        """Keep the newest ticker of a rate. It was received at `received_ms` by our clock. Other tickers are ignored."""
        if ticker.symbol in self.conversions.rates:
            self._rates[ticker.symbol] = Rate.of(ticker, received_ms)

    def rate(self, symbol: Symbol) -> Rate | None:
        """Return a rate, or None if no ticker of it was received."""
        return self._rates.get(symbol)

    def legs(self, state: SymbolState) -> list[LegTicks]:
        """Return the newest ticks and the rates of the markets in other quotes that also price a symbol."""
        found = []
        for leg in state.legs:
            markets = self._states.get(leg.symbol)
            if markets is not None and markets.ticks:
                found.append(LegTicks(markets.ticks, leg.rate, self._rates.get(leg.rate), markets.dp))
        return found

    def feeding(self, state: SymbolState) -> list[SymbolState]:
        """Return the states whose ticks price a symbol: its own, and those of its legs."""
        return [state, *(self._states[leg.symbol] for leg in state.legs if leg.symbol in self._states)]

    def priced_too(self, tick: Tick) -> list[Symbol]:
        """Return the followed symbols that a tick of another quote also prices. An exchange's own market goes before that."""
        states = self._priced_too.get(tick.symbol, ())
        return [state.symbol for state in states if tick.exchange not in state.ticks]

    def want(self, wanted: Iterable[Symbol], now_ms: int) -> list[Symbol]:
        """Note which symbols are wanted now. Return those that were added, because markets in another quote price them."""
        added = []
        for symbol in wanted:
            state = self._states.get(symbol)
            if state is None and any(leg.symbol in self._states for leg in self.conversions.legs(symbol)):
                made = self._add(symbol)
                if isinstance(made, str):
                    continue
                state = made
                added.append(symbol)
            if state is not None:
                state.wanted_ms = now_ms
        return added

    def needed(self, wanted: AbstractSet[Symbol]) -> set[Symbol]:
        """Return the wanted symbols with the legs and rates that price them."""
        legs = [leg for symbol in wanted for leg in self.conversions.legs(symbol)]
        return {*wanted, *(leg.symbol for leg in legs), *(leg.rate for leg in legs)}

    @property
    def is_full(self) -> bool:
        """Whether `max_symbols` is reached, or a symbol was refused because it was."""
        return len(self._states) >= self.max_symbols or bool(self._refused)

    def yielding(self, wanted: AbstractSet[Symbol]) -> list[Symbol]:
        """Return the symbols to drop to make room for the wanted ones that were refused: the longest unwanted first.

        The caller must call this regularly while the market is full, and once after that. Meanwhile only wanted symbols may be
        added.
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
        state = self._states[symbol] = SymbolState(symbol, self.conversions.legs(symbol))
        for leg in state.legs:
            self._priced_too.setdefault(leg.symbol, []).append(state)
        return state


def _is_older(tick: Tick, stored: Tick, parameters: Parameters) -> bool:
    """Return whether a tick is older than the stored one (rule 2): by the exchange's times if both have one, else by ours.

    A tick that ends its market is never older. In three cases the stored exchange time does not count: it is more than L in the
    future, or the stored tick ended its market, or the new tick was received more than T_soft after it. Otherwise, an exchange
    whose clock was set back would be ignored for as long as its clock had been ahead.
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
    """Return the placeholder for a symbol's last ticker before there is one."""
    return Ticker(symbol=symbol, seq=0, dp=0, quality="down", sources_used=0, sources_total=0, sources=(), aggregated_time_ms=0)


def _is_ours(symbol: Symbol) -> bool:
    try:
        return parse_symbol(symbol) == symbol
    except ValueError:
        return False
