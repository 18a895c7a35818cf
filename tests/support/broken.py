"""Broken copies of JSON values, for tests that replace each member of a message in turn."""

import json
from typing import Any

BAD: list[Any] = ["del", None, "", "NaN", "-1", "0", "1e999", -1, 0, True, [], {}, 10**400, 2**62, "1e400", "nonsense"]


ODD: list[Any] = ["del", None, "", "NaN", "-1", 0, True, [], {}, 10**30, 4_100_000_000_000, "4100000000000000", [None]]
"""Values that every JSON parser can read."""

# Spellings of numbers that two parsers may read differently.
NUMBERS: list[Any] = [
    "1e5", 1e5, 1.0, "1.0", " 1", "1 ", "1_0", "+5", ".5", "5.", "007", "inf", "nan", "Infinity", "-0", -0.0, "0.0", 5e-324, "5e-324",
    "1e-400", "\u0661\u0662", "0x10", "true", False, 2**53, 2**53 - 1, "9007199254740993", 4_100_000_000_000, 1.7976931348623157e308,
    0.1 + 0.2, "0.1000000000000000055511151231257827", [["1", "2"]], [["1", "2", "3"]], [["1", None]], ["1", "2"], "delta",
]  # fmt: skip


def mutations(value: Any, put: Any) -> list[Any]:
    """Return copies of a JSON value, each with one member at any depth replaced or, if `put` is `del`, left out."""
    members = list(value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ())
    deeper = [_with(value, key, copy) for key, inner in members for copy in mutations(inner, put)]
    return deeper + [_without(value, key) if put == "del" else _with(value, key, put) for key, _ in members]


def _without(value: Any, key: Any) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    del copy[key]
    return copy


def _with(value: Any, key: Any, new: Any) -> Any:
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[key] = new
    return copy


def as_sent(message: Any) -> bytes:
    """Encode a message as JSON without blanks, as the exchanges do."""
    return json.dumps(message, separators=(",", ":")).encode()
