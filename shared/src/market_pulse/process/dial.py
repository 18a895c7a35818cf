"""Connects to a host name that has several addresses. If the first does not answer soon, the loop tries the next one too.

An address behind a broken IPv6 route never answers, so each attempt would last until the caller's timeout. RFC 8305 calls
the cure "happy eyeballs". uvloop does not have it. asyncio's version loses an open socket if it is cancelled at the wrong
moment. So our event loop uses a library for it. httpx does it by itself.
"""

import asyncio
import socket
import sys
from functools import cache
from typing import Any

from aiohappyeyeballs import start_connection

NEXT_ADDRESS_S = 0.25


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new event loop that can do so, based on uvloop where it exists, else on asyncio's loop."""
    base: type[asyncio.AbstractEventLoop]
    if sys.platform == "win32":
        base = asyncio.ProactorEventLoop
    else:
        import uvloop  # noqa: PLC0415 - uvloop cannot be installed on Windows

        base = uvloop.Loop
    loop: asyncio.AbstractEventLoop = with_addresses(base)()
    return loop


@cache
def with_addresses(base: Any) -> Any:
    """Return a subclass of an event loop class.

    If the caller passes `happy_eyeballs_delay` (see `dialling`), its `create_connection` tries the next address after that
    delay.
    """

    class Loop(base):  # type: ignore[misc] # uvloop's class or asyncio's
        tries_addresses = True

        async def create_connection(
            self,
            protocol_factory: Any,
            host: Any = None,
            port: Any = None,
            *,
            happy_eyeballs_delay: float | None = None,
            interleave: int | None = None,
            **options: Any,
        ) -> Any:
            del interleave  # not needed: IPv4 and IPv6 addresses always alternate
            if happy_eyeballs_delay is None or host is None or options.get("sock") is not None:
                return await super().create_connection(protocol_factory, host, port, **options)
            hints = {name: options.pop(name, 0) for name in ("family", "proto", "flags")}
            found = await self.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM, **hints)
            try:
                connected = await start_connection(found, happy_eyeballs_delay=happy_eyeballs_delay)
            except RuntimeError as failed:  # uvloop raises it for some failures for which callers expect OSError
                raise OSError(str(failed)) from failed
            if options.get("ssl"):
                options.setdefault("server_hostname", host)
            try:
                return await super().create_connection(protocol_factory, sock=connected, **options)
            except BaseException:
                connected.close()
                raise

    return Loop


def dialling() -> dict[str, Any]:
    """Return options with which `create_connection` tries the next address soon, or none if the running loop is not ours."""
    is_able = getattr(asyncio.get_running_loop(), "tries_addresses", False)
    return {"happy_eyeballs_delay": NEXT_ADDRESS_S} if is_able else {}
