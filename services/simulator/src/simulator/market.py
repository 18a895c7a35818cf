"""The simulated prices: one random walk per coin, in USD. Every exchange's book, trades and 24 h figures follow from these.

A market's price is the value of its base over the value of its quote, so BTC-USDT is BTC-USD over USDT-USD.

Pure: the time and the seed are passed in, so the same calls give the same market. Times are Unix milliseconds.
"""

import math
import random
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate
from statistics import median
from typing import Any, Literal, NamedTuple

from . import catalogue
from .candles import DAY_MS, HOUR_MS, Candle, Tape, start_of
from .catalogue import CURRENCIES, ExchangeName
from .coin import Coin
from .past import Past
from .peg import Peg

MAX_PREMIUM = 0.0003
MAX_CURRENCY_PREMIUM = 0.00002  # between two currencies
PREMIUM_PERIOD_MS = 1_200_000
ACTIVITY_EXPONENT = 0.75  # 1: events are distributed by turnover; 0: evenly
TRADE_SHARE = 0.5
LONGEST_TRADELESS_S = 60.0

Side = Literal["buy", "sell"]


class Hour:
    """One market's trades in one hour, summed up."""

    __slots__ = ("count", "high", "low", "open", "start_ms", "turnover", "volume")

    def __init__(self, start_ms: int, price: float) -> None:
        self.start_ms = start_ms
        self.open = self.high = self.low = price
        self.volume = self.turnover = 0.0
        self.count = 0

    @classmethod
    def of(cls, candle: Candle) -> "Hour":
        """Return the hour that a candle describes."""
        hour = cls(candle.start_ms, candle.open)
        hour.high, hour.low = candle.high, candle.low
        hour.volume, hour.turnover, hour.count = candle.volume, candle.turnover, candle.trades
        return hour


class Turnover(NamedTuple):
    """A rolling day's volume in base units, turnover in quote units, and number of trades."""

    base: float
    quote: float
    trades: int


class Listing:
    """One market on one exchange at this moment: best bid and ask, last trade, and the rolling day until now.

    Its prices are made when one of them is first read. Most of the 2,400 markets are never looked at, and all of them together
    take four times as long to start as all else in the simulator.
    """

    __slots__ = (
        "_begin",
        "_rest",
        "ask",
        "ask_size",
        "base",
        "bid",
        "bid_size",
        "changed_us",
        "exchange",
        "factor",
        "high24h",
        "hours",
        "last",
        "last_side",
        "last_size",
        "low24h",
        "native",
        "phase",
        "premium",
        "price_decimals",
        "quote",
        "scale",
        "sequence",
        "size_decimals",
        "size_scale",
        "spread",
        "state",
        "symbol",
        "tape",
        "trade_id",
        "traded_ms",
        "turnover24h",
        "update_id",
    )

    _rest: Hour
    high24h: float
    low24h: float

    def __init__(self, entry: catalogue.Entry, rng: random.Random, begin: Callable[["Listing"], None]) -> None:
        """Make a listing. `begin` calls its `start`."""
        self._begin = begin
        self.exchange, self.base, self.quote = entry.exchange, entry.base, entry.quote
        self.symbol, self.native, self.state = entry.symbol, entry.native, entry.state
        self.price_decimals, self.size_decimals = entry.price_decimals, entry.size_decimals
        self.scale, self.size_scale = float(10**entry.price_decimals), float(10**entry.size_decimals)
        self.turnover24h = entry.turnover24h
        self.spread = 0.0006 / (1 + entry.turnover24h / 2e6)
        self.premium = MAX_CURRENCY_PREMIUM if {self.base, self.quote} <= CURRENCIES.keys() else MAX_PREMIUM
        self.phase = zlib.crc32(f"{entry.exchange}:{entry.symbol}".encode()) / 2**32 * math.tau
        self.trade_id = rng.randrange(10**8, 10**9)
        self.update_id = rng.randrange(10**10, 10**11)
        self.sequence = rng.randrange(10**11, 2 * 10**11)
        self.last_side: Side = "buy"
        self.tape = Tape()
        self.factor = 1.0  # of the prices of its candles, which a fault may multiply

    def __getattr__(self, name: str) -> Any:
        """Make the prices. Python calls this when an attribute is read that has no value yet."""
        if name not in Listing.__slots__ or name == "_begin":
            raise AttributeError(name)
        self._begin(self)
        return object.__getattribute__(self, name)

    def start(self, hours: Sequence[Candle], price: float, now_ms: int, rng: random.Random) -> None:
        """Take over the last trades of the past, and make the first quote.

        Args:
            hours: what was traded in each hour of the last 24 hours. The last one may have begun less than an hour ago.
            price: the price now.
            now_ms: the present time.
            rng: the source of randomness.
        """
        self.hours: deque[Hour] = deque(map(Hour.of, hours), maxlen=25)
        self.last = hours[-1].close
        if self.hours[-1].start_ms < start_of(now_ms, HOUR_MS):
            self.hours.append(Hour(start_of(now_ms, HOUR_MS), self.last))
        self.traded_ms, self.changed_us = now_ms, now_ms * 1000
        self.last_size = self.to_size(self.turnover24h / 30_000 / price)
        self._read_hours()
        self.requote(price, rng)

    @property
    def open24h(self) -> float:
        """The price at the start of the rolling day."""
        return self.hours[0].open

    def price_at(self, time_ms: int) -> float:
        """Return the price at a time within the rolling day, which is the opening price of that hour."""
        number = (time_ms - self.hours[0].start_ms) // HOUR_MS
        return self.hours[min(max(number, 0), len(self.hours) - 1)].open

    def to_tick(self, price: float) -> float:
        """Round a price to this market's steps, never to zero."""
        return max(round(price * self.scale), 1) / self.scale

    def to_size(self, size: float) -> float:
        """Round a size to this market's steps, never to zero."""
        return max(round(size * self.size_scale), 1) / self.size_scale

    def begin_anew(self) -> None:
        """Number trades, updates and events from 1 again, as after a restart of the exchange."""
        self.trade_id = self.update_id = self.sequence = 1

    def volume(self, now_ms: int) -> Turnover:
        """Return the rolling day's volume. The oldest hour counts in part: only its minutes within the last 24 hours."""
        oldest, rest = self.hours[0], self._rest
        ended, over_ms = divmod(max(now_ms - self.hours[-1].start_ms, 0), HOUR_MS)
        if ended:  # without a trade since
            ended = min(ended, len(self.hours) - 2)
            oldest, rest = self.hours[ended], _sum_of(list(self.hours)[ended + 1 :])
        kept = 1 - over_ms / HOUR_MS
        return Turnover(
            rest.volume + oldest.volume * kept,
            rest.turnover + oldest.turnover * kept,
            rest.count + int(oldest.count * kept) or 1,
        )

    def premium_at(self, time_ms: float) -> float:
        """Return the slowly moving premium of this exchange, as a fraction of the price."""
        return self.premium * math.sin(time_ms % PREMIUM_PERIOD_MS / PREMIUM_PERIOD_MS * math.tau + self.phase)

    def stated(self, candle: Candle) -> Candle:
        """Return a candle with the prices that the exchange states, which a fault may distort."""
        if self.factor == 1.0:
            return candle
        opened, high, low, closed = (self.to_tick(price * self.factor) for price in candle[1:5])
        return candle._replace(open=opened, high=high, low=low, close=closed, turnover=candle.turnover * self.factor)

    def requote(self, fair: float, rng: random.Random) -> None:
        """Set the best bid and ask around a fair price, at least one price step apart, with new sizes."""
        _ = self.hours  # if its prices are not made yet, make them first, or they would replace this quote later
        half = fair * self.spread / 2
        bid = max(math.floor((fair - half) * self.scale), 1)
        ask = max(math.ceil((fair + half) * self.scale), bid + 1)
        self.bid, self.ask = bid / self.scale, ask / self.scale
        depth = self.turnover24h / fair / 20_000
        self.bid_size = self.to_size(-depth * math.log(1 - rng.random()))
        self.ask_size = self.to_size(-depth * math.log(1 - rng.random()))
        self.update_id += 1
        self.sequence += 1 + int(rng.random() * 4)

    def trade(self, now_ms: int, rng: random.Random) -> None:
        """Trade at the best bid or ask, with a size that on average keeps the usual turnover."""
        self._roll(now_ms)
        self.last_side = "buy" if rng.random() < 0.5 else "sell"
        self.last = self.ask if self.last_side == "buy" else self.bid
        elapsed_s = min(max((now_ms - self.traded_ms) / 1000, 0.001), LONGEST_TRADELESS_S)
        self.last_size = self.to_size(self.turnover24h / 86_400 * elapsed_s * rng.expovariate(1.0) / self.last)
        self.traded_ms = now_ms
        self.trade_id += 1
        hour = self.hours[-1]
        for total in (hour, self._rest):
            total.volume += self.last_size
            total.turnover += self.last_size * self.last
            total.count += 1
        self.tape.trade(now_ms, self.last, self.last_size, bought=self.last_side == "buy")
        hour.high, hour.low = max(hour.high, self.last), min(hour.low, self.last)
        self.high24h, self.low24h = max(self.high24h, self.last), min(self.low24h, self.last)

    def _roll(self, now_ms: int) -> None:
        """Start the hours that have begun since the last trade. Hours older than a day drop out."""
        begun = False
        while now_ms - self.hours[-1].start_ms >= HOUR_MS:
            self.hours.append(Hour(self.hours[-1].start_ms + HOUR_MS, self.last))
            begun = True
        if begun:
            self._read_hours()

    def _read_hours(self) -> None:
        """Recompute the day's high and low, and the sums over all hours but the first."""
        hours = list(self.hours)
        self.high24h, self.low24h = max(hour.high for hour in hours), min(hour.low for hour in hours)
        self._rest = _sum_of(hours[1:])


def _sum_of(hours: Sequence[Hour]) -> Hour:
    """Return the sums of volume, turnover and count over hours."""
    found = Hour(hours[0].start_ms, hours[0].open)
    found.volume = sum(hour.volume for hour in hours)
    found.turnover = sum(hour.turnover for hour in hours)
    found.count = sum(hour.count for hour in hours)
    return found


class Event(NamedTuple):
    """A change of a listing's best bid and ask and, if `traded`, also a trade."""

    listing: Listing
    traded: bool


class Market:
    """All listings of these exchanges, and the random generator that moves them."""

    def __init__(self, seed: int, now_ms: int, venues: Iterable[catalogue.Venue]) -> None:
        self._rng = random.Random(seed)
        coins = catalogue.coins().values()
        self._coins = {coin.name: Coin(coin.name, coin.usual_price, now_ms, self._rng, seed) for coin in coins}
        usual = {coin.name: coin.usual_price for coin in coins}
        self.past = Past(seed, now_ms, {name: coin.path for name, coin in self._coins.items()}, usual)
        self._pegs: dict[tuple[ExchangeName, str], Peg] = {}  # by exchange and currency; empty until a currency is moved
        self._began_ms = now_ms
        self.listings = [Listing(entry, self._rng, self._start) for entry in catalogue.entries(venues)]
        self.focus(None)

    def of(self, exchange: ExchangeName) -> dict[str, Listing]:
        """Return an exchange's listings by native symbol."""
        return {listing.native: listing for listing in self.listings if listing.exchange == exchange}

    def symbols(self) -> set[str]:
        """Return every symbol that some exchange lists."""
        return {listing.symbol for listing in self.listings}

    def focus(self, symbols: Iterable[str] | None, *, evenly: bool = False) -> None:
        """Make events only for these symbols; None means all symbols again.

        Events are distributed by turnover or, with `evenly`, in equal shares.
        """
        chosen = None if symbols is None else set(symbols)
        self._active = [
            listing for listing in self.listings if listing.state == "trading" and (chosen is None or listing.symbol in chosen)
        ]
        usd = self._coins
        exponent = 0 if evenly else ACTIVITY_EXPONENT
        weights = [(it.turnover24h * usd[it.quote].price) ** exponent for it in self._active]
        self._cumulated = list(accumulate(weights))

    def draw(self, count: int) -> list[Listing]:
        """Choose the listings of the next events at random, with the shares set by `focus`."""
        if not self._active:
            return []
        return self._rng.choices(self._active, cum_weights=self._cumulated, k=count)

    def step(self, listing: Listing, now_ms: int, *, traded: bool | None = None) -> Event:
        """Make one event on a listing: a book change and, if `traded`, a trade too. None decides that at random."""
        rng = self._rng
        self._coins[listing.base].step(now_ms, rng)
        self._coins[listing.quote].step(now_ms, rng)
        listing.requote(self.fair(listing, now_ms), rng)
        # The time of this event in microseconds, which differs from that of each other event of the listing.
        listing.changed_us = max(now_ms * 1000, listing.changed_us + 1)
        happened = rng.random() < TRADE_SHARE if traded is None else traded
        if happened:
            listing.trade(now_ms, rng)
        return Event(listing, happened)

    def move(self, symbol: str, price: float, now_ms: int) -> list[Event]:
        """Set a symbol's price on all exchanges at once, by moving its base coin.

        Raises:
            KeyError: no exchange lists the symbol.
        """
        moved = [listing for listing in self.listings if listing.symbol == symbol]
        if not moved:
            raise KeyError(symbol)
        base, quote = self._coins[moved[0].base], self._coins[moved[0].quote]
        base.step(now_ms, self._rng)
        base.move(price * quote.price / self._factor(moved[0], now_ms))
        return [self.step(listing, now_ms, traded=True) for listing in moved if listing.state == "trading"]

    def depeg(
        self,
        currency: str,
        rate: float | None,
        exchanges: Iterable[ExchangeName],
        now_ms: int,
        *,
        within_s: float = 0.0,
        hold_s: float | None = None,
    ) -> None:
        """Move a currency's value at these exchanges. It keeps its small noise, and all its markets there follow.

        Args:
            currency: one of catalogue.CURRENCIES.
            rate: the value to reach, in USD; None: back to the usual value.
            exchanges: where it moves. At all other exchanges it keeps its value.
            now_ms: the present time.
            within_s: how long the way takes, in seconds.
            hold_s: how long it stays there, in seconds, before it comes back in `within_s`; None: it stays there.
        """
        factor = 1.0 if rate is None else rate / math.exp(self._coins[currency].anchor)
        for exchange in exchanges:
            peg = self._pegs.get((exchange, currency), Peg())
            self._pegs[exchange, currency] = peg.moved(factor, now_ms, within_s, hold_s)

    def depegged(self, now_ms: int) -> dict[tuple[ExchangeName, str], float]:
        """Return the values, in USD, of the currencies that are away from their usual value now, by exchange and currency."""
        factors = {place: peg.at(now_ms) for place, peg in self._pegs.items()}
        return {place: self._coins[place[1]].price * factor for place, factor in factors.items() if factor != 1.0}

    def fair(self, listing: Listing, now_ms: int) -> float:
        """Return a listing's fair price: the ratio of its two coins, plus the slowly moving premium of its exchange."""
        ratio = self._coins[listing.base].price / self._coins[listing.quote].price
        return ratio * self._factor(listing, now_ms) * (1 + listing.premium_at(now_ms))

    def price(self, symbol: str, now_ms: int) -> float:
        """Return a symbol's own price: its base's value over its quote's as of their last events, without a premium.

        A depeg at less than half of the symbol's exchanges does not move it.

        Raises:
            KeyError: no exchange lists the symbol.
        """
        listed = [listing for listing in self.listings if listing.symbol == symbol]
        if not listed:
            raise KeyError(symbol)
        ratio = self._coins[listed[0].base].price / self._coins[listed[0].quote].price
        return ratio * median([self._factor(listing, now_ms) for listing in listed])

    def _factor(self, listing: Listing, now_ms: int) -> float:
        """Return the effect of depegs on a listing's price, as a factor. Without a depeg it is 1."""
        if not self._pegs:
            return 1.0
        base, quote = (self._pegs.get((listing.exchange, name)) for name in (listing.base, listing.quote))
        return (base.at(now_ms) if base else 1.0) / (quote.at(now_ms) if quote else 1.0)

    def _start(self, listing: Listing) -> None:
        now_ms = self._began_ms
        oldest_ms, midnight_ms = start_of(now_ms, HOUR_MS) - DAY_MS, start_of(now_ms, DAY_MS)
        hours = [hour for day_ms in (midnight_ms - DAY_MS, midnight_ms) for hour in self.past.hours(listing, day_ms, oldest_ms)]
        listing.start(hours, self.fair(listing, now_ms), now_ms, self._rng)
