"""Which symbols exist: what the exchanges list, what a wrong one was probably meant to be, and the listing as JSON."""

import asyncio
import hashlib
import re
from collections.abc import Collection, Iterable, Mapping, Sequence

import orjson
from rapidfuzz.distance import OSA
from rapidfuzz.process import extract

from market_pulse.bus import BusError, Reader
from market_pulse.messages import DEFAULT_QUOTE, Symbol
from market_pulse.process.logs import get_logger

REFRESH_INTERVAL_S = 30.0
SHORTEST_INTERVAL_S = 1.0  # between two reads, however often a symbol is missed
MOST_SUGGESTIONS = 5
FARTHEST_EDITS = 2

_PART = re.compile(r"[^\W_]+")

log = get_logger()


class Listings:
    """What the exchanges list, as far as is known, read from the bus again and again."""

    def __init__(self, bus: Reader, featured: Sequence[Symbol]) -> None:
        self._bus = bus
        self._featured = featured
        self._by_exchange: dict[str, frozenset[Symbol]] = {}
        self._exchanges: dict[Symbol, list[str]] = {}
        self._reading = asyncio.Lock()
        self._read_at = -REFRESH_INTERVAL_S
        self.read = False  # whether the last attempt to read them succeeded
        self.json = b""
        self.etag = ""
        self._index({})

    @property
    def known(self) -> bool:
        """Whether any exchange has said yet what it lists."""
        return bool(self._by_exchange)

    @property
    def heard_of(self) -> Collection[str]:
        """The exchanges that have said what they list."""
        return self._by_exchange.keys()

    def __contains__(self, symbol: Symbol) -> bool:
        return symbol in self._exchanges or symbol in self._featured

    def exchanges(self, symbol: Symbol) -> Sequence[str]:
        """Return the exchanges that list a symbol."""
        return self._exchanges.get(symbol, ())

    async def unlisted(self, symbols: Iterable[Symbol]) -> list[Symbol]:
        """Return those of the symbols that nobody lists, having looked again if there seemed to be any."""
        missing = [symbol for symbol in symbols if symbol not in self]
        if not missing:
            return []
        await self.refresh()
        return [symbol for symbol in missing if symbol not in self]

    def suggestions(self, asked: str) -> list[Symbol]:
        """Return what was probably meant by a text that is no listed symbol, best first."""
        featured: dict[Symbol, list[str]] = {symbol: [] for symbol in self._featured}
        return near_matches(asked, featured | self._exchanges)

    def matching(self, text: str) -> bytes:
        """Return the listing's JSON, reduced to the symbols that contain a text, in whatever case."""
        wanted = text.strip().upper()
        return self._json(symbol for symbol in self._exchanges if wanted in symbol)

    async def run(self) -> None:
        """Keep the listings fresh until cancelled."""
        while True:
            await self.refresh()
            await asyncio.sleep(REFRESH_INTERVAL_S if self.known else SHORTEST_INTERVAL_S)

    async def refresh(self) -> None:
        """Read the listings, unless that was done just now. What an exchange listed holds until it says otherwise."""
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
        self.json = self._json(self._exchanges)
        self.etag = f'"{hashlib.sha256(self.json).hexdigest()[:16]}"'

    def _json(self, symbols: Iterable[Symbol]) -> bytes:
        listed = [{"symbol": symbol, "exchanges": self._exchanges[symbol]} for symbol in symbols]
        return orjson.dumps({"featured": self._featured, "symbols": listed})


def near_matches(asked: str, listed: Mapping[Symbol, Sequence[str]]) -> list[Symbol]:
    """Return up to MOST_SUGGESTIONS listed symbols that a text may have meant, best first.

    One that is spelled so elsewhere is meant: BTCUSDT, BTC/USDT and BINANCE:BTCUSDT are BTC-USDT. Else those within
    FARTHEST_EDITS single-letter edits may be, nearest first. Among equally near ones those with the same quote come first, then
    those that more exchanges list.
    """
    parts = _PART.findall(asked.upper())
    wanted = _spellings(parts)
    if same := [symbol for symbol in listed if symbol.replace("-", "") in wanted]:
        return sorted(same, key=lambda symbol: -len(listed[symbol]))[:MOST_SUGGESTIONS]
    symbol = "-".join(parts[:2])
    quote = symbol.partition("-")[2]
    found = extract(symbol, listed.keys(), scorer=OSA.distance, score_cutoff=FARTHEST_EDITS, limit=None)
    ranked = sorted(found, key=lambda one: (one[1], one[0].partition("-")[2] != quote, -len(listed[one[0]]), one[0]))
    return [name for name, _, _ in ranked[:MOST_SUGGESTIONS]]


def _spellings(parts: Sequence[str]) -> set[str]:
    """Return the names, without their dash, that letters and digits in so many parts may stand for.

    Others write the parts together or apart, an exchange before them, the kind of contract behind them, or a base alone.
    """
    alone = [base + DEFAULT_QUOTE for base in parts if len(parts) == 1]
    return {"".join(parts), "".join(parts[:2]), "".join(parts[-2:]), *parts[:1], *parts[-1:], *alone}
