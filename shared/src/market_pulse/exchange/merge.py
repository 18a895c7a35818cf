"""The newest known state of each symbol of one feed, put together from an exchange's several channels.

A tick is complete or not at all: it appears once the 24 h figures are known, and from then on with each change.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from market_pulse.messages import Tick

from .adapter import Day, Listed, MarketEvent, Quote, Trade
from .line import ANEW, BEHIND, FAR_MS, Line, Verdict
from .line import SAME as SAME_NUMBER
from .pace import Pace

NEWER_BY_MS = 5_000  # REST and sockets are served by different machines: a little newer proves nothing
SETTLED_MS = 3_000  # a trade or quote older than this is in the 24 h figures, which come each second
QUIET_QUOTE_MS = 10_000  # where the 24 h figures have no quote: the exchange sends an unchanged one again after 3 s
REORDERED_MS: Final = 2_000  # a message that comes so much too late is nothing to speak of


class Change(Enum):
    """The effect of an event on the book."""

    NEW = "new"  # the event told something new
    SAME = "same"  # it repeats the newest one, as a second socket does
    OUTDATED = "outdated"  # a newer one of its channel came before


NEW, SAME, OUTDATED = Change  # an Enum's member costs a look-up in its class each time


class _State:
    """One native symbol's parts, each the newest of its channel, and how far each channel is."""

    __slots__ = (
        "anew_ms",
        "day",
        "day_line",
        "day_received_ms",
        "exchange_time_ms",
        "pace",
        "price",
        "quote",
        "quote_line",
        "quoted_ms",
        "received_time_ms",
        "trade_line",
        "traded_ms",
    )

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        # When the numbers of some channel last began anew, by our clock; 0: never.
        self.anew_ms = 0
        self.day: Day | None = None
        self.day_line = Line()
        # When the 24 h figures last came, by our clock.
        self.day_received_ms = 0
        # None until the first quote, and again after its channel has gone deaf.
        self.quote: Quote | None = None
        self.quote_line = Line()
        self.quoted_ms = 0
        self.price = 0.0
        self.trade_line = Line()
        self.traded_ms = 0
        self.exchange_time_ms: int | None = None
        self.received_time_ms = 0

    @property
    def lines(self) -> tuple[Line, Line, Line]:
        return self.trade_line, self.quote_line, self.day_line


class Book:
    """All symbols of one feed. Shared by a socket and the one that takes over from it, so that nothing goes back in time.

    `on_anew` is called with the native symbol of which an exchange's numbers began anew. `paces` outlives the book: how fast
    each symbol is can be known before the next socket has shown it.
    """

    def __init__(
        self, exchange: str, paces: dict[str, Pace] | None = None, on_anew: Callable[[str], None] = lambda _: None
    ) -> None:
        self._exchange = exchange
        self._states: dict[str, _State] = {}
        self._paces = {} if paces is None else paces
        self._on_anew = on_anew
        self._behind: set[str] = set()  # native symbols whose last message was refused

    def apply(self, event: MarketEvent, received_time_ms: int, *, seed: bool = False) -> Change:
        """Take one event in. A `seed` was read elsewhere, so its number and time say nothing about those that follow."""
        native = event.native
        state = self._states.get(native)
        if state is None:
            state = self._states[native] = _State(self._paces.setdefault(native, Pace()))
            state.pace.pause()  # since the last socket anything may have been missed
        if type(event) is Quote:
            change, verdict = _apply_quote(state, event, received_time_ms, seed=seed)
        elif type(event) is Trade:
            change, verdict = _apply_trade(state, event, received_time_ms)
        else:
            assert type(event) is Day  # noqa: S101 - the third of three kinds
            change, verdict = _apply_day(state, event, received_time_ms, seed=seed)
        if change is OUTDATED:
            self._behind.add(native)
            return change
        state.pace.heard(received_time_ms)
        state.received_time_ms = received_time_ms
        time_ms = event.exchange_time_ms
        if time_ms is not None:
            known_ms = state.exchange_time_ms
            if known_ms is None or time_ms > known_ms or verdict is ANEW or _is_ahead(known_ms, time_ms, received_time_ms):
                state.exchange_time_ms = time_ms
        if verdict is ANEW:
            state.anew_ms = received_time_ms
            self._on_anew(native)
        return change

    def tick(self, listed: Listed, *, lag_unknown: bool = False, ended: str | None = None) -> Tick | None:
        """Return a symbol's state as a tick, or None while it is not complete.

        Its order is that of the newest trade, of the quote and of the 24 h figures, in the exchange's numbers and times, and
        when these last began anew, if they did. It tells whose tick is news where several copies of this ingest run.
        """
        state = self._states.get(listed.native)
        if state is None or state.day is None:
            return None
        day, quote, trades, quotes, days = state.day, state.quote, state.trade_line, state.quote_line, state.day_line
        order = (trades.number, *quotes.order, *days.order)
        tick = Tick(
            exchange=self._exchange,
            symbol=listed.symbol,
            price=state.price,
            exchange_time_ms=state.exchange_time_ms,
            received_time_ms=state.received_time_ms,
            dp=listed.dp,
            bid=quote.bid if quote else day.bid,
            ask=quote.ask if quote else day.ask,
            open24h=day.open24h,
            high24h=day.high24h,
            low24h=day.low24h,
            volume24h=day.volume24h,
            quote_volume24h=day.quote_volume24h,
            lag_unknown=lag_unknown,
            ended=ended,
        )
        tick.order = (*order, state.anew_ms) if state.anew_ms else order  # CPython makes a dict of more than 15 keywords
        return tick

    def heard(self, native: str) -> int | None:
        """Return when a symbol's 24 h figures last came, in Unix milliseconds of our clock; None: never.

        They are the channel without which there is no tick; quotes alone do not show that it lives.
        """
        state = self._states.get(native)
        return state.day_received_ms if state and state.day else None

    def is_behind(self, day: Day) -> bool:
        """Return whether the 24 h figures, read elsewhere, show that this book missed some; its other channels may live."""
        state = self._states.get(day.native)
        known = state.day if state else None
        if known is None:
            return True
        is_newer = day.exchange_time_ms > known.exchange_time_ms + NEWER_BY_MS
        if day.trade_id is not None and known.trade_id is not None:
            # Lower at a later time: the exchange counts its trades anew.
            return day.trade_id > known.trade_id or (is_newer and day.trade_id < known.trade_id)
        return is_newer and day.price != known.price  # the time of an answer is not that of a trade

    def held_back(self, now_ms: int) -> list[str]:
        """Return the native symbols of which messages have come for a while that are all numbered below the newest one."""
        found = []
        for native in list(self._behind):
            state = self._states.get(native)
            since_ms = [line.behind_since_ms for line in state.lines if line.behind_since_ms] if state else []
            if not since_ms:
                self._behind.discard(native)
            elif now_ms - min(since_ms) > REORDERED_MS:
                found.append(native)
        return sorted(found)

    def silence_limit_s(self) -> float | None:
        """Return how long all symbols together may be silent, by their own past; None: too little is known of it."""
        share = 0.0
        for state in self._states.values():
            limit_s = state.pace.limit_s()
            if limit_s is not None:
                share += 1 / limit_s
        return 1 / share if share else None

    def forget(self, native: str) -> None:
        """Forget a symbol: what comes next of it is the first."""
        self._states.pop(native, None)

    def keep(self, natives: Mapping[str, object]) -> None:
        """Forget all symbols but these."""
        for native in self._states.keys() - natives.keys():
            del self._states[native]
        for native in self._paces.keys() - natives.keys():
            del self._paces[native]


def _is_ahead(known_ms: int, time_ms: int, received_time_ms: int) -> bool:
    """Return whether a known time lies ahead of our clock, and another one does not: so it is no yardstick."""
    return known_ms > received_time_ms + FAR_MS >= time_ms


def _apply_trade(state: _State, trade: Trade, received_time_ms: int) -> tuple[Change, Verdict]:
    if trade.trade_id == state.trade_line.number:  # the 24 h figures may have told it already
        return SAME, SAME_NUMBER
    verdict = state.trade_line.take((trade.trade_id, trade.exchange_time_ms), received_time_ms)
    if verdict is BEHIND:
        return OUTDATED, verdict
    state.price, state.traded_ms = trade.price, received_time_ms
    return NEW, verdict


def _apply_quote(state: _State, quote: Quote, received_time_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
    known = state.quote
    line = state.quote_line
    # Numbers of one symbol begin anew together: where another channel shows it, quotes that wait for proof have it.
    is_proved = 0 < line.behind_since_ms <= state.anew_ms
    verdict = Verdict.AHEAD if seed else line.take(quote.order, received_time_ms, restarted=quote.restarted or is_proved)
    if verdict is BEHIND:
        return OUTDATED, verdict
    if known is not None and (quote.bid_kept or quote.ask_kept):
        bid = known.bid if quote.bid_kept else quote.bid
        ask = known.ask if quote.ask_kept else quote.ask
        quote = replace(quote, bid=bid, ask=ask, bid_kept=False, ask_kept=False)
    state.quoted_ms = received_time_ms
    if verdict is SAME_NUMBER:
        if known is not None and quote.bid == known.bid and quote.ask == known.ask:
            return SAME, verdict
        line.tie()
    state.quote = quote
    return NEW, verdict


def _apply_day(state: _State, day: Day, received_time_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
    verdict = Verdict.AHEAD if seed else state.day_line.take(day.order, received_time_ms)
    if verdict is BEHIND:
        return OUTDATED, verdict
    if verdict is SAME_NUMBER:
        if day == state.day:
            state.day_received_ms = received_time_ms
            return SAME, verdict
        state.day_line.tie()
    state.day, state.day_received_ms = day, received_time_ms
    if received_time_ms - state.quoted_ms > (QUIET_QUOTE_MS if day.bid is None else SETTLED_MS):
        state.quote = None  # its channel may be deaf; its line stays, so that none before it comes back
    trades = state.trade_line
    is_settled = trades.number < 0 or (
        received_time_ms - state.traded_ms > SETTLED_MS and day.exchange_time_ms > trades.time_ms + SETTLED_MS
    )
    if is_settled or (day.trade_id is not None and day.trade_id >= trades.number):
        state.price = day.price
        if day.trade_id is not None and trades.jump(day.trade_id):
            verdict = ANEW
    return NEW, verdict
