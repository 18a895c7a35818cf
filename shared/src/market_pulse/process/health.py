"""Probes and metrics of a part that has no HTTP API of its own: /livez, /readyz and /metrics."""

import asyncio
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version

import prometheus_client
import uvicorn
from prometheus_client import REGISTRY, CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from .bounded_http import SWEEPS_EVERY, BoundedProtocol, Connections, bound_buffers

MOST_CONNECTIONS = 64  # of those who probe and scrape
UNREAD_LIMIT_S = 10.0

Check = Callable[[], str | None]
"""Says what is wrong right now, or None. Must not wait."""


def verdict(checks: Mapping[str, Check]) -> tuple[int, dict[str, object]]:
    """Return the HTTP status and body of a probe: 200 when all checks pass, else 503 naming what fails."""
    findings = {name: check() for name, check in checks.items()}
    healthy = not any(findings.values())
    checked = {name: why or "ok" for name, why in findings.items()}
    return (200 if healthy else 503), {"status": "ok" if healthy else "failing", "checks": checked}


class PartCollector(Collector):
    """What every part tells Prometheus: its version, and whatever /readyz says."""

    def __init__(self, ready: Mapping[str, Check]) -> None:
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        """Yield each metric as it stands now."""
        yield InfoMetricFamily("market_pulse_build", "What runs here", value={"version": version("market-pulse")})
        ready = GaugeMetricFamily("market_pulse_ready", "1 while this check of /readyz passes", labels=["check"])
        for name, check in self._ready.items():
            ready.add_metric([name], float(check() is None))
        yield ready


def metrics_response(*registries: CollectorRegistry) -> Response:
    """Answer a Prometheus scrape."""
    text = b"".join(map(prometheus_client.generate_latest, registries))
    return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)


def health_app(live: Mapping[str, Check], ready: Mapping[str, Check], collectors: Iterable[Collector] = ()) -> Starlette:
    """Return the probes as an ASGI application. `collectors` present the part's own metrics."""
    part = CollectorRegistry()
    for collector in (PartCollector(ready), *collectors):
        part.register(collector)

    async def probe(request: Request) -> Response:
        status, body = verdict(live if request.url.path == "/livez" else ready)
        return JSONResponse(body, status_code=status)

    async def metrics(_: Request) -> Response:
        return metrics_response(part, REGISTRY)

    return Starlette(routes=[Route("/livez", probe), Route("/readyz", probe), Route("/metrics", metrics)])


async def serve_health(
    host: str, port: int, live: Mapping[str, Check], ready: Mapping[str, Check], collectors: Iterable[Collector] = ()
) -> None:
    """Serve the probes, and the metrics that `collectors` present beside the process's, until cancelled."""
    # All may be one address's: the idle ones yield, so that a probe is answered whoever else is here.
    connections = Connections(most=MOST_CONNECTIONS, most_per_address=sys.maxsize, unread_limit_s=UNREAD_LIMIT_S)
    config = uvicorn.Config(
        health_app(live, ready, collectors),
        host=host,
        port=port,
        http=partial(BoundedProtocol, connections=connections),  # type: ignore[arg-type] # called as the class is
        log_config=None,
        access_log=False,
        lifespan="off",
        server_header=False,
    )
    server = _Server(config, connections)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.shield(serving)
    finally:
        server.should_exit = True
        server.force_exit = True
        await asyncio.wait({serving}, timeout=2)


class _Server(uvicorn.Server):
    """A server that leaves the process's signals to the service's own lifecycle."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen."""
        await super().startup(sockets)
        bound_buffers(self.servers)

    async def on_tick(self, counter: int) -> bool:
        """Do what the time demands; return whether to end."""
        if counter % SWEEPS_EVERY == 0:
            self._connections.sweep()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take no signal."""
        yield
