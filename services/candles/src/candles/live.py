"""A live candle: the first, highest, lowest and last of our own published prices in one interval. Pure."""

from msgspec import Struct

from market_pulse.messages import LIVE, Candle, Decoder, Message, SymbolText, TimeMs, Whole


class Heard(Message, kw_only=True):
    """The members of a ticker that a candle needs. Decoding the whole ticker would take several times as long."""

    symbol: SymbolText
    seq: Whole
    price: float | None = None
    quality: str
    aggregated_time_ms: TimeMs
    received_time_ms: TimeMs | None = None

    @property
    def is_live(self) -> bool:
        """Whether the price is a current one, and not an earlier one that is shown as `stale`."""
        return self.quality in LIVE and self.price is not None and self.price > 0


decode_heard = Decoder(Heard).decode


class Live(Struct, gc=False):
    """The prices heard in one interval.

    `seen` is how many tickers from `first_seq` to `last_seq` this process has seen, those without a live price included.
    `lacking` is how many tickers of the interval from before `first_seq` or after `last_seq` are missing, at most; 1 if their
    number is not known. `exchanges` are those whose volumes are in it.
    """

    start_ms: int
    end_ms: int
    open: float
    high: float
    low: float
    close: float
    first_seq: int
    last_seq: int
    seen: int
    received_ms: int
    lacking: int = 0
    exchanges: frozenset[str] = frozenset()

    @property
    def missed(self) -> int:
        """How many tickers of the interval are missing, at most."""
        return max(0, self.last_seq - self.first_seq + 1 - self.seen) + self.lacking

    def add(self, price: float, seq: int, unpriced: int, received_ms: int) -> None:
        """Add the next ticker with a live price. Before it came `unpriced` tickers without one."""
        self.high = max(self.high, price)
        self.low = min(self.low, price)
        self.close = price
        self.seen += 1 + min(unpriced, max(0, seq - self.last_seq - 1))
        self.last_seq = seq
        self.received_ms = max(self.received_ms, received_ms)

    def take_beginning(self, known: Candle) -> None:
        """Take over from another copy's candle of this interval what this process has not heard."""
        if known.first_seq is None or known.last_seq is None:
            return
        self.exchanges |= set(known.exchanges)
        self.high, self.low = max(self.high, known.high), min(self.low, known.low)
        if known.first_seq < self.first_seq:
            self.first_seq, self.open, self.lacking = known.first_seq, known.open, _lacking(known)
        elif known.first_seq == self.first_seq:
            self.lacking = min(self.lacking, _lacking(known))
        if known.last_seq == self.last_seq:
            self.seen = max(self.seen, known.seen or 0)


def _lacking(known: Candle) -> int:
    """Return how many tickers a candle lacks besides those between its first and its last."""
    between = (known.last_seq or 0) - (known.first_seq or 0) + 1 - (known.seen or 0)
    return max(0, (known.missed or 0) - max(0, between))


def resumed(known: Candle) -> Live | None:
    """Return the live candle that a kept one is the state of, or None if no ticker is in it."""
    if known.first_seq is None or known.last_seq is None:
        return None
    return Live(
        known.start_ms,
        known.end_ms,
        known.open,
        known.high,
        known.low,
        known.close,
        known.first_seq,
        known.last_seq,
        known.seen or 0,
        known.received_time_ms,
        _lacking(known),
        frozenset(known.exchanges),
    )


def joined(earlier: Live, later: Live) -> Live:
    """Merge two live candles of the same interval. An earlier process has heard one, and this process the other.

    Tickers that both can have heard count once.
    """
    both = min(earlier.last_seq, later.last_seq) - max(earlier.first_seq, later.first_seq) + 1
    first = earlier if earlier.first_seq <= later.first_seq else later
    last = later if later.last_seq >= earlier.last_seq else earlier
    return Live(
        later.start_ms,
        later.end_ms,
        first.open,
        max(earlier.high, later.high),
        min(earlier.low, later.low),
        last.close,
        first.first_seq,
        last.last_seq,
        max(earlier.seen, later.seen, earlier.seen + later.seen - max(0, both)),
        max(earlier.received_ms, later.received_ms),
        first.lacking,
        earlier.exchanges | later.exchanges,
    )
