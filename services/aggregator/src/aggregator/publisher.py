"""Makes and publishes tickers when they are due. It does not see ticks: `touch` tells it which symbols changed."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from market_pulse.bus import AggregatorBus, BusError, MembersChangedError
from market_pulse.kinds import TICKER
from market_pulse.messages import Symbol, Tick, Ticker
from market_pulse.process.backoff import backoff_s
from market_pulse.process.logs import get_logger

from .clock import Clock
from .market import Market, SymbolState
from .metrics import CONFLATED, FENCED, PUBLISH_FAILURES, PUBLISH_S, TICK_TO_TICKER_S, TICKERS
from .ownership import Ownership
from .schedule import Schedule

Away = Callable[[Mapping[str, Tick], int], frozenset[str]]
"""Takes a symbol's ticks by exchange and the time in Unix ms. Returns those exchanges whose feed is away. Must not block."""

HEARTBEAT_S = 1.0
MAX_BATCH = 500
"""The most tickers per command, so that Redis and this process stay responsive when very many symbols change at once."""
MAX_IDLE_S = 1.0
STUCK_AFTER_S = 20.0  # longer than a publish that times out, its retry and the delay after that
FLUSH_LIMIT_S = 1.0

log = get_logger()


class Publisher:
    """Publishes each symbol's ticker at once when it changes, at most `max_rate_hz` times a second, and at least every second.

    While a publish is under way, or Redis is away, all changes of a symbol are joined into one.
    """

    def __init__(
        self,
        bus: AggregatorBus,
        market: Market,
        max_rate_hz: float,
        ownership: Ownership,
        away: Away,
        clock: Clock | None = None,
    ) -> None:
        self._bus = bus
        self._clock = clock or Clock()
        self._market = market
        self._ownership = ownership
        self._away = away
        self._schedule = Schedule(max_rate_hz, HEARTBEAT_S)
        # For each symbol that changed since it was published: when the first of these changes was.
        self._changed_s: dict[Symbol, float] = {}
        # Set to end the wait in `_until_due`, because a symbol may be due earlier than was known.
        self._wake = asyncio.Event()
        # Held during a publish command, so that no ticker is published after `forget` has deleted it.
        self._publishing = asyncio.Lock()
        # How many publishes have failed in a row.
        self._failures = 0
        # How many changes were replaced by a later one before they were published, and are not in the metric yet.
        self._conflated = 0
        # When the loop in `_until_due` last began a round, by the monotonic clock; None before the first.
        self._turned_s: float | None = None

    def touch(self, symbol: Symbol) -> None:
        """Note that a symbol changed. Ignored if another copy publishes the symbol."""
        # Most calls end here, because the symbol is already waiting to be published.
        if symbol in self._changed_s:
            self._conflated += 1
            return
        if not self._ownership.owns(symbol):
            return
        now_s = time.monotonic()
        if self._schedule.touch(symbol, now_s):
            self._changed_s.setdefault(symbol, now_s)
            self._wake.set()
        else:
            self._conflated += 1

    async def run(self) -> NoReturn:
        """Publish until cancelled. Then publish the symbols that have changed, within FLUSH_LIMIT_S."""
        try:
            while True:
                await self._until_due()
                # Read this before the publish, which may wait. If Redis rejects it, a newer epoch may be known by then.
                epoch = self._ownership.epoch
                try:
                    await self._publish(self._schedule.due(time.monotonic(), MAX_BATCH))
                except MembersChangedError:
                    # The group has changed, so nothing was published. The symbols are due again when the new division is known.
                    FENCED.inc()
                    await self._ownership.adopted(epoch)
                except BusError as failed:
                    await self._recover(failed)
        except asyncio.CancelledError:
            await self._flush()
            raise

    async def forget(self, symbols: Sequence[Symbol]) -> None:
        """Stop following symbols that no longer stream, and delete their last tickers from Redis.

        Raises:
            BusError: the command failed, and the symbols are still followed.
        """
        async with self._publishing:
            await self._bus.forget(*(TICKER.channel(symbol) for symbol in symbols))
            for symbol in symbols:
                self.drop(symbol)

    def drop(self, symbol: Symbol) -> None:
        """Stop following a symbol. Its last ticker stays in Redis."""
        self._market.drop(symbol)
        self.leave_to_others(symbol)

    def leave_to_others(self, symbol: Symbol) -> None:
        """Stop publishing a symbol. This process goes on following it."""
        self._schedule.drop(symbol)
        self._changed_s.pop(symbol, None)

    def why_not_live(self) -> str | None:
        """Return what is wrong if the loop has been stuck for more than STUCK_AFTER_S, else None."""
        silent_s = 0.0 if self._turned_s is None else time.monotonic() - self._turned_s
        return f"stuck for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else None

    def why_not_ready(self) -> str | None:
        """Return what is wrong if the last publish failed, else None."""
        return f"{self._failures} failed in a row" if self._failures else None

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._turned_s = time.monotonic()
            # Clear it before reading the schedule, so that a later change ends the wait.
            self._wake.clear()
            due_s = self._schedule.next_s()
            wait_s = MAX_IDLE_S if due_s is None else due_s - self._turned_s
            if wait_s <= 0:
                return
            # The event loop's timers have a resolution of 1 ms. A shorter wait would end at once, again and again.
            timer = loop.call_later(max(wait_s, 0.001), self._wake.set)
            await self._wake.wait()
            timer.cancel()

    async def _publish(self, symbols: Sequence[Symbol]) -> None:
        """Publish the tickers of this moment in one command.

        Raises:
            BusError: the command failed, and it is not known whether it was carried out. The symbols are due again.
        """
        # Remove these before the states are read. A change during the command is then a new one.
        changed_s = {symbol: self._changed_s.pop(symbol) for symbol in symbols if symbol in self._changed_s}
        try:
            async with self._publishing:
                # A symbol may have gone to another copy since it was touched, or while this waited for the lock.
                await self._publish_now([symbol for symbol in symbols if self._ownership.owns(symbol)])
        except BaseException:
            # The command failed, was rejected, or was cancelled at shutdown: all symbols are due again.
            self._changed_s |= changed_s
            for symbol in symbols:
                self._schedule.touch(symbol, time.monotonic())
            raise
        self._failures = 0
        done_s = time.monotonic()
        for since_s in changed_s.values():
            TICK_TO_TICKER_S.observe(done_s - since_s)

    async def _publish_now(self, symbols: Sequence[Symbol]) -> None:
        time_ms = self._clock.now_ms()
        states = [state for symbol in symbols if (state := self._market.get(symbol)) is not None]
        tickers = [self._make(state, time_ms) for state in states]
        for ticker in tickers:
            ticker.publisher = self._ownership.me
        # Nothing is awaited between the calls of `owns` and reading the epoch, so both belong to the same division.
        asked_s = time.monotonic()
        answers = await self._bus.publish_tickers(tickers, self._ownership.epoch)
        PUBLISH_S.observe(time.monotonic() - asked_s)
        TICKERS.inc(len(tickers))
        CONFLATED.inc(self._conflated)
        self._conflated = 0
        # Remember only published tickers. So the next price follows from the same ticker here as in a copy that takes over.
        for state, ticker, answer in zip(states, tickers, answers, strict=True):
            state.seq = answer.seq
            state.last = ticker

    def _make(self, state: SymbolState, time_ms: int) -> Ticker:
        parameters = self._market.parameters
        if not state.legs:
            return state.make_ticker(time_ms, parameters, self._away(state.ticks, time_ms))
        legs = self._market.legs(state)
        # An exchange has one feed, so its newest tick shows whether that is away.
        newest = dict(state.ticks)
        for leg in legs:
            for exchange, tick in leg.ticks.items():
                if exchange not in newest or newest[exchange].received_time_ms < tick.received_time_ms:
                    newest[exchange] = tick
        return state.make_ticker(time_ms, parameters, self._away(newest, time_ms), legs)

    async def _recover(self, failed: BusError) -> None:
        PUBLISH_FAILURES.inc()
        self._failures += 1
        if self._failures == 1:
            log.warning("publish failed; trying again until Redis is back", cause=str(failed))
        await asyncio.sleep(backoff_s(self._failures, base_s=0.1, cap_s=2.0, floor_s=0.05))

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_LIMIT_S):
                await self._publish(self._schedule.changed())
        except (BusError, TimeoutError) as failed:
            log.warning("last changes not published", cause=str(failed) or type(failed).__name__)
