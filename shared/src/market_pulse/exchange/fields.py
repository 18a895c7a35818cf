"""The members of an exchange's messages: the type that each is declared with, and the function that reads it by itself.

A message is declared as a msgspec Struct of just the members that are read. A decoder with `strict=False` reads it in one go,
numbers in texts included. Where a member is not as declared, `by_member` reads the whole message again, member by member: a
figure that makes no sense is left out, and a message without a price, a name or a time is refused.

Both ways make the same values. Only what is broken inside a member that nobody reads escapes the decoder: such a frame counts.
Whole numbers are declared as `object`, because the decoder would take 1.0 and "1e3" for one: read them by `whole` or `time`.
"""

import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from functools import cache, partial
from math import inf
from typing import Annotated, Any, Final, TypeVar

import msgspec

from market_pulse.messages import LARGEST_INTEGER

from .errors import FrameError

Shape = TypeVar("Shape", bound=msgspec.Struct)
LATEST_TIME_MS: Final = 4_100_000_000_000
"""In the year 2099. A later time is in another unit than milliseconds."""
LARGEST: Final = sys.float_info.max
FOREIGN_FAULTS: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""The errors that odd JSON causes in a parser."""
MISFITS: Final = (msgspec.DecodeError, RecursionError, FrameError, *FOREIGN_FAULTS)
"""The errors by which a message shows that it is not as declared."""


def positive(figure: object) -> float | None:
    """Read a figure that must be above zero; None for anything else: missing, empty, NaN, infinite, negative, zero."""
    kind = type(figure)  # a bool is no figure
    if kind is str or kind is float or kind is int:
        try:
            number = float(figure)  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            return None
        if 0.0 < number < inf:
            return number
    return None


def amount(figure: object) -> float | None:
    """Read a figure that must not be negative, such as a volume; None for anything else."""
    number = positive(figure)
    return 0.0 if number is None and _is_zero(figure) else number


def price(figure: object) -> float:
    """Read the price without which there is no tick.

    Raises:
        FrameError: it is missing, empty, not finite or not above zero.
    """
    number = positive(figure)
    if number is None:
        raise FrameError("bad_price", repr(figure)[:40])
    return number


def text(value: object) -> str:
    """Read a name.

    Raises:
        FrameError: it is no text.
    """
    if type(value) is not str:
        raise FrameError("bad_name", repr(value)[:40])
    return value


def whole(value: object) -> int:
    """Read a count or an identifier: a whole number, as JSON number or text, that a JSON number carries exactly.

    Raises:
        FrameError: it is none.
    """
    if type(value) is int:
        number = value
    elif type(value) is str and len(value) < 20 and value.isdecimal():
        number = int(value)
    else:
        number = -1
    if 0 <= number < LARGEST_INTEGER:
        return number
    raise FrameError("bad_number", repr(value)[:40])


def time(value: object) -> int:
    """Read a time in Unix milliseconds.

    Raises:
        FrameError: the value is no time, or one so late that it must be in another unit.
    """
    if type(value) is int:
        time_ms = value
    elif type(value) is str and len(value) < 20 and value.isdecimal():
        time_ms = int(value)
    else:
        raise FrameError("bad_number", repr(value)[:40])
    if not 0 <= time_ms < LATEST_TIME_MS:
        raise FrameError("bad_time", repr(value)[:40])
    return time_ms


def whole_or(value: object, otherwise: int) -> int:
    """Read a whole number that need not be there."""
    try:
        return whole(value)
    except FrameError:
        return otherwise


Positive = Annotated[float, msgspec.Meta(gt=0.0, le=LARGEST)]
"""A figure above zero."""
Size = Annotated[float, msgspec.Meta(ge=0.0, le=LARGEST)]
"""A figure that may be zero."""
Price = Annotated[Positive, price]
"""The price without which there is no tick."""
Figure = Annotated[Positive | None, positive]
"""A figure above zero, or None: the exchange gives none, or one that makes no sense."""
Amount = Annotated[Positive | None, amount]
"""A figure such as a volume, or None. Zero is left to `amount`, since the decoder would let -0.0 pass."""
Text = Annotated[str, text]
Time = Annotated[object, time]
"""A time in Unix milliseconds, as it was sent: read it by `time`."""
Whole = Annotated[object, whole]
"""A count or an identifier, as it was sent: read it by `whole`."""


def by_member(shape: type[Shape], message: Any) -> Shape:
    """Read what orjson made of a message as a declared shape, each member by the function that its type names.

    Raises:
        FrameError: a member does not make sense, and the message cannot do without.
        LookupError, TypeError, AttributeError: the message is not an object, or lacks a member that has no default.
    """
    values = {}
    for name, sent_name, read, is_required in _members(shape):
        if is_required or sent_name in message:
            value = message[sent_name]
            values[name] = read(value) if read is not None else value
    return shape(**values)


@cache
def _members(shape: type[msgspec.Struct]) -> list[tuple[str, str, Callable[[object], object] | None, bool]]:
    """Return each member's name in Python and as it is sent, the function that reads it, and whether it must be there."""
    members = []
    for field in msgspec.structs.fields(shape):
        read = next((one for one in getattr(field.type, "__metadata__", ()) if callable(one)), None)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            read = partial(by_member, field.type)
        members.append((field.name, field.encode_name, read, field.required))
    return members


def member(value: object, *path: str) -> object:
    """Return a member of nested JSON objects; None where it is missing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def decimals(tick_size: object) -> int | None:
    """Return how many decimals a tick size has: "0.01000000" has 2, "10" has 0; None if it is no such thing."""
    try:
        size = Decimal(str(tick_size)).normalize()
    except InvalidOperation:
        return None
    exponent = size.as_tuple().exponent
    if not isinstance(exponent, int) or size <= 0:
        return None
    return max(0, -exponent)


def _is_zero(figure: object) -> bool:
    try:
        return type(figure) in {str, float, int} and float(figure) == 0  # type: ignore[arg-type]
    except (ValueError, OverflowError):
        return False
