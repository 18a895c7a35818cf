"""A candle as it arrived over the bus: what is needed to pass it on, and which of two candles is the newer one. Pure."""

from typing import NamedTuple

from market_pulse.messages import CodecError, Decoder, Interval, Message, Price, Text, Whole
from market_pulse.tickers import STALE_AFTER_MS

LATER_BY_MS = 10_000
"""A candle that counts as older by its numbers replaces an open one that was not renewed for this long: counting began anew."""
AHEAD_MS = 300_000
"""A candle that begins later than this after now is refused: as the newest one it would hold back all true ones until then."""


class LatestCandle(NamedTuple):
    """A candle's JSON, in one line, with the fields that are needed to pass it on.

    `current_ms` is when it was published, by our clock. `published_ms` is None, because the latency of streams is measured by
    tickers. `sent_ms` is when it was published by the clock of its publisher.
    """

    start_ms: int
    last_seq: int | None
    revision: int
    closed: bool
    data: bytes
    current_ms: int
    sent_ms: int = 0
    live: bool = True
    published_ms: int | None = None

    def staleness(self, now_ms: int) -> int:
        """Return 0 if the candle was published less than STALE_AFTER_MS ago, else 1. Its text is the same at any age."""
        return int(now_ms - self.current_ms >= STALE_AFTER_MS)

    def supersedes(self, other: "LatestCandle | None") -> bool:
        """Return whether this candle is newer than the other one of the same channel.

        A candle that begins later is newer. Of two that begin together it is the one with the larger `lastSeq`, then the one
        with the higher revision, then the closed one. An equal one is newer if it was published later. If the numbers go back,
        they may have begun anew: an open candle that was not renewed for LATER_BY_MS is replaced, but not by the correction of
        an earlier one.
        """
        if other is None or self.start_ms > other.start_ms:
            return True
        if self.start_ms == other.start_ms:
            mine, others = _order(self, other), _order(other, self)
            if mine > others or (mine == others and (self.live or self.sent_ms > other.sent_ms)):
                return True
        is_correction = self.closed and self.start_ms < other.start_ms
        return not other.closed and not is_correction and self.current_ms - other.current_ms > LATER_BY_MS


def _order(candle: LatestCandle, other: LatestCandle) -> tuple[int, int, bool]:
    """Return a candle's place among those with its start. A candle of the exchanges has no `lastSeq` to compare."""
    last_seq = 0 if candle.last_seq is None or other.last_seq is None else candle.last_seq
    return last_seq, candle.revision, candle.closed


class _Head(Message, kw_only=True):
    """The fields of a candle that are needed to pass it on. The others must be there, and stay undecoded."""

    exchange: Text | None = None
    symbol: Text
    interval: Interval
    start_ms: Whole
    end_ms: Whole
    open: Price
    high: Price
    low: Price
    close: Price
    closed: bool
    revision: Whole = 0
    last_seq: Whole | None = None
    received_time_ms: Whole
    published_time_ms: Whole | None = None


_HEAD = Decoder(_Head)


def read_candle(
    interval: Interval, exchange: str | None, symbol: str, data: bytes, now_ms: int, *, live: bool, age_ms: int | None = None
) -> LatestCandle:
    """Read the fields of a candle's message that are needed to pass it on.

    Args:
        interval: the interval that the candle must have.
        exchange: the exchange that it must be of, or None if it must be ours.
        symbol: the symbol that it must be of.
        data: the message.
        now_ms: the time by our clock.
        live: whether the message arrived just now; otherwise it is a kept last value.
        age_ms: the age of a last value, if known; otherwise it is derived from the candle's own time.

    Raises:
        CodecError: the message is no such candle.
    """
    head = _HEAD.decode(data)
    if (head.symbol, head.interval, head.exchange) != (symbol, interval, exchange):
        raise CodecError(f"not a candle of {exchange or 'ours'}, {symbol} and {interval}")
    if head.start_ms != interval.start_of(head.start_ms) or head.end_ms != head.start_ms + interval.step_ms:
        raise CodecError(f"no interval of {interval} is from {head.start_ms} to {head.end_ms}")
    if head.start_ms > now_ms + AHEAD_MS:
        raise CodecError(f"begins {head.start_ms - now_ms} ms from now")
    sent_ms = head.published_time_ms or head.received_time_ms
    aged_ms = min(now_ms, sent_ms) if age_ms is None else now_ms - age_ms
    one_line = data.translate(None, b"\r\n")  # safe: inside a JSON string a line break is always escaped
    return LatestCandle(
        start_ms=head.start_ms,
        last_seq=head.last_seq,
        revision=head.revision,
        closed=head.closed,
        data=one_line,
        current_ms=now_ms if live else aged_ms,
        sent_ms=sent_ms,
        live=live,
    )
