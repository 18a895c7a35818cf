"""The short way to a stream, for requests that come by the thousand when a gateway has stopped or a network was away."""

import re
from urllib.parse import parse_qsl

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.gateway import Gateway
from gateway.server.protocol import lender
from market_pulse.messages import Symbol, parse_symbol, parse_symbols

from .event_stream import EventStream, stream_for
from .limits import TooManyStreamsError
from .problems import STREAMS
from .routes import MOST_SYMBOLS

_PLAIN_HZ = re.compile("[1-9][0-9]{0,2}")


class StreamShortcut:
    """Opens a stream where it is plain that the route would, for a third of what FastAPI's layers cost.

    It only ever says yes. Whatever it does not know, and all that has to be refused, goes to the route: that alone validates,
    says what is wrong, and is described by OpenAPI.
    """

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        stream = self._stream(scope) if scope["type"] == "http" else None
        await (stream or self._app)(scope, receive, send)

    def _stream(self, scope: Scope) -> EventStream | None:
        gateway, lend, wish = self._gateway, lender(scope), plain_wish(scope)
        if lend is None or wish is None:
            return None
        symbols, max_hz = wish
        if not all(symbol in gateway.listings for symbol in symbols):
            return None
        last_event_id = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"last-event-id"), None)
        try:
            return stream_for(gateway, scope, lend, symbols, max_hz, last_event_id)
        except TooManyStreamsError:
            return None


def plain_wish(scope: Scope) -> tuple[tuple[Symbol, ...], float | None] | None:
    """Return the symbols and the most updates a second that a request wants, or None unless it is a valid and usual one."""
    path: str = scope["path"]
    if scope["method"] != "GET" or not path.startswith(STREAMS):
        return None
    given = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    listed = [value for name, value in given if name == "symbols"]
    query = {name: value for name, value in given if name != "symbols"}
    is_plain = len(query) + len(listed) == len(given)  # no other parameter comes twice
    max_hz = query.pop("max_hz", None)
    try:
        match path.removeprefix(STREAMS).partition("/"):
            case "", "/", name if not listed:
                symbols: tuple[Symbol, ...] = (parse_symbol(name),)
            case "", "", "":
                symbols = parse_symbols(",".join(listed))
            case _:
                return None
    except ValueError:
        return None
    usual = is_plain and not query and 1 <= len(symbols) <= MOST_SYMBOLS and (max_hz is None or _PLAIN_HZ.fullmatch(max_hz))
    return (symbols, float(max_hz) if max_hz else None) if usual else None
