"""Recomputes closed minutes from the tickers and the exchanges' candles that were heard, and reports each difference. Pure.

It shares no code with the service that makes candles: a mistake in one of the two shows as a difference.
"""

from collections import defaultdict, deque
from collections.abc import Iterable, Iterator
from math import fsum, isclose

from market_pulse.messages import LIVE, Candle, Symbol, Ticker

REMEMBERED_TICKERS = 8_000
"""Per symbol: more than two minutes at the default top rate."""
REMEMBERED_MINUTES = 5
"""A minute's volumes may be corrected for so long. A difference that is still there then is reported."""
NOISE = 1e-9
ROUNDED = 1e-7
"""Sums of volumes are rounded."""


class CandleCheck:
    """The tickers and exchanges' candles heard so far, and the closed minutes that are compared with them.

    `checked` counts the minutes whose prices were recomputed, `unchecked` those that began before this listened, or of which a
    ticker was missed. `volumes` counts the minutes whose volumes were compared.
    """

    def __init__(self) -> None:
        self.checked = self.unchecked = self.volumes = 0
        self._prices: dict[Symbol, deque[tuple[int, float | None]]] = defaultdict(lambda: deque(maxlen=REMEMBERED_TICKERS))
        self._parts: dict[Symbol, dict[int, dict[str, Candle]]] = defaultdict(dict)
        self._last: dict[Symbol, Candle] = {}  # the newest closed minute
        self._counted: dict[Symbol, dict[int, Candle]] = defaultdict(dict)  # the newest state of each closed minute

    def clear(self) -> None:
        """Forget all, because messages were lost. The counts stay."""
        for known in (self._prices, self._parts, self._last, self._counted):
            known.clear()

    def take_ticker(self, ticker: Ticker) -> None:
        """Remember a ticker's price; None if it is not a live one."""
        live = ticker.quality in LIVE and ticker.price is not None
        self._prices[ticker.symbol].append((ticker.seq, ticker.price if live else None))

    def take_part(self, candle: Candle) -> None:
        """Remember an exchange's candle: of each minute the newest state."""
        minutes = self._parts[candle.symbol]
        minutes.setdefault(candle.start_ms, {})[candle.exchange or ""] = candle
        if len(minutes) > REMEMBERED_MINUTES:
            del minutes[min(minutes)]

    def take_candle(self, candle: Candle) -> Iterator[str]:
        """Compare a closed minute across exchanges. Other candles are passed over."""
        if not candle.closed or candle.origin != "live" or candle.first_seq is None or candle.last_seq is None:
            return
        known = self._counted[candle.symbol]
        is_new = candle.start_ms not in known
        known[candle.start_ms] = candle
        if is_new:
            yield from _named(candle, self._prices_of(candle, candle.first_seq, candle.last_seq))
            while len(known) > REMEMBERED_MINUTES - 1:
                oldest = known.pop(min(known))
                yield from _named(oldest, self._volumes_of(oldest))

    def finish(self) -> Iterator[str]:
        """Compare the volumes of the minutes that could still be corrected."""
        for known in self._counted.values():
            for start_ms in sorted(known):
                yield from _named(known[start_ms], self._volumes_of(known[start_ms]))
        self._counted.clear()

    def _prices_of(self, candle: Candle, first: int, last: int) -> Iterator[str]:
        heard = [(seq, price) for seq, price in self._prices[candle.symbol] if first <= seq <= last]
        before, self._last[candle.symbol] = self._last.get(candle.symbol), candle
        if candle.missed != 0 or len({seq for seq, _ in heard}) != last - first + 1:
            self.unchecked += 1
            return
        self.checked += 1
        yield from self._between(before, candle, first)
        prices = [price for _, price in heard if price is not None]
        if not prices or heard[0][1] is None or heard[-1][1] is None:
            yield f"numbers {first} to {last} begin or end with a ticker without a live price"
            return
        made = {"open": prices[0], "high": max(prices), "low": min(prices), "close": prices[-1]}
        for name, price in made.items():
            told: float = getattr(candle, name)
            if not isclose(told, price, rel_tol=NOISE):
                yield f"{name} is {told!r}, but numbers {first} to {last} make {price!r}"

    def _between(self, before: Candle | None, candle: Candle, first: int) -> Iterator[str]:
        """Report tickers that are in no candle, or in two."""
        if before is None or before.last_seq is None or before.start_ms >= candle.start_ms:
            return
        if first <= before.last_seq:
            yield f"it begins with number {first}, but the minute before it ended with {before.last_seq}"
        lost = [seq for seq, price in self._prices[candle.symbol] if before.last_seq < seq < first and price is not None]
        if lost:
            yield f"{len(lost)} live tickers after {before.last_seq} are in no candle"

    def _volumes_of(self, candle: Candle) -> Iterator[str]:
        heard = self._parts[candle.symbol].get(candle.start_ms, {})
        if not candle.exchanges or not heard.keys() >= set(candle.exchanges):
            return
        parts = [heard[exchange] for exchange in candle.exchanges]
        self.volumes += 1
        for name in ("volume", "quote_volume"):
            amounts = [getattr(part, name) for part in parts]
            told: float | None = getattr(candle, name)
            made = None if None in amounts else fsum(amounts)
            if (told is None) != (made is None) or (told is not None and made is not None and not _same(told, made)):
                yield f"{name} is {told!r}, but the candles of {', '.join(candle.exchanges)} make {made!r}"


def _named(candle: Candle, problems: Iterable[str]) -> Iterator[str]:
    return (f"{candle.symbol}, the minute from {candle.start_ms}: {problem}" for problem in problems)


def _same(told: float, made: float) -> bool:
    return isclose(told, made, rel_tol=NOISE, abs_tol=ROUNDED)
