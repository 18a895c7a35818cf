"""The form of an answer that a client prefers, by the weights in its `Accept…` headers (RFC 9110, section 12.4). Pure."""

import re
from collections.abc import Iterable

EVENTS = "text/event-stream"

_WEIGHT = re.compile(r"0(\.[0-9]{0,3})?|1(\.0{0,3})?")


def weights(values: Iterable[str]) -> dict[str, float]:
    """Return each named alternative, in lower case, with its weight from 0 (refused) to 1.

    An entry with a malformed weight counts as refused. If an alternative has several weights, the lowest counts, so that a
    client is never sent a form that it refused.
    """
    found: dict[str, float] = {}
    for entry in ",".join(values).split(","):
        name, *parameters = (part.strip().lower() for part in entry.split(";"))
        if name:
            found[name] = min(_weight(parameters), found.get(name, 1.0))
    return found


def takes_gzip(accept_encoding: Iterable[str]) -> bool:
    """Return whether a client accepts gzip with at least the weight of plain bytes. Without the header it gets plain bytes."""
    named = weights(accept_encoding)
    others = named.get("*", 0.0)
    gzip = min((named[name] for name in ("gzip", "x-gzip") if name in named), default=others)
    return gzip > 0 and gzip >= named.get("identity", 0.0)


def takes_events(accept: Iterable[str]) -> bool:
    """Return whether a client names the type of server-sent events, as every EventSource does."""
    return weights(accept).get(EVENTS, 0.0) > 0


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            return float(value) if _WEIGHT.fullmatch(value.strip()) else 0.0
    return 1.0
