"""One exchange's feed: a socket, the next one after it is lost, and the one that takes over before it is cut."""

import asyncio
import contextlib
import random
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from msgspec.structs import replace

from market_pulse.messages import FeedState, Symbol, Tick
from market_pulse.process.backoff import backoff_s
from market_pulse.process.clock import now_ms
from market_pulse.process.instance import instance_name
from market_pulse.process.logs import get_logger
from market_pulse.process.way_out import STRAIGHT, WayOut

from .adapter import Adapter, Listed, MarketEvent
from .errors import FeedLost, FeedRefused, FeedSilent
from .merge import Change, Merge
from .metrics import Stats
from .pace import Pace
from .socket import Connection
from .status import Facts

HEALTHY_S = 10.0  # only a feed that delivered for so long earns short delays again
SILENT_CAP_S = 10.0  # an exchange that opens sockets is there: its data may be back any moment
HANDOVER_LIMIT_S = 30.0
HANDOVER_SETTLE_S = 5.0
REFUSED_HANDOVER_S = 60.0  # bans grow with each attempt, and the old socket lives
OVERDUE_S = 10.0  # a symbol that has not delivered for so long since it was asked for is missing
PROVEN_S = 600.0  # a socket that lived for so long shows that the one before it was not given up for nothing
ANEW_TOLD_S = 60.0  # so long the status tells of numbers that began anew

log = get_logger()


class Feed:
    """Keeps one exchange's ticks flowing to `on_tick`, and tells the facts by which to judge how it is doing."""

    def __init__(
        self,
        adapter: Adapter,
        urls: tuple[str, ...],
        on_tick: Callable[[Tick], None],
        *,
        blocked_retry_s: float,
        max_age_s: float | None,
        way_out: WayOut = STRAIGHT,
        stats: Stats | None = None,
    ) -> None:
        self.adapter = adapter
        self._urls = urls
        self._on_tick = on_tick
        self._blocked_retry_s = blocked_retry_s
        self._max_age_s = max_age_s
        self._way_out = way_out
        self.stats = stats or Stats()
        # How many sockets have ended without delivering anything: each of them moves on to the next address.
        self._attempts = 0
        # After a socket was given up for its silence, the next one is given twice as long: perhaps nothing was wrong with it.
        self._patience_s = 0.0
        self._last_tick: Tick | None = None  # of any symbol
        self._last_ticks: dict[Symbol, Tick] = {}  # of each symbol that is wanted
        self._paces: dict[str, Pace] = {}  # native symbol -> how fast it is, over all sockets
        self._anew_s: dict[str, float] = {}  # native symbol -> when the exchange's numbers began anew
        self._listed: Mapping[str, Listed] = {}  # what to carry
        self.carried_since_ms: dict[str, int] = {}  # native symbol -> when it was first among them
        self._anything_wanted = asyncio.Event()
        self._connections: list[Connection] = []  # the one in use, and during a hand-over its successor
        # Wanted symbols for which there is no room, the longest waiting first: told in the status.
        self.turned_away: Sequence[Symbol] = ()
        self.book = self._new_book()
        # How far the feed is with its sockets, since when, and why. Whether symbols are missing is another question.
        self._phase: FeedState = "connecting"
        self._phase_reason: str | None = None
        self._since_ms = now_ms()
        self._simulated = False  # whether the other end of the latest socket that delivered was the simulator
        self._instance = instance_name()

    def want(self, listed: Mapping[str, Listed]) -> None:
        """Set what to carry: native symbol -> listing, the most important first."""
        self._listed = listed
        self.carried_since_ms = {native: self.carried_since_ms.get(native, now_ms()) for native in listed}
        if listed:
            self._anything_wanted.set()
        else:
            self._anything_wanted.clear()
        self.book.keep(listed)
        symbols = {one.symbol for one in listed.values()}
        self._last_ticks = {symbol: tick for symbol, tick in self._last_ticks.items() if symbol in symbols}
        self._anew_s = {native: at_s for native, at_s in self._anew_s.items() if native in listed}
        for connection in self._connections:
            connection.want(listed)

    def end(self, symbol: Symbol, why: str) -> None:
        """Say a symbol's last word: the exchange does not trade it any more."""
        tick = self._last_ticks.pop(symbol, None)
        if tick is not None:
            self._on_tick(replace(tick, ended=why))

    def ask_again(self, native: str) -> None:
        """Subscribe to a symbol once more on the socket in use; what comes then is the first that is known of it."""
        self.book.forget(native)
        if self._connections:
            self._connections[0].ask_again(native)

    @property
    def delivering(self) -> bool:
        """Whether market data comes in."""
        return bool(self._connections) and self._connections[0].delivering.is_set()

    @property
    def age_s(self) -> float:
        """How long the socket in use has been open, in seconds; zero without one."""
        return self._connections[0].age_s if self._connections and self._connections[0].opened else 0.0

    def seed(self, events: Iterable[MarketEvent]) -> None:
        """Take in what REST knows of a symbol that the socket has not spoken of yet. The socket's own messages are newer."""
        for event in events:
            listed = self._listed.get(event.native)
            if listed is None or self.book.apply(event, now_ms(), seed=True) is not Change.NEW:
                continue
            if tick := self.book.tick(listed, lag_unknown=True):
                self._pass_on(tick)

    def facts(self) -> Facts:
        """Return what is known at this moment."""
        current = self._connections[0] if self._connections else None
        anew_since_s = asyncio.get_running_loop().time() - ANEW_TOLD_S
        return Facts(
            exchange=self.adapter.exchange,
            instance=self._instance,
            now_ms=now_ms(),
            phase=self._phase,
            phase_reason=self._phase_reason,
            since_ms=self._since_ms,
            simulated=self._simulated,
            reconnects=self.stats.lost.total(),
            last_tick=self._last_tick,
            wanted=len(self._listed),
            delivered=current.delivered if current else (),
            refused=current.refused if current else (),
            overdue=current.overdue(OVERDUE_S) if current else (),
            held_back=self.book.held_back(now_ms()),
            anew=[native for native, at_s in self._anew_s.items() if at_s > anew_since_s],
            turned_away=self.turned_away,
        )

    def stop(self) -> None:
        """Be `down` from now on: the process is about to end."""
        self._enter("down", "stopped")

    def _enter(self, phase: FeedState, reason: str | None = None) -> None:
        if phase != self._phase:
            self._phase, self._since_ms = phase, now_ms()
        self._phase_reason = reason

    def _begin_anew(self, native: str) -> None:
        self._anew_s[native] = asyncio.get_running_loop().time()
        self.stats.anew += 1
        log.warning("the exchange's numbers began anew", exchange=self.adapter.exchange, native=native)

    def _new_book(self) -> Merge:
        return Merge(self.adapter.exchange, self._paces, self._begin_anew)

    async def run(self) -> NoReturn:
        """Run until cancelled."""
        failures = 0
        try:
            while True:
                if not self._listed:
                    self._enter("connecting", "this exchange lists none of the wanted symbols")
                    await self._anything_wanted.wait()

                # Data from before the gap may be old, so it is never mixed with later data.
                self.book = self._new_book()
                connection, task = self._start()
                if self._phase != "blocked":
                    log.info("feed connecting", exchange=self.adapter.exchange, url=self._url)
                connection, lost = await self._use(connection, task)

                # Learn from the loss for the next attempt: how long to wait, how much silence to bear, which address to try.
                healthy = connection.delivering.is_set() and connection.age_s > HEALTHY_S
                failures = 1 if healthy else failures + 1
                if connection.age_s > PROVEN_S:
                    self._patience_s = 0.0
                if isinstance(lost, FeedSilent):
                    self._patience_s = 2 * lost.limit_s
                if not connection.delivering.is_set():
                    self._attempts += 1
                await self._wait_after(lost, failures, opened=connection.opened)
        finally:
            self.stop()

    @property
    def _url(self) -> str:
        return self._urls[self._attempts % len(self._urls)]

    def _start(self) -> tuple[Connection, asyncio.Task[NoReturn]]:
        max_age_s = self._max_age_s and self._max_age_s * random.uniform(0.97, 1.0)
        connection = Connection(
            self.adapter, self._url, self.book, self._pass_on, max_age_s, self.stats, self._way_out, patience_s=self._patience_s
        )
        connection.want(self._listed)
        self._connections.append(connection)
        return connection, asyncio.create_task(connection.run())

    def _pass_on(self, tick: Tick) -> None:
        self._last_tick = self._last_ticks[tick.symbol] = tick
        self._on_tick(tick)

    async def _use(self, connection: Connection, task: asyncio.Task[NoReturn]) -> tuple[Connection, FeedLost]:
        """Use a socket, and its successors, until one is lost with none to take over. Returns the last one, and why."""
        try:
            await _first(task, connection.delivering.wait())
            if connection.delivering.is_set():
                self._delivers(connection)
            failures = 0
            while not task.done():
                await _first(task, connection.leaving.wait())
                if not task.done():
                    old = connection
                    connection, task = await self._hand_over(old, task, failures + 1)
                    failures = failures + 1 if connection is old else 0
            return connection, _reason(task)
        finally:
            await _end(task)
            self._connections = []

    def _delivers(self, connection: Connection) -> None:
        self._simulated = connection.simulated
        log.info("feed connected", exchange=self.adapter.exchange, simulated=connection.simulated)
        self._enter("connected")

    async def _hand_over(
        self, old: Connection, old_task: asyncio.Task[NoReturn], attempt: int
    ) -> tuple[Connection, asyncio.Task[NoReturn]]:
        """Open another socket beside the old one, and close the old one when the new one delivers all that it did.

        Returns the socket to use from now on: the old one when the new one failed while the old one still lives.
        """
        log.info("feed hands over to a new socket", exchange=self.adapter.exchange, reason=old.leaving_reason)
        new, new_task = self._start()
        try:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HANDOVER_LIMIT_S):
                    await _first(new_task, new.delivering.wait())
                    await self._settle(old, new, new_task)
            if new.delivering.is_set() and not new_task.done():
                self._connections = [new]
                self._simulated = new.simulated
                self.stats.handovers += 1
                log.info("feed handed over", exchange=self.adapter.exchange)
                old_task, new_task = new_task, old_task
                return new, old_task
            self._connections = [old]
            failed = _reason(new_task) if new_task.done() else FeedLost("silent", "no data in time")
            log.warning("feed could not hand over yet", exchange=self.adapter.exchange, cause=str(failed))
        finally:
            await _end(new_task)  # the one that is not used any more
        await _first(old_task, asyncio.sleep(handover_delay_s(failed, attempt)))
        return old, old_task

    async def _settle(self, old: Connection, new: Connection, new_task: asyncio.Task[NoReturn]) -> None:
        """Wait until the new socket has delivered every symbol that the old one did, within a bound."""
        deadline_s = asyncio.get_running_loop().time() + HANDOVER_SETTLE_S
        while not new_task.done() and asyncio.get_running_loop().time() < deadline_s:
            if old.delivered <= new.delivered:
                return
            await asyncio.sleep(0.05)

    async def _wait_after(self, lost: FeedLost, failures: int, *, opened: bool) -> None:
        exchange = self.adapter.exchange
        refused = lost if isinstance(lost, FeedRefused) else None
        was_blocked = self._phase == "blocked" and not opened  # and is, until a handshake succeeds
        if was_blocked or (refused is not None and refused.blocked):
            # Each address is tried once soon, and then all of them slowly: the exchange does not serve this place.
            all_tried = self._attempts % len(self._urls) == 0
            delay_s = self._blocked_retry_s * random.uniform(0.8, 1.2) if all_tried else backoff_s(1)
            if refused is not None and refused.retry_after_s is not None:
                delay_s = max(delay_s, refused.retry_after_s)
            if refused is not None and not was_blocked and all_tried:
                reason = f"HTTP {refused.status}: the exchange does not serve this place"
                self._enter("blocked", reason)
                log.warning("feed blocked", exchange=exchange, cause=reason, retry_in_s=round(delay_s))
        else:
            delay_s = backoff_s(failures, cap_s=SILENT_CAP_S) if opened else backoff_s(failures)
            if refused is not None and refused.retry_after_s is not None:
                delay_s += refused.retry_after_s
            self._enter("reconnecting", str(lost))
            log.warning("feed lost", exchange=exchange, cause=str(lost), retry_in_s=round(delay_s, 1))
        self.stats.lost[lost.kind] += 1
        await asyncio.sleep(delay_s)


def handover_delay_s(failed: FeedLost, failures: int) -> float:
    """Return how long to wait until the next hand-over after so many that failed in a row, the last one so.

    Little at first, as some announce only a minute ahead that they will cut the old socket; more where we are refused.
    """
    delay_s = backoff_s(failures, base_s=2.0)
    if isinstance(failed, FeedRefused):
        floor_s = 0.0 if failed.failing else REFUSED_HANDOVER_S
        delay_s += max(floor_s, failed.retry_after_s or 0.0)
    return delay_s


async def _first(task: asyncio.Task[NoReturn], other: Coroutine[Any, Any, object]) -> None:
    """Wait until the task is done or the other thing has happened, whichever comes first."""
    waiting = asyncio.ensure_future(other)
    try:
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()


async def _end(task: asyncio.Task[NoReturn]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _reason(task: asyncio.Task[NoReturn]) -> FeedLost:
    """Return why a connection's task ended. Anything but FeedLost is a fault of ours and goes up."""
    error = task.exception()
    if isinstance(error, FeedLost):
        return error
    raise error or RuntimeError("a connection ended without a reason")
