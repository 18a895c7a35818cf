"""The one coupling to uvicorn's inside: how a stream's response gets the connection it is sent over.

Writing to the transport directly is what lets one encoded chunk serve every stream of a group at the cost of a `send()`;
a task, a queue and an ASGI message per client and event cost some four times as much.
"""

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Protocol

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from market_pulse.bounded_http import BoundedProtocol, reset

from .streams import NO_DESCRIPTOR

LEND, CUT, TAKEN = "market_pulse.transport", "market_pulse.cut", "market_pulse.taken"


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
    """An HTTP protocol that lends its transport to a response that asks for it."""

    _borrower: Borrower | None = None

    def on_headers_complete(self) -> None:
        """Put the connection within the response's reach. The cycle is this request's; `self.cycle` may be a later one's."""
        super().on_headers_complete()
        self.scope["extensions"] = {
            LEND: partial(self._lend, self.cycle),  # type: ignore[dict-item] # these are functions
            CUT: partial(self._cut, self.cycle),  # type: ignore[dict-item]
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
