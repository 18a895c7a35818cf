"""The ticker of Bybit: `tickers` for price and 24 h figures, and `orderbook.1` for bid and ask, which spot tickers lack."""

from collections.abc import Sequence
from typing import Annotated, Any

from msgspec import Struct, field
from msgspec.json import Decoder

from market_pulse.exchange.adapter import Batch, Channel, Day, Event, Frames, Quote, Skipped, each
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import (
    Amount,
    Figure,
    Price,
    Size,
    Text,
    Time,
    Whole,
    amount,
    by_member,
    positive,
    time,
    whole,
    whole_or,
)

Level = tuple[Price, Size]


class Ticker(Struct, rename="camel"):
    """The figures of `tickers`. REST's ticker has them too, and also the best bid and ask."""

    symbol: Text
    last_price: Price
    high_price24h: Figure = field(name="highPrice24h", default=None)
    low_price24h: Figure = field(name="lowPrice24h", default=None)
    prev_price24h: Figure = field(name="prevPrice24h", default=None)
    volume24h: Amount = None
    turnover24h: Amount = None
    bid1_price: Figure = None
    ask1_price: Figure = None


class _TickerFrame(Struct, kw_only=True):
    ts: Time
    cs: object = None
    data: Ticker


def _levels(levels: Any) -> Batch[Level]:
    return each(_level, levels)


def _level(level: Any) -> list[Level]:
    is_level = type(level) is list and len(level) > 1
    level_price, size = (positive(level[0]), amount(level[1])) if is_level else (None, None)
    if level_price is None or size is None:
        raise FrameError("bad_level", repr(level)[:40])
    return [(level_price, size)]


class _Book(Struct):
    symbol: Text = field(name="s")
    bids: Annotated[list[Level], _levels] = field(name="b")
    asks: Annotated[list[Level], _levels] = field(name="a")
    update: Whole = field(name="u")
    seq: object = None


class _BookFrame(Struct, kw_only=True):
    ts: Time
    type: object = None
    data: _Book


_ticker_frame = Decoder(_TickerFrame, strict=False).decode
_book_frame = Decoder(_BookFrame, strict=False).decode


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return a symbol's topics."""
    return f"tickers.{native_symbol}", f"orderbook.1.{native_symbol}"


def day(ticker: Ticker, time_ms: int, number: int = 0) -> Day:
    """Return the 24 h figures with the last price. `number` is the message's number, or 0 if it has none."""
    return Day(
        native=ticker.symbol,
        price=ticker.last_price,
        open24h=ticker.prev_price24h,
        high24h=ticker.high_price24h,
        low24h=ticker.low_price24h,
        volume24h=ticker.volume24h,
        quote_volume24h=ticker.turnover24h,
        order=(number, time_ms),
        exchange_time_ms=time_ms,
        bid=ticker.bid1_price,
        ask=ticker.ask1_price,
    )


def _day(frame: _TickerFrame) -> Sequence[Event]:
    return [day(frame.data, time(frame.ts), whole_or(frame.cs, 0))]


def _quote(frame: _BookFrame, *, odd_bids: bool = False, odd_asks: bool = False) -> Quote:
    """Return the quote. A side that the frame does not mention, or that cannot be read, stays as it was."""
    book, time_ms, is_delta = frame.data, time(frame.ts), frame.type == "delta"
    # A level of size 0 was deleted. It may come before its successor in the same frame.
    bids = [price for price, size in book.bids if size]
    asks = [price for price, size in book.asks if size]
    update = whole(book.update)
    return Quote(
        native=book.symbol,
        bid=max(bids, default=None),
        ask=min(asks, default=None),
        # Prefer `seq`: `u` starts again at 1 when Bybit's service restarts, and `seq` does not.
        order=(whole_or(book.seq, update), time_ms),
        exchange_time_ms=time_ms,
        restarted=update == 1,
        bid_kept=not bids and (odd_bids or (is_delta and not book.bids)),
        ask_kept=not asks and (odd_asks or (is_delta and not book.asks)),
    )


def _lenient_quote(message: Any) -> Batch[Event]:
    frame = by_member(_BookFrame, message)
    odd_bids, odd_asks = _odd(frame.data.bids), _odd(frame.data.asks)
    return Batch([_quote(frame, odd_bids=bool(odd_bids), odd_asks=bool(odd_asks))], odd_bids + odd_asks)


def _odd(levels: list[Level]) -> list[Skipped]:
    return list(levels.skipped) if isinstance(levels, Batch) else []


TICKER = Channel(
    topics=topics,
    frames={
        "tickers": Frames(
            declared=lambda frame: _day(_ticker_frame(frame)),
            lenient=lambda message: _day(by_member(_TickerFrame, message)),
        ),
        "orderbook.1": Frames(
            declared=lambda frame: [_quote(_book_frame(frame))],
            lenient=_lenient_quote,
        ),
    },
)
