"""The newest known state of each symbol of one feed, put together from an exchange's several channels.

A tick is complete or not at all: it appears once the 24 h figures are known, and from then on with each change.
"""

from collections.abc import Mapping
from dataclasses import replace
from enum import Enum
from typing import Final

from market_pulse.model import Tick

from .adapter import Day, Listed, MarketEvent, Quote, Trade

NEWER_BY_MS = 5_000  # REST and sockets are served by different machines: a little newer proves nothing


FUTURE_MS = 60_000  # an exchange time so far ahead of our clock is no yardstick for those that follow
SETTLED_MS = 3_000  # a trade or quote older than this is in the 24 h figures, which come each second
QUIET_QUOTE_MS = 10_000  # where the 24 h figures have no quote: the exchange sends an unchanged one again after 3 s
NOTHING: Final[tuple[float, float]] = (-1, -1)  # the order of a channel that has not said anything
TIE = 2**-10  # added to a time or number below 2**43, a float carries it exactly
LIVELY_TURNOVER = 1e6  # quote units in 24 h: about twelve dollars a second, where the quote is one


class Change(Enum):
    """What an event did to the book."""

    NEW = "new"  # something is known now that was not
    SAME = "same"  # it says what was known already, as a second socket does
    OUTDATED = "outdated"  # it lies before what is known


NEW, SAME, OUTDATED = Change  # an Enum's member costs a look-up in its class each time


class _State:
    """One native symbol's parts, each the newest of its channel."""

    __slots__ = (
        "day",
        "day_order",
        "day_received_ms",
        "exchange_time_ms",
        "price",
        "quote",
        "quote_order",
        "quoted_ms",
        "received_time_ms",
        "trade_id",
        "traded_ms",
    )

    def __init__(self) -> None:
        self.day: Day | None = None
        self.day_order: tuple[float, float] | None = NOTHING
        self.day_received_ms = 0
        self.quote: Quote | None = None
        self.quote_order = NOTHING
        self.quoted_ms = 0
        self.price = 0.0
        self.trade_id = -1
        self.traded_ms = 0
        self.exchange_time_ms: int | None = None
        self.received_time_ms = 0


class Book:
    """All symbols of one feed. Shared by a socket and the one that takes over from it, so that nothing goes back in time."""

    def __init__(self, exchange: str) -> None:
        self._exchange = exchange
        self._states: dict[str, _State] = {}

    def apply(self, event: MarketEvent, received_time_ms: int) -> Change:
        """Take one event in."""
        state = self._states.get(event.native)
        if state is None:
            state = self._states[event.native] = _State()
        if type(event) is Quote:
            change = _apply_quote(state, event, received_time_ms)
        elif type(event) is Trade:
            change = _apply_trade(state, event, received_time_ms)
        else:
            assert type(event) is Day  # noqa: S101 - the third of three kinds
            change = _apply_day(state, event, received_time_ms)
        if change is not OUTDATED:
            state.received_time_ms = received_time_ms
            time_ms = event.exchange_time_ms
            known_ms = state.exchange_time_ms
            if time_ms is not None and (known_ms is None or time_ms > known_ms or known_ms > received_time_ms + FUTURE_MS):
                state.exchange_time_ms = time_ms
        return change

    def tick(self, listed: Listed) -> Tick | None:
        """Return a symbol's state as a tick, or None while it is not complete.

        Its order is that of the newest trade, of the quote and of the 24 h figures, in the exchange's numbers. It tells whose
        tick is news where several copies of this ingest run. There is none while the exchange's clock is far ahead of ours.
        """
        state = self._states.get(listed.native)
        if state is None or state.day is None:
            return None
        day, quote = state.day, state.quote
        return Tick(  # in the order of its fields: with their names it takes three times as long, 0.9 us
            self._exchange,
            listed.symbol,
            state.price,
            state.exchange_time_ms,
            state.received_time_ms,
            None,
            listed.dp,
            quote.bid if quote else day.bid,
            quote.ask if quote else day.ask,
            day.open24h,
            day.high24h,
            day.low24h,
            day.volume24h,
            day.quote_volume24h,
            False,
            None,
            (state.trade_id, *state.quote_order, *state.day_order) if state.day_order else (),
        )

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
        if day.trade_id is not None and known.trade_id is not None:
            return day.trade_id > known.trade_id
        is_newer = day.exchange_time_ms > known.exchange_time_ms + NEWER_BY_MS
        return is_newer and day.price != known.price  # the time of an answer is not that of a trade

    def is_lively(self) -> bool:
        """Return whether some symbol is traded so much that silence would be suspicious."""
        return any((state.day.quote_volume24h or 0.0) >= LIVELY_TURNOVER for state in self._states.values() if state.day)

    def keep(self, natives: Mapping[str, object]) -> None:
        """Forget all symbols but these."""
        for native in self._states.keys() - natives.keys():
            del self._states[native]


def _apply_trade(state: _State, trade: Trade, received_time_ms: int) -> Change:
    if trade.trade_id <= state.trade_id:
        return SAME if trade.trade_id == state.trade_id else OUTDATED
    state.price, state.trade_id, state.traded_ms = trade.price, trade.trade_id, received_time_ms
    return NEW


def _apply_quote(state: _State, quote: Quote, received_time_ms: int) -> Change:
    known = state.quote
    if known is None:
        if quote.order < state.quote_order and not quote.restarted:
            return OUTDATED  # it lies before one that was dropped
    elif not quote.restarted:
        if quote.order < known.order:
            return OUTDATED
        if quote.order == known.order and quote.bid == known.bid and quote.ask == known.ask:
            state.quoted_ms = received_time_ms
            return SAME
        if quote.bid_kept or quote.ask_kept:
            bid = known.bid if quote.bid_kept else quote.bid
            ask = known.ask if quote.ask_kept else quote.ask
            quote = replace(quote, bid=bid, ask=ask, bid_kept=False, ask_kept=False)
    state.quote, state.quote_order, state.quoted_ms = quote, _after(state.quote_order, quote.order), received_time_ms
    return NEW


def _apply_day(state: _State, day: Day, received_time_ms: int) -> Change:
    known = state.day
    if known is not None:
        if day.order < known.order and known.exchange_time_ms <= received_time_ms + FUTURE_MS:
            return OUTDATED
        if day.order == known.order and day == known:
            state.day_received_ms = received_time_ms
            return SAME
    is_ahead = day.exchange_time_ms > received_time_ms + FUTURE_MS
    state.day_order = None if is_ahead else _after(state.day_order, day.order)
    state.day, state.day_received_ms = day, received_time_ms
    if received_time_ms - state.quoted_ms > (QUIET_QUOTE_MS if day.bid is None else SETTLED_MS):
        state.quote = None  # its channel may be deaf; the order stays, so that none before it comes back
    if day.trade_id is None:
        state.price = day.price
    elif day.trade_id >= state.trade_id or received_time_ms - state.traded_ms > SETTLED_MS:
        state.price, state.trade_id = day.price, day.trade_id
    return NEW


def _after(known: tuple[float, float] | None, order: tuple[int, int]) -> tuple[float, float]:
    """Return a channel's order; what bears the numbers of the last message but says something else comes after it."""
    if known is None or order[0] > known[0]:  # as it is nearly always
        return order
    if int(known[0]) == order[0] and known[1] == order[1]:
        return known[0] + TIE, order[1]
    return order
