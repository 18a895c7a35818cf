"""Verifies the bus: recomputes each ticker from its sources and each closed minute from its tickers, and compares ticks."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from math import isclose
from statistics import median

from msgspec import UNSET, UnsetType
from rich.markup import escape

from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE, TICK, TICKER
from market_pulse.messages import (
    Candle,
    CodecError,
    Interval,
    Source,
    Symbol,
    Tick,
    Ticker,
    Via,
    decode_candle,
    decode_tick,
    decode_ticker,
)

from .bus_tail import Message, messages
from .output import Output
from .recompute import Bounds, Memory, wrongs_of
from .recompute_candles import CandleCheck

MINUTE = CANDLES[Interval.MINUTE]

PATTERNS = [TICK.pattern, TICKER.pattern, MINUTE.pattern, EXCHANGE_CANDLE.pattern]
KEPT_TICKS = 500
"""How many prices of each exchange and symbol are kept. A ticker may use a tick that newer ticks have followed since."""
KEPT_RATES = 500
"""How many tickers of each rate are kept. They are found by their numbers."""
CLOCKS_APART_MS = 100
"""How far the clocks of an ingest and of the aggregator may differ. A source's age is computed from both."""
TOLD_OF_A_RATE = ("price", "bid", "ask", "open24h", "confidence", "quality")
NOISE = 1e-12
MAX_SHOWN = 20


@dataclass(slots=True)
class Verdict:
    """The figures so far. `wrong` has one line for each error found in a ticker.

    `missed` counts the tickers that are missing by their numbers. Those lost in the `gaps` of the subscription come on top.
    """

    ticks: int = 0
    tickers: int = 0
    held: int = 0
    missed: int = 0
    gaps: int = 0
    unreadable: int = 0
    misplaced: int = 0
    candles: CandleCheck = field(default_factory=CandleCheck)
    wrong: list[str] = field(default_factory=list)

    @property
    def well(self) -> bool:
        """Whether prices were checked, ticks were there to compare sources with, and no error was found."""
        return self.tickers > self.held and self.ticks > 0 and not (self.wrong or self.unreadable or self.misplaced)


class Verifier:
    """Takes the bus's messages in their order and compares tickers with ticks. Pure: it uses neither a clock nor Redis."""

    def __init__(self, bounds: Bounds = Bounds()) -> None:  # noqa: B008 - frozen
        self.verdict = Verdict()
        self._bounds = bounds
        self._memories: dict[Symbol, Memory] = defaultdict(Memory)
        self._heard: dict[tuple[str, Symbol], deque[tuple[int, float]]] = defaultdict(lambda: deque(maxlen=KEPT_TICKS))
        self._seq: dict[Symbol, int] = {}
        # The newest tickers of each symbol by which a source was converted.
        self._rates: dict[Symbol, dict[int, Ticker]] = {}

    def take(self, message: Message) -> list[str]:
        """Take in a message; return the errors in it."""
        # After a gap the numbers jump, and the next tickers may use ticks that were lost.
        if message.missed:
            self.verdict.gaps += 1
            self._seq.clear()
            self._heard.clear()
            self._memories.clear()
            self._rates.clear()
            self.verdict.candles.clear()
        try:
            if message.channel.startswith((MINUTE.prefix, EXCHANGE_CANDLE.prefix)):
                return self._take_candle(message.channel, decode_candle(message.data))
            if message.channel.startswith(TICK.prefix):
                return self._take_tick(message.channel, decode_tick(message.data))
            return self._take_ticker(message.channel, decode_ticker(message.data))
        except CodecError as wrong:
            self.verdict.unreadable += 1
            return [f"{message.channel}: {wrong}"]

    def _take_tick(self, channel: str, tick: Tick) -> list[str]:
        """Remember an exchange's own price. Only the channel proves the exchange: Redis lets no other user publish on it."""
        if channel != TICK.channel(tick.exchange, tick.symbol):
            return self._misplaced(channel, f"{tick.exchange}'s {tick.symbol}")
        self.verdict.ticks += 1
        self._heard[tick.exchange, tick.symbol].append((tick.received_time_ms, own_price(tick)))
        return []

    def _take_ticker(self, channel: str, ticker: Ticker) -> list[str]:
        if channel != TICKER.channel(ticker.symbol):
            return self._misplaced(channel, ticker.symbol)
        found = self._check(ticker)
        self.verdict.wrong += found
        return found

    def _take_candle(self, channel: str, candle: Candle) -> list[str]:
        """Check one of our own minutes, or remember an exchange's."""
        if candle.exchange is not None:
            if channel != EXCHANGE_CANDLE.channel(candle.exchange, candle.symbol):
                return self._misplaced(channel, f"{candle.exchange}'s {candle.symbol}")
            self.verdict.candles.take_part(candle)
            return []
        if channel != MINUTE.channel(candle.symbol) or candle.interval is not Interval.MINUTE:
            return self._misplaced(channel, f"{candle.symbol}, {candle.interval}")
        return self._note(self.verdict.candles.take_candle(candle))

    def finish(self) -> list[str]:
        """Compare what waited for a correction; return the errors found."""
        return self._note(self.verdict.candles.finish())

    def _note(self, problems: Iterable[str]) -> list[str]:
        found = list(problems)
        self.verdict.wrong += found
        return found

    def _misplaced(self, channel: str, subject: str) -> list[str]:
        self.verdict.misplaced += 1
        return [f"{channel}: the message is about {subject}"]

    def _check(self, ticker: Ticker) -> list[str]:
        self.verdict.tickers += 1
        found = []
        known = self._seq.get(ticker.symbol)
        if known is not None and ticker.seq <= known:
            found.append(f"number {ticker.seq} after {known}")
        elif known is not None:
            self.verdict.missed += ticker.seq - known - 1
        self._seq[ticker.symbol] = ticker.seq
        self.verdict.candles.take_ticker(ticker)
        self.verdict.held += not ticker.sources_used
        found += wrongs_of(ticker, self._bounds)
        found += self._memories[ticker.symbol].wrongs_of(ticker, missed=known is None or ticker.seq != known + 1)
        found += [problem for source in ticker.sources for problem in self._origin_of(source, ticker)]
        # All sources of a rate show the same one, so report it once.
        found += dict.fromkeys(problem for source in ticker.sources for problem in self._rate_of(source.via))
        if ticker.symbol in self._rates:
            self._remember_rate(ticker)
        return [f"{ticker.symbol} {ticker.seq}: {problem}" for problem in found]

    def _origin_of(self, source: Source, ticker: Ticker) -> list[str]:
        """Report a source whose price is in no tick that was seen, unless its tick is older than those."""
        symbol, own = ticker.symbol, source.price
        if source.via is not UNSET:
            base, currency = ticker.symbol.partition("-")[0], source.via.symbol.partition("-")[0]
            symbol, own = Symbol(f"{base}-{currency}"), None if source.own_price is UNSET else source.own_price
        seen = self._heard.get((source.exchange, symbol))
        if not seen or own is None or ticker.aggregated_time_ms - source.age_ms <= seen[0][0] + CLOCKS_APART_MS:
            return []
        if any(isclose(own, price, rel_tol=NOISE) for _, price in seen):
            return []
        return [f"{source.exchange} is listed at {own!r}, but none of its last {len(seen)} ticks of {symbol} has that price"]

    def _rate_of(self, via: Via | UnsetType) -> list[str]:
        """Report a rate that differs from its ticker, if that was seen."""
        if via is UNSET or via.seq == 0:
            return []
        known = self._rates.setdefault(via.symbol, {})
        if not known or not min(known) <= via.seq <= max(known):
            return []
        ticker = known.get(via.seq)
        if ticker is None:
            return [f"it is converted by number {via.seq} of {via.symbol}, which was not published"]
        told, published = ([getattr(one, name) for name in TOLD_OF_A_RATE] for one in (via, ticker))
        if told != published:
            return [f"{via.symbol} {via.seq} is told as {told}, but was published as {published}"]
        ages_ms = sorted(source.age_ms for source in ticker.sources if source.weight > 0)
        if (len(ages_ms) < 2) != (via.age_ms is None) or (via.age_ms is not None and via.age_ms < ages_ms[1]):
            return [f"{via.symbol} {via.seq} is told as {via.age_ms} ms old, but its sources were {ages_ms} ms old before"]
        return []

    def _remember_rate(self, ticker: Ticker) -> None:
        known = self._rates[ticker.symbol]
        if known and ticker.seq != max(known) + 1:
            known.clear()  # some were missed
        known[ticker.seq] = ticker
        if len(known) > KEPT_RATES:
            del known[min(known)]


def own_price(tick: Tick) -> float:
    """Return the exchange's price in a tick: the median of last trade, bid and ask, if both sides are there and not crossed.

    Source: docs/methodology.md, rule 1.
    """
    if tick.bid is None or tick.ask is None or tick.bid > tick.ask:
        return tick.price
    return median((tick.price, tick.bid, tick.ask))


async def verify(redis_url: str, output: Output, seconds: float, bounds: Bounds) -> bool:
    """Check messages for `seconds` (0: until cancelled), then print a summary. Returns whether all was well.

    Raises:
        BusError: Redis cannot be reached.
    """
    verifier = Verifier(bounds)
    shown = 0
    try:
        async with asyncio.timeout(seconds or None):
            async with aclosing(messages(redis_url, PATTERNS)) as incoming:
                async for message in incoming:
                    for problem in verifier.take(message):
                        shown += 1
                        if shown <= MAX_SHOWN:
                            _say(output, problem)
    except TimeoutError:
        pass
    finally:
        for problem in verifier.finish():
            _say(output, problem)
        _sum_up(output, verifier.verdict)
    return verifier.verdict.well


def _say(output: Output, problem: str) -> None:
    if output.json:
        output.object({"type": "wrong", "problem": problem})
    else:
        output.console.print(f"[red]wrong[/] {escape(problem)}")


def _sum_up(output: Output, verdict: Verdict) -> None:
    candles = verdict.candles
    if output.json:
        facts = {
            name: getattr(verdict, name)
            for name in ("ticks", "tickers", "held", "missed", "gaps", "unreadable", "misplaced", "well")
        }
        facts |= {"candles": candles.checked, "candlesUnchecked": candles.unchecked, "candleVolumes": candles.volumes}
        output.object({"type": "summary", **facts, "wrong": len(verdict.wrong)})
        return
    if verdict.well:
        mark = "[green]all prices add up[/]"
    else:
        is_wrong = verdict.wrong or verdict.unreadable or verdict.misplaced
        missing = "price was published" if verdict.tickers <= verdict.held else "tick came to compare a source with"
        mark = "[red]wrong[/]" if is_wrong else f"[yellow]no {missing}[/]"
    output.console.print(
        f"{mark}: {verdict.tickers} tickers recomputed ({verdict.held} of them held or without a price), "
        f"{candles.checked} closed minutes ({candles.unchecked} unchecked, volumes of {candles.volumes}), "
        f"{verdict.ticks} ticks, {len(verdict.wrong)} wrong, {verdict.unreadable} unreadable, "
        f"{verdict.misplaced} on the wrong channel, {verdict.missed} missed"
        + (f", more of them in {verdict.gaps} gaps" if verdict.gaps else "")
    )
