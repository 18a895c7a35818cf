"""The running candle maker: it creates all components, connects them to the bus, and runs their jobs."""

import asyncio
import contextlib
from collections.abc import Mapping
from typing import NoReturn

from market_pulse.bus import BusError, CandlesBus
from market_pulse.bus.redis_clock import ahead_of_redis_ms
from market_pulse.kinds import CANDLES, EXCHANGE_CANDLE, TICKER, symbols_of
from market_pulse.messages import Candle, CodecError, Interval, Symbol
from market_pulse.process.health import Check, serve_health
from market_pulse.process.lifecycle import run_until_stopped
from market_pulse.process.logs import get_logger

from . import metrics
from .live import decode_heard
from .loader import Loader, read_candle
from .past import MINUTE
from .redis_time import RedisTime
from .series import Series
from .settings import CandlesSettings
from .standstill import Standstill
from .wanted import Wanted

CLOSE_EACH_S = 0.1
OPEN_EACH_S = 1.0
LOOK_EACH_S = 1.0
RENEW_EACH_S = 5.0
COMPARE_EACH_S = 5.0
BATCH = 50  # candles per command: one that takes long would hold up Redis for all
DRAIN_S = 1.0
LATE_MS = 120_000
STUCK_AFTER_S = 30.0
MOST_NAMED = 5  # symbols in a log line

log = get_logger()


class Service:
    """One candle maker's components, and the jobs that `serve` runs."""

    def __init__(self, bus: CandlesBus, settings: CandlesSettings, time: RedisTime | None = None) -> None:
        self._bus = bus
        self._time = time or RedisTime()
        self._standstill = Standstill(_now_s())
        self._wanted = Wanted(settings.symbols, settings.max_candle_symbols, settings.symbol_grace_s)
        self._loader = Loader(bus)
        self._series: dict[str, Series] = {}  # by the ticker's channel
        self._by_symbol: dict[Symbol, Series] = {}
        self._subscriber = bus.subscriber(self._on_message, self._on_subscribed)
        # When publishing was last tried and when it last succeeded, by the event loop's clock.
        self._tried_s = self._published_s = _now_s()

    async def follow(self) -> NoReturn:
        """Hear all tickers and all exchanges' candles until cancelled. By pattern, because a name would be demand for it."""
        await self._subscriber.subscribe_patterns(TICKER.pattern, EXCHANGE_CANDLE.pattern)
        await self._subscriber.run()

    async def look(self) -> NoReturn:
        """Each second, ask which symbols are wanted, until cancelled."""
        while True:
            try:
                channels = await self._bus.wanted_channels("candle:*")
                subscribed = set().union(*(symbols_of(kind, channels) for kind in CANDLES.values()))
            except BusError as failed:
                metrics.FAILURES.inc()
                log.debug("demand not known; trying again in a second", cause=str(failed))
                subscribed = None
            self.want(subscribed)
            await asyncio.sleep(LOOK_EACH_S)

    def want(self, subscribed: set[Symbol] | None) -> None:
        """Have series for the symbols that have room now, and for no others."""
        now_s, before = _now_s(), bool(self._wanted.turned_away)
        symbols = self._wanted.update(now_s, subscribed)
        turned_away = self._wanted.turned_away
        if turned_away and not before:
            named = ",".join(turned_away[:MOST_NAMED])
            log.warning("MAX_CANDLE_SYMBOLS reached; more are wanted", count=len(turned_away), symbols=named)
        elif before and not turned_away:
            log.info("room for all wanted candles again")
        metrics.TURNED_AWAY.set(len(turned_away))
        if self._by_symbol.keys() != set(symbols):
            now_ms = self._time.now_ms()
            self._by_symbol = {symbol: self._by_symbol.get(symbol) or Series(symbol, now_ms) for symbol in symbols}
            self._series = {TICKER.channel(symbol): series for symbol, series in self._by_symbol.items()}
            self._loader.keep(symbols, now_s)
            metrics.SYMBOLS.set(len(symbols))
        now_ms = self._time.now_ms()
        metrics.LATE.set(sum(series.newest_ms < now_ms - LATE_MS for series in self._by_symbol.values()))

    async def load(self) -> NoReturn:
        """Read past candles as they are due, and keep what they change, until cancelled."""
        while True:
            for symbol in self._loader.due(_now_s()):
                series = self._by_symbol.get(symbol)
                if series is None:
                    continue
                try:
                    await self._loader.read(series, _now_s(), self._time.now_ms())
                    await self._keep(series)
                except BusError as failed:
                    self._note(failed, "past candles not read")
                    break
                except KeyError:
                    continue  # no longer wanted
            await asyncio.sleep(CLOSE_EACH_S)

    async def publish(self) -> NoReturn:
        """Publish closed candles at once and open ones each second, until cancelled. Then publish the open ones once more."""
        open_s = 0.0
        try:
            while True:
                await asyncio.sleep(CLOSE_EACH_S)
                is_time = _now_s() - open_s >= OPEN_EACH_S
                if is_time:
                    open_s = _now_s()
                await self._publish(with_open=is_time)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(DRAIN_S):
                    await self._publish(with_open=True)

    async def renew(self) -> NoReturn:
        """Keep our bars in Redis while they are wanted. Give it again those that it has lost, until cancelled."""
        while True:
            await asyncio.sleep(RENEW_EACH_S)
            try:
                await self._renew()
            except BusError as failed:
                self._note(failed, "past candles not renewed")

    async def compare(self) -> NoReturn:
        """Compare the clock with Redis's every COMPARE_EACH_S until cancelled."""
        while True:
            try:
                ahead_ms = await ahead_of_redis_ms(self._bus, self._time.now_ms)
                if ahead_ms is not None:
                    self._time.compare(ahead_ms)
            except BusError as failed:
                log.debug("clock not compared", cause=str(failed))
            await asyncio.sleep(COMPARE_EACH_S)

    @property
    def turned_away(self) -> tuple[Symbol, ...]:
        """The symbols with subscribers for which there is no room."""
        return self._wanted.turned_away

    def has_resumed(self, symbol: Symbol) -> bool:
        """Return whether a symbol has candles whose past was read from Redis, as far as Redis has kept it."""
        return symbol in self._by_symbol and self._loader.has_resumed(symbol)

    def live(self) -> Mapping[str, Check]:
        """Return the checks of /livez. If one fails, this process should be restarted."""
        return {"publishing": self._why_stuck}

    def ready(self) -> Mapping[str, Check]:
        """Return the checks of /readyz. If one fails, candles may be missing or out of date."""
        return {"subscription": lambda: None if self._subscriber.connected else "not connected", "publishing": self._why_late}

    def _why_stuck(self) -> str | None:
        silent_s = _now_s() - self._tried_s
        return f"no attempt to publish for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else None

    def _why_late(self) -> str | None:
        silent_s = _now_s() - self._published_s
        return f"nothing published for {silent_s:.0f} s" if silent_s > STUCK_AFTER_S else None

    def _on_message(self, channel: str, data: bytes) -> None:
        series = self._series.get(channel)
        if series is not None:
            try:
                heard = decode_heard(data)
            except CodecError as wrong:
                metrics.BAD_MESSAGES.inc()
                log.debug("ticker skipped", cause=str(wrong))
                return
            if heard.symbol == series.symbol:
                now_ms = self._time.now_ms()
                series.hear(heard, now_ms, now_ms - round(1000 * self._standstill.look(_now_s())))
        elif channel.startswith(EXCHANGE_CANDLE.prefix):
            self._on_exchange_candle(channel, data)

    def _on_exchange_candle(self, channel: str, data: bytes) -> None:
        exchange, _, symbol = channel.removeprefix(EXCHANGE_CANDLE.prefix).partition(":")
        series = self._by_symbol.get(Symbol(symbol))
        if series is None or (candle := read_candle(data)) is None:
            return
        if candle.exchange == exchange and candle.symbol == symbol:
            series.hear_exchange(exchange, candle, self._time.now_ms())
        else:
            metrics.BAD_MESSAGES.inc()

    async def _on_subscribed(self, resync: bool) -> None:
        """Note that tickers may have been missed. The exchanges' candles of that time are read from their past ones."""
        metrics.RESYNCS.inc(resync)
        now_ms = self._time.now_ms()
        for series in self._by_symbol.values():
            series.listening_ms = now_ms
        if resync:
            self._loader.again(_now_s())
        log.info("subscribed", resync=resync, symbols=len(self._by_symbol))

    async def _publish(self, *, with_open: bool) -> None:
        now_ms = self._time.now_ms()
        behind_s = self._standstill.look(_now_s(), hears=self._subscriber.connected)
        self._tried_s = _now_s()
        due: dict[Interval, list[Candle]] = {interval: [] for interval in Interval}
        closed: dict[Symbol, list[Candle]] = {}
        for symbol, series in self._by_symbol.items():
            if not self.has_resumed(symbol):
                continue
            if self._subscriber.connected:  # else tickers are missed, and the next one is needed to tell how many
                series.advance(now_ms - round(1000 * behind_s))  # tickers of the meantime are still to be heard
            closed[symbol] = series.take_closed()
            # After a closed candle also publish the open one, so that the newest message of a channel is of the newest candle.
            also_open = {candle.interval for candle in closed[symbol]}
            for candle in closed[symbol]:
                due[candle.interval].append(candle)
            for interval in Interval:
                if with_open or interval in also_open:
                    newest = series.open_candle(interval, now_ms)
                    due[interval] += [] if newest is None else [newest]
        try:
            for interval, candles in due.items():
                for at in range(0, len(candles), BATCH):
                    await self._publish_batch(interval, candles[at : at + BATCH], now_ms)
            self._published_s = _now_s()
        except BusError as failed:
            self._note(failed, "candles not published")
            for symbol, unpublished in closed.items():
                if (waiting := self._by_symbol.get(symbol)) is not None:
                    waiting.put_back(unpublished)

    async def _publish_batch(self, interval: Interval, candles: list[Candle], now_ms: int) -> None:
        for candle in candles:
            candle.published_time_ms = now_ms
        known = await self._bus.publish_candles(interval, candles)
        metrics.PUBLISHED.labels(interval).inc(len(candles))
        for candle, message in zip(candles, known, strict=True):
            if candle.closed:
                metrics.CLOSED.labels(interval).inc()
                if interval is MINUTE and candle.revision == 0:
                    metrics.MISSED.inc(candle.missed or 0)
            series = self._by_symbol.get(candle.symbol)
            if message is not None and series is not None and (merged := read_candle(message)) is not None:
                series.adopt(merged)

    async def _keep(self, series: Series) -> None:
        for interval in Interval:
            bars = series.past.take_added(interval)
            try:
                await self._bus.keep_bars(interval, series.symbol, bars)
            except BusError:
                series.past.put_back(interval, bars)
                raise

    async def _renew(self) -> None:
        sets = [(interval, series) for series in self._by_symbol.values() for interval in Interval]
        used, most, evicted = await self._bus.memory()
        metrics.REDIS_USED.set(used)
        metrics.REDIS_MOST.set(most)
        metrics.REDIS_EVICTED.set(evicted)
        sizes = await self._bus.renew_bars([(interval, series.symbol) for interval, series in sets])
        for (interval, series), size in zip(sets, sizes, strict=True):
            await self._keep(series)
            bars = series.past.newest(interval)
            if 0 <= size < len(bars):
                kept = await self._bus.keep_bars(interval, series.symbol, bars)
                metrics.REKEPT.inc(kept)
                if kept:
                    log.info("past candles kept again", symbol=series.symbol, interval=interval, count=kept)

    def _note(self, failed: BusError, what: str) -> None:
        metrics.FAILURES.inc()
        log.debug("trying again", what=what, cause=str(failed))


def _now_s() -> float:
    return asyncio.get_running_loop().time()


async def serve(settings: CandlesSettings) -> None:
    """Run the candle maker until SIGTERM or SIGINT."""
    log.info(
        "starting",
        symbols=",".join(settings.symbols),
        max_candle_symbols=settings.max_candle_symbols,
        health_port=settings.health_port,
    )
    async with CandlesBus.open(settings.redis_url.get_secret_value()) as bus:
        service = Service(bus, settings)
        await run_until_stopped(
            service.follow(),
            service.look(),
            service.load(),
            service.publish(),
            service.renew(),
            service.compare(),
            serve_health(settings.health_host, settings.health_port, service.live(), service.ready()),
        )
    log.info("stopped")
