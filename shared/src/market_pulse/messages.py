"""The project's words as values: what a symbol, a tick, a ticker and a feed's status are.

Times are Unix milliseconds and say whose clock they were read from. Prices are quote units per base unit, volumes are in
base units, quote volumes (turnover) in quote units. None means: not known.

The code that makes or reads a value may still complete it. Once it is handed on, nobody changes it. Python does not check that
for values that are built for every message: `frozen` would make building them about three times as slow.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal, NewType

Symbol = NewType("Symbol", str)
"""Our spelling of a market, BASE-QUOTE in upper case: BTC-USDT. An exchange's own spelling is a native symbol."""

DEFAULT_QUOTE = "USDT"
_SYMBOL = re.compile(r"[^\W_]{1,32}-[^\W_]{1,32}")


def parse_symbol(text: str) -> Symbol:
    """Read a symbol as a user writes it: `btc` and `BTC` are BTC-USDT, `eth-btc` is ETH-BTC.

    Raises:
        ValueError: the text is no symbol.
    """
    candidate = text.strip().upper()
    if "-" not in candidate:
        candidate = f"{candidate}-{DEFAULT_QUOTE}"
    if not _SYMBOL.fullmatch(candidate):
        raise ValueError(f"{text[:40]!r} is not a symbol: write BASE-QUOTE, for example BTC-USDT, or just BTC")
    return Symbol(candidate)


def is_symbol(text: str) -> bool:
    """Return whether a text is a symbol in our own spelling."""
    return _SYMBOL.fullmatch(text) is not None and text == text.upper()


def parse_symbols(text: str) -> tuple[Symbol, ...]:
    """Read a comma-separated list of symbols, in order, each once; empty entries do not count.

    Raises:
        ValueError: an entry is no symbol.
    """
    return unique(parse_symbol(part) for part in text.split(",") if part.strip())


def unique(symbols: Iterable[Symbol]) -> tuple[Symbol, ...]:
    """Return the symbols in order, each once."""
    return tuple(dict.fromkeys(symbols))


@dataclass(slots=True)
class Tick:
    """One exchange's state of one symbol at one moment, complete: never a change, always the whole.

    `price` is the newest known trade price, finite and above zero. `dp` is the number of decimals of the exchange's tick size.
    `exchange_time_ms` is the exchange's clock, `received_time_ms` ours when the frame came in, `published_time_ms` ours when
    the tick was handed to the bus. `order` is what the tick is made of, in the exchange's own numbers, each of which only rises
    (docs/decisions/0010); empty where there are none to go by, and on every tick that was read from the bus.
    `lag_unknown`: the tick was made from an answer to a subscription or to a REST request. Such an answer may carry an old
    trade, so the distance of `exchange_time_ms` from `received_time_ms` says nothing about a lag.
    `ended`: why this is the exchange's last tick of the symbol (`delisted`); None: it goes on.
    """

    exchange: str
    symbol: Symbol
    price: float
    exchange_time_ms: int | None
    received_time_ms: int
    published_time_ms: int | None = None
    dp: int | None = None
    bid: float | None = None
    ask: float | None = None
    open24h: float | None = None
    high24h: float | None = None
    low24h: float | None = None
    volume24h: float | None = None
    quote_volume24h: float | None = None
    lag_unknown: bool = False
    ended: str | None = None
    order: tuple[float, ...] = ()


Quality = Literal["ok", "single", "disputed", "stale", "down"]
LIVE: Final = frozenset[Quality]({"ok", "single", "disputed"})
"""The qualities of a price of now. `stale` is an earlier one, `down` is none."""
SourceState = Literal["used", "fading", "excluded", "lagging", "stale"]


@dataclass(slots=True)
class Source:
    """One exchange's part in a ticker: what it said, what was made of it, and why.

    The ticker's price is the sum of `weight * used_price` over its sources; the weights of the used ones add up to 1.
    """

    exchange: str
    price: float
    used_price: float | None
    weight: float
    age_ms: int
    state: SourceState
    reason: str | None


@dataclass(slots=True)
class Ticker:
    """One price per symbol, made of all exchanges, with the truth about its quality.

    `seq` counts this symbol's messages. `dp` is the number of decimals worth showing. `exchange_time_ms` and
    `received_time_ms` are those of the newest tick that the price was made of. `confidence` is the largest distance of a used
    source from the price, in quote units; `spread_bps` the distance of the outermost sources in basis points. `publisher` names
    the process that made this ticker, by whose clock `aggregated_time_ms` is; None: the process did not say.

    Memory for the next ticker: `agreed_price` is the last price that was made while most sources were close together,
    `agreed_time_ms` the `aggregated_time_ms` of its ticker, and `priced_time_ms` that of the last ticker that had a source to
    make a price of. None: not known yet.
    """

    symbol: Symbol
    seq: int
    price: float | None
    dp: int
    bid: float | None
    ask: float | None
    change24h: float | None
    change_percent24h: float | None
    open24h: float | None
    high24h: float | None
    low24h: float | None
    volume24h: float | None
    quote_volume24h: float | None
    quality: Quality
    confidence: float | None
    spread_bps: float | None
    sources_used: int
    sources_total: int
    sources: tuple[Source, ...]
    exchange_time_ms: int | None
    received_time_ms: int | None
    aggregated_time_ms: int
    publisher: str | None = None
    agreed_price: float | None = None
    agreed_time_ms: int | None = None
    priced_time_ms: int | None = None


class Resolution(StrEnum):
    """How finely a history is kept: a point each second for ten minutes, and a point each minute for a day."""

    SECOND = "1s"
    MINUTE = "1m"

    @property
    def step_ms(self) -> int:
        """The time from one point to the next."""
        return 1_000 if self is Resolution.SECOND else 60_000

    @property
    def points(self) -> int:
        """How many points are kept at most."""
        return 600 if self is Resolution.SECOND else 1440

    @property
    def span_ms(self) -> int:
        """How far back the history reaches."""
        return self.step_ms * self.points

    def step_of(self, time_ms: int) -> int:
        """Return when the step (the second, the minute) began that a moment lies in."""
        return time_ms - time_ms % self.step_ms


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a symbol's history: the first price known in a step, and what each exchange heard of then said itself.

    `time_ms` is when the step began. Steps in which no price was known have no point.
    """

    time_ms: int
    price: float
    sources: Mapping[str, float]


MOST_TURNED_AWAY = 100
"""How many of the symbols that found no room a feed's status names."""

FeedState = Literal["connecting", "connected", "degraded", "reconnecting", "blocked", "down"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedStatus:
    """How one ingest's feed is doing: `state` since `since_ms`, and why.

    `symbols` counts the symbols that deliver, `reconnects` the sockets lost since the start; `simulated` is true when the
    other end is the simulator and not the exchange. `instance` names the process. `turned_away` names the symbols that are
    wanted and found no room below MAX_SYMBOLS, the longest waiting first, MOST_TURNED_AWAY at most; `turned_away_count` counts
    all of them.
    """

    exchange: str
    state: FeedState
    reason: str | None
    since_ms: int
    symbols: int
    last_tick_time_ms: int | None
    reconnects: int
    instance: str
    simulated: bool = False
    turned_away: tuple[Symbol, ...] = ()
    turned_away_count: int = 0
