"""Makes and publishes tickers when they are due. Knows no tick: it is told which symbols changed."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NoReturn

from market_pulse.bus import AggregatorBus, BusError, MembersChangedError
from market_pulse.kinds import TICKER
from market_pulse.messages import Symbol, Tick
from market_pulse.process.backoff import backoff_s
from market_pulse.process.logs import get_logger

from .clock import Clock
from .market import Market
from .metrics import CONFLATED, FENCED, PUBLISH_FAILURES, PUBLISH_S, TICK_TO_TICKER_S, TICKERS
from .ownership import Ownership
from .schedule import Schedule

Away = Callable[[Mapping[str, Tick], int], frozenset[str]]
"""Says which of the exchanges that these ticks are of have no feed at this moment, as far as is known. Must not wait."""

HEARTBEAT_S = 1.0
MAX_BATCH = 500
"""Tickers per command, so that Redis and this process each stay responsive when very many symbols change at once."""
MAX_IDLE_S = 1.0
STUCK_AFTER_S = 20.0  # longer than a publish that times out, its retry and the delay after it
FLUSH_LIMIT_S = 1.0

log = get_logger()


class Publisher:
    """Publishes each symbol's newest state: changes at once, at most `max_rate_hz` times in any second, and each 1 s anyway.

    While a publish is under way, or Redis is away, changes add up to one entry a symbol.
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
        # When each symbol changed that was not published since: the first of its changes.
        self._changed_s: dict[Symbol, float] = {}
        # Set when a symbol may be due before the time that is waited for.
        self._wake = asyncio.Event()
        # Held while tickers are under way, so that none arrives after its symbol was forgotten.
        self._publishing = asyncio.Lock()
        # Publishes that failed in a row.
        self._failures = 0
        # Changes that a later one replaced before they were published, as far as not counted yet.
        self._conflated = 0
        # When the loop last turned, by the monotonic clock; None before it runs.
        self._turned_s: float | None = None

    def touch(self, symbol: Symbol) -> None:
        """Note that a symbol changed, if it is ours."""
        # Most ticks end here: their symbol waits to be published already.
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
        """Publish until cancelled; then publish what has changed, for a bounded time."""
        try:
            while True:
                await self._until_due()
                # Read before the publish, which may wait: if it is refused, a newer epoch may be known by then.
                epoch = self._ownership.epoch
                try:
                    await self._publish(self._schedule.due(time.monotonic(), MAX_BATCH))
                except MembersChangedError:
                    # The bus took nothing, since the group has changed. They are due again once the new division is known.
                    FENCED.inc()
                    await self._ownership.adopted(epoch)
                except BusError as failed:
                    await self._recover(failed)
        except asyncio.CancelledError:
            await self._flush()
            raise

    async def forget(self, symbols: Sequence[Symbol]) -> None:
        """Withdraw the last tickers of symbols that stream no more.

        Raises:
            BusError: nothing was withdrawn.
        """
        async with self._publishing:
            await self._bus.forget(*(TICKER.channel(symbol) for symbol in symbols))
            for symbol in symbols:
                self.drop(symbol)

    def drop(self, symbol: Symbol) -> None:
        """Stop following a symbol; its last ticker stays."""
        self._market.drop(symbol)
        self.leave_to_others(symbol)

    def leave_to_others(self, symbol: Symbol) -> None:
        """Publish a symbol no more, though it may be followed further."""
        self._schedule.drop(symbol)
        self._changed_s.pop(symbol, None)

    def why_not_live(self) -> str | None:
        """Say whether the loop has stopped turning."""
        silent_s = 0.0 if self._turned_s is None else time.monotonic() - self._turned_s
        return f"no turn for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else None

    def why_not_ready(self) -> str | None:
        """Say whether the last publish failed."""
        return f"{self._failures} failed in a row" if self._failures else None

    async def _until_due(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._turned_s = time.monotonic()
            # Cleared before the schedule is asked: a change that comes after that ends the wait.
            self._wake.clear()
            due_s = self._schedule.next_s()
            wait_s = MAX_IDLE_S if due_s is None else due_s - self._turned_s
            if wait_s <= 0:
                return
            # The loop's timers count milliseconds: a shorter wait would end at once, and be asked for again.
            timer = loop.call_later(max(wait_s, 0.001), self._wake.set)
            await self._wake.wait()
            timer.cancel()

    async def _publish(self, symbols: Sequence[Symbol]) -> None:
        """Publish the state of this moment in one command.

        Raises:
            BusError: perhaps nothing was published; the symbols are due again.
        """
        # Taken out before the states are read: a change that comes while the command is under way is a new one.
        changed_s = {symbol: self._changed_s.pop(symbol) for symbol in symbols if symbol in self._changed_s}
        try:
            async with self._publishing:
                # A symbol may have become another copy's since it was touched, or while the lock was waited for.
                await self._publish_now([symbol for symbol in symbols if self._ownership.owns(symbol)])
        except BaseException:
            # It failed, was refused, or was cancelled at the end of this process: all of it is due again.
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
        parameters = self._market.parameters
        tickers = [state.make_ticker(time_ms, parameters, self._away(state.ticks, time_ms)) for state in states]
        for ticker in tickers:
            ticker.publisher = self._ownership.me
        # The epoch is read after `owns` was asked, with nothing awaited in between: both are of one division.
        asked_s = time.monotonic()
        answers = await self._bus.publish_tickers(tickers, self._ownership.epoch)
        PUBLISH_S.observe(time.monotonic() - asked_s)
        TICKERS.inc(len(tickers))
        CONFLATED.inc(self._conflated)
        self._conflated = 0
        # Only what was published is remembered. The next price follows from it, here as in a copy that takes over.
        for state, ticker, answer in zip(states, tickers, answers, strict=True):
            state.seq = answer.seq
            state.last = ticker

    async def _recover(self, failed: BusError) -> None:
        PUBLISH_FAILURES.inc()
        self._failures += 1
        if self._failures == 1:
            log.warning("publish failed; the newest state goes out when Redis is back", cause=str(failed))
        await asyncio.sleep(backoff_s(self._failures, base_s=0.1, cap_s=2.0, floor_s=0.05))

    async def _flush(self) -> None:
        try:
            async with asyncio.timeout(FLUSH_LIMIT_S):
                await self._publish(self._schedule.changed())
        except (BusError, TimeoutError) as failed:
            log.warning("last changes not published", cause=str(failed) or type(failed).__name__)
