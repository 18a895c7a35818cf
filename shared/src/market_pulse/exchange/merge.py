"""The newest known state of each symbol of one feed, merged from an exchange's several channels.

There is no tick of a symbol before its 24 h figures are known. From then on each change makes a complete tick.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Final

from msgspec.structs import replace

from market_pulse.messages import Tick

from .adapter import Day, Listed, MarketEvent, Quote, Trade
from .line import AHEAD, ANEW, BEHIND, FAR_MS, UNKNOWN, Line, Verdict
from .line import SAME as SAME_NUMBER
from .pace import Pace

NEWER_BY_MS: Final = 5_000  # different machines serve REST and sockets, so a smaller difference in time proves nothing
SETTLED_MS: Final = 3_000  # the 24 h figures come each second, so they include a trade or quote that is older than this
QUIET_QUOTE_MS: Final = 10_000  # if the 24 h figures have no quote: the exchange repeats an unchanged quote after 3 s
REORDERED_MS: Final = 2_000  # messages that are outdated for no longer than this are not reported


class Change(Enum):
    """The effect of an event on the merged state."""

    NEW = "new"  # the event changed the state
    SAME = "same"  # the event repeats the newest one of its channel, as the events of a second socket do
    OUTDATED = "outdated"  # a newer event of its channel came before, so this one is ignored


NEW, SAME, OUTDATED = Change  # as module variables, because each access through the Enum class is a look-up


class _Trades:
    """The newest price of a symbol. Trades are ordered by their number, which the 24 h figures may also contain."""

    __slots__ = ("line", "price", "received_ms")

    def __init__(self) -> None:
        self.line = Line()
        # The price of the newest trade, or of the 24 h figures if these are newer.
        self.price = 0.0
        # When the newest trade was received, by our clock.
        self.received_ms = 0

    def apply(self, trade: Trade, received_ms: int) -> tuple[Change, Verdict]:
        # The 24 h figures may have included this trade already.
        if trade.trade_id == self.line.number:
            return SAME, SAME_NUMBER
        verdict = self.line.take((trade.trade_id, trade.exchange_time_ms), received_ms)
        if verdict is BEHIND:
            return OUTDATED, verdict
        self.price, self.received_ms = trade.price, received_ms
        return NEW, verdict

    def follow(self, day: Day, received_ms: int) -> bool:
        """Use the price of new 24 h figures, unless a trade is newer. Return whether the trade numbers started again."""
        # Without a trade, or long after the newest trade by both clocks, the figures are newer whatever their trade number is.
        # If the figures have no time, only our clock counts.
        is_ahead = self.line.number < 0 or (
            received_ms - self.received_ms > SETTLED_MS
            and (day.exchange_time_ms is None or day.exchange_time_ms > self.line.time_ms + SETTLED_MS)
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
        # None before the first quote, and again once the channel has stopped sending.
        self.newest: Quote | None = None
        # When a quote or a repetition of it was last received, by our clock.
        self.received_ms = 0

    def apply(self, quote: Quote, received_ms: int, anew_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
        """Apply a quote. `anew_ms` is when the numbers of any channel of this symbol last started again.

        All numbers of a symbol start again together. So if another channel has proved that they did, outdated quotes are
        accepted without further proof.
        """
        is_proved = 0 < self.line.behind_since_ms <= anew_ms
        # A seed's number and time say nothing about the quotes that follow.
        verdict = AHEAD if seed else self.line.take(quote.order, received_ms, restarted=quote.restarted or is_proved)
        if verdict is BEHIND:
            return OUTDATED, verdict
        known = self.newest
        # A side that the message does not mention stays as it was.
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
        """Drop the quote if 24 h figures still come but no quotes do. `line` stays, so that older quotes are still outdated."""
        if received_ms - self.received_ms > (QUIET_QUOTE_MS if day.bid is None else SETTLED_MS):
            self.newest = None


class _Days:
    """The newest 24 h figures of a symbol, ordered by the exchange's number and time of each message."""

    __slots__ = ("line", "newest", "received_ms")

    def __init__(self) -> None:
        self.line = Line()
        self.newest: Day | None = None
        # When figures or a repetition of them were last received, by our clock.
        self.received_ms = 0

    def apply(self, day: Day, received_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
        # Figures without a number and a time come after all that were received before, even if our clock is put back.
        order = (0, max(received_ms, self.line.time_ms)) if day.order is None else day.order
        # A seed's number and time say nothing about the figures that follow.
        verdict = AHEAD if seed else self.line.take(order, received_ms)
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
    """One native symbol: the newest state of each channel, and the times that all channels share."""

    __slots__ = (
        "anew_ms",
        "announced",
        "days",
        "exchange_time_ms",
        "pace",
        "quotes",
        "received_time_ms",
        "renewed_ms",
        "trades",
    )

    def __init__(self, pace: Pace) -> None:
        self.pace = pace
        self.trades = _Trades()
        self.quotes = _Quotes()
        self.days = _Days()
        # When the numbers of any channel last started again, by our clock. 0 if they never did.
        self.anew_ms = 0
        # The newest time in any channel's messages, by the exchange's clock.
        self.exchange_time_ms: int | None = None
        # When a message that was not outdated was last received, by our clock, or a proof that the price is still the last one.
        self.received_time_ms = 0
        # When such a proof was last received, by our clock. 0 if there was no proof yet.
        self.renewed_ms = 0
        # The newest trade that a proof of life named although we do not know it.
        self.announced = 0

    def apply(self, event: MarketEvent, received_ms: int, *, seed: bool) -> tuple[Change, Verdict]:
        """Apply an event to the state of its channel."""
        if type(event) is Quote:
            return self.quotes.apply(event, received_ms, self.anew_ms, seed=seed)
        if type(event) is Trade:
            return self.trades.apply(event, received_ms)
        assert type(event) is Day  # noqa: S101 - the only type that is left
        change, verdict = self.days.apply(event, received_ms, seed=seed)
        if change is NEW:
            self.quotes.drop_if_deaf(event, received_ms)
            if self.trades.follow(event, received_ms):
                verdict = ANEW
        return change, verdict

    def behind_since_ms(self) -> int:
        """Return since when a channel's messages have been outdated, by our clock. Return 0 if no channel's messages are."""
        lines = self.trades.line, self.quotes.line, self.days.line
        return min((line.behind_since_ms for line in lines if line.behind_since_ms), default=0)


class Merge:
    """All symbols of one feed. A socket and its successor share a merge, so that no symbol goes back in time.

    `on_anew` is called with a native symbol when the exchange's numbers of it start again. `paces` has the usual pauses of each
    symbol. It outlives the merge, so that they are known before the next socket has shown them.
    """

    def __init__(
        self, exchange: str, paces: dict[str, Pace] | None = None, on_anew: Callable[[str], None] = lambda _: None
    ) -> None:
        self._exchange = exchange
        self._symbols: dict[str, _Symbol] = {}
        self._paces = {} if paces is None else paces
        self._on_anew = on_anew
        # Native symbols with a channel whose last message may still be an outdated one.
        self._behind: set[str] = set()

    def apply(self, event: MarketEvent, received_time_ms: int, *, seed: bool = False) -> Change:
        """Apply one event. A `seed` comes from REST, so its number and time say nothing about the events that follow."""
        native = event.native
        symbol = self._symbols.get(native)
        if symbol is None:
            symbol = self._symbols[native] = _Symbol(self._paces.setdefault(native, Pace()))
            # Messages may have been missed since the last socket, so this pause does not count.
            symbol.pace.pause()
        change, verdict = symbol.apply(event, received_time_ms, seed=seed)
        if change is OUTDATED:
            self._behind.add(native)
            return change
        symbol.pace.heard(received_time_ms)
        symbol.received_time_ms = received_time_ms
        # The exchange's time only rises, unless the known time turns out to be wrong.
        time_ms = event.exchange_time_ms if event.sent_time_ms is None else event.sent_time_ms
        if time_ms is not None:
            known_ms = symbol.exchange_time_ms
            if known_ms is None or time_ms > known_ms or verdict is ANEW or _is_ahead(known_ms, time_ms, received_time_ms):
                symbol.exchange_time_ms = time_ms
        if verdict is ANEW:
            symbol.anew_ms = received_time_ms
            self._on_anew(native)
        return change

    def tick(self, listed: Listed, *, lag_unknown: bool = False) -> Tick | None:
        """Return a symbol's state as a tick, or None if its 24 h figures are not known yet.

        The tick's `order` has the exchange's numbers and times of the newest trade, of the quote and of the 24 h figures, and
        the time at which these numbers last started again, if they did. If several copies of this ingest run, `order` shows
        whose tick is newer.
        """
        symbol = self._symbols.get(listed.native)
        if symbol is None or symbol.days.newest is None:
            return None
        day, quote = symbol.days.newest, symbol.quotes.newest
        bid, ask = (quote.bid, quote.ask) if quote else (day.bid, day.ask)
        # A price may be proved to be the last one long after its quote was received. The quote proves nothing then.
        if symbol.renewed_ms and symbol.renewed_ms - (symbol.quotes if quote else symbol.days).received_ms > QUIET_QUOTE_MS:
            bid = ask = None
        order = (symbol.trades.line.number, *symbol.quotes.line.order, *symbol.days.line.order)
        # `lag_unknown` is set below, because Python passes more than 14 arguments by name in a dict, which is slower.
        tick = Tick(
            exchange=self._exchange,
            symbol=listed.symbol,
            price=symbol.trades.price,
            exchange_time_ms=symbol.exchange_time_ms,
            received_time_ms=symbol.received_time_ms,
            dp=listed.dp,
            bid=bid,
            ask=ask,
            open24h=day.open24h,
            high24h=day.high24h,
            low24h=day.low24h,
            volume24h=day.volume24h,
            quote_volume24h=day.quote_volume24h,
            order=(*order, symbol.anew_ms) if symbol.anew_ms else order,
        )
        if lag_unknown:
            tick.lag_unknown = True
        if day.quote_volume_estimated:
            tick.quote_volume_estimated = True
        return tick

    def renew(self, native: str, trade_id: int, received_time_ms: int) -> bool:
        """Count a symbol's price as received now, if the exchange's newest trade is the one that we know. Return whether it is.

        The tick's `order` rises with the seconds since the newest figures. So it is the same in all copies of this ingest.
        """
        symbol = self._symbols.get(native)
        if symbol is None or symbol.days.newest is None or symbol.trades.line.number != trade_id:
            return False
        symbol.renewed_ms = symbol.received_time_ms = received_time_ms
        line = symbol.days.line
        since_ms = line.time_ms if line.time_ms > 0 else symbol.days.received_ms
        line.tie_to((received_time_ms - since_ms) // 1000)
        return True

    def misses(self, native: str, trade_id: int) -> bool:
        """Note the exchange's newest trade of a symbol. Return whether we still lack the one that was the newest a while ago.

        The newest trade itself may be on its way.
        """
        symbol = self._symbols.get(native)
        known = symbol.trades.line.number if symbol else UNKNOWN
        if symbol is None or not 0 <= known < trade_id:
            return False
        before, symbol.announced = symbol.announced, trade_id
        return known < before

    def heard(self, native: str) -> int | None:
        """Return when a symbol's 24 h figures were last received, in Unix milliseconds of our clock. None means never.

        A proof that nothing was missed since then counts as well. Quotes do not count: without 24 h figures there is no tick,
        and quotes do not show that the figures still come.
        """
        symbol = self._symbols.get(native)
        return max(symbol.days.received_ms, symbol.renewed_ms) if symbol and symbol.days.newest else None

    def is_behind(self, day: Day, received_time_ms: int) -> bool:
        """Return whether 24 h figures from REST show that this feed missed some. The symbol's other channels may still work."""
        symbol = self._symbols.get(day.native)
        known = symbol.days.newest if symbol else None
        if symbol is None or known is None:
            return True
        if day.exchange_time_ms is None or known.exchange_time_ms is None:
            is_newer = received_time_ms > symbol.days.received_ms + NEWER_BY_MS
        else:
            is_newer = day.exchange_time_ms > known.exchange_time_ms + NEWER_BY_MS
        if day.trade_id is not None and known.trade_id is not None:
            # A lower number at a later time means that the exchange has started its trade numbers again.
            return day.trade_id > known.trade_id or (is_newer and day.trade_id < known.trade_id)
        # The answer's time is not the time of a trade, so a later time alone proves nothing.
        return is_newer and day.price != known.price

    def held_back(self, now_ms: int) -> list[str]:
        """Return the native symbols with a channel that has sent only outdated messages for longer than REORDERED_MS."""
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
        """Return how long all symbols together may be silent, judged by their usual pauses; None if too few are known."""
        share = 0.0
        for symbol in self._symbols.values():
            limit_s = symbol.pace.limit_s()
            if limit_s is not None:
                share += 1 / limit_s
        return 1 / share if share else None

    def note(self, key: str, received_time_ms: int) -> None:
        """Note that data of another kind than the ticker has arrived, for `silence_limit_s`."""
        symbol = self._symbols.get(key)
        if symbol is None:
            symbol = self._symbols[key] = _Symbol(self._paces.setdefault(key, Pace()))
            symbol.pace.pause()
        symbol.pace.heard(received_time_ms)

    def forget(self, native: str) -> None:
        """Forget a symbol's state, so that its next event counts as its first."""
        self._symbols.pop(native, None)

    def keep(self, natives: Mapping[str, object]) -> None:
        """Forget all symbols except these."""
        for native in self._symbols.keys() - natives.keys():
            del self._symbols[native]
        for native in self._paces.keys() - natives.keys():
            del self._paces[native]


def _is_ahead(known_ms: int, time_ms: int, received_ms: int) -> bool:
    """Return whether a known time lies far ahead of our clock and another time does not, so that the known one is wrong."""
    return known_ms > received_ms + FAR_MS >= time_ms
