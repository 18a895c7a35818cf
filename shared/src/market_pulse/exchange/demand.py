"""Which symbols an ingest carries: the featured ones always, any other listed one while somebody wants it."""

import asyncio
import random
import secrets
import time
from collections.abc import Awaitable, Callable, Container, Iterable
from dataclasses import dataclass
from hashlib import blake2b
from typing import NoReturn
from urllib.parse import urlsplit

from market_pulse.bus import BusError, IngestBus
from market_pulse.kinds import TICKER, Kind, symbols_of
from market_pulse.messages import Symbol
from market_pulse.process.logs import get_logger

from .adapter import Adapter, Listed
from .asked import Asked
from .feed import Feed
from .listing import ListingKeeper
from .settings import IngestSettings

INTERVAL_S = 1.0
KINDS = (TICKER,)
"""What an ingest carries on demand: somebody who subscribes to `ticker:B-Q` wishes for ticks of B-Q."""
MOST_NAMED = 5  # symbols in a log line

log = get_logger()


class Lots:
    """Draws lots for symbols that are first wanted at the same time.

    Two processes with the same secret draw the same lot for a symbol in the same second, so copies of an ingest choose alike.
    Without the secret nobody can tell which name will be lucky in which second.

    Args:
        secret: what the copies share.
        clock: Unix seconds.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = blake2b(secret, digest_size=32).digest()
        self._clock = clock

    @classmethod
    def of(cls, redis_url: str) -> "Lots":
        """Return lots whose secret is a Redis URL's password. Where it has none, each copy draws lots of its own."""
        password = urlsplit(redis_url).password
        return cls(password.encode() if password else secrets.token_bytes(32))

    def draw(self, symbol: Symbol) -> bytes:
        """Return a symbol's lot in this second. The lowest comes first."""
        return blake2b(f"{int(self._clock())} {symbol}".encode(), key=self._key, digest_size=16).digest()


@dataclass(slots=True)
class _Wish:
    """A symbol that is wanted, or was until a moment ago: its place in the queue, and when it was last wanted."""

    place: tuple[float, object]
    last_wanted_s: float
    carried: bool = False


class Demand:
    """Shares the room that MAX_SYMBOLS leaves beside the featured symbols. Pure; one for each kind.

    A symbol that is carried and wanted stays. One that is wanted and not carried waits; the longest waiting is the first to
    get room, and between those that were first wanted at the same time lots decide. A symbol that nobody wants any more lingers
    for a grace period, but yields to one that is wanted: the longest unwanted first.

    Args:
        featured: what is always carried.
        max_symbols: how many symbols may be carried, the featured ones included.
        grace_s: how long an unwanted symbol lingers, where there is room.
        draw: a symbol's lot.
    """

    def __init__(
        self,
        featured: Iterable[Symbol],
        max_symbols: int,
        grace_s: float,
        draw: Callable[[Symbol], object] = lambda _: random.random(),
    ) -> None:
        self._featured = tuple(featured)
        self._max_symbols = max_symbols
        self._grace_s = grace_s
        self._draw = draw
        self._wishes: dict[Symbol, _Wish] = {}
        self._wanted: frozenset[Symbol] = frozenset()
        # The wanted symbols that found no room, the longest waiting first.
        self.turned_away: tuple[Symbol, ...] = ()
        # How many carried symbols nobody wants any more.
        self.lingering = 0

    def update(self, now_s: float, subscribed: Iterable[Symbol] | None, listed: Container[Symbol] | None) -> tuple[Symbol, ...]:
        """Return the symbols to carry now: the featured ones, then the wanted ones, then those that linger.

        Args:
            now_s: a monotonic clock, in seconds.
            subscribed: the symbols somebody is subscribed to at this moment; None: not known, so it is as it was before.
            listed: the symbols that the exchange lists; None: not known yet, then only the featured ones are tried.
        """
        if listed is None:
            return self._featured[: self._max_symbols]
        if subscribed is not None:
            self._wanted = frozenset(subscribed)
        featured = [symbol for symbol in self._featured if symbol in listed][: self._max_symbols]
        wanted = {symbol for symbol in self._wanted if symbol in listed} - set(featured)
        self._note(now_s, wanted)

        # Carried symbols come before waiting ones, and each by its place.
        queue = sorted(wanted, key=lambda symbol: (not self._wishes[symbol].carried, self._wishes[symbol].place))
        room = self._max_symbols - len(featured)
        served, self.turned_away = queue[:room], tuple(queue[room:])

        # Lingering symbols have the rest. The longest unwanted stand at the end, where the room may not reach.
        unwanted = [
            symbol
            for symbol, wish in self._wishes.items()
            if symbol not in wanted
            and symbol in listed
            and now_s - wish.last_wanted_s <= self._grace_s
            and symbol not in featured
        ]
        unwanted.sort(key=lambda symbol: (-self._wishes[symbol].last_wanted_s, self._wishes[symbol].place))
        lingering = unwanted[: room - len(served)]
        self.lingering = len(lingering)

        self._wishes = {symbol: self._wishes[symbol] for symbol in (*queue, *lingering)}
        for at, symbol in enumerate(queue):
            self._wishes[symbol].carried = at < room
        return (*featured, *served, *lingering)

    def _note(self, now_s: float, wanted: Iterable[Symbol]) -> None:
        """Give each symbol that is news its place, and forget those that left the queue before they were carried."""
        for symbol in wanted:
            wish = self._wishes.get(symbol)
            if wish is None:
                self._wishes[symbol] = _Wish((now_s, self._draw(symbol)), now_s)
            else:
                wish.last_wanted_s = now_s
        self._wishes = {symbol: wish for symbol, wish in self._wishes.items() if wish.carried or wish.last_wanted_s == now_s}


class DemandFollower:
    """Asks Redis once a second which symbols are wanted, and has the feed carry them.

    `release` is called with each symbol that is carried no more while the exchange goes on listing it.
    """

    def __init__(
        self,
        adapter: Adapter,
        settings: IngestSettings,
        bus: IngestBus,
        listing: ListingKeeper,
        feed: Feed,
        release: Callable[[Symbol], Awaitable[None]],
    ) -> None:
        capacity = adapter.topics_per_connection // len(adapter.topics("X"))
        if settings.max_symbols > capacity:
            log.warning("fewer symbols than MAX_SYMBOLS fit on one socket", exchange=adapter.exchange, max_symbols=capacity)
        max_symbols = min(settings.max_symbols, capacity)
        lots = Lots.of(settings.redis_url.get_secret_value())
        self._adapter = adapter
        self._bus = bus
        self._listing = listing
        self._feed = feed
        self._release = release
        # Each kind has room of its own, and an opinion of its own on what Redis says.
        self._kinds = {
            kind: (Asked(), Demand(settings.symbols, max_symbols, settings.symbol_grace_s, lots.draw)) for kind in KINDS
        }
        self._carried: dict[str, Listed] = {}  # native symbol -> listing

    async def run(self) -> NoReturn:
        """Follow the demand until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Ask Redis once which symbols are wanted, and carry them."""
        try:
            channels = await self._bus.wanted_channels()
        except BusError:
            channels = None
        now_s = asyncio.get_running_loop().time()
        carried: dict[Kind, tuple[Symbol, ...]] = {}
        for kind, (asked, demand) in self._kinds.items():
            wanted = asked.believe(now_s, None if channels is None else symbols_of(kind, channels))
            carried[kind] = demand.update(now_s, wanted, self._listing.markets)
        demands = [demand for _, demand in self._kinds.values()]
        self._tell_turned_away(tuple(symbol for demand in demands for symbol in demand.turned_away))
        self._feed.stats.lingering = sum(demand.lingering for demand in demands)
        natives = {listed.native: listed for listed in map(self._listed, carried[TICKER])}
        if natives != self._carried:
            await self._carry(natives)

    def _tell_turned_away(self, symbols: tuple[Symbol, ...]) -> None:
        """Say which symbols find no room: in the status each time, in the log when room becomes short."""
        exchange, before = self._adapter.exchange, self._feed.turned_away
        if symbols and not before:
            named = ",".join(symbols[:MOST_NAMED])
            log.warning("MAX_SYMBOLS reached; more are wanted", exchange=exchange, count=len(symbols), symbols=named)
        elif before and not symbols:
            log.info("room for all that is wanted again", exchange=exchange)
        self._feed.turned_away = symbols

    async def _carry(self, natives: dict[str, Listed]) -> None:
        before = {listed.symbol for listed in self._carried.values()}
        after = {listed.symbol for listed in natives.values()}
        self._carried = natives

        # A symbol that the exchange lists no more ends with a last tick, which stays known as the last value.
        markets = self._listing.markets
        ended = {symbol for symbol in before - after if markets is not None and symbol not in markets}
        for symbol in sorted(ended):
            log.info("not traded any more", exchange=self._adapter.exchange, symbol=symbol)
            self._feed.end(symbol, "delisted")
            self._listing.note_end()

        self._feed.want(natives)
        if before != after:
            log.info(
                "symbols changed",
                exchange=self._adapter.exchange,
                carried=len(after),
                added=",".join(sorted(after - before)[:10]),
                released=",".join(sorted(before - after)[:10]),
            )

        # A symbol that is still listed has only lost its subscribers: its last value goes.
        for symbol in before - after - ended:
            try:
                await self._release(symbol)
            except BusError as failed:
                log.debug("last tick not dropped; it expires by itself", symbol=symbol, cause=str(failed))

    def _listed(self, symbol: Symbol) -> Listed:
        known = (self._listing.markets or {}).get(symbol)
        return known or Listed(symbol=symbol, native=self._adapter.native(symbol), dp=None)
