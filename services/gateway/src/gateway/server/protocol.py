"""The only code that depends on uvicorn's internals: it lends a stream's response the connection that it is sent over.

The hub writes to that transport directly. So one encoded chunk serves every stream of a group, at the cost of one `send()` per
stream. A task, a queue and an ASGI message per client and event would cost several times as much.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import orjson
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.stream.group import NO_DESCRIPTOR
from gateway.stream.stats import Stats
from market_pulse.process.bounded_http import BoundedProtocol, reset

LEND, CUT, TAKEN = "market_pulse.transport", "market_pulse.cut", "market_pulse.taken"
UNCHUNK, PEER = "market_pulse.unchunk", "market_pulse.peer"
_INVALID = orjson.dumps(
    {
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "code": "invalid_http",
        "detail": "this is no HTTP/1.1 request: send one that RFC 9112 allows",
    }
)
INVALID_ANSWER = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: application/problem+json\r\nContent-Length: %d\r\nCache-Control: no-store\r\n"
    b"Access-Control-Allow-Origin: *\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n%b"
) % (len(_INVALID), _INVALID)


class Borrower(Protocol):
    """The object that a connection is lent to."""

    def on_writable(self) -> None:
        """Called when the kernel has taken all written bytes, after some of them had to wait."""

    def on_lost(self, *, timed_out: bool) -> None:
        """Called once, when the connection is gone.

        `timed_out` is true if the client read nothing for too long, because it does not read or cannot be reached.
        """


Lend = Callable[[Borrower], asyncio.Transport | None]


class StreamProtocol(BoundedProtocol):
    """An HTTP protocol that lends its transport to a response that asks for it.

    Args:
        stats: counts requests that are not HTTP, and ignored requests to upgrade to another protocol.
        options: uvicorn's own arguments.
    """

    _borrower: Borrower | None = None

    def __init__(self, *, stats: Stats, **options: Any) -> None:
        super().__init__(**options)
        self._stats = stats

    def on_headers_complete(self) -> None:
        """Add the functions that act on the connection to the request's scope.

        They are bound to this request's cycle, because `self.cycle` may be a later request's by the time they are called.
        """
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            raise ValueError("another version")  # the parser then treats the request as malformed
        super().on_headers_complete()
        self.scope["extensions"] = {
            LEND: partial(self._lend, self.cycle),  # type: ignore[dict-item] # functions
            CUT: partial(self._cut, self.cycle),  # type: ignore[dict-item]
            UNCHUNK: partial(setattr, self.cycle, "chunked_encoding", False),  # type: ignore[dict-item]
            PEER: self.client[0] if self.client else "",  # type: ignore[dict-item] # from the socket, never from a header
            TAKEN: self.when_taken,  # type: ignore[dict-item]
        }

    def _lend(self, cycle: RequestResponseCycle, borrower: Borrower) -> asyncio.Transport | None:
        """Lend the transport for the rest of the connection, after the head was sent. Return None if the connection is gone.

        For uvicorn the response is then complete, so the application may return and the request's task ends. The request's
        parser, scope, headers and cycle are released, because a stream does not need them and they take some 10 KiB. Later data
        from the client is discarded, because another request could not be answered.
        """
        cycle.response_complete = True
        if self.transport.is_closing():
            return None
        self._borrower = borrower
        self.forget_request()
        self.parser = None  # type: ignore[assignment] # not used any more
        self.pipeline.clear()
        self.forgo_bounds()
        self.flow.resume_reading()  # a waiting request had paused it, and without reading a disconnect goes unnoticed
        return self.transport

    def _cut(self, cycle: RequestResponseCycle) -> None:
        """End the connection without an answer, or before the client has read all of one. To uvicorn it looks disconnected."""
        cycle.disconnected = True
        if cycle.response_started:
            reset(self.transport)
        else:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by the transport with data from the client."""
        if self._borrower is None:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Called by uvicorn if a request is not HTTP. Answer with a problem, as for all other refusals."""
        self._stats.invalid_requests += 1
        self.transport.write(INVALID_ANSWER)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Called by uvicorn if a client asks for another protocol, for example WebSocket. HTTP lets a server ignore that."""
        self._stats.upgrades_ignored += 1

    def resume_writing(self) -> None:
        """Called by the transport when all written bytes have been sent."""
        super().resume_writing()
        if self._borrower is not None:
            self._borrower.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the connection is gone."""
        super().connection_lost(exc)
        if self._borrower is not None:
            self._borrower.on_lost(timed_out=isinstance(exc, TimeoutError))

    def shutdown(self) -> None:
        """Called by the server when it stops. Streams were ended before, so the client of one that is left does not read."""
        if self._borrower is not None:
            self.transport.abort()
        else:
            super().shutdown()


def lender(scope: Scope) -> Lend | None:
    """Return the function that lends a request's connection, or None if another server than ours runs the application."""
    lend: Lend | None = scope.get("extensions", {}).get(LEND)
    return lend


def unchunk(scope: Scope) -> None:
    """Send the response of a request without chunks, so that it ends with the connection: HTTP/1.0 has no chunks."""
    scope["extensions"][UNCHUNK]()


def peer(scope: Scope) -> str:
    """Return the address at the other end of a request's connection, for example a proxy's, or "" if it has none."""
    address: str = scope.get("extensions", {}).get(PEER, "")
    return address


def cutter(scope: Scope) -> Callable[[], None] | None:
    """Return the function that ends a request's connection without an answer, or None if another server is used."""
    cut: Callable[[], None] | None = scope.get("extensions", {}).get(CUT)
    return cut


def taker(scope: Scope) -> Callable[[Callable[[], None]], None] | None:
    """Return the function that registers a callback for when the kernel has taken an answer, or None with another server."""
    when_taken: Callable[[Callable[[], None]], None] | None = scope.get("extensions", {}).get(TAKEN)
    return when_taken


def plain_descriptor(transport: asyncio.Transport) -> int:
    """Return the descriptor of a connection's socket, or NO_DESCRIPTOR if the connection is encrypted."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("ssl_object") is not None:
        return NO_DESCRIPTOR
    descriptor: int = connection.fileno()
    return descriptor
