"""The HTTP server. When it stops, its clients notice no more than a reconnect."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from functools import partial
from typing import Any, Protocol

import uvicorn
from starlette.types import ASGIApp

from gateway.settings import GatewaySettings
from gateway.stream.hub import Hub
from market_pulse.process.bounded_http import SWEEPS_EVERY, Connections, bound_buffers
from market_pulse.process.lifecycle import STOP_SIGNALS
from market_pulse.process.logs import get_logger

from .protocol import StreamProtocol

KEEP_ALIVE_S = 30  # longer than a proxy keeps an idle connection, so that no proxy sends a request into a closing one
CLOSE_LIMIT_S = 2  # how long unfinished answers may take after all streams are gone

log = get_logger()


class Served(Protocol):
    """The attributes of a gateway that its server needs."""

    settings: GatewaySettings
    hub: Hub
    connections: Connections
    draining: bool  # the server sets it when the process is about to stop: from then on it is not ready
    closing: bool  # the server sets it when it begins to end the streams


class Server(uvicorn.Server):
    """A uvicorn server that ends streams in order. uvicorn itself would wait for open streams for ever, or cut all at once.

    At the first SIGTERM or SIGINT the gateway reports that it is not ready, but still serves, because a proxy needs a moment to
    notice. Then it sends each open stream a goodbye, spread over time, and meanwhile refuses all new requests except probes.
    Then it ends. At a second signal it ends at once.
    """

    def __init__(self, app: ASGIApp, gateway: Served) -> None:
        settings = gateway.settings
        super().__init__(
            uvicorn.Config(
                app,
                host=settings.host,
                port=settings.port,
                http=partial(StreamProtocol, stats=gateway.hub.stats, connections=gateway.connections),  # type: ignore[arg-type] # called as the class is
                ws="none",
                lifespan="off",
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=bool(settings.trusted_proxies),
                forwarded_allow_ips=list(settings.trusted_proxies),
                timeout_keep_alive=KEEP_ALIVE_S,
                timeout_graceful_shutdown=CLOSE_LIMIT_S,
            )
        )
        self._gateway = gateway
        self._draining: asyncio.Task[None] | None = None

    @property
    def port(self) -> int:
        """The port that the server listens on. Valid after the start."""
        port: int = self.servers[0].sockets[0].getsockname()[1]
        return port

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, with small receive buffers for new connections."""
        await super().startup(sockets)
        bound_buffers(self.servers)

    async def on_tick(self, counter: int) -> bool:
        """Do the periodic work. Return whether to end."""
        if counter % SWEEPS_EVERY == 0:
            self._gateway.connections.sweep()
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle the stop signals. Unlike with uvicorn's own handler, the process exits with 0 after a stop without errors."""
        loop = asyncio.get_running_loop()
        for number in STOP_SIGNALS:
            loop.add_signal_handler(number, self.stop)
        try:
            yield
        finally:
            for number in STOP_SIGNALS:
                loop.remove_signal_handler(number)

    def handle_exit(self, sig: int, frame: Any) -> None:  # noqa: ARG002 - uvicorn's signature
        """Stop as at a signal."""
        self.stop()

    def stop(self) -> None:
        """Begin to stop. If the server is stopping already, end at once."""
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())
        else:
            self.should_exit = self.force_exit = True

    async def _drain(self) -> None:
        gateway, drain_s = self._gateway, self._gateway.settings.drain_s
        log.info("draining", streams=len(gateway.hub.streams))
        gateway.draining = True
        await asyncio.sleep(drain_s)
        gateway.closing = True
        await gateway.hub.drain(drain_s)
        self.should_exit = True
