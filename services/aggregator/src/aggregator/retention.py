"""Stops following symbols that have neither ticks nor subscribers, so that old prices disappear and memory does not grow."""

from market_pulse.bus import AggregatorBus
from market_pulse.kinds import TICK
from market_pulse.messages import Symbol

from .clock import Clock
from .market import Market, SymbolState
from .ownership import Owns
from .publisher import Publisher

QUIET_AFTER_S = 5.0


class Retention:
    """Decides which symbols this process stops following. A symbol is in demand while `ticker:<symbol>` has subscribers.

    An ingest that stops carrying a symbol because of missing demand deletes its last tick. So if a quiet symbol has no last
    tick left, all ingests have released it: its last ticker is deleted, too. If a quiet symbol still has last ticks, but its
    ticker is `down`, this process only stops following it: the last ticker, which says `down`, stays. A symbol that is made of
    converted markets alone has no last ticks of its own, so it is dropped soon after its demand has ended.
    """

    def __init__(
        self, bus: AggregatorBus, market: Market, publisher: Publisher, owns: Owns, clock: Clock | None = None
    ) -> None:
        self._bus = bus
        self._now_ms = (clock or Clock()).now_ms
        self._owns = owns
        self._market = market
        self._publisher = publisher
        self._was_full = False

    async def sweep(self) -> None:
        """Stop following the symbols that are no longer needed.

        Raises:
            BusError: Redis did not answer. The next sweep will find the same symbols.
        """
        await self._make_room()
        if not any(self._is_quiet(state) for state in self._market):
            return
        demanded = await self._bus.demanded()
        quiet = [state for state in self._market if self._is_quiet(state) and state.symbol not in demanded]
        fed = await self._fed(quiet)
        # Check `_is_quiet` again, because ticks may have arrived while this waited for Redis.
        released = [state.symbol for state in quiet if state.symbol not in fed and self._is_quiet(state)]
        if released:
            await self._withdraw(released)
        for state in quiet:
            if state.symbol in fed and self._owns(state.symbol) and _is_down(state) and self._is_quiet(state):
                self._publisher.drop(state.symbol)

    async def _make_room(self) -> None:
        """If there are more symbols with ticks than may be followed, drop those without demand for those with demand."""
        is_full = self._market.is_full
        if is_full or self._was_full:
            yielding = self._market.yielding(self._market.needed(await self._bus.demanded()))
            if yielding:
                await self._withdraw(yielding)
        self._was_full = is_full

    async def _withdraw(self, symbols: list[Symbol]) -> None:
        await self._publisher.forget([symbol for symbol in symbols if self._owns(symbol)])
        for symbol in symbols:  # of the others, too, but only their owner deletes the last ticker
            self._publisher.drop(symbol)

    async def _fed(self, states: list[SymbolState]) -> set[str]:
        """Return the symbols for which Redis still has the last tick of at least one exchange."""
        pairs = [(exchange, state.symbol) for state in states for exchange in state.ticks]
        last_ticks = await self._bus.last(*(TICK.channel(exchange, symbol) for exchange, symbol in pairs))
        return {symbol for (_, symbol), tick in zip(pairs, last_ticks, strict=True) if tick is not None}

    def _is_quiet(self, state: SymbolState) -> bool:
        newest_ms = max((tick.received_time_ms for tick in state.ticks.values()), default=state.wanted_ms)
        return self._now_ms() - newest_ms > QUIET_AFTER_S * 1000


def _is_down(state: SymbolState) -> bool:
    """Return whether a `down` ticker of the symbol has been published."""
    return state.last.quality == "down" and state.last.aggregated_time_ms > 0
