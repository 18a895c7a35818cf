"""The symbols that exist: the exchanges' listings, the listing as JSON, and suggestions for a misspelled symbol.

The symbols of a request are read and checked here. Symbols that do not exist are refused, with suggestions.
"""

import asyncio
import hashlib
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import orjson
from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from market_pulse.bus import BusError, Reader
from market_pulse.conversions import Conversions, Leg
from market_pulse.messages import DEFAULT_QUOTE, Symbol, parse_symbol, unique
from market_pulse.process.logs import get_logger

from .compression import SharedBody
from .problems import RETRY_AFTER_S, ProblemError

MOST_SYMBOLS = 100  # in one request
MOST_EXPLAINED = 10  # unknown symbols of one request that get suggestions
LONGEST_TOLD = 40  # characters of a malformed symbol that a refusal repeats
REFRESH_INTERVAL_S = 30.0
SHORTEST_INTERVAL_S = 1.0  # between two reads, however many requests name unknown symbols
MOST_SUGGESTIONS = 5
FARTHEST_EDITS = 2
NO_CONVERSIONS = Conversions()

_PART = re.compile(r"[^\W_]+")

log = get_logger()


class Listings:
    """The symbols that each exchange lists, read from the bus each REFRESH_INTERVAL_S.

    Args:
        bus: the bus to read from.
        featured: symbols that clients may ask for even if no exchange lists them.
        serving: returns the exchanges that serve now. A symbol is unknown only if the listing of each of them is known.
        quote: the currency of a symbol whose quote the client leaves out.
        conversions: say which symbols have a price although no exchange lists them.
    """

    def __init__(
        self,
        bus: Reader,
        featured: Sequence[Symbol],
        serving: Callable[[], Collection[str]] = frozenset[str],
        quote: str = DEFAULT_QUOTE,
        conversions: Conversions = NO_CONVERSIONS,
    ) -> None:
        self._bus = bus
        self._featured = featured
        self._serving = serving
        self._quote = quote
        self._conversions = conversions
        self._by_exchange: dict[str, frozenset[Symbol]] = {}
        self._exchanges: dict[Symbol, list[str]] = {}
        self._converted: dict[Symbol, Leg] = {}  # the symbols that no exchange lists and that have a price all the same
        self._reading = asyncio.Lock()
        self._read_at = -REFRESH_INTERVAL_S
        self.read = False  # whether the last attempt to read the listings succeeded
        self.json = b""
        self.shared = SharedBody(b"")
        self.etag = ""
        self._index({})

    @property
    def known(self) -> bool:
        """Whether the listing of any exchange is known."""
        return bool(self._by_exchange)

    def __contains__(self, symbol: Symbol) -> bool:
        return symbol in self._featured or self._conversions.can_price(symbol, self._exchanges)

    def exchanges(self, symbol: Symbol) -> Sequence[str]:
        """Return the exchanges that list a symbol."""
        return self._exchanges.get(symbol, ())

    def one_named(self, text: str) -> Symbol:
        """Return the symbol that a text names.

        Raises:
            ProblemError: the text is not a symbol.
        """
        [name] = self._parsed([text])
        return name

    def named(self, texts: Iterable[str]) -> tuple[Symbol, ...]:
        """Return the symbols in comma-separated texts, without repetitions.

        Raises:
            ProblemError: a part of a text is not a symbol, or there are no symbols, or more than MOST_SYMBOLS.
        """
        names = unique(self._parsed([part for text in texts for part in text.split(",") if part.strip()]))
        if not 1 <= len(names) <= MOST_SYMBOLS:
            raise ProblemError(400, "wrong_number_of_symbols", f"ask for 1 to {MOST_SYMBOLS} symbols, not {len(names)}")
        return names

    async def check(self, symbols: Collection[Symbol]) -> None:
        """Refuse symbols that no exchange lists. If one seems unlisted, the listings are read again first.

        Raises:
            ProblemError: no exchange lists a symbol, or it is not known whether one does.
        """
        if all(symbol in self for symbol in symbols):
            return
        await self.refresh()
        unlisted = [symbol for symbol in symbols if symbol not in self]
        if not unlisted:
            return
        suggestions = {symbol: self.suggestions(symbol) for symbol in unlisted[:MOST_EXPLAINED]}
        if unknown := self._why_unknown():
            detail = f"whether {', '.join(unlisted)} can be had is not known: {unknown}"
            raise ProblemError(503, "listing_unknown", detail, retry_after_s=RETRY_AFTER_S, suggestions=suggestions)
        hint = _hint(suggestions) or "; GET /api/symbols names what is listed"
        raise ProblemError(404, "unknown_symbol", f"nobody lists {', '.join(unlisted)}{hint}", suggestions=suggestions)

    def check_exchange(self, exchange: str, symbol: Symbol) -> None:
        """Refuse an exchange that does not list a symbol.

        Raises:
            ProblemError: the exchange does not list the symbol, or there is no such exchange, or that is not known.
        """
        if exchange in self.exchanges(symbol):
            return
        if exchange in self._by_exchange:
            others = ", ".join(self.exchanges(symbol)) or "none does"
            raise ProblemError(404, "not_listed_there", f"{exchange} does not list {symbol}; exchanges that do: {others}")
        if unknown := self._why_unknown():
            detail = f"whether {exchange[:LONGEST_TOLD]} lists {symbol} is not known: {unknown}"
            raise ProblemError(503, "listing_unknown", detail, retry_after_s=RETRY_AFTER_S)
        known = ", ".join(sorted(self._by_exchange))
        raise ProblemError(404, "unknown_exchange", f"there is no exchange {exchange[:LONGEST_TOLD]!r}; there are {known}")

    def suggestions(self, asked: str) -> list[Symbol]:
        """Return the symbols that a text that is not a listed symbol probably means, best first."""
        featured: dict[Symbol, list[str]] = {symbol: [] for symbol in self._featured}
        return near_matches(asked, featured | self._exchanges, self._quote)

    def matching(self, text: str) -> bytes:
        """Return the listing's JSON with only the symbols that contain a text. Upper and lower case are the same."""
        wanted = text.strip().upper()
        return self._json(symbol for symbol in (*self._exchanges, *self._converted) if wanted in symbol)

    async def run(self) -> None:
        """Keep the listings fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_INTERVAL_S if self.known else SHORTEST_INTERVAL_S)

    async def refresh(self) -> None:
        """Read the listings, unless that was done just now. If an exchange has no listing now, its last one still holds."""
        clock = asyncio.get_running_loop().time
        async with self._reading:
            if clock() - self._read_at < SHORTEST_INTERVAL_S:
                return
            try:
                self._index(await self._bus.listings())
                self.read = True
            except BusError as failed:
                self.read = False
                log.debug("listings not read", cause=str(failed))
            self._read_at = clock()

    def _parsed(self, texts: Iterable[str]) -> list[Symbol]:
        names: list[Symbol] = []
        malformed: dict[str, ValueError] = {}
        for text in texts:
            try:
                names.append(parse_symbol(text, self._quote))
            except ValueError as wrong:
                malformed[text[:LONGEST_TOLD]] = wrong
        if malformed:
            suggestions = {text: self.suggestions(text) for text in list(malformed)[:MOST_EXPLAINED]}
            first = next(iter(malformed.values()))
            raise ProblemError(400, "malformed_symbol", f"{first}{_hint(suggestions)}", suggestions=suggestions) from first
        return names

    def _why_unknown(self) -> str | None:
        """Return why a symbol that is in no known listing may be listed all the same. None means that no exchange lists it."""
        if not self.known:
            return "no exchange has said yet what it lists; only featured symbols can be had"
        if not self.read:
            return "the listings cannot be read right now"
        if unheard := set(self._serving()).difference(self._by_exchange):
            return f"not said yet what they list: {', '.join(sorted(unheard))}"
        return None

    def _index(self, news: Mapping[str, frozenset[Symbol]]) -> None:
        by_exchange = self._by_exchange | {exchange: symbols for exchange, symbols in news.items() if symbols}
        if by_exchange == self._by_exchange and self.json:
            return
        self._by_exchange = by_exchange
        exchanges: dict[Symbol, list[str]] = {}
        for exchange in sorted(by_exchange):
            for symbol in by_exchange[exchange]:
                exchanges.setdefault(symbol, []).append(exchange)
        self._exchanges = dict(sorted(exchanges.items()))
        self._converted = dict(sorted(self._conversions.unlisted(exchanges).items()))
        self.json = self._json((*self._exchanges, *self._converted))
        self.shared = SharedBody(self.json)
        self.etag = f'W/"{hashlib.sha256(self.json).hexdigest()[:16]}"'

    def _json(self, symbols: Iterable[Symbol]) -> bytes:
        entries = [self._entry(symbol) for symbol in symbols]
        return orjson.dumps({"featured": self._featured, "quote": self._quote, "symbols": entries})

    def _entry(self, symbol: Symbol) -> dict[str, Any]:
        if (leg := self._converted.get(symbol)) is None:
            return {"symbol": symbol, "exchanges": self._exchanges[symbol]}
        return {"symbol": symbol, "exchanges": self._exchanges[leg.symbol], "via": leg.rate}


def near_matches(asked: str, listed: Mapping[Symbol, Sequence[str]], usual_quote: str = DEFAULT_QUOTE) -> list[Symbol]:
    """Return up to MOST_SUGGESTIONS listed symbols that a text may mean, best first.

    If the text is another system's spelling of listed symbols, these are returned: BTCUSDT, BTC/USDT and BINANCE:BTCUSDT all
    mean BTC-USDT. Otherwise the symbols within FARTHEST_EDITS single-letter edits are returned, the nearest first. Among
    equally near symbols those with the same quote come first, then those that more exchanges list. A text without a quote is in
    the usual one.
    """
    parts = _PART.findall(asked.upper())
    wanted = _spellings(parts, usual_quote)
    if same := [symbol for symbol in listed if symbol.replace("-", "") in wanted]:
        return sorted(same, key=lambda symbol: -len(listed[symbol]))[:MOST_SUGGESTIONS]
    symbol = "-".join(parts[:2])
    quote = symbol.partition("-")[2]
    found = extract(symbol, listed.keys(), scorer=OSA.distance, score_cutoff=FARTHEST_EDITS, limit=None)
    ranked = sorted(found, key=lambda one: (one[1], one[0].partition("-")[2] != quote, -len(listed[one[0]]), one[0]))
    return [name for name, _, _ in ranked[:MOST_SUGGESTIONS]]


def _hint(suggestions: Mapping[Any, list[Symbol]]) -> str:
    near = sorted({symbol for nearest in suggestions.values() for symbol in nearest})
    return f"; did you mean {', '.join(near)}?" if near else ""


def _spellings(parts: Sequence[str], usual_quote: str) -> set[str]:
    """Return the symbols, without their dash, that a text with these parts may mean.

    Other systems write base and quote together or apart, put an exchange before them or the kind of contract behind them, or
    write only the base.
    """
    alone = [base + usual_quote for base in parts if len(parts) == 1]
    return {"".join(parts), "".join(parts[:2]), "".join(parts[-2:]), *parts[:1], *parts[-1:], *alone}
