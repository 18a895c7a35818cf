"""One WebSocket to an exchange, from handshake to loss: it subscribes, reads, sends pings, and watches for silence."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from math import inf
from typing import Any, NoReturn

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, InvalidURI

from market_pulse.kinds import TICKER, Kind
from market_pulse.messages import Tick
from market_pulse.process.clock import now_ms
from market_pulse.process.dial import dialling
from market_pulse.process.logs import get_logger
from market_pulse.process.way_out import STRAIGHT, WayOut

from .adapter import (
    MARKET_EVENTS,
    Acknowledged,
    Alive,
    Batch,
    Day,
    Endpoint,
    GoingAway,
    Halted,
    Listed,
    MarketEvent,
    Notice,
    Pong,
    Quote,
    Refused,
    Reply,
    Subscribed,
    Told,
    Trade,
    key_of,
    read,
)
from .errors import FeedLost, FeedRefused, FeedSilent, FrameError
from .merge import NEW, OUTDATED, Merge
from .metrics import Stats
from .pacing import Pacer
from .rest import SIMULATOR, retry_after_s
from .subscriptions import Subscriptions

OPEN_LIMIT_S = 10.0
CLOSE_LIMIT_S = 2.0
WATCH_INTERVAL_S = 0.5
SILENT_FROM_THE_START_LIMIT_S = 15.0  # how long a new socket may deliver nothing: its symbols may be illiquid
QUIET_LIMIT_S = 300.0  # how long a socket may be silent if its symbols are illiquid or halted, or of a pace not known yet
MISSED_LIMIT_S = 30.0  # a symbol of which trades are missed is asked for again at most once in this time
MOST_REPLIES = 16  # that wait to be sent
MAX_FRAME_BYTES = 4 * 1024 * 1024
MAX_UNANSWERED = 3
MAX_PACE_S = 10.0  # if a request must wait longer, the allowance per hour is used up, and a new socket has one of its own
SAMPLE_LENGTH = 200

log = get_logger()


class Connection:
    """One socket. `run` ends only by raising FeedLost. Two events inform the owner.

    `delivering` is set when the first market data arrives. `leaving` is set when another socket should take over;
    `leaving_reason` then says why.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        url: str,
        merge: Merge,
        on_tick: Callable[[Tick], None],
        max_age_s: float | None,
        stats: Stats,
        way_out: WayOut = STRAIGHT,
        *,
        on_message: Callable[[Kind, Any], None] = lambda *_: None,
        patience_s: float = 0.0,
    ) -> None:
        self._endpoint = endpoint
        self._parse = endpoint.parse
        self._url = url
        self._merge = merge
        self._on_tick = on_tick
        self._on_message = on_message
        self._max_age_s = max_age_s
        self._stats = stats
        self._way_out = way_out
        # Silence up to this is accepted, whatever the symbols' usual pauses are.
        self._patience_s = patience_s
        self._listed: Mapping[str, Listed] = {}  # what to carry, by key (`key_of`): for the ticker that is the native symbol
        self._natives: set[str] = set()  # the native symbols of these
        self._wanted_s: dict[str, float] = {}  # key -> since when it is to be carried
        self._ledger = Subscriptions(endpoint)
        self._pacer = Pacer(endpoint.rates)
        self._changed = asyncio.Event()  # set when there may be a request to send
        self._clock = asyncio.get_running_loop().time
        # When the socket opened, when market data last arrived, and when an answer to our ping last arrived.
        self._opened_s = self._heard_s = self._ponged_s = self._clock()
        self._logged_kinds: set[str] = set()  # kinds of unusable frames that were logged
        # By channel, the native symbols whose first message has arrived. If the exchange answers a subscription with the
        # channel's last message (`answers_with_state`), the first message is that answer, and may be old.
        self._answered: dict[type[MarketEvent], set[str]] = {Trade: set(), Quote: set(), Day: set()}
        self._lives = False  # whether proofs of life come on this socket
        self._missed_s: dict[str, float] = {}  # native symbol -> when it was last asked for again because a trade was missed
        self._replies: deque[str] = deque(maxlen=MOST_REPLIES)  # texts to send at once
        self._replying = asyncio.Event()
        # Whether only the ticker's data proves that the socket delivers. An endpoint without a ticker has other data alone.
        self._has_ticker = TICKER.name in endpoint.channels
        self.delivered: set[str] = set()  # the keys of which any data has arrived
        # Why the exchange is closed, by native symbol; by None if all of it is. Data ends a halt.
        self.halted: dict[str | None, str] = {}
        self.delivering = asyncio.Event()
        self.leaving = asyncio.Event()
        self.leaving_reason = ""
        self.opened = False  # whether the handshake succeeded
        self.simulated = False  # whether the other end calls itself the simulator

    def want(self, listed: Mapping[str, Listed]) -> None:
        """Set what to carry: key (`key_of`) -> listing, the most important first."""
        if not self._listed:
            self._heard_s = self._clock()  # nothing was subscribed to, so the silence until now does not count
        now_s = self._clock()
        self._wanted_s = {native: self._wanted_s.get(native, now_s) for native in listed}
        self._listed = listed
        self._natives = {one.native for one in listed.values()}
        self.delivered.intersection_update(listed)
        self.halted = {native: why for native, why in self.halted.items() if native is None or native in self._natives}
        self._missed_s = {native: at_s for native, at_s in self._missed_s.items() if native in listed}
        for natives in self._answered.values():
            natives.intersection_update(listed)
        self._ledger.want(listed)
        self._changed.set()

    def ask_again(self, native: str) -> None:
        """End the subscription of a symbol and subscribe again."""
        for natives in self._answered.values():
            natives.discard(native)
        self._ledger.again(native)
        self._changed.set()

    @property
    def refused(self) -> set[str]:
        """The native symbols that the exchange refuses on this socket."""
        return self._ledger.refused

    def overdue(self, after_s: float) -> set[str]:
        """Return the native symbols that were asked for more than `after_s` ago and have neither delivered nor been refused."""
        since_s = self._clock() - after_s
        waiting = {native for native, wanted_s in self._wanted_s.items() if max(wanted_s, self._opened_s) < since_s}
        return waiting - self.delivered - self.refused

    @property
    def age_s(self) -> float:
        """How long ago the socket opened."""
        return self._clock() - self._opened_s

    async def run(self) -> NoReturn:
        """Open the socket and use it until it is lost.

        Raises:
            FeedLost: always, with the reason.
        """
        socket = await self._open()
        self.opened = True
        self._opened_s = self._heard_s = self._ponged_s = self._clock()
        doing = self._read(socket), self._ask(socket), self._reply(socket), self._beat(socket), self._watch(socket)
        jobs = [asyncio.create_task(job) for job in doing]
        try:
            done, _ = await asyncio.wait(jobs, return_when=asyncio.FIRST_COMPLETED)
            for job in done:
                job.result()
            raise FeedLost("other", "a job of the connection ended")
        except ConnectionClosed as closed:
            raise _lost_by(closed) from closed
        except (TimeoutError, OSError) as failed:
            raise FeedLost("other", f"writing fails: {type(failed).__name__}: {failed}") from failed
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
            await self._close(socket)

    async def _open(self) -> ClientConnection:
        beating = self._endpoint.ping is None
        try:
            socket = await connect(
                self._url,
                open_timeout=OPEN_LIMIT_S,
                close_timeout=CLOSE_LIMIT_S,
                ping_interval=self._endpoint.ping_interval_s if beating else None,
                ping_timeout=self._endpoint.pong_timeout_s if beating else None,
                max_size=MAX_FRAME_BYTES,
                compression=None,  # it costs more than it saves on such small frames
                user_agent_header="market-pulse",
                **self._way_out.websocket_options(self._url),
                **dialling(),
            )
        except InvalidStatus as refused:
            answer = refused.response
            raise FeedRefused(answer.status_code, retry_after_s(answer.headers.get("Retry-After"))) from refused
        except (InvalidHandshake, InvalidURI, OSError, TimeoutError, EOFError) as failed:
            raise FeedLost("connect", f"cannot connect: {type(failed).__name__}: {failed}") from failed
        self.simulated = socket.response is not None and socket.response.headers.get("Server") == SIMULATOR
        return socket

    @staticmethod
    async def _close(socket: ClientConnection) -> None:
        with contextlib.suppress(TimeoutError, OSError):
            async with asyncio.timeout(CLOSE_LIMIT_S):
                await socket.close()
        socket.transport.abort()

    async def _read(self, socket: ClientConnection) -> NoReturn:
        receive = socket.recv
        while True:
            frame: Any = await receive(decode=False)
            self.receive(frame, now_ms())

    def receive(self, frame: bytes, received_time_ms: int) -> None:
        """Parse one frame and handle each event in it. Frames and elements that cannot be used are counted and skipped."""
        self._stats.frames += 1
        try:
            events = read(self._parse, frame)
        except FrameError as bad:
            self._skip(bad.kind, f"{bad!s:.200}: {frame[:SAMPLE_LENGTH].decode(errors='replace')}")
            return
        if type(events) is Batch:
            for skipped in events.skipped:
                self._skip(skipped.kind, skipped.detail)
        for event in events:
            if isinstance(event, MARKET_EVENTS):
                self._learn(event, received_time_ms)
            elif isinstance(event, Told):
                self._pass_on(event, received_time_ms)
            else:
                self._answer(event, received_time_ms)

    def _learn(self, event: MarketEvent, received_time_ms: int) -> None:
        native = event.native
        listed = self._listed.get(native)
        if listed is None:
            return  # the symbol was released while its data was on the way
        change = self._merge.apply(event, received_time_ms)
        if change is OUTDATED:
            self._stats.outdated += 1
            return
        self._heard_s = self._clock()
        if self.halted:
            self.halted.pop(None, None)
            self.halted.pop(native, None)
        if native not in self.delivered:
            self._note_delivered(native)
            self.delivering.set()
        is_answer = self._endpoint.answers_with_state and native not in self._answered[type(event)]
        if is_answer:
            self._answered[type(event)].add(native)
        if change is NEW:
            is_sent_now = self._endpoint.times_of == "sent" or event.sent_time_ms is not None
            tick = self._merge.tick(listed, lag_unknown=is_answer or not is_sent_now)
            if tick is not None:
                self._on_tick(tick)

    def _pass_on(self, told: Told, received_time_ms: int) -> None:
        key = key_of(told.kind, told.native)
        listed = self._listed.get(key)
        if listed is None:
            return  # it was released while its data was on the way
        if key not in self.delivered:
            self._note_delivered(key)
        if not self._has_ticker:
            self._merge.note(key, received_time_ms)
            self._heard_s = self._clock()
            self.halted.pop(None, None)
            self.halted.pop(told.native, None)
            self.delivering.set()
        message = told.message
        message.exchange, message.symbol, message.received_time_ms = self._endpoint.exchange, listed.symbol, received_time_ms
        self._on_message(told.kind, message)

    def _note_delivered(self, key: str) -> None:
        self.delivered.add(key)
        self._ledger.delivered(key)

    def _answer(self, event: Notice, received_time_ms: int) -> None:
        match event:
            case Alive():
                self._live_on(event, received_time_ms)
            case Pong():
                self._ponged_s = self._clock()
            case Acknowledged():
                self._ledger.acknowledged(event)
                self._changed.set()
            case Subscribed():
                self._ledger.subscribed(event)
                self._changed.set()
            case Refused():
                native = self._ledger.refused_by(event, self._clock())
                if native is not None or event.kind == "later":
                    log.warning("subscription refused", exchange=self._endpoint.exchange, native=native, cause=event.reason)
                self._changed.set()
            case GoingAway():
                self._leave(event.reason)
            case Halted():
                if event.native is None or event.native in self._natives:
                    if event.native not in self.halted:
                        log.warning("halted", exchange=self._endpoint.exchange, native=event.native, cause=event.reason)
                    self.halted[event.native] = event.reason
            case Reply():
                self._replies.append(event.text)
                self._replying.set()

    def _live_on(self, alive: Alive, received_time_ms: int) -> None:
        """Note that the exchange is alive. If it names the trade that we know as the newest, renew the age of that price."""
        self._heard_s = self._clock()
        self._lives = True
        native, trade_id = alive.native, alive.trade_id
        listed = None if native is None else self._listed.get(native)
        if native is None or trade_id is None or listed is None or None in self.halted or native in self.halted:
            return
        if self._merge.renew(native, trade_id, received_time_ms):
            tick = self._merge.tick(listed, lag_unknown=True)
            if tick is not None:
                self._on_tick(tick)
        elif self._merge.misses(native, trade_id) and self._heard_s - self._missed_s.get(native, -inf) > MISSED_LIMIT_S:
            self._missed_s[native] = self._heard_s
            log.warning("a trade was missed; subscribing again", exchange=self._endpoint.exchange, native=native)
            self._merge.forget(native)
            self.ask_again(native)

    def _skip(self, kind: str, cause: str) -> None:
        """Count a frame, or an element of a frame, that cannot be used. Log the first of each kind."""
        self._stats.bad_frames[kind] += 1
        if kind not in self._logged_kinds:
            self._logged_kinds.add(kind)
            log.warning("frame skipped, first of its kind", exchange=self._endpoint.exchange, kind=kind, cause=cause)

    def _leave(self, reason: str) -> None:
        if not self.leaving.is_set():
            self.leaving_reason = reason
            self.leaving.set()

    async def _ask(self, socket: ClientConnection) -> NoReturn:
        """Subscribe to the wanted symbols and unsubscribe from the others, no faster than the exchange allows."""
        is_urgent = self._endpoint.first_request_s is not None
        while True:
            self._changed.clear()
            if not is_urgent:
                await self._pace()
            request = self._ledger.next_request(self._clock())
            if request is None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(1.0):  # refused topics become due again without setting `_changed`
                        await self._changed.wait()
                continue
            write = self._endpoint.subscribe if request.kind == "subscribe" else self._endpoint.unsubscribe
            await self._send(socket, write(request.topics, request.request_id))
            is_urgent = False

    async def _pace(self) -> None:
        while (delay_s := self._pacer.delay_s(self._clock())) > 0:
            if delay_s > MAX_PACE_S:
                self._leave("its allowance of requests is used up")
            await asyncio.sleep(delay_s)

    async def _send(self, socket: ClientConnection, text: str, *, ping: bool = False) -> None:
        self._pacer.sent(self._clock(), ping=ping)
        async with asyncio.timeout(OPEN_LIMIT_S):
            await socket.send(text)

    async def _reply(self, socket: ClientConnection) -> NoReturn:
        """Send each reply at once. It counts as a ping against the rates, but does not wait for them."""
        while True:
            await self._replying.wait()
            self._replying.clear()
            while self._replies:
                await self._send(socket, self._replies.popleft(), ping=True)

    async def _beat(self, socket: ClientConnection) -> None:
        """Send the exchange's own pings. If it wants WebSocket pings instead, the library sends them, and this only waits."""
        text = self._endpoint.ping
        if text is None:
            await asyncio.Event().wait()
            return
        while True:
            await asyncio.sleep(self._endpoint.ping_interval_s - self._endpoint.pong_timeout_s)
            asked_s = self._clock()
            await self._send(socket, text, ping=True)
            await asyncio.sleep(self._endpoint.pong_timeout_s)
            if self._ponged_s < asked_s:
                raise FeedLost("pong", f"no pong within {self._endpoint.pong_timeout_s:.0f} s")

    def _silence_limit_s(self) -> float:
        """Return how many seconds this socket may be silent: as the exchange promises, or from its symbols' usual pauses."""
        if None in self.halted or self._natives <= self.halted.keys():
            return max(self._endpoint.silence_s, QUIET_LIMIT_S)
        if self._lives:
            return self._endpoint.silence_s
        if not self.delivered:
            # Without a ticker, an illiquid symbol's first message may take long.
            first_s = SILENT_FROM_THE_START_LIMIT_S if self._has_ticker else QUIET_LIMIT_S
            return max(self._endpoint.silence_s, first_s)
        usual_s = self._merge.silence_limit_s()
        limit_s = QUIET_LIMIT_S if usual_s is None else min(max(usual_s, self._patience_s), QUIET_LIMIT_S)
        return max(self._endpoint.silence_s, limit_s)

    async def _watch(self, socket: ClientConnection) -> NoReturn:
        """Watch for silence, the socket's age and unanswered requests, which the reading task cannot notice while it waits."""
        while True:
            await asyncio.sleep(WATCH_INTERVAL_S)
            now_s = self._clock()
            limit_s = self._silence_limit_s()
            if self._listed and now_s - self._heard_s > limit_s:
                raise FeedSilent(limit_s) if self.delivered else FeedLost("silent", f"open but silent for {limit_s:.0f} s")
            if self._max_age_s is not None and self.age_s > self._max_age_s:
                self._leave(f"the socket is {self.age_s:.0f} s old and would be cut")
            self._ledger.expire(now_s)
            if self._ledger.unanswered > MAX_UNANSWERED:
                raise FeedLost("other", "requests stay without an answer")
            if socket.state.name == "CLOSED":
                raise FeedLost("closed", "closed")


def _lost_by(closed: ConnectionClosed) -> FeedLost:
    if closed.rcvd is None:
        return FeedLost("cut", "cut without a closing frame")
    return FeedLost("closed", f"closed by the exchange: {closed.rcvd.code} {closed.rcvd.reason}".rstrip())
