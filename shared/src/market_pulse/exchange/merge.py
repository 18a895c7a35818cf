"""The newest known state of each symbol of one feed, merged from an exchange's several channels.

A tick is complete or not at all: it appears once the 24 h figures are known, and from then on with each change.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from msgspec.structs import replace

from market_pulse.messages import Tick

from .adapter import Day, Listed, MarketEvent, Quote, Trade
from .line import AHEAD, ANEW, BEHIND, FAR_MS, Line, Verdict
from .line import SAME as SAME_NUMBER
from .pace import Pace

NEWER_BY_MS: Final = 5_000  # REST and sockets are served by different machines: a little newer proves nothing
SETTLED_MS: Final = 3_000  # a trade or quote older than this is in the 24 h figures, which come each second
QUIET_QUOTE_MS: Final = 10_000  # where the 24 h figures have no quote: the exchange sends an unchanged one again after 3 s
REORDERED_MS: Final = 2_000  # a message that comes so much too late is nothing to speak of


class Change(Enum):
    """The effect of an event on the merged state."""

    NEW = "new"  # the event told something new
    SAME = "same"  # it repeats the newest one, as a second socket does
    OUTDATED = "outdated"  # a newer one of its channel came before


NEW, SAME, OUTDATED = Change  # an Enum's member costs a look-up in its class each time


class _Trades:
    """The newest price of a symbol. Trades are ordered by their number, which the 24 h figures may tell, too."""

    __slots__ = ("line", "price", "received_ms")

    def __init__(self) -> None:
        self.line = Line()
        # The price of the newest trade, or of the 24 h figures where these are ahead of the trades.
        self.price = 0.0
        # When the newest trade came, by our clock.
        self.received_ms = 0

    def apply(self, trade: Trade, received_ms: int) -> tuple[Change, Verdict]:
        # The 24 h figures may have told of this trade already.
        if trade.trade_id == self.line.number:
            return SAME, SAME_NUMBER
        verdict = self.line.take((trade.trade_id, trade.exchange_time_ms), received_ms)
        if verdict is BEHIND:
            return OUTDATED, verdict
        self.price, self.received_ms = trade.price, received_ms
        return NEW, verdict

    def follow(self, day: Day, received_ms: int) -> bool:
        """Take the price of new 24 h figures, unless a trade is ahead of them. Return whether trade numbers began anew."""
        # Without a trade, or long after the newest one by both clocks, the figures are ahead whatever they say of trades.
        is_ahead = self.line.number < 0 or (
            received_ms - self.received_ms > SETTLED_MS and day.exchange_time_ms > self.line.time_ms + SETTLED_MS
        )
        if not is_ahead and (day.trade_id is None or day.trade_id < self.line.number):
            return False
        self.price = day.price
        return day.trade_id is not None and self.line.jump(day.trade_id)


class _Quotes:
    """The newest best bid and ask of a symbol, ordered by the exchange's number and time of each message."""

    __slots__ = ("line", "newest", "received_ms")

    def __init__(self) -> None:
        self.line = Line()
        # None until the first quote, and again after the channel has gone deaf.
        self.newest: Quote | None = None
        # When a quote last came, by our clock, be it a repetition.
        self.received_ms = 0

    def apply(self, quote: Quote, received_ms: int, anew_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
        """Take a quote in. `anew_ms`: when numbers of another channel of this symbol last began anew."""
        # Numbers of one symbol begin anew together: where another channel shows it, quotes that wait for proof have it.
        is_proved = 0 < self.line.behind_since_ms <= anew_ms
        # A seed says nothing about the order of those that follow.
        verdict = AHEAD if seed else self.line.take(quote.order, received_ms, restarted=quote.restarted or is_proved)
        if verdict is BEHIND:
            return OUTDATED, verdict
        known = self.newest
        # A side of which the message says nothing stays as it was.
        if known is not None and (quote.bid_kept or quote.ask_kept):
            bid = known.bid if quote.bid_kept else quote.bid
            ask = known.ask if quote.ask_kept else quote.ask
            quote = replace(quote, bid=bid, ask=ask, bid_kept=False, ask_kept=False)
        self.received_ms = received_ms
        if verdict is SAME_NUMBER:
            if known is not None and quote.bid == known.bid and quote.ask == known.ask:
                return SAME, verdict
            self.line.tie()
        self.newest = quote
        return NEW, verdict

    def drop_if_deaf(self, day: Day, received_ms: int) -> None:
        """Drop the quote where 24 h figures go on without the channel. Its line stays, so that no older quote comes back."""
        if received_ms - self.received_ms > (QUIET_QUOTE_MS if day.bid is None else SETTLED_MS):
            self.newest = None


class _Days:
    """The newest 24 h figures of a symbol, ordered by the exchange's number and time of each message."""

    __slots__ = ("line", "newest", "received_ms")

    def __init__(self) -> None:
        self.line = Line()
        self.newest: Day | None = None
        # When figures last came, by our clock, be it a repetition.
        self.received_ms = 0

    def apply(self, day: Day, received_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
        # A seed says nothing about the order of those that follow.
        verdict = AHEAD if seed else self.line.take(day.order, received_ms)
        if verdict is BEHIND:
            return OUTDATED, verdict
        self.received_ms = received_ms
        if verdict is SAME_NUMBER:
            if day == self.newest:
                return SAME, verdict
            self.line.tie()
        self.newest = day
        return NEW, verdict


class _Symbol:
    """One native symbol: the newest of each channel, and the times that all channels share."""

    __slots__ = ("anew_ms", "days", "exchange_time_ms", "pace", "quotes", "received_time_ms", "trades")

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.trades = _Trades()
        self.quotes = _Quotes()
        self.days = _Days()
        # When the numbers of some channel last began anew, by our clock; 0: never.
        self.anew_ms = 0
        # The newest time that any channel's messages bear.
        self.exchange_time_ms: int | None = None
        # When a message last was news or a repetition, by our clock.
        self.received_time_ms = 0

    def apply(self, event: MarketEvent, received_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
        """Take an event in on its channel."""
        if type(event) is Quote:
            return self.quotes.apply(event, received_ms, self.anew_ms, seed=seed)
        if type(event) is Trade:
            return self.trades.apply(event, received_ms)
        assert type(event) is Day  # noqa: S101 - the third of three kinds
        change, verdict = self.days.apply(event, received_ms, seed=seed)
        if change is NEW:
            self.quotes.drop_if_deaf(event, received_ms)
            if self.trades.follow(event, received_ms):
                verdict = ANEW
        return change, verdict

    def behind_since_ms(self) -> int:
        """Return since when messages of some channel are refused, by our clock; 0: they are not."""
        lines = self.trades.line, self.quotes.line, self.days.line
        return min((line.behind_since_ms for line in lines if line.behind_since_ms), default=0)


class Merge:
    """All symbols of one feed. Shared by a socket and the one that takes over from it, so that nothing goes back in time.

    `on_anew` is called with the native symbol of which an exchange's numbers began anew. `paces` outlives the merge: how fast
    each symbol is can be known before the next socket has shown it.
    """

    def __init__(
        self, exchange: str, paces: dict[str, Pace] | None = None, on_anew: Callable[[str], None] = lambda _: None
    ) -> None:
        self._exchange = exchange
        self._symbols: dict[str, _Symbol] = {}
        self._paces = {} if paces is None else paces
        self._on_anew = on_anew
        # Native symbols whose last message was refused.
        self._behind: set[str] = set()

    def apply(self, event: MarketEvent, received_time_ms: int, *, seed: bool = False) -> Change:
        """Take one event in. A `seed` was read elsewhere, so its number and time say nothing about those that follow."""
        native = event.native
        symbol = self._symbols.get(native)
        if symbol is None:
            symbol = self._symbols[native] = _Symbol(self._paces.setdefault(native, Pace()))
            # Anything may have been missed since the last socket.
            symbol.pace.pause()
        change, verdict = symbol.apply(event, received_time_ms, seed=seed)
        if change is OUTDATED:
            self._behind.add(native)
            return change
        symbol.pace.heard(received_time_ms)
        symbol.received_time_ms = received_time_ms
        # The exchange's time only rises, unless the known one has turned out to be no yardstick.
        time_ms = event.exchange_time_ms
        if time_ms is not None:
            known_ms = symbol.exchange_time_ms
            if known_ms is None or time_ms > known_ms or verdict is ANEW or _is_ahead(known_ms, time_ms, received_time_ms):
                symbol.exchange_time_ms = time_ms
        if verdict is ANEW:
            symbol.anew_ms = received_time_ms
            self._on_anew(native)
        return change

    def tick(self, listed: Listed, *, lag_unknown: bool = False) -> Tick | None:
        """Return a symbol's state as a tick, or None while it is not complete.

        Its order is that of the newest trade, of the quote and of the 24 h figures, in the exchange's numbers and times, and
        when these last began anew, if they did. It tells whose tick is news where several copies of this ingest run.
        """
        symbol = self._symbols.get(listed.native)
        if symbol is None or symbol.days.newest is None:
            return None
        day, quote = symbol.days.newest, symbol.quotes.newest
        order = (symbol.trades.line.number, *symbol.quotes.line.order, *symbol.days.line.order)
        # Python passes up to 14 arguments by name as they are, and more in a dict, which takes three times as long.
        tick = Tick(
            exchange=self._exchange,
            symbol=listed.symbol,
            price=symbol.trades.price,
            exchange_time_ms=symbol.exchange_time_ms,
            received_time_ms=symbol.received_time_ms,
            dp=listed.dp,
            bid=quote.bid if quote else day.bid,
            ask=quote.ask if quote else day.ask,
            open24h=day.open24h,
            high24h=day.high24h,
            low24h=day.low24h,
            volume24h=day.volume24h,
            quote_volume24h=day.quote_volume24h,
            order=(*order, symbol.anew_ms) if symbol.anew_ms else order,
        )
        if lag_unknown:
            tick.lag_unknown = True
        return tick

    def heard(self, native: str) -> int | None:
        """Return when a symbol's 24 h figures last came, in Unix milliseconds of our clock; None: never.

        They are the channel without which there is no tick; quotes alone do not show that it lives.
        """
        symbol = self._symbols.get(native)
        return symbol.days.received_ms if symbol and symbol.days.newest else None

    def is_behind(self, day: Day) -> bool:
        """Return whether the 24 h figures, read elsewhere, show that some were missed here; other channels may live."""
        symbol = self._symbols.get(day.native)
        known = symbol.days.newest if symbol else None
        if known is None:
            return True
        is_newer = day.exchange_time_ms > known.exchange_time_ms + NEWER_BY_MS
        if day.trade_id is not None and known.trade_id is not None:
            # A lower number at a later time: the exchange counts its trades anew.
            return day.trade_id > known.trade_id or (is_newer and day.trade_id < known.trade_id)
        # The time of an answer is not that of a trade.
        return is_newer and day.price != known.price

    def held_back(self, now_ms: int) -> list[str]:
        """Return the native symbols of which messages have come for a while that are all numbered below the newest one."""
        found = []
        for native in list(self._behind):
            symbol = self._symbols.get(native)
            since_ms = symbol.behind_since_ms() if symbol else 0
            if not since_ms:
                self._behind.discard(native)
            elif now_ms - since_ms > REORDERED_MS:
                found.append(native)
        return sorted(found)

    def silence_limit_s(self) -> float | None:
        """Return how long all symbols together may be silent, by their own past; None: too little is known of it."""
        share = 0.0
        for symbol in self._symbols.values():
            limit_s = symbol.pace.limit_s()
            if limit_s is not None:
                share += 1 / limit_s
        return 1 / share if share else None

    def forget(self, native: str) -> None:
        """Forget a symbol: what comes next of it is the first."""
        self._symbols.pop(native, None)

    def keep(self, natives: Mapping[str, object]) -> None:
        """Forget all symbols but these."""
        for native in self._symbols.keys() - natives.keys():
            del self._symbols[native]
        for native in self._paces.keys() - natives.keys():
            del self._paces[native]


def _is_ahead(known_ms: int, time_ms: int, received_ms: int) -> bool:
    """Return whether a known time lies ahead of our clock, and another one does not: so it is no yardstick."""
    return known_ms > received_ms + FAR_MS >= time_ms
