"""The ticker of Crypto.com: the channel `ticker`, which sends the whole state at each change."""

from collections.abc import Sequence
from typing import Any

from msgspec import Struct
from msgspec.json import Decoder

from market_pulse.exchange.adapter import Batch, Channel, Day, Event, Frames, each
from market_pulse.exchange.errors import FrameError
from market_pulse.exchange.fields import Amount, Figure, Price, Signed, Text, Time, amount, by_member, positive, time

UNNUMBERED = -1
"""The number of each message but the first after a subscription, which has the number of its request."""


class Ticker(Struct, kw_only=True):
    """One row, from a socket or from REST: the last price is `a`, the best bid `b`, and the best ask `k`."""

    h: Figure = None
    l: Figure = None  # noqa: E741 - the exchange's name
    a: Price
    c: Signed = None  # the change as a fraction, with four decimals
    b: Figure = None
    k: Figure = None
    i: Text
    v: Amount = None
    vv: Amount = None  # in USD, whatever the quote is
    t: Time


class Result(Struct):
    """The topic of a frame, and its one row."""

    subscription: Text
    data: tuple[Ticker]


class Frame(Struct):
    """The envelope of a frame with market data."""

    id: object
    code: object
    result: Result


def topics(native_symbol: str) -> tuple[str, ...]:
    """Return the one topic of a symbol."""
    return (f"ticker.{native_symbol}",)


def day(ticker: Ticker) -> Day:
    """Return the 24 h figures, with the last price and the quote, for which no other channel is subscribed to."""
    time_ms = time(ticker.t)
    quote_volume, is_estimated = ticker.vv, False
    if not ticker.i.endswith("_USD"):
        # `vv` is in USD. The last price stands for the mean price of the day.
        quote_volume = None if ticker.v is None else amount(ticker.v * ticker.a)
        is_estimated = quote_volume is not None
    return Day(
        native=ticker.i,
        price=ticker.a,
        open24h=None if ticker.c is None else opened(ticker.a, ticker.c),
        high24h=ticker.h,
        low24h=ticker.l,
        volume24h=ticker.v,
        quote_volume24h=quote_volume,
        order=(0, time_ms),
        exchange_time_ms=time_ms,
        bid=ticker.b,
        ask=ticker.k,
        quote_volume_estimated=is_estimated,
    )


def opened(last: float, change: float) -> float | None:
    """Return the price 24 h ago, or None if it would not be above zero. `change` is a fraction."""
    return positive(last / (1 + change)) if change > -1 else None


def rows(elements: Any) -> Batch[Event]:
    """Read the rows of a frame or of a REST answer. A market without trades has no price, so it is left out."""
    return each(lambda row: [day(by_member(Ticker, row))] if row["a"] is not None else [], elements, "i")


def check_unnumbered(number: object, code: object) -> None:
    """Check that a frame has only data. One with the number of a request or with an error is read member by member.

    Raises:
        FrameError: the frame has more to say.
    """
    if number != UNNUMBERED or code != 0:
        raise FrameError("unknown")


def _declared(frame: bytes) -> Sequence[Event]:
    message = _decode(frame)
    check_unnumbered(message.id, message.code)
    if not message.result.subscription.startswith("ticker."):
        raise FrameError("unknown")
    return [day(message.result.data[0])]


def _lenient(message: dict[str, Any]) -> Sequence[Event]:
    return rows(message["result"]["data"])


_decode = Decoder(Frame, strict=False).decode

TICKER = Channel(topics=topics, frames={"ticker": Frames(declared=_declared, lenient=_lenient)})
