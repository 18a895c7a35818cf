"""Which symbols are mine to publish. Every copy follows all ticks, so each is ready to take any symbol over.

The living copies are a group on the bus. Each symbol belongs to the member that the highest hash of both their names gives
it to: all copies come to the same answer without a word, and when a member goes only its symbols move. An answer is good for
one epoch; in another one the bus publishes nothing of it, so a copy that was asleep cannot speak late.

`next_state` decides, without I/O, what follows from the bus's answer to a beat. `Ownership` beats, and does what was decided.
docs/decisions/0011 gives the reasons, tests/unit/aggregator/test_ownership.py the cases.

A copy whose clock is off Redis's yields: it is no member beside one whose clock is right. Where all clocks are off, all go on:
a price with a known fault is better than none.
"""

import asyncio
import contextlib
import os
import socket
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Division:
    """How the symbols are divided among the copies, in one epoch."""

    # The bus publishes only what names this epoch. 0 before the first answer.
    epoch: int = 0
    members: tuple[str, ...] = ()
    # While a group settles: the members of before. A symbol that moves between the two divisions has no owner for that time.
    earlier: tuple[str, ...] | None = None

    @property
    def is_settling(self) -> bool:
        """Whether copies are still expected back that may know more than those that are here."""
        return self.earlier is not None

    def gives(self, member: str, symbol: Symbol) -> bool:
        """Say whether a symbol is a member's to publish."""
        if owner_of(symbol, self.members) != member:
            return False
        return self.earlier is None or owner_of(symbol, self.earlier) == member


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A copy's knowledge of its group. Seconds are by this machine's monotonic clock."""

    # The division that is lived by. It changes when `Actions.adopt` has been carried out, not before.
    division: Division = Division()
    # For how long the server had known the group, when it answered last.
    age_ms: int = 0
    # The age of the group from which on no missing copy is waited for any more.
    settled_at_ms: int = 0
    # When the last beat was answered; at first, when this process started.
    heard_s: float
    # Beats since then that failed.
    missed_beats: int = 0
    # Whether more than a lease passed between the last answer and the beat that followed it: this process was frozen.
    slept: bool = False

    def asking(self, now_s: float) -> "State":
        """Return the state in which a beat is sent. Only the first one after an answer can tell a sleep from a silent bus."""
        return self if self.missed_beats else replace(self, slept=now_s - self.heard_s > EXPIRY_MS / 1000)

    def missed(self) -> "State":
        """Return the state after a beat failed, or after its answer could not be acted upon."""
        return replace(self, missed_beats=self.missed_beats + 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """The steps that the answer to a beat asks of its receiver, in this order."""

    # Count on from the time instead of from the last known number: others have counted further, and cannot be asked.
    forget_numbers: bool = False
    # Publish nothing until the new division is adopted: other copies went on with our symbols.
    disown: bool = False
    # Read how far the symbols that this division adds had come, then live by it.
    adopt: Division | None = None


def next_state(state: State, membership: Membership, now_s: float) -> tuple[State, Actions]:
    """Decide what follows from the answer to a beat.

    Args:
        state: the state in which the beat was sent.
        membership: the answer.
        now_s: when the answer came, by this machine's monotonic clock.
    """
    division = state.division
    was_member = division.epoch > 0

    # A server that knows the group for less long than before has lost its memory. One that we waited for at our start may have.
    has_forgotten = membership.age_ms < state.age_ms or (not was_member and state.missed_beats > 0)
    # A server that was away and knows us no more was away for longer than a lease, perhaps for all. It may be a replica that
    # became the master and knows less than the copies do.
    is_back = was_member and membership.joined and state.missed_beats > 0

    # In both cases the copies return one after another. The first must not take over symbols whose numbers only another knows.
    settled_at_ms = state.settled_at_ms
    if has_forgotten:
        settled_at_ms = SETTLE_MS
    elif is_back:
        settled_at_ms = membership.age_ms + SETTLE_MS
    # An age below zero is that of a server whose clock was set back. It does not tell whether copies are expected back.
    is_settling = 0 <= membership.age_ms < settled_at_ms

    # The members of before stay those of the time when settling began, through all epochs until it ends.
    earlier = (division.members if division.earlier is None else division.earlier) if is_settling else None
    adopted = Division(epoch=membership.epoch, members=membership.members, earlier=earlier)
    is_news = (adopted.epoch, adopted.is_settling) != (division.epoch, division.is_settling)

    actions = Actions(
        # While we slept, others went on with our symbols. The server has forgotten how far they came.
        forget_numbers=has_forgotten and was_member and state.slept,
        # A copy that joins was no member until now. A server without memory makes all copies join: nobody went on meanwhile.
        disown=membership.joined and not (has_forgotten and is_settling),
        adopt=adopted if is_news else None,
    )
    heard = replace(state, age_ms=membership.age_ms, settled_at_ms=settled_at_ms, heard_s=now_s, missed_beats=0)
    return heard, actions


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
        # `Clock.changes` at the time when `me` was chosen.
        self._clock_changes = 0
        # The state that was logged last: whether the clock is off, and whether this copy stands aside for that.
        self._clock_state = (False, False)
        self._state = State(heard_s=time.monotonic())
        # Answers of `owns`, so that a symbol is hashed once an epoch rather than with each tick.
        self._owned: dict[Symbol, bool] = {}
        # Set to beat before the next beat is due.
        self._wake = asyncio.Event()
        # Set when a division was adopted.
        self._adopted = asyncio.Event()

    @property
    def epoch(self) -> int:
        """The epoch that is known here; 0 before the first."""
        return self._state.division.epoch

    def owns(self, symbol: Symbol) -> bool:
        """Say whether a symbol is ours in the epoch that is known here."""
        owned = self._owned.get(symbol)
        if owned is None:
            owned = self._owned[symbol] = self._state.division.gives(self.me, symbol)
        return owned

    async def run(self) -> NoReturn:
        """Stay a member until cancelled. To leave is another step, to be taken when nothing is published any more."""
        while True:
            self._wake.clear()
            try:
                await self._beat()
            except BusError as failed:
                self._state = self._state.missed()
                log.debug("no beat; what is ours is kept until the bus says otherwise", cause=str(failed))
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(BEAT_S):
                    await self._wake.wait()

    async def leave(self) -> None:
        """Hand all symbols over, for a bounded time; without this the others wait until our last beat has expired."""
        with contextlib.suppress(BusError, TimeoutError):
            async with asyncio.timeout(LEAVE_LIMIT_S):
                await self._bus.leave(self.me)

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
        silent_s = time.monotonic() - self._state.heard_s
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

        # Made anew, so that symbols that are followed no more leave it.
        self._owned = {state.symbol: self.owns(state.symbol) for state in self._market}
        OWNED.set(sum(self._owned.values()))

    async def _rename(self) -> None:
        """Leave under the old name, so that nothing more goes out by the old clock; the next beat joins under the new one."""
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
        """Own nothing any more: while this process was no member, as after a long sleep, others went on with its symbols."""
        owned = [state for state in self._market if self.owns(state.symbol)]
        self._owned = {state.symbol: False for state in self._market}
        self._moved([], [state.symbol for state in owned])

    async def _adopt(self, division: Division) -> None:
        """Live by a new division: let go of symbols that are no longer ours, read how far the new ones are, take them over.

        Raises:
            BusError: it could not be read; the division before it is still lived by.
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
        """Read the last tickers and ticks of symbols as their owner left them: ours may be old, as after a long sleep."""
        states = [state for symbol in symbols if (state := self._market.get(symbol)) is not None]
        sources = [TICK.channel(exchange, state.symbol) for state in states for exchange in state.ticks]
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
                # The server has lost how far the owner had come. The number that we know is too low: count on from the time.
                state.seq = 0
