"""Which symbols this copy of the aggregator publishes. Every copy follows all ticks, so each can take over any symbol.

The running copies are the members of a group in Redis. A member renews its membership with each beat, and loses it when it has
not beaten for EXPIRY_MS. Each symbol belongs to the member for which the hash of both names is highest. So all copies compute
the same owner without asking each other, and when a member leaves, only its symbols move.

Each change of the members starts a new epoch. Redis rejects tickers that were meant for another epoch, so a copy that was
suspended cannot publish outdated tickers when it wakes up.

`next_state` decides, without I/O, what to do after Redis's answer to a beat. `Ownership` sends the beats and carries out the
decisions. docs/decisions/0011 gives the reasons, and tests/unit/aggregator/test_ownership.py has the cases.

A copy whose clock is off Redis's gives way: it is not a member while a copy with a right clock is one. If all copies' clocks
are off, all of them publish, because a price with a known fault is better than no price.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from secrets import token_hex
from typing import NoReturn

from market_pulse.bus import AggregatorBus, BusError, Membership
from market_pulse.bus.redis_clock import ahead_of_redis_ms
from market_pulse.kinds import TICK, TICKER
from market_pulse.messages import CodecError, Symbol, decode_ticker
from market_pulse.process import instance
from market_pulse.process.logs import get_logger

from .clock import Clock
from .market import Market
from .metrics import BAD_MESSAGES, MEMBERS, OWNED, STANDS_ASIDE, TAKEOVERS

Owns = Callable[[Symbol], bool]
"""Returns whether this process publishes a symbol's ticker right now. Must not block."""

Moved = Callable[[Sequence[Symbol], Sequence[Symbol]], None]
"""Called with the symbols that this process has gained, and with those that it has lost."""

BEAT_S = 0.4
EXPIRY_MS = 1_200
"""How long a beat keeps a copy in the group. The others notice a killed copy after this and one more beat at the latest."""
SETTLE_MS = 2_000
"""After no copy could reach Redis, how long they may take to come back. Until then, none takes over another copy's symbols."""
SILENT_AFTER_S = 5.0
LEAVE_LIMIT_S = 1.0
CLOCK_OFF = "clock-off:"
"""The prefix of the names of copies whose clock is off Redis's."""
BATCH = 500  # symbols per command

log = get_logger()


def instance_name() -> str:
    """Return a new name, which no other process has and this one will not have again."""
    return f"{instance.instance_name()}:{token_hex(4)}"


def owner_of(symbol: Symbol, members: Sequence[str]) -> str | None:
    """Return the member that publishes a symbol, by rendezvous hashing; None if there is no member."""
    return max(members, key=lambda member: blake2b(f"{member}|{symbol}".encode(), digest_size=8).digest(), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How the symbols are divided among the copies, in one epoch."""

    # The epoch of these members. Redis rejects tickers that are sent with another epoch. 0 before the first answer.
    epoch: int = 0
    members: tuple[str, ...] = ()
    # While the group settles: its members before. A symbol whose owner would change has no owner until the group has settled.
    earlier: tuple[str, ...] | None = None

    @property
    def is_settling(self) -> bool:
        """Whether copies are still expected back that may know higher ticker numbers than the present members."""
        return self.earlier is not None

    def gives(self, member: str, symbol: Symbol) -> bool:
        """Return whether a member publishes a symbol."""
        if owner_of(symbol, self.members) != member:
            return False
        return self.earlier is None or owner_of(symbol, self.earlier) == member


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A copy's knowledge of its group. Seconds are by this machine's monotonic clock."""

    # The division in force. It changes only when `Actions.adopt` has been carried out.
    division: Division = Division()
    # For how long the server had known the group at its last answer.
    age_ms: int = 0
    # The age of the group at which it has settled, that is, missing copies are no longer waited for.
    settled_at_ms: int = 0
    # When a beat was last answered; before the first answer, when this process started.
    heard_s: float
    # How many beats have failed since then.
    missed_beats: int = 0
    # Whether more than EXPIRY_MS passed between the last answer and the next beat: this process was suspended.
    slept: bool = False

    def asking(self, now_s: float) -> "State":
        """Return the state in which a beat is sent.

        `slept` is updated only with the first beat after an answer. After a failed beat the time since the answer shows
        nothing, because Redis may have been silent.
        """
        return self if self.missed_beats else replace(self, slept=now_s - self.heard_s > EXPIRY_MS / 1000)

    def missed(self) -> "State":
        """Return the state after a beat has failed, or after the steps that its answer required have failed."""
        return replace(self, missed_beats=self.missed_beats + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """The steps to carry out after the answer to a beat, in this order."""

    # Continue the tickers' numbers from the present time instead of the last known number: others may have published tickers
    # with higher numbers, and those numbers are lost.
    forget_numbers: bool = False
    # Publish nothing until the new division is adopted: other copies have published our symbols meanwhile.
    disown: bool = False
    # Read the last tickers of the symbols that this division adds, then put the division in force.
    adopt: Division | None = None


def next_state(state: State, membership: Membership, now_s: float) -> tuple[State, Actions]:
    """Decide what to do after the answer to a beat. Return the new state, and the steps to carry out.

    Args:
        state: the state in which the beat was sent.
        membership: the answer.
        now_s: when the answer arrived, by this machine's monotonic clock.
    """
    division = state.division
    was_member = division.epoch > 0

    # If the server has known the group for less time than before, it has lost its data. If beats failed when we started, it may
    # have lost its data, too.
    has_forgotten = membership.age_ms < state.age_ms or (not was_member and state.missed_beats > 0)
    # If beats failed and the server then no longer has us as a member, it was away for longer than EXPIRY_MS, perhaps from all
    # copies. It may be a replica that became the master and does not have the latest ticker numbers.
    is_back = was_member and membership.joined and state.missed_beats > 0

    # In both cases the copies come back one after another. The first one back must not take over a symbol while only another
    # copy knows its last number.
    settled_at_ms = state.settled_at_ms
    if has_forgotten:
        settled_at_ms = SETTLE_MS
    elif is_back:
        settled_at_ms = membership.age_ms + SETTLE_MS
    # A negative age means that the server's clock was set back. It says nothing of copies that are expected back.
    is_settling = 0 <= membership.age_ms < settled_at_ms

    # Until the group has settled, `earlier` stays the members from before settling began, through all epochs.
    earlier = (division.members if division.earlier is None else division.earlier) if is_settling else None
    adopted = Division(epoch=membership.epoch, members=membership.members, earlier=earlier)
    is_news = (adopted.epoch, adopted.is_settling) != (division.epoch, division.is_settling)

    actions = Actions(
        # While we were suspended, others published our symbols, and the server has lost their numbers.
        forget_numbers=has_forgotten and was_member and state.slept,
        # If we have just joined, we were not a member, and others have published our symbols. But a server that lost its data
        # makes all copies join, and then no other copy has published them.
        disown=membership.joined and not (has_forgotten and is_settling),
        adopt=adopted if is_news else None,
    )
    heard = replace(state, age_ms=membership.age_ms, settled_at_ms=settled_at_ms, heard_s=now_s, missed_beats=0)
    return heard, actions


class Ownership:
    """This process's membership in the group of aggregators.

    Args:
        bus: the bus on which the group is.
        market: the symbols to divide among the copies.
        take_last: called with a channel of ticks and its last tick.
        moved: called with the symbols gained, when their last tickers and ticks have been read, and with the symbols lost.
        clock: this process's clock.

    `me` is this process's name in the group, and the `publisher` in its tickers. Readers of tickers learn one clock per name,
    so if this process's time jumps, it takes a new name.
    """

    def __init__(
        self,
        bus: AggregatorBus,
        market: Market,
        take_last: Callable[[str, bytes], None],
        moved: Moved,
        clock: Clock | None = None,
    ) -> None:
        self.me = instance_name()
        self._bus = bus
        self._market = market
        self._take_last = take_last
        self._moved = moved
        self._clock = clock or Clock()
        # The value of `Clock.changes` when `me` was chosen.
        self._clock_changes = 0
        # The state that was logged last: whether the clock is off, and whether this copy is no member because of that.
        self._clock_state = (False, False)
        self._state = State(heard_s=time.monotonic())
        # The results of `owns`, so that a symbol is hashed once per epoch rather than with each tick.
        self._owned: dict[Symbol, bool] = {}
        # Set to send a beat before the next one is due.
        self._wake = asyncio.Event()
        # Set when a division has been adopted.
        self._adopted = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The epoch of the division in force; 0 before the first."""
        return self._state.division.epoch

    def owns(self, symbol: Symbol) -> bool:
        """Return whether this process publishes a symbol, by the division in force."""
        owned = self._owned.get(symbol)
        if owned is None:
            owned = self._owned[symbol] = self._state.division.gives(self.me, symbol)
        return owned

    async def run(self) -> NoReturn:
        """Send beats until cancelled. This does not leave the group: call `leave` when nothing is published any more."""
        while True:
            self._wake.clear()
            try:
                await self._beat()
            except BusError as failed:
                self._state = self._state.missed()
                log.debug("beat failed; this copy keeps its symbols until Redis answers", cause=str(failed))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()

    async def leave(self) -> None:
        """Leave the group, within LEAVE_LIMIT_S, so that others take our symbols over before our membership expires."""
        with contextlib.suppress(BusError, TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await self._bus.leave(self.me)

    def look_again(self) -> None:
        """Send a beat at once, because the members may have changed."""
        self._wake.set()

    async def adopted(self, refused: int) -> None:
        """Wait until a division of another epoch than `refused` is in force, but no longer than BEAT_S."""
        if self.epoch != refused:
            return
        self._adopted.clear()
        self.look_again()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(BEAT_S):
                await self._adopted.wait()

    def why_not_ready(self) -> str | None:
        """Return what is wrong if the division of symbols is not known or out of date, else None."""
        silent_s = time.monotonic() - self._state.heard_s
        if not self.epoch or silent_s > SILENT_AFTER_S:
            return f"no beat for {silent_s:.0f} s"
        return None

    def why_aside(self) -> str | None:
        """Return what is wrong if this copy is not a member because of its clock, else None."""
        is_off, is_aside = self._clock_state
        return f"this machine's clock is {self._off()} Redis's: other copies publish" if is_off and is_aside else None

    async def compare_clocks(self) -> None:
        """Measure how far this machine's clock is from Redis's, and pass it to the clock.

        Raises:
            BusError: Redis did not answer.
        """
        ahead_ms = await ahead_of_redis_ms(self._bus, self._clock.machine_ms)
        if ahead_ms is not None:
            self._clock.compare(ahead_ms)

    async def _beat(self) -> None:
        self._state = self._state.asking(time.monotonic())
        await self.compare_clocks()
        if self._clock_changes != self._clock.changes:
            await self._rename()
        membership = await self._bus.beat(self.me, EXPIRY_MS, CLOCK_OFF if self._clock.is_off else "")
        self._tell_clock(membership)

        self._state, actions = next_state(self._state, membership, time.monotonic())
        if actions.forget_numbers:
            for state in self._market:
                state.seq = 0
        if actions.disown:
            self._disown()
        if actions.adopt is not None:
            await self._adopt(actions.adopt)

        # Rebuilt, so that it does not keep symbols that are no longer followed.
        self._owned = {state.symbol: self.owns(state.symbol) for state in self._market}
        OWNED.set(sum(self._owned.values()))

    async def _rename(self) -> None:
        """Leave the group under the old name and choose a new name, under which the next beat joins.

        So no further ticker with a time of the new clock is published under the old name.
        """
        await self._bus.leave(self.me)
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
        """Give up all symbols. Others have published them while this process was not a member, as after a suspension."""
        owned = [state for state in self._market if self.owns(state.symbol)]
        self._owned = {state.symbol: False for state in self._market}
        self._moved([], [state.symbol for state in owned])

    async def _adopt(self, division: Division) -> None:
        """Read the last tickers and ticks of the symbols gained, put a new division in force, and report gains and losses.

        Raises:
            BusError: reading failed, and the division before stays in force.
        """
        before = {state.symbol for state in self._market if self.owns(state.symbol)}
        now = {state.symbol for state in self._market if division.gives(self.me, state.symbol)}
        gained, lost = list(now - before), list(before - now)
        for start in range(0, len(gained), BATCH):
            await self._read_up(gained[start : start + BATCH])
        if self._state.division.members != division.members:
            log.info("aggregators", members=len(division.members), gained=len(gained), lost=len(lost))
        self._state = replace(self._state, division=division)
        self._owned.clear()
        MEMBERS.set(len(division.members))
        TAKEOVERS.inc(len(gained))
        self._moved(gained, lost)
        self._adopted.set()

    async def _read_up(self, symbols: Sequence[Symbol]) -> None:
        """Read the last tickers and ticks of symbols from Redis, because ours may be outdated, as after a suspension."""
        states = [state for symbol in symbols if (state := self._market.get(symbol)) is not None]
        sources = [
            TICK.channel(exchange, one.symbol)
            for state in states
            for one in self._market.feeding(state)
            for exchange in one.ticks
        ]
        tickers = await self._bus.last(*(TICKER.channel(state.symbol) for state in states))
        for source, tick in zip(sources, await self._bus.last(*sources), strict=True):
            if tick is not None:
                self._take_last(source, tick)
        for state, ticker in zip(states, tickers, strict=True):
            if ticker is not None:
                try:
                    state.resume(decode_ticker(ticker))
                except CodecError:
                    BAD_MESSAGES.labels("last ticker").inc()
            else:
                # Redis has lost the last ticker. Our own number may be too low, so the next one starts at the present time.
                state.seq = 0
