"""Plays the tape to the aggregator's Market as its publisher would: ticks in, tickers out."""

from collections.abc import Iterable, Iterator

from aggregator.market import Market
from aggregator.parameters import Parameters
from golden.tape import AWAY, OPEN, RESTART, TICK, Event, read_tape
from market_pulse.messages import Symbol, Tick, Ticker, encode

BEAT_MS = 1_000


class Replay:
    """Successive runs of the aggregator, with the last values that Redis keeps between them."""

    def __init__(self) -> None:
        self._market = Market(Parameters(), 100)
        self._last_ticks: dict[tuple[str, Symbol], Tick] = {}
        self._last_tickers: dict[Symbol, Ticker] = {}
        self._away: set[str] = set()
        self._made_ms: dict[Symbol, int] = {}
        self._back_ms = 0  # the time at which the aggregator starts again; 0: it runs

    def tickers(self, events: Iterable[Event]) -> Iterator[Ticker]:
        """Yield a symbol's ticker at each of its ticks, used or not, and after each second without a tick.

        So two revisions make tickers at the same moments, even if they use different ticks, and can be compared one by one.
        """
        for event in events:
            if self._back_ms and event.time_ms >= self._back_ms:
                self._begin_anew()
            yield from self._beats(event.time_ms)
            if event.kind == TICK and event.tick is not None:
                tick = event.tick
                self._last_ticks[tick.exchange, tick.symbol] = tick
                if not self._back_ms:
                    self._market.take(tick)
                    if self._market.get(tick.symbol) is not None:
                        yield self._make(tick.symbol, event.time_ms)
            elif event.kind == AWAY:
                self._away.add(event.exchange)
            elif event.kind == OPEN:
                self._away.discard(event.exchange)
            elif event.kind == RESTART and not self._back_ms:
                self._back_ms = event.time_ms + event.value

    def _begin_anew(self) -> None:
        self._market = Market(Parameters(), 100)
        for tick in self._last_ticks.values():
            self._market.take(tick)
        for ticker in self._last_tickers.values():
            self._market.resume(ticker)
        self._made_ms = dict.fromkeys((state.symbol for state in self._market), self._back_ms - BEAT_MS)
        self._back_ms = 0

    def _beats(self, until_ms: int) -> Iterator[Ticker]:
        while not self._back_ms and self._made_ms:
            symbol, made_ms = min(self._made_ms.items(), key=lambda item: item[1])
            if made_ms + BEAT_MS > until_ms:
                return
            yield self._make(symbol, made_ms + BEAT_MS)

    def _make(self, symbol: Symbol, now_ms: int) -> Ticker:
        state = self._market.get(symbol)
        assert state is not None
        ticker = state.make_ticker(now_ms, self._market.parameters, self._away)
        state.seq += 1
        ticker.seq = state.seq
        state.last = ticker
        self._made_ms.pop(symbol, None)
        self._made_ms[symbol] = now_ms
        self._last_tickers[symbol] = ticker
        return ticker


def messages() -> Iterator[bytes]:
    """Yield every ticker of the tape as a message of the bus."""
    for ticker in Replay().tickers(read_tape()):
        yield encode(ticker)
