"""The one coupling to uvicorn's inside: how a stream's response gets the connection it is sent over.

Writing to the transport directly is what lets one encoded chunk serve every stream of a group at the cost of a `send()`;
a task, a queue and an ASGI message per client and event cost some four times as much.
"""

import asyncio
import contextlib
import socket
import sys
from collections.abc import Callable

from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

EXTENSION = "market_pulse.transport"

NOTSENT_LOWAT_BYTES = 16_384  # the kernel takes no more unsent bytes than this, so a slow client is noticed while it is fresh
USER_TIMEOUT_MS = 25_000  # after which a peer that acknowledges nothing counts as gone


class StreamProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, which lends its transport to a response that asks for it."""

    _on_writable: Callable[[], None] | None = None
    _on_lost: Callable[[], None] | None = None

    def on_message_begin(self) -> None:
        """Put this connection within reach of the response."""
        super().on_message_begin()
        self.scope["extensions"] = {EXTENSION: self}  # type: ignore[dict-item] # an object of our own

    def lend(self, on_writable: Callable[[], None], on_lost: Callable[[], None]) -> asyncio.Transport:
        """Give the transport away for the rest of the connection, the head having been sent.

        Args:
            on_writable: called when all that was written has been taken by the kernel after some of it had not.
            on_lost: called once, when the connection is gone.
        """
        self._on_writable, self._on_lost = on_writable, on_lost
        self.transport.set_write_buffer_limits(high=0)
        connection = self.transport.get_extra_info("socket")
        if sys.platform == "linux" and connection is not None and connection.family != socket.AF_UNIX:
            with contextlib.suppress(OSError):  # already reset: on_lost is about to be called
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, NOTSENT_LOWAT_BYTES)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, USER_TIMEOUT_MS)
        return self.transport

    def resume_writing(self) -> None:
        """Called by the transport when nothing is unsent any more."""
        super().resume_writing()
        if self._on_writable is not None:
            self._on_writable()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by the event loop when the connection is gone."""
        super().connection_lost(exc)
        if self._on_lost is not None:
            self._on_lost()

    def shutdown(self) -> None:
        """Called by the server when it stops: streams have been ended before, so one that is left does not read."""
        if self._on_lost is not None:
            self.transport.abort()
        else:
            super().shutdown()


def lender(scope: Scope) -> StreamProtocol | None:
    """Return the protocol behind a request, or None where another server than ours runs the application."""
    protocol = scope.get("extensions", {}).get(EXTENSION)
    return protocol if isinstance(protocol, StreamProtocol) else None
