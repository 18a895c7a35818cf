"""The one coupling to uvicorn's inside: how a stream's response gets the connection it is sent over.

Writing to the transport directly is what lets one encoded chunk serve every stream of a group at the cost of a `send()`;
a task, a queue and an ASGI message per client and event cost some four times as much.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import orjson
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from gateway.stream.outbox import NO_DESCRIPTOR
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
    """Who a connection is lent to."""

    def on_writable(self) -> None:
        """Called when all that was written has been taken by the kernel after some of it had not."""

    def on_lost(self, *, timed_out: bool) -> None:
        """Called once, when the connection is gone.

        `timed_out`: the client took nothing for as long as agreed, because it does not read or is out of reach.
        """


Lend = Callable[[Borrower], asyncio.Transport | None]


class StreamProtocol(BoundedProtocol):
    """An HTTP protocol that lends its transport to a response that asks for it.

    Args:
        stats: where it counts requests that are not HTTP, and upgrades to other protocols that it does not make.
        options: uvicorn's own.
    """

    _borrower: Borrower | None = None

    def __init__(self, *, stats: Stats, **options: Any) -> None:
        super().__init__(**options)
        self._stats = stats

    def on_headers_complete(self) -> None:
        """Put the connection within the response's reach. The cycle is this request's; `self.cycle` may be a later one's."""
        if self.parser.get_http_version() not in {"1.0", "1.1"}:
            raise ValueError("another version")  # to the parser the request is malformed then
        super().on_headers_complete()
        self.scope["extensions"] = {
            LEND: partial(self._lend, self.cycle),  # type: ignore[dict-item] # functions
            CUT: partial(self._cut, self.cycle),  # type: ignore[dict-item]
            UNCHUNK: partial(setattr, self.cycle, "chunked_encoding", False),  # type: ignore[dict-item]
            PEER: self.client[0] if self.client else "",  # type: ignore[dict-item] # whoever connected, whatever a header claims
            TAKEN: self.when_taken,  # type: ignore[dict-item]
        }

    def _lend(self, cycle: RequestResponseCycle, borrower: Borrower) -> asyncio.Transport | None:
        """Give the transport away for the rest of the connection, the head having been sent; None if it is gone already.

        To uvicorn the response is complete, so that the application may return and the request's task ends. What the request
        has left here goes too: parser, scope, headers and cycle are some 10 KiB, of no use to a stream. Whatever else
        the client sends is not read as requests, which could not be answered any more.
        """
        cycle.response_complete = True
        if self.transport.is_closing():
            return None
        self._borrower = borrower
        self.forget_request()
        self.parser = None  # type: ignore[assignment] # nothing asks for them now
        self.pipeline.clear()
        self.forgo_bounds()
        self.flow.resume_reading()  # which a request that waited had paused; who does not read hears of no disconnect
        return self.transport

    def _cut(self, cycle: RequestResponseCycle) -> None:
        """End the connection without an answer, or before all of it is read; to uvicorn it is as if the client had."""
        cycle.disconnected = True
        if cycle.response_started:
            reset(self.transport)
        else:
            self.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Called by the transport with what the client sends."""
        if self._borrower is None:
            super().data_received(data)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - uvicorn's signature
        """Called where a request is not HTTP: refuse it, as everything else is refused."""
        self._stats.invalid_requests += 1
        self.transport.write(INVALID_ANSWER)
        self.transport.close()

    def _unsupported_upgrade_warning(self) -> None:
        """Called where a client wants another protocol, WebSocket for example. HTTP allows to answer without: count it."""
        self._stats.upgrades_ignored += 1

    def resume_writing(self) -> None:
        """Called by the transport when nothing is unsent any more."""
        super().resume_writing()
        if self._borrower is not None:
            self._borrower.on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the connection is gone."""
        super().connection_lost(exc)
        if self._borrower is not None:
            self._borrower.on_lost(timed_out=isinstance(exc, TimeoutError))

    def shutdown(self) -> None:
        """Called by the server when it stops: streams have been ended before, so one that is left does not read."""
        if self._borrower is not None:
            self.transport.abort()
        else:
            super().shutdown()


def lender(scope: Scope) -> Lend | None:
    """Return what lends a request's connection, or None where another server than ours runs the application."""
    lend: Lend | None = scope.get("extensions", {}).get(LEND)
    return lend


def unchunk(scope: Scope) -> None:
    """Have the response of a request be sent without chunks, to end with the connection: HTTP/1.0 knows no chunks."""
    scope["extensions"][UNCHUNK]()


def peer(scope: Scope) -> str:
    """Return the address that a request's connection comes from, a proxy's for example; "" where it has none."""
    address: str = scope.get("extensions", {}).get(PEER, "")
    return address


def cutter(scope: Scope) -> Callable[[], None] | None:
    """Return what ends a request's connection without an answer, or None where another server runs the application."""
    cut: Callable[[], None] | None = scope.get("extensions", {}).get(CUT)
    return cut


def taker(scope: Scope) -> Callable[[Callable[[], None]], None] | None:
    """Return what tells when a request's answer is taken, or None where another server runs the application."""
    when_taken: Callable[[Callable[[], None]], None] | None = scope.get("extensions", {}).get(TAKEN)
    return when_taken


def plain_descriptor(transport: asyncio.Transport) -> int:
    """Return the descriptor of a connection's socket, or NO_DESCRIPTOR where what goes over it is encrypted."""
    connection = transport.get_extra_info("socket")
    if connection is None or transport.get_extra_info("ssl_object") is not None:
        return NO_DESCRIPTOR
    descriptor: int = connection.fileno()
    return descriptor
