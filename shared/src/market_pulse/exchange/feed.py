"""One exchange's feed: a socket, the next one after it is lost, and the one that takes over before it is cut."""

import asyncio
import contextlib
import os
import random
import socket as sockets
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from msgspec.structs import replace

from market_pulse.messages import MOST_TURNED_AWAY, FeedState, FeedStatus, Symbol, Tick
from market_pulse.metrics import (
    ANEW,
    CONNECTED,
    EXCHANGE_LAG,
    HANDOVERS,
    LAST_TICK,
    LIVE_SYMBOLS,
    RECONNECTS,
    REFUSED_SYMBOLS,
    STATE,
)
from market_pulse.process.backoff import backoff_s
from market_pulse.process.clock import now_ms
from market_pulse.process.logs import get_logger, scrub
from market_pulse.process.way_out import STRAIGHT, WayOut

from .adapter import Adapter, Listed, MarketEvent
from .errors import FeedLost, FeedRefused, FeedSilent
from .merge import Book, Change
from .pace import Pace
from .socket import Connection

REASON_LENGTH = 300  # of the text by which an exchange or a library tells a failure
HEALTHY_S = 10.0  # only a feed that delivered for so long earns short delays again
SILENT_CAP_S = 10.0  # an exchange that opens sockets is there: its data may be back any moment
HANDOVER_LIMIT_S = 30.0
HANDOVER_SETTLE_S = 5.0
REFUSED_HANDOVER_S = 60.0  # bans grow with each attempt, and the old socket lives
FIRST_DATA_LIMIT_S = 10.0
PROVEN_S = 600.0  # a socket that lived for so long shows that the one before it was not given up for nothing
TOLD_S = 60.0  # so long the status tells of numbers that began anew

log = get_logger()


class Feed:
    """Keeps one exchange's ticks flowing to `on_tick`, and says how it is doing."""

    def __init__(
        self,
        adapter: Adapter,
        urls: tuple[str, ...],
        on_tick: Callable[[Tick], None],
        *,
        blocked_retry_s: float,
        max_age_s: float | None,
        way_out: WayOut = STRAIGHT,
    ) -> None:
        self.adapter = adapter
        self._urls = urls
        self._on_tick = on_tick
        self._blocked_retry_s = blocked_retry_s
        self._max_age_s = max_age_s
        self._way_out = way_out
        self._attempts = 0
        # After a socket was given up for its silence, the next one is given twice as long: perhaps nothing was wrong with it.
        self._patience_s = 0.0
        self._last_tick: Tick | None = None
        self._last_ticks: dict[Symbol, Tick] = {}  # of each symbol that is wanted
        self._paces: dict[str, Pace] = {}  # native symbol -> how fast it is, over all sockets
        self._anew_s: dict[str, float] = {}  # native symbol -> when the exchange's numbers began anew
        self._handovers = HANDOVERS.labels(adapter.exchange)
        self._listed: Mapping[str, Listed] = {}
        self._anything_wanted = asyncio.Event()
        self._connections: list[Connection] = []  # the one in use, and during a hand-over its successor
        # Wanted symbols for which there is no room, the longest waiting first: told in the status.
        self.turned_away: Sequence[Symbol] = ()
        self.book = self._new_book()
        self._status = FeedStatus(
            exchange=adapter.exchange,
            state="connecting",
            reason=None,
            since_ms=now_ms(),
            symbols=0,
            last_tick_time_ms=None,
            reconnects=0,
            instance=f"{sockets.gethostname()}:{os.getpid()}",
        )

    def want(self, listed: Mapping[str, Listed]) -> None:
        """Set what to carry: native symbol -> listing, the most important first."""
        self._listed = listed
        if listed:
            self._anything_wanted.set()
        else:
            self._anything_wanted.clear()
        self.book.keep(listed)
        symbols = {one.symbol for one in listed.values()}
        self._last_ticks = {symbol: tick for symbol, tick in self._last_ticks.items() if symbol in symbols}
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
                self._take(tick)

    def status(self) -> FeedStatus:
        """Return how the feed is doing at this moment."""
        delivered = 0
        if self.delivering and self._status.state != "down":
            self._status = replace(self._status, simulated=self._connections[0].simulated)
            self._become(*self._condition())
            delivered = len(self._connections[0].delivered)
        status = replace(
            self._status,
            symbols=delivered,
            last_tick_time_ms=self._last_tick.received_time_ms if self._last_tick else None,
            turned_away=tuple(self.turned_away[:MOST_TURNED_AWAY]),
            turned_away_count=len(self.turned_away),
        )
        self._measure(status)
        return status

    def _measure(self, status: FeedStatus) -> None:
        """Set the gauges to the state of this moment."""
        exchange, tick = status.exchange, self._last_tick
        STATE.labels(exchange).state(status.state)
        LIVE_SYMBOLS.labels(exchange).set(status.symbols)
        REFUSED_SYMBOLS.labels(exchange).set(len(self._connections[0].refused) if self._connections else 0)
        if tick is not None:
            LAST_TICK.labels(exchange).set(tick.received_time_ms / 1000)
            if tick.exchange_time_ms is not None:
                EXCHANGE_LAG.labels(exchange).set((tick.received_time_ms - tick.exchange_time_ms) / 1000)

    def stop(self) -> None:
        """Say `down` from now on: the process is about to end."""
        self._become("down", "stopped")

    def _condition(self) -> tuple[FeedState, str | None]:
        """Judge a feed that delivers: connected, or degraded where symbols are missing."""
        current = self._connections[0]
        refused = current.refused
        for lacking, what in (
            (refused, "refused"),
            (current.overdue(FIRST_DATA_LIMIT_S), "without data"),
            (self.book.held_back(now_ms()), "held back, numbered below what was known"),
        ):
            if lacking:
                named = ", ".join(sorted(lacking)[:5])
                return "degraded", f"{len(lacking)} of {len(self._listed)} symbols {what}: {named}"
        simulated = "simulated prices" if self._status.simulated else None
        return "connected", "; ".join(filter(None, (simulated, self._anew()))) or None

    def _anew(self) -> str | None:
        """Say of which symbols the exchange's numbers began anew lately."""
        if not self._anew_s:
            return None
        since_s = asyncio.get_running_loop().time() - TOLD_S
        self._anew_s = {native: at_s for native, at_s in self._anew_s.items() if at_s > since_s}
        return f"numbers or times began anew: {', '.join(sorted(self._anew_s)[:5])}" if self._anew_s else None

    def _begin_anew(self, native: str) -> None:
        self._anew_s[native] = asyncio.get_running_loop().time()
        ANEW.labels(self.adapter.exchange).inc()
        log.warning("the exchange's numbers began anew", exchange=self.adapter.exchange, native=native)

    def _new_book(self) -> Book:
        return Book(self.adapter.exchange, self._paces, self._begin_anew)

    def _become(self, state: FeedState, reason: str | None) -> None:
        CONNECTED.labels(self.adapter.exchange).set(state in {"connected", "degraded"})
        if state != self._status.state:
            self._status = replace(self._status, state=state, since_ms=now_ms())
        self._status = replace(self._status, reason=reason and scrub(reason)[:REASON_LENGTH])

    async def run(self) -> NoReturn:
        """Run until cancelled."""
        failures = 0
        try:
            while True:
                if not self._listed:
                    self._become("connecting", "this exchange lists none of the wanted symbols")
                    await self._anything_wanted.wait()
                self.book = self._new_book()  # what was known before the gap may be old: never mix it in
                connection, task = self._start()
                if self._status.state != "blocked":
                    log.info("feed connecting", exchange=self.adapter.exchange, url=self._url)
                connection, lost = await self._use(connection, task)
                healthy = connection.delivering.is_set() and connection.age_s > HEALTHY_S
                failures = 1 if healthy else failures + 1
                if connection.age_s > PROVEN_S:
                    self._patience_s = 0.0
                if isinstance(lost, FeedSilent):
                    self._patience_s = 2 * lost.limit_s
                if not connection.delivering.is_set():
                    self._attempts += 1  # another address, where the exchange has several
                await self._wait_after(lost, failures, opened=connection.opened)
        finally:
            self.stop()

    @property
    def _url(self) -> str:
        return self._urls[self._attempts % len(self._urls)]

    def _start(self) -> tuple[Connection, asyncio.Task[NoReturn]]:
        max_age_s = self._max_age_s and self._max_age_s * random.uniform(0.97, 1.0)
        connection = Connection(
            self.adapter, self._url, self.book, self._take, max_age_s, self._way_out, patience_s=self._patience_s
        )
        connection.want(self._listed)
        self._connections.append(connection)
        return connection, asyncio.create_task(connection.run())

    def _take(self, tick: Tick) -> None:
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
            self._connections = []
            await _end(task)

    def _delivers(self, connection: Connection) -> None:
        self._status = replace(self._status, simulated=connection.simulated)
        log.info("feed connected", exchange=self.adapter.exchange, simulated=connection.simulated)
        self._become("connected", "simulated prices" if connection.simulated else None)

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
                self._handovers.inc()
                log.info("feed handed over", exchange=self.adapter.exchange)
                old_task, new_task = new_task, old_task
                return new, old_task
            self._connections = [old]
            failed = _reason(new_task) if new_task.done() else FeedLost("no data in time")
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
        was_blocked = self._status.state == "blocked" and not opened  # and is, until a handshake succeeds
        if was_blocked or (refused is not None and refused.blocked):
            all_tried = self._attempts % len(self._urls) == 0
            delay_s = self._blocked_retry_s * random.uniform(0.8, 1.2) if all_tried else backoff_s(1)
            if refused is not None and refused.retry_after_s is not None:
                delay_s = max(delay_s, refused.retry_after_s)
            if refused is not None and not was_blocked and all_tried:
                reason = f"HTTP {refused.status}: the exchange does not serve this place"
                self._become("blocked", reason)
                log.warning("feed blocked", exchange=exchange, cause=reason, retry_in_s=round(delay_s))
        else:
            delay_s = backoff_s(failures, cap_s=SILENT_CAP_S) if opened else backoff_s(failures)
            if refused is not None and refused.retry_after_s is not None:
                delay_s += refused.retry_after_s
            self._become("reconnecting", str(lost))
            log.warning("feed lost", exchange=exchange, cause=str(lost), retry_in_s=round(delay_s, 1))
        RECONNECTS.labels(exchange, _kind(lost)).inc()
        self._status = replace(self._status, reconnects=self._status.reconnects + 1)
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


def _kind(lost: FeedLost) -> str:
    """Return a bounded label for why a socket was lost."""
    if isinstance(lost, FeedRefused):
        return f"http_{lost.status}"
    for word in ("silent", "pong", "closed", "cut", "connect"):
        if word in str(lost):
            return word
    return "other"
