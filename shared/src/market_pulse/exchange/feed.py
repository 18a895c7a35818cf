"""One exchange's feed: it keeps a socket open, reconnects after a loss, and replaces a socket before the exchange cuts it."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, NoReturn

from msgspec.structs import replace

from market_pulse.kinds import TICKER, Kind
from market_pulse.messages import FeedState, Symbol, Tick
from market_pulse.process.backoff import backoff_s
from market_pulse.process.clock import now_ms
from market_pulse.process.instance import instance_name
from market_pulse.process.logs import get_logger
from market_pulse.process.way_out import STRAIGHT, WayOut

from .adapter import Endpoint, Listed, MarketEvent, kind_of_key
from .errors import FeedLost, FeedRefused, FeedSilent
from .merge import Change, Merge
from .metrics import Stats
from .pace import Pace
from .socket import Connection
from .status import Facts, closed

HEALTHY_S = 10.0  # a socket must have delivered, and been open for this long, before retry delays start short again
HALTED_DELAY_S = 10.0  # added to each retry delay after the exchange has said that it is closed
SILENT_CAP_S = 10.0  # the longest retry delay when the exchange accepts sockets: its data may be back at any moment
HANDOVER_LIMIT_S = 30.0
HANDOVER_SETTLE_S = 5.0
REFUSED_HANDOVER_S = 60.0  # the shortest delay after a refused hand-over: bans grow with each attempt, and the old socket works
OVERDUE_S = 10.0  # a symbol without data for this long after it was subscribed to is reported as missing
PROVEN_S = 600.0  # if a socket lived this long, it was right to give up the one before it for its silence
ANEW_TOLD_S = 60.0  # how long the status reports that an exchange's numbers started again

log = get_logger()


class Feed:
    """Passes an endpoint's ticks to `on_tick`, and its messages of other kinds to `on_message`.

    It keeps a socket open while something is wanted, reconnects as needed, and reports the facts for the feed's status.

    `merge` combines the socket's messages into ticks, and is replaced with each new connection after a loss.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        urls: tuple[str, ...],
        on_tick: Callable[[Tick], None],
        *,
        blocked_retry_s: float,
        max_age_s: float | None,
        way_out: WayOut = STRAIGHT,
        stats: Stats | None = None,
        on_message: Callable[[Kind, Any], None] = lambda *_: None,
    ) -> None:
        self.endpoint = endpoint
        self._has_ticker = TICKER.name in endpoint.channels
        # The facts by which log lines name the feed. For a further endpoint they include its kinds.
        self._named = {"exchange": endpoint.exchange} | ({} if self._has_ticker else {"kinds": ",".join(endpoint.channels)})
        self._urls = urls
        self._on_tick = on_tick
        self._on_message = on_message
        self._blocked_retry_s = blocked_retry_s
        self._max_age_s = max_age_s
        self._way_out = way_out
        self.stats = stats or Stats()
        # How many sockets have ended without delivering anything. After each of them the next address is tried.
        self._attempts = 0
        # How many addresses in a row have refused to serve this place.
        self._blocked = 0
        # After a socket was given up for its silence, the next one may be silent twice as long: perhaps nothing was wrong.
        self._patience_s = 0.0
        self._last_tick: Tick | None = None  # of any symbol
        self._last_ticks: dict[Symbol, Tick] = {}  # of each symbol that is wanted
        self._paces: dict[str, Pace] = {}  # native symbol -> its usual pauses, over all sockets
        self._anew_s: dict[str, float] = {}  # native symbol -> when the exchange's numbers started again
        self._listed: Mapping[str, Listed] = {}  # what to carry, by key (`key_of`): for the ticker that is the native symbol
        self.carried_since_ms: dict[str, int] = {}  # native symbol -> since when it is carried
        self._anything_wanted = asyncio.Event()
        self._nothing_wanted = asyncio.Event()
        self._used_since_ms = 0  # since when the socket in use, or one that it took over from, is used
        self._connections: list[Connection] = []  # the socket in use, and during a hand-over its successor
        # Wanted symbols for which there is no room, the longest waiting first. The status reports them.
        self.turned_away: Sequence[Symbol] = ()
        self.merge = self._new_merge()
        # The phase of the feed's socket, since when, and the reason. `status` also considers whether symbols are missing.
        self._phase: FeedState = "connecting"
        self._phase_reason: str | None = None
        self._since_ms = now_ms()
        self._simulated = False  # whether the other end of the latest socket that delivered was the simulator
        self._instance = instance_name()

    def want(self, listed: Mapping[str, Listed]) -> None:
        """Set what to carry: key (`key_of`) -> listing, the most important first."""
        self._listed = listed
        tickers = _tickers(listed)
        self.carried_since_ms = {native: self.carried_since_ms.get(native, now_ms()) for native in tickers}
        true, false = (self._anything_wanted, self._nothing_wanted)[:: 1 if listed else -1]
        true.set()
        false.clear()
        self.merge.keep(listed)
        symbols = {listed[key].symbol for key in tickers}
        self._last_ticks = {symbol: tick for symbol, tick in self._last_ticks.items() if symbol in symbols}
        self._anew_s = {native: at_s for native, at_s in self._anew_s.items() if native in listed}
        for connection in self._connections:
            connection.want(listed)

    def end(self, symbol: Symbol, why: str) -> None:
        """Pass on a symbol's last tick once more with `ended` set: the exchange no longer trades it."""
        tick = self._last_ticks.pop(symbol, None)
        if tick is not None:
            self._on_tick(replace(tick, ended=why))

    def ask_again(self, native: str) -> None:
        """Subscribe to a symbol again on the socket in use, and forget the data received of it so far."""
        self.merge.forget(native)
        if self._connections:
            self._connections[0].ask_again(native)

    @property
    def delivering(self) -> bool:
        """Whether the socket in use has delivered market data."""
        return bool(self._connections) and self._connections[0].delivering.is_set()

    @property
    def age_s(self) -> float:
        """How long the socket in use has been open, in seconds; zero without an open socket."""
        return self._connections[0].age_s if self._connections and self._connections[0].opened else 0.0

    @property
    def unbroken_since_ms(self) -> int | None:
        """Since when sockets have been open without a gap, in Unix ms; None without an open socket."""
        return self._used_since_ms if self._connections and self._connections[0].opened else None

    def seed(self, events: Iterable[MarketEvent]) -> None:
        """Apply REST's data of a symbol of which the socket has sent nothing yet. The socket's own messages count as newer."""
        for event in events:
            listed = self._listed.get(event.native)
            if listed is None or self.merge.apply(event, now_ms(), seed=True) is not Change.NEW:
                continue
            if tick := self.merge.tick(listed, lag_unknown=True):
                self._pass_on(tick)

    def facts(self) -> Facts:
        """Return the feed's facts at this moment."""
        current = self._connections[0] if self._connections else None
        anew_since_s = asyncio.get_running_loop().time() - ANEW_TOLD_S
        return Facts(
            exchange=self.endpoint.exchange,
            instance=self._instance,
            now_ms=now_ms(),
            phase=self._phase,
            phase_reason=self._phase_reason,
            since_ms=self._since_ms,
            simulated=self._simulated,
            reconnects=self.stats.lost.total(),
            last_tick=self._last_tick,
            wanted=len(_tickers(self._listed)),
            delivered=_tickers(current.delivered) if current else (),
            refused=_tickers(current.refused) if current else (),
            overdue=_tickers(current.overdue(OVERDUE_S)) if current else (),
            held_back=self.merge.held_back(now_ms()),
            anew=[native for native, at_s in self._anew_s.items() if at_s > anew_since_s],
            turned_away=self.turned_away,
            halted=current.halted if current else {},
        )

    def lacking(self) -> list[str]:
        """Return in words which kinds other than the ticker are missing, and why. The feed's state does not tell that."""
        is_away = self.unbroken_since_ms is None and self._phase in {"reconnecting", "blocked"}
        if not self._has_ticker and self._listed and is_away:
            return [f"{','.join(self.endpoint.channels)} missing: {self._phase}: {self._phase_reason}"]
        refused = self._connections[0].refused if self._connections else ()
        by_kind = Counter(kind for key in refused if (kind := kind_of_key(key)) != TICKER.name)
        return [f"{kind} of {count} symbols refused" for kind, count in sorted(by_kind.items())]

    def stop(self) -> None:
        """Report `down` from now on: the process is about to end."""
        self._enter("down", "stopped")

    def _enter(self, phase: FeedState, reason: str | None = None) -> None:
        if phase != self._phase:
            self._phase, self._since_ms = phase, now_ms()
        self._phase_reason = reason

    def _begin_anew(self, native: str) -> None:
        self._anew_s[native] = asyncio.get_running_loop().time()
        self.stats.anew += 1
        log.warning("the exchange's numbers started again", exchange=self.endpoint.exchange, native=native)

    def _new_merge(self) -> Merge:
        return Merge(self.endpoint.exchange, self._paces, self._begin_anew)

    async def run(self) -> NoReturn:
        """Connect, deliver and reconnect until cancelled."""
        failures = 0
        try:
            while True:
                if not self._listed:
                    self._enter("connecting", "this exchange lists none of the wanted symbols")
                    await self._anything_wanted.wait()
                    failures = 0

                # Data from before the loss may be outdated, so it must not be merged with later data.
                self.merge = self._new_merge()
                connection, task = self._start()
                if self._phase != "blocked":
                    log.info("feed connecting", url=self._url, **self._named)
                connection, lost = await self._use(connection, task)
                if lost is None:
                    log.info("feed closed: nothing is wanted", **self._named)
                    continue

                # The loss decides for the next attempt how long to wait, how much silence to accept, and which address to try.
                healthy = connection.delivering.is_set() and connection.age_s > HEALTHY_S
                failures = 1 if healthy else failures + 1
                if connection.age_s > PROVEN_S:
                    self._patience_s = 0.0
                if isinstance(lost, FeedSilent):
                    self._patience_s = 2 * lost.limit_s
                if not connection.delivering.is_set():
                    self._attempts += 1
                await self._wait_after(lost, failures, connection)
        finally:
            self.stop()

    @property
    def _url(self) -> str:
        return self._urls[self._attempts % len(self._urls)]

    def _start(self) -> tuple[Connection, asyncio.Task[NoReturn]]:
        max_age_s = self._max_age_s and self._max_age_s * random.uniform(0.97, 1.0)
        connection = Connection(
            self.endpoint,
            self._url,
            self.merge,
            self._pass_on,
            max_age_s,
            self.stats,
            self._way_out,
            on_message=self._on_message,
            patience_s=self._patience_s,
        )
        connection.want(self._listed)
        self._connections.append(connection)
        return connection, asyncio.create_task(connection.run())

    def _pass_on(self, tick: Tick) -> None:
        self._last_tick = self._last_ticks[tick.symbol] = tick
        self._on_tick(tick)

    async def _use(self, connection: Connection, task: asyncio.Task[NoReturn]) -> tuple[Connection, FeedLost | None]:
        """Use a socket, and its successors, until one is lost without a successor, or nothing is wanted any more.

        Returns that socket, and why it was lost; None: nothing is wanted.
        """
        try:
            self._used_since_ms = now_ms()
            await _first(task, connection.delivering.wait(), self._nothing_wanted.wait())
            if connection.delivering.is_set():
                self._delivers(connection)
            failures = 0
            while not task.done():
                await _first(task, connection.leaving.wait(), self._nothing_wanted.wait())
                if self._nothing_wanted.is_set():
                    return connection, None
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
        log.info("feed connected", **self._named, simulated=connection.simulated)
        self._enter("connected")

    async def _hand_over(
        self, old: Connection, old_task: asyncio.Task[NoReturn], attempt: int
    ) -> tuple[Connection, asyncio.Task[NoReturn]]:
        """Open a new socket beside the old one. When it delivers all symbols that the old one did, close the old one.

        Returns the socket to use from now on, with its task. If the new socket fails, this is the old one.
        """
        log.info("feed hands over to a new socket", **self._named, reason=old.leaving_reason)
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
                log.info("feed handed over", **self._named)
                old_task, new_task = new_task, old_task
                return new, old_task
            self._connections = [old]
            failed = _reason(new_task) if new_task.done() else FeedLost("silent", "no data in time")
            log.warning("feed could not hand over yet", **self._named, cause=str(failed))
        finally:
            await _end(new_task)  # the task of the socket that is not used any more
        await _first(old_task, asyncio.sleep(handover_delay_s(failed, attempt)))
        return old, old_task

    async def _settle(self, old: Connection, new: Connection, new_task: asyncio.Task[NoReturn]) -> None:
        """Wait until the new socket has delivered every symbol that the old one did, at most HANDOVER_SETTLE_S."""
        deadline_s = asyncio.get_running_loop().time() + HANDOVER_SETTLE_S
        while not new_task.done() and asyncio.get_running_loop().time() < deadline_s:
            if old.delivered <= new.delivered:
                return
            await asyncio.sleep(0.05)

    async def _wait_after(self, lost: FeedLost, failures: int, connection: Connection) -> None:
        opened, halted = connection.opened, connection.halted
        refused = lost if isinstance(lost, FeedRefused) else None
        was_blocked = self._phase == "blocked" and not opened  # the feed stays blocked until a handshake succeeds
        if opened:
            self._blocked = 0
        if was_blocked or (refused is not None and refused.blocked):
            # The exchange does not serve this place. Try each address once with short delays, then all of them with long ones.
            self._blocked += 1
            all_tried = self._blocked % len(self._urls) == 0
            delay_s = self._blocked_retry_s * random.uniform(0.8, 1.2) if all_tried else backoff_s(1)
            if refused is not None and refused.retry_after_s is not None:
                delay_s = max(delay_s, refused.retry_after_s)
            if refused is not None and not was_blocked and all_tried:
                reason = f"HTTP {refused.status}: the exchange does not serve this place"
                self._enter("blocked", reason)
                log.warning("feed blocked", **self._named, cause=reason, retry_in_s=round(delay_s))
        else:
            delay_s = backoff_s(failures, cap_s=SILENT_CAP_S) if opened else backoff_s(failures)
            if refused is not None and refused.retry_after_s is not None:
                delay_s += refused.retry_after_s
            reason = str(lost)
            if None in halted:
                # An exchange that is closed needs no haste, and may ban a client that returns each second.
                delay_s += HALTED_DELAY_S
                reason = f"{reason}; {closed(halted, len(self._listed))}"
            self._enter("reconnecting", reason)
            log.warning("feed lost", **self._named, cause=reason, retry_in_s=round(delay_s, 1))
        (self.stats.lost if self._has_ticker else self.stats.further_lost)[lost.kind] += 1
        await asyncio.sleep(delay_s)


def handover_delay_s(failed: FeedLost, failures: int) -> float:
    """Return how many seconds to wait before the next hand-over, after `failures` in a row of which `failed` was the last.

    The first delays are short, because some exchanges announce only a minute ahead that they will cut the old socket. They are
    longer if the exchange refused the new socket.
    """
    delay_s = backoff_s(failures, base_s=2.0)
    if isinstance(failed, FeedRefused):
        floor_s = 0.0 if failed.failing else REFUSED_HANDOVER_S
        delay_s += max(floor_s, failed.retry_after_s or 0.0)
    return delay_s


async def _first(task: asyncio.Task[NoReturn], *others: Coroutine[Any, Any, object]) -> None:
    """Wait until the task or a coroutine is done, whichever comes first. The coroutines are then cancelled."""
    waiting = [asyncio.ensure_future(other) for other in others]
    try:
        await asyncio.wait({task, *waiting}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()


def _tickers(keys: Iterable[str]) -> list[str]:
    """Return the keys that stand for tickers: native symbols."""
    return [key for key in keys if kind_of_key(key) == TICKER.name]


async def _end(task: asyncio.Task[NoReturn]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def _reason(task: asyncio.Task[NoReturn]) -> FeedLost:
    """Return the FeedLost with which a connection's task ended. Any other error is a defect in this code and is raised."""
    error = task.exception()
    if isinstance(error, FeedLost):
        return error
    raise error or RuntimeError("a connection ended without a reason")
