"""Decodes and checks messages from the bus, and passes them to the market. Messages that cannot be used are counted."""

from collections.abc import Callable

from market_pulse.kinds import STATUS, TICK, TICKER
from market_pulse.messages import CodecError, Symbol, Tick, decode_status, decode_tick, decode_ticker
from market_pulse.process.logs import get_logger

from .clock import Clock
from .feeds import Feeds
from .market import LATEST_TIME_MS, Market
from .metrics import BAD_MESSAGES, BUS_S, DROPPED, TICKS

SAMPLE_CHARACTERS = 120
AHEAD_MS = 5_000
MEASURED_OF = 16  # the delay of one tick in this many is measured, to save processor time

log = get_logger()


class Intake:
    """Passes ticks to the market and statuses to the feeds, and reports which symbols changed. No message makes it raise.

    Args:
        market: keeps the ticks.
        feeds: keeps the statuses.
        changed: called with a symbol whenever a tick was kept that prices it.
        clock: gives the time, and from time to time gets the publication time of a tick.
    """

    def __init__(self, market: Market, feeds: Feeds, changed: Callable[[Symbol], None], clock: Clock | None = None) -> None:
        self._market = market
        self._feeds = feeds
        self._changed = changed
        self._clock = clock or Clock()
        self._reported: set[str] = set()
        self._kept = 0

    def count(self) -> None:
        """Add the ticks kept since the last call to the metric. Doing this with each tick would cost as much as keeping it."""
        TICKS.inc(self._kept)
        self._kept = 0

    def take_status(self, channel: str, data: bytes, age_s: float = 0.0) -> None:
        """Take a feed's status that has just arrived, or was kept for `age_s` as the last one of an exchange or of a copy."""
        try:
            status = decode_status(data)
        except CodecError as wrong:
            self._refuse_message("codec", channel, data, str(wrong))
            return
        if channel in {STATUS.channel(status.exchange), STATUS.channel(f"{status.exchange}:{status.instance}")}:
            self._feeds.take(status, age_s)
        else:
            self._refuse_message("channel", channel, data, "exchange or instance is not the channel's")

    def take_rate(self, channel: str, data: bytes, age_ms: int | None = 0) -> None:
        """Take a rate's ticker that has just arrived, or was kept for `age_ms` as the last one; None: for an unknown time."""
        try:
            ticker = decode_ticker(data)
        except CodecError as wrong:
            self._refuse_message("codec", channel, data, str(wrong))
            return
        if TICKER.channel(ticker.symbol) != channel:
            self._refuse_message("channel", channel, data, "symbol is not the channel's")
            return
        now_ms = self._clock.now_ms()
        received_ms = min(now_ms, ticker.aggregated_time_ms) if age_ms is None else now_ms - age_ms
        known = self._market.rate(ticker.symbol)
        if age_ms == 0 or known is None or known.ticker.seq < ticker.seq:
            self._market.take_rate(ticker, received_ms)

    def take_message(self, channel: str, data: bytes) -> None:
        """Take a tick that has just arrived on a channel."""
        tick = self._read(channel, data)
        if tick is None:
            return
        arrived_ms = self._clock.now_ms()
        # A received time in the future, from a wrong clock or a forged tick, would not age until then. So limit it to now.
        # Nothing else refers to this tick yet, so it may be changed.
        if tick.received_time_ms <= LATEST_TIME_MS:
            tick.received_time_ms = min(tick.received_time_ms, arrived_ms)
        is_kept = self._take(tick)
        if is_kept and self._kept % MEASURED_OF == 0 and tick.published_time_ms is not None:
            BUS_S.observe((arrived_ms - tick.published_time_ms) / 1000)
            self._clock.hear(tick.exchange, tick.published_time_ms)

    def take_last(self, channel: str, data: bytes) -> None:
        """Take a tick that Redis kept as the last one of its channel."""
        tick = self._read(channel, data)
        if tick is None:
            return
        now = self._clock.now_ms()
        if tick.received_time_ms > now + AHEAD_MS:  # its age is unknown
            DROPPED.labels("time").inc()
            return
        tick.received_time_ms = min(tick.received_time_ms, now)
        self._take(tick)

    def _read(self, channel: str, data: bytes) -> Tick | None:
        """Decode a tick. Return None if it is invalid, or if its exchange or symbol is not the channel's."""
        try:
            tick = decode_tick(data)
        except CodecError as wrong:
            self._refuse_message("codec", channel, data, str(wrong))
            return None
        if TICK.channel(tick.exchange, tick.symbol) != channel:
            self._refuse_message("channel", channel, data, "exchange or symbol is not the channel's")
            return None
        return tick

    def _take(self, tick: Tick) -> bool:
        refusal = self._market.take(tick)
        if refusal is None:
            self._kept += 1
            self._changed(tick.symbol)
            for symbol in self._market.priced_too(tick):
                self._changed(symbol)
            return True
        DROPPED.labels(refusal).inc()
        if refusal != "older" and self._is_first(refusal):
            log.warning("tick refused; more of the kind are only counted", reason=refusal, exchange=tick.exchange[:40])
        return False

    def _refuse_message(self, kind: str, channel: str, data: bytes, cause: str) -> None:
        BAD_MESSAGES.labels(kind).inc()
        if self._is_first(kind):
            sample = data[:SAMPLE_CHARACTERS].decode(errors="replace")
            log.warning(
                "message skipped; more of the kind are only counted",
                kind=kind,
                channel=channel[:SAMPLE_CHARACTERS],
                cause=cause[:SAMPLE_CHARACTERS],
                sample=sample,
            )

    def _is_first(self, kind: str) -> bool:
        is_first = kind not in self._reported
        self._reported.add(kind)
        return is_first
