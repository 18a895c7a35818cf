"""The types of the members of an exchange's messages, and for each type the function that reads such a member by itself.

A message is declared as a msgspec Struct of only the members that we read. A decoder with `strict=False` decodes it in one
step, including numbers that are sent as texts. If a member does not fit its type, `by_member` reads the whole message again,
member by member: it leaves out an invalid figure, and rejects a message without a price, a name or a time.

Both ways give the same values, with one exception: the decoder does not notice errors inside members that we do not read, and
accepts the frame. Whole numbers are declared as `object`, because the decoder would accept 1.0 and "1e3" for them. Read them
with `whole` or `time`.
"""

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import cache, lru_cache, partial
from math import inf
from typing import Annotated, Any, Final, TypeVar

import msgspec

from market_pulse.messages import LARGEST_INTEGER

from .errors import FrameError

Shape = TypeVar("Shape", bound=msgspec.Struct)
Otherwise = TypeVar("Otherwise", int, None)
LATEST_TIME_MS: Final = 4_100_000_000_000
"""A time in the year 2099. A later one must be in another unit than milliseconds."""
LARGEST: Final = sys.float_info.max
FOREIGN_FAULTS: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""The errors that unexpected JSON causes in a parser."""
MISFITS: Final = (msgspec.DecodeError, RecursionError, FrameError, *FOREIGN_FAULTS)
"""The errors that decoding raises if a message does not fit its declaration."""


def positive(figure: object) -> float | None:
    """Read a figure that must be above zero. Return None for anything else: missing, empty, NaN, infinite, negative or zero."""
    kind = type(figure)  # not isinstance, because a bool is not a figure
    if kind is str or kind is float or kind is int:
        try:
            number = float(figure)  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            return None
        if 0.0 < number < inf:
            return number
    return None


def amount(figure: object) -> float | None:
    """Read a figure that must not be negative, for example a volume. Return None for anything else."""
    number = positive(figure)
    return 0.0 if number is None and _is_zero(figure) else number


def signed(figure: object) -> float | None:
    """Read a figure that may be negative, for example a change. Return None for anything else, for example NaN."""
    kind = type(figure)
    if kind is str or kind is float or kind is int:
        try:
            number = float(figure)  # type: ignore[arg-type]
        except (ValueError, OverflowError):
            return None
        if -inf < number < inf:
            return number
    return None


def price(figure: object) -> float:
    """Read the price that a message must have.

    Raises:
        FrameError: the price is missing, empty, not finite or not above zero.
    """
    number = positive(figure)
    if number is None:
        raise FrameError("bad_price", repr(figure)[:40])
    return number


def text(value: object) -> str:
    """Read a name.

    Raises:
        FrameError: the value is not a text.
    """
    if type(value) is not str:
        raise FrameError("bad_name", repr(value)[:40])
    return value


def whole(value: object) -> int:
    """Read a count or an identifier: a whole number from 0 to below LARGEST_INTEGER, sent as a JSON number or as a text.

    Raises:
        FrameError: the value is anything else.
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
        FrameError: the value is not a time, or so large that it must be in another unit.
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


def time_of_s(value: object) -> int:
    """Read a time in Unix seconds, as Unix milliseconds.

    Raises:
        FrameError: the value is not a time, or so large that it must be in another unit.
    """
    return time(time(value) * 1000)


_INSTANT = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|\+00:00)", re.ASCII)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND = timedelta(seconds=1)


def instant_us(value: object) -> int:
    """Read a time in RFC 3339 and UTC, with up to nine decimals of a second, as Unix microseconds.

    Nanoseconds are cut off. No float is involved, so the microseconds are exact.

    Raises:
        FrameError: the value is not such a time, or it is before 1970 or after 2099.
    """
    found = _INSTANT.fullmatch(value) if type(value) is str else None
    if found is None:
        raise FrameError("bad_time", repr(value)[:40])
    whole_seconds, decimals_of_second = found.groups()
    try:
        seconds = _seconds(whole_seconds)
    except ValueError as wrong:
        raise FrameError("bad_time", repr(value)[:40]) from wrong
    if not 0 <= seconds < LATEST_TIME_MS // 1000:
        raise FrameError("bad_time", repr(value)[:40])
    return seconds * 1_000_000 + int((decimals_of_second or "0")[:6].ljust(6, "0"))


# Messages that follow one another are often of the same second.
@lru_cache(maxsize=64)
def _seconds(time: str) -> int:
    """Return a time without a zone, for example 2026-12-01T12:00:00, as Unix seconds.

    Raises:
        ValueError: there is no such time.
    """
    return (datetime.fromisoformat(f"{time}Z") - _EPOCH) // _SECOND


def whole_or(value: object, otherwise: Otherwise) -> int | Otherwise:
    """Read a whole number, or return `otherwise` if the value is not one."""
    try:
        return whole(value)
    except FrameError:
        return otherwise


Positive = Annotated[float, msgspec.Meta(gt=0.0, le=LARGEST)]
"""A figure above zero."""
Size = Annotated[float, msgspec.Meta(ge=0.0, le=LARGEST)]
"""A figure that may be zero."""
Price = Annotated[Positive, price]
"""The price that a message must have."""
Figure = Annotated[Positive | None, positive]
"""A figure above zero, or None if the exchange sends no figure or an invalid one."""
Amount = Annotated[Positive | None, amount]
"""A figure that may be zero, for example a volume, or None. `amount` reads a zero, because the decoder would accept -0.0."""
Signed = Annotated[Annotated[float, msgspec.Meta(ge=-LARGEST, le=LARGEST)] | None, signed]
"""A figure that may be negative or zero, or None."""
Text = Annotated[str, text]
Time = Annotated[object, time]
"""A time in Unix milliseconds, still as it was sent. Read it with `time`."""
Instant = Annotated[str, text]
"""A time in RFC 3339, still as it was sent. Read it with `instant_us`."""
Whole = Annotated[object, whole]
"""A count or an identifier, still as it was sent. Read it with `whole`."""


def by_member(shape: type[Shape], message: Any) -> Shape:
    """Read a message's JSON value as a declared shape. Each member is read by the function in its type's annotation.

    If the shape is declared as `array_like`, the message is an array, and a member's place in the shape is its place there.

    Raises:
        FrameError: a member that the message must have is invalid.
        LookupError, TypeError, AttributeError: the message is not an object, or lacks a member that has no default.
    """
    if shape.__struct_config__.array_like:
        if type(message) is not list:
            raise FrameError("malformed", f"not an array: {message!r:.40}")
        message = dict(zip(shape.__struct_encode_fields__, message, strict=False))
    values = {}
    for name, sent_name, read, is_required in _members(shape):
        if is_required or sent_name in message:
            value = message[sent_name]
            values[name] = read(value) if read is not None else value
    return shape(**values)


@cache
def _members(shape: type[msgspec.Struct]) -> list[tuple[str, str, Callable[[object], object] | None, bool]]:
    """Return of each member: its name in Python, its name in JSON, the function that reads it, and whether it is required."""
    members = []
    for field in msgspec.structs.fields(shape):
        read = next((one for one in getattr(field.type, "__metadata__", ()) if callable(one)), None)
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            read = partial(by_member, field.type)
        members.append((field.name, field.encode_name, read, field.required))
    return members


def member(value: object, *path: str) -> object:
    """Return a member of nested JSON objects, or None if it is missing."""
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def decimals(tick_size: object) -> int | None:
    """Return how many decimals a tick size has: "0.01000000" has 2 and "10" has 0. Return None if it is not a tick size."""
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
