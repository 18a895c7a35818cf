"""Which symbols are mine to publish. Every copy follows all ticks, so each is ready to take any symbol over.

The living copies are a group on the bus. Each symbol belongs to the member that the highest hash of both their names gives
it to: all copies come to the same answer without a word, and when a member goes only its symbols move. An answer is good for
one epoch; in another one the bus publishes nothing of it, so a copy that was asleep cannot speak late.

A copy whose clock is off Redis's yields: it is no member beside one whose clock is right. Where all clocks are off, all go on:
a price with a known fault is better than none.
"""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable, Sequence
from hashlib import blake2b
from secrets import token_hex
from typing import NoReturn

from market_pulse import channels
from market_pulse.bus import AGGREGATORS, Bus, BusError, Membership
from market_pulse.bus.redis_clock import ahead_of_redis_ms
from market_pulse.messages import CodecError, Symbol, decode_ticker
from market_pulse.process.logs import get_logger

from .clock import Clock
from .market import Market
from .metrics import BAD_MESSAGES, MEMBERS, OWNED, STANDS_ASIDE, TAKEOVERS

Owns = Callable[[Symbol], bool]
"""Says whether this process publishes a symbol's ticker right now. Must not wait."""

Moved = Callable[[Sequence[Symbol], Sequence[Symbol]], None]

BEAT_S = 0.4
EXPIRY_MS = 1_200
"""A copy that is killed is missed after this and a beat at most."""
SETTLE_MS = 2_000
"""For so long after a server was away from all, the copies are expected back: until then nobody takes over what another had."""
SILENT_AFTER_S = 5.0
LEAVE_LIMIT_S = 1.0
CLOCK_OFF = "clock-off:"
"""With this begin the names of copies whose clock is off Redis's."""
BATCH = 500

log = get_logger()


def instance_name() -> str:
    """Return a name that no other process has, nor this one after a restart."""
    return f"{socket.gethostname()}:{os.getpid()}:{token_hex(4)}"


def owner_of(symbol: Symbol, members: Sequence[str]) -> str | None:
    """Return the member that a symbol belongs to, by rendezvous hashing; None if there is no member."""
    return max(members, key=lambda member: blake2b(f"{member}|{symbol}".encode(), digest_size=8).digest(), default=None)


class Ownership:
    """This process's place among the aggregators.

    Args:
        bus: where they meet.
        market: whose symbols are shared out.
        take_last: takes a channel of ticks and its last one.
        moved: told of the symbols that have become ours, when all is known that one goes on from, and of those that are ours no
            more.
        clock: what time it is to this process.

    `me` is this process's name among them, by which tickers name their publisher. A clock that leaps is another clock to those
    who read tickers, so it gets another name.
    """

    def __init__(
        self, bus: Bus, market: Market, take_last: Callable[[str, bytes], None], moved: Moved, clock: Clock | None = None
    ) -> None:
        self.me = instance_name()
        self._clock = clock or Clock()
        self._clock_changes = 0  # of which our name knows
        self._clock_state = (False, False)  # as the log was told: off, standing aside
        self.epoch = 0
        self._bus = bus
        self._market = market
        self._take_last = take_last
        self._moved = moved
        self._members: tuple[str, ...] = ()
        self._age_ms = 0
        self._settled_at_ms = 0  # by the group's age
        self._settling = False
        self._earlier_members: tuple[str, ...] = ()  # while settling: those of before
        self._owned: dict[Symbol, bool] = {}  # of this epoch, as far as asked for
        self._missed_beats = 0
        self._slept = False  # for longer than a lease, before the beats that are missed
        self._wake = asyncio.Event()
        self._adopted = asyncio.Event()
        self._heard_s = time.monotonic()

    def owns(self, symbol: Symbol) -> bool:
        """Say whether a symbol is ours in the epoch that is known here."""
        owned = self._owned.get(symbol)
        if owned is None:
            owned = self._owned[symbol] = self._is_ours(symbol, self._members, settling=self._settling)
        return owned

    def _is_ours(self, symbol: Symbol, members: Sequence[str], *, settling: bool) -> bool:
        if owner_of(symbol, members) != self.me:
            return False
        return not settling or owner_of(symbol, self._earlier_members) == self.me

    async def run(self) -> NoReturn:
        """Stay a member until cancelled. To leave is another step, to be taken when nothing is published any more."""
        while True:
            self._wake.clear()
            try:
                await self._beat()
            except BusError as failed:
                self._missed_beats += 1
                log.debug("no beat; what is ours is kept until the bus says otherwise", cause=str(failed))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()

    async def leave(self) -> None:
        """Hand all symbols over, for a bounded time; without this the others wait until our last beat has expired."""
        with contextlib.suppress(BusError, TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await self._bus.leave(AGGREGATORS, self.me)

    def look_again(self) -> None:
        """Beat at once: somebody said that the members have changed."""
        self._wake.set()

    async def adopted(self, refused: int) -> None:
        """Wait until another epoch than the one that was refused is known, but no longer than a beat takes."""
        if self.epoch != refused:
            return
        self._adopted.clear()
        self.look_again()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                await self._adopted.wait()

    def why_not_ready(self) -> str | None:
        """Say whether it is not known who publishes what."""
        silent_s = time.monotonic() - self._heard_s
        if not self.epoch or silent_s > SILENT_AFTER_S:
            return f"no beat for {silent_s:.0f} s"
        return None

    def why_aside(self) -> str | None:
        """Say whether this copy leaves its symbols to others because of its clock."""
        is_off, is_aside = self._clock_state
        return f"this machine's clock is {self._off()} Redis's: other copies publish" if is_off and is_aside else None

    async def compare_clocks(self) -> None:
        """Learn how far this machine's clock is from Redis's.

        Raises:
            BusError: Redis did not answer.
        """
        ahead_ms = await ahead_of_redis_ms(self._bus, self._clock.machine_ms)
        if ahead_ms is not None:
            self._clock.compare(ahead_ms)

    async def _beat(self) -> None:
        if not self._missed_beats:
            self._slept = time.monotonic() - self._heard_s > EXPIRY_MS / 1000
        await self.compare_clocks()
        if self._clock_changes != self._clock.changes:
            await self._rename()
        membership = await self._bus.beat(AGGREGATORS, self.me, EXPIRY_MS, CLOCK_OFF if self._clock.is_off else "")
        self._tell_clock(membership)
        # A server is younger than it was, or one that we had to wait for is very young: others may be on their way back to it.
        has_forgotten = membership.age_ms < self._age_ms or (not self.epoch and self._missed_beats > 0)
        if has_forgotten:
            self._settled_at_ms = SETTLE_MS
            if self.epoch and self._slept:  # others went on with what was ours, and how far they came nobody can tell us
                for state in self._market:
                    state.seq = 0
        elif membership.joined and self.epoch and self._missed_beats:
            # It was away for longer than a lease, perhaps for all. A replica that is the master now may know less than they do.
            self._settled_at_ms = membership.age_ms + SETTLE_MS
        self._age_ms = membership.age_ms
        self._heard_s, self._missed_beats = time.monotonic(), 0
        settling = 0 <= membership.age_ms < self._settled_at_ms
        if membership.joined and not (has_forgotten and settling):
            self._disown()
        if (membership.epoch, settling) != (self.epoch, self._settling):
            await self._adopt(membership, settling=settling)
        self._owned = {state.symbol: self.owns(state.symbol) for state in self._market}
        OWNED.set(sum(self._owned.values()))

    async def _rename(self) -> None:
        """Leave under the old name, so that nothing more goes out by the old clock; the next beat joins under the new one."""
        await self._bus.leave(AGGREGATORS, self.me)
        self._disown()
        self.me = (CLOCK_OFF if self._clock.is_off else "") + instance_name()
        self._clock_changes = self._clock.changes

    def _tell_clock(self, membership: Membership) -> None:
        state = self._clock.is_off, self.me not in membership.members
        STANDS_ASIDE.set(all(state))
        if state == self._clock_state or not any((state[0], self._clock_state[0])):
            return
        self._clock_state = state
        if all(state):
            log.warning("clock off: others publish", this_clock=f"{self._off()} Redis's")
        elif self._clock.is_off:
            told = "Redis's time" if self._clock.is_corrected else "the ingests' time, which is this machine's"
            log.warning("clock off, and no copy has a better one: going on", this_clock=f"{self._off()} Redis's", told=told)
        else:
            log.info("clock right again")

    def _off(self) -> str:
        ahead_s = (self._clock.ahead_ms or 0) / 1000
        return f"{abs(ahead_s):.1f} s {'ahead of' if ahead_s > 0 else 'behind'}"

    def _disown(self) -> None:
        """Own nothing any more: while this process was no member, as after a long sleep, others went on with its symbols."""
        owned = [state for state in self._market if self.owns(state.symbol)]
        self._owned = {state.symbol: False for state in self._market}
        self._moved([], [state.symbol for state in owned])

    async def _adopt(self, membership: Membership, *, settling: bool) -> None:
        """Live in a new epoch: let go of what is ours no more, take over what is new after reading how far it is."""
        if settling and not self._settling:
            self._earlier_members = self._members
        before = {state.symbol for state in self._market if self.owns(state.symbol)}
        now = {state.symbol for state in self._market if self._is_ours(state.symbol, membership.members, settling=settling)}
        gained = list(now - before)
        for start in range(0, len(gained), BATCH):
            await self._read_up(gained[start : start + BATCH])
        if self._members != membership.members:
            log.info("aggregators", members=len(membership.members), gained=len(gained), lost=len(before - now))
        self._members, self.epoch, self._settling = membership.members, membership.epoch, settling
        self._owned.clear()
        MEMBERS.set(len(membership.members))
        TAKEOVERS.inc(len(gained))
        self._moved(gained, list(before - now))
        self._adopted.set()

    async def _read_up(self, symbols: Sequence[Symbol]) -> None:
        """Learn where the symbols' last owner stopped, and what it knew: our own ticks may be late, as after a long sleep."""
        states = [state for symbol in symbols if (state := self._market.get(symbol)) is not None]
        sources = [channels.ticks(exchange, state.symbol) for state in states for exchange in state.ticks]
        tickers = await self._bus.last(*(channels.ticker(state.symbol) for state in states))
        for source, tick in zip(sources, await self._bus.last(*sources), strict=True):
            if tick is not None:
                self._take_last(source, tick)
        for state, ticker in zip(states, tickers, strict=True):
            if ticker is not None:
                try:
                    state.resume(decode_ticker(ticker))
                except CodecError:
                    BAD_MESSAGES.labels("last ticker").inc()
            else:  # if the server has lost how far its owner had come, what we knew of that is too little
                state.seq = 0
