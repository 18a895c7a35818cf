"""Which symbols an ingest carries: the featured ones always, any other listed symbol while it has subscribers."""

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
from market_pulse.conversions import Conversions
from market_pulse.kinds import EXCHANGE_CANDLE, KINDS, TICKER, Kind, needed
from market_pulse.messages import Symbol, unique
from market_pulse.process.logs import get_logger

from .adapter import Adapter, Listed, key_of
from .asked import Asked
from .candle_keeper import CandleKeeper
from .feeds import Feeds
from .listing import ListingKeeper
from .settings import IngestSettings

NO_CONVERSIONS = Conversions()
INTERVAL_S = 1.0
MOST_NAMED = 5  # symbols in a log line

log = get_logger()


class Lots:
    """Draws lots for symbols that are first wanted at the same time.

    Two processes with the same secret draw the same lot for a symbol in the same second, so all copies of an ingest choose the
    same symbols. Without the secret, nobody can predict which symbol will win in which second.

    Args:
        secret: bytes that all copies share.
        clock: returns Unix seconds.
    """

    def __init__(self, secret: bytes, clock: Callable[[], float] = time.time) -> None:
        self._key = blake2b(secret, digest_size=32).digest()
        self._clock = clock

    @classmethod
    def of(cls, redis_url: str) -> "Lots":
        """Return lots whose secret is the password in a Redis URL. If it has no password, each copy draws lots of its own."""
        password = urlsplit(redis_url).password
        return cls(password.encode() if password else secrets.token_bytes(32))

    def draw(self, symbol: Symbol) -> bytes:
        """Return a symbol's lot for the present second. The lowest lot wins."""
        return blake2b(f"{int(self._clock())} {symbol}".encode(), key=self._key, digest_size=16).digest()


@dataclass(slots=True)
class _Wish:
    """A symbol that is wanted, or lingers after it was: its place in the queue, when it was last wanted, if it is carried."""

    place: tuple[float, object]
    last_wanted_s: float
    carried: bool = False


class Demand:
    """Decides which symbols get the room that `max_symbols` leaves beside the featured symbols. No I/O; one for each kind.

    A symbol is wanted while it has subscribers, or while a symbol whose price it is a part of has them. A wanted symbol that
    is carried stays. A wanted symbol that is not carried waits; the longest waiting one gets room first, and if several were
    first wanted at the same time, lots decide. A symbol that is no longer wanted lingers for a grace period, but gives way to
    a wanted one, the longest unwanted first.

    Args:
        featured: the symbols that are always carried.
        max_symbols: how many symbols may be carried, with the featured ones.
        grace_s: how long an unwanted symbol stays carried if there is room, in seconds.
        draw: returns a symbol's lot.
        conversions: say which other markets a symbol needs. Without any, it needs only itself.
    """

    def __init__(
        self,
        featured: Iterable[Symbol],
        max_symbols: int,
        grace_s: float,
        draw: Callable[[Symbol], object] = lambda _: random.random(),
        conversions: Conversions = NO_CONVERSIONS,
    ) -> None:
        self._featured = tuple(featured)
        self._max_symbols = max_symbols
        self._grace_s = grace_s
        self._draw = draw
        self._conversions = conversions
        self._wishes: dict[Symbol, _Wish] = {}
        self._wanted: frozenset[Symbol] = frozenset()
        # The symbols with subscribers for which, or for a part of which, there is no room, the longest waiting first.
        self.turned_away: tuple[Symbol, ...] = ()
        # How many carried symbols are no longer wanted.
        self.lingering = 0

    @property
    def wanted(self) -> frozenset[Symbol]:
        """The symbols that have subscribers, as far as is known."""
        return self._wanted

    def update(self, now_s: float, subscribed: Iterable[Symbol] | None, listed: Container[Symbol] | None) -> tuple[Symbol, ...]:
        """Return the symbols to carry now: the featured ones, then the wanted ones, then those that linger.

        Args:
            now_s: a monotonic clock, in seconds.
            subscribed: the symbols that have subscribers now; None: not known, so the last known ones count.
            listed: the symbols that the exchange lists; None: not known yet, so only the featured ones are tried.
        """
        if listed is None:
            return self._featured[: self._max_symbols]
        if subscribed is not None:
            self._wanted = frozenset(subscribed)
        featured = list(self._wholes_by_part(self._featured, listed))[: self._max_symbols]
        wholes = self._wholes_by_part(self._wanted, listed)
        wanted = wholes.keys() - set(featured)
        self._note(now_s, wanted)

        # Carried symbols come before waiting ones; within each group, by their place in the queue.
        queue = sorted(wanted, key=lambda symbol: (not self._wishes[symbol].carried, self._wishes[symbol].place))
        room = self._max_symbols - len(featured)
        served = queue[:room]
        self.turned_away = unique(whole for part in queue[room:] for whole in wholes[part])

        # Lingering symbols get the rest of the room. The longest unwanted ones come last, so they are released first.
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

    def _wholes_by_part(self, symbols: Iterable[Symbol], listed: Container[Symbol]) -> dict[Symbol, list[Symbol]]:
        """Return the markets that these symbols need here, each with the symbols that need it."""
        wholes: dict[Symbol, list[Symbol]] = {}
        for symbol in symbols:
            for part in self._conversions.parts(symbol, listed):
                wholes.setdefault(part, []).append(symbol)
        return wholes

    def _note(self, now_s: float, wanted: Iterable[Symbol]) -> None:
        """Give each newly wanted symbol its place. Forget those that stopped being wanted before they were carried."""
        for symbol in wanted:
            wish = self._wishes.get(symbol)
            if wish is None:
                self._wishes[symbol] = _Wish((now_s, self._draw(symbol)), now_s)
            else:
                wish.last_wanted_s = now_s
        self._wishes = {symbol: wish for symbol, wish in self._wishes.items() if wish.carried or wish.last_wanted_s == now_s}


def rooms(adapter: Adapter, settings: IngestSettings) -> dict[Kind, int]:
    """Return the kinds that an exchange gives, each with how many symbols of it may be carried.

    These are as many as the settings allow. If the topics of all kinds of an endpoint do not fit on one socket, the kinds share
    the socket: a kind that needs less than an equal part gets all that it needs.
    """
    allowed = {
        kind: settings.max_candle_symbols if kind is EXCHANGE_CANDLE else settings.max_symbols
        for kind in KINDS
        if any(kind.name in endpoint.channels for endpoint in adapter.endpoints)
        or (kind is EXCHANGE_CANDLE and adapter.candles is not None)
    }
    for endpoint in adapter.endpoints:
        topics = {kind: len(endpoint.topics(key_of(kind, "X"))) for kind in allowed if kind.name in endpoint.channels}
        left = endpoint.topics_per_connection
        for nth, kind in enumerate(sorted(topics, key=lambda kind: allowed[kind] * topics[kind])):
            fits = left // (len(topics) - nth) // topics[kind]
            if allowed[kind] > fits:
                log.warning("fewer symbols than allowed fit on one socket", exchange=adapter.exchange, kind=kind.name, fit=fits)
            allowed[kind] = min(allowed[kind], fits)
            left -= allowed[kind] * topics[kind]
    return allowed


class DemandFollower:
    """Asks Redis once a second which symbols are wanted, and makes the feeds carry them.

    A subscriber to `ticker:B-Q` needs ticks of B-Q, and of the markets that CONVERSIONS names for B-Q. A subscriber to a
    channel of another kind, such as `books:okx:B-Q`, needs that channel of that exchange. If a kind of a symbol is no longer
    carried although the exchange still lists the symbol, `release` is called with both.
    """

    def __init__(
        self,
        adapter: Adapter,
        settings: IngestSettings,
        bus: IngestBus,
        listing: ListingKeeper,
        feeds: Feeds,
        release: Callable[[Kind, Symbol], Awaitable[None]],
        candles: CandleKeeper | None = None,
    ) -> None:
        lots = Lots.of(settings.redis_url.get_secret_value())
        self._adapter = adapter
        self._bus = bus
        self._listing = listing
        self._feeds = feeds
        self._stats = feeds.ticker.stats
        self._release = release
        self._candles = candles
        # Each kind has room of its own, and its own record of Redis's answers. Featured symbols always have ticker and candles.
        self._kinds: dict[Kind, tuple[Asked, Demand]] = {}
        for kind, room in rooms(adapter, settings).items():
            featured = settings.symbols if kind in {TICKER, EXCHANGE_CANDLE} else ()
            conversions = settings.conversions if kind is TICKER else NO_CONVERSIONS
            demand = Demand(featured, room, settings.symbol_grace_s, lots.draw, conversions)
            self._kinds[kind] = Asked(), demand
        self._carried: dict[str, tuple[Kind, Listed]] = {}  # by key

    async def run(self) -> NoReturn:
        """Call `look` every INTERVAL_S until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.look()

    async def look(self) -> None:
        """Ask Redis once which symbols are wanted, and make the feeds carry them."""
        try:
            channels = await self._bus.wanted_channels()
        except BusError:
            channels = None
        now_s = asyncio.get_running_loop().time()
        carried: dict[str, tuple[Kind, Listed]] = {}
        for kind, (asked, demand) in self._kinds.items():
            wished = None if channels is None else needed(kind, channels, self._adapter.exchange)
            symbols = demand.update(now_s, asked.believe(now_s, wished), self._listing.markets)
            listed = [self._listed(symbol) for symbol in symbols]
            carried |= {key_of(kind, one.native): (kind, one) for one in listed}
            if kind is EXCHANGE_CANDLE and self._candles is not None:
                self._candles.want(listed, demand.wanted)
            self._tell_turned_away(kind, demand.turned_away)
        self._stats.lingering = sum(demand.lingering for _, demand in self._kinds.values())
        if carried != self._carried:
            await self._carry(carried)

    def _tell_turned_away(self, kind: Kind, symbols: tuple[Symbol, ...]) -> None:
        """Report the symbols for which there is no room: in the log when room runs out or is back, and in a metric.

        The status names only the symbols whose ticker has no room, because it is a ticker's readers who are told of it.
        """
        exchange, before = self._adapter.exchange, self._stats.no_room[kind.name]
        self._stats.no_room[kind.name] = len(symbols)
        if symbols and not before:
            named = ",".join(symbols[:MOST_NAMED])
            log.warning("no room; more are wanted", exchange=exchange, kind=kind.name, count=len(symbols), symbols=named)
        elif before and not symbols:
            log.info("room for all wanted symbols again", exchange=exchange, kind=kind.name)
        if kind is TICKER:
            self._feeds.turn_away(symbols)

    async def _carry(self, carried: dict[str, tuple[Kind, Listed]]) -> None:
        before, self._carried = self._carried, carried
        added = [key for key in carried if key not in before]
        released = {key: one for key, one in before.items() if key not in carried}

        # If the exchange no longer lists a symbol, publish a last tick that says so. Redis keeps it as the last value.
        markets = self._listing.markets
        ended = {
            key: listed.symbol
            for key, (kind, listed) in released.items()
            if kind is TICKER and markets is not None and listed.symbol not in markets
        }
        for symbol in sorted(ended.values()):
            log.info("not traded any more", exchange=self._adapter.exchange, symbol=symbol)
            self._feeds.ticker.end(symbol, "delisted")
            self._listing.note_end()

        self._feeds.want({key: listed for key, (_, listed) in carried.items()})
        if added or released:
            log.info(
                "symbols changed",
                exchange=self._adapter.exchange,
                carried=len(carried),
                added=",".join(sorted(added)[:10]),
                released=",".join(sorted(released)[:10]),
            )

        # A symbol that is still listed has only lost its subscribers: delete its last value.
        for kind, listed in (one for key, one in released.items() if key not in ended):
            try:
                await self._release(kind, listed.symbol)
            except BusError as failed:
                log.debug("last value not deleted; it expires by itself", symbol=listed.symbol, cause=str(failed))

    def _listed(self, symbol: Symbol) -> Listed:
        known = (self._listing.markets or {}).get(symbol)
        return known or Listed(symbol=symbol, native=self._adapter.native(symbol), dp=None)
