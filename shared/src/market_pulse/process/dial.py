"""Connections to names that have several addresses, some of them dead: the next one is tried while the first is still silent.

A broken IPv6 route answers nothing at all, so waiting for its timeout would cost ten seconds at each attempt. RFC 8305 calls
this happy eyeballs. uvloop cannot do it. asyncio's own way loses an open socket if it is cancelled at the wrong moment. So our
loop does it, by a library. httpx does it by itself.
"""

import asyncio
import socket
import sys
from functools import cache
from typing import Any

from aiohappyeyeballs import start_connection

NEXT_ADDRESS_S = 0.25


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop that tries addresses: uvloop's where uvloop exists, else asyncio's."""
    base: type[asyncio.AbstractEventLoop]
    if sys.platform == "win32":
        base = asyncio.ProactorEventLoop
    else:
        import uvloop  # noqa: PLC0415 - not installable on Windows

        base = uvloop.Loop
    loop: asyncio.AbstractEventLoop = with_addresses(base)()
    return loop


@cache
def with_addresses(base: Any) -> Any:
    """Return a class of loops that differs from its base in one way: its `create_connection` tries the next address soon."""

    class Loop(base):  # type: ignore[misc] # uvloop's or asyncio's
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
            del interleave  # addresses of two families always take turns
            if happy_eyeballs_delay is None or host is None or options.get("sock") is not None:
                return await super().create_connection(protocol_factory, host, port, **options)
            hints = {name: options.pop(name, 0) for name in ("family", "proto", "flags")}
            found = await self.getaddrinfo(host, port or 0, type=socket.SOCK_STREAM, **hints)
            try:
                connected = await start_connection(found, happy_eyeballs_delay=happy_eyeballs_delay)
            except RuntimeError as failed:  # uvloop's word for some failures, which callers know as OSError
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
    """Return the options with which the running loop's `create_connection` tries the next address soon; none if it cannot."""
    is_able = getattr(asyncio.get_running_loop(), "tries_addresses", False)
    return {"happy_eyeballs_delay": NEXT_ADDRESS_S} if is_able else {}
