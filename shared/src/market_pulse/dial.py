"""Connections to names that have several addresses, some of them dead: the next one is tried while the first is still silent.

A broken IPv6 route answers nothing at all, so waiting for its timeout would cost ten seconds at each attempt. RFC 8305 calls
this happy eyeballs. asyncio's own loop can do it and uvloop's cannot, so ours adds it. httpx does it by itself.
"""

import asyncio
import contextlib
import socket
import sys
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain, zip_longest
from typing import Any

NEXT_ADDRESS_S = 0.25

Address = tuple[int, int, int, Any]
"""Family, type and protocol of a socket, and what to connect it to."""


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return a new loop: uvloop's where uvloop exists, and it tries addresses as asyncio's own can."""
    if sys.platform == "win32":
        return asyncio.new_event_loop()
    import uvloop  # noqa: PLC0415 - not installable on Windows

    class Loop(uvloop.Loop):
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
            addresses = [(family, kind, proto, address) for family, kind, proto, _, address in found]
            connected = await connect_first(addresses, happy_eyeballs_delay)
            if options.get("ssl"):
                options.setdefault("server_hostname", host)
            try:
                return await super().create_connection(protocol_factory, sock=connected, **options)
            except BaseException:
                connected.close()
                raise

    return Loop()


def dialling() -> dict[str, Any]:
    """Return the options with which the running loop's `create_connection` tries the next address soon; none if it cannot."""
    loop = asyncio.get_running_loop()
    is_able = isinstance(loop, asyncio.BaseEventLoop) or getattr(loop, "tries_addresses", False)
    return {"happy_eyeballs_delay": NEXT_ADDRESS_S} if is_able else {}


async def connect_first(addresses: Iterable[Address], delay_s: float) -> socket.socket:
    """Connect to addresses one after another, each a moment after the one before or as soon as that has failed.

    Returns:
        The first socket that is connected; all others are closed.

    Raises:
        OSError: none can be connected to.
    """
    attempts: set[asyncio.Task[socket.socket]] = set()
    failures: list[BaseException] = []
    try:
        for address in chain(_alternating(addresses), [None]):
            if address is not None:
                attempts.add(asyncio.create_task(_connect(address)))
            # After the last address there is nothing left to do but wait for those under way.
            while attempts:
                done, attempts = await asyncio.wait(
                    attempts, timeout=None if address is None else delay_s, return_when=asyncio.FIRST_COMPLETED
                )
                for attempt in done:
                    failure = attempt.exception()
                    if failure is None:
                        attempts.update(done - {attempt})
                        return attempt.result()
                    failures.append(failure)
                if address is not None:
                    break
        raise OSError(f"no address can be connected to: {'; '.join(map(str, failures)) or 'the name has none'}")
    finally:
        for attempt in attempts:
            attempt.cancel()
            attempt.add_done_callback(_close)


def _alternating(addresses: Iterable[Address]) -> list[Address]:
    """Return the addresses with those of different families in turn, beginning with the first one's."""
    families: defaultdict[int, list[Address]] = defaultdict(list)
    for address in addresses:
        families[address[0]].append(address)
    return [address for turn in zip_longest(*families.values()) for address in turn if address is not None]


async def _connect(address: Address) -> socket.socket:
    family, kind, proto, target = address
    connecting = socket.socket(family, kind, proto)
    try:
        connecting.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connecting, target)
    except BaseException:
        connecting.close()
        raise
    return connecting


def _close(attempt: asyncio.Task[socket.socket]) -> None:
    """Close the socket of an attempt that came too late."""
    if not attempt.cancelled() and attempt.exception() is None:
        with contextlib.suppress(OSError):
            attempt.result().close()
