"""The HTTP server for /livez, /readyz and /metrics, for the parts that have no HTTP API of their own."""

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

MOST_CONNECTIONS = 64  # clients that probe or scrape
UNREAD_LIMIT_S = 10.0

Check = Callable[[], str | None]
"""Returns what is wrong right now, or None. Must not block."""


def verdict(checks: Mapping[str, Check]) -> tuple[int, dict[str, object]]:
    """Return the HTTP status and body of a probe: 200 if all checks pass, else 503. The body has each check's finding."""
    findings = {name: check() for name, check in checks.items()}
    healthy = not any(findings.values())
    checked = {name: why or "ok" for name, why in findings.items()}
    return (200 if healthy else 503), {"status": "ok" if healthy else "failing", "checks": checked}


class PartCollector(Collector):
    """The metrics that every part exports: its version, and the result of each check of /readyz."""

    def __init__(self, ready: Mapping[str, Check]) -> None:
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        """Yield each metric with its present value."""
        yield InfoMetricFamily("market_pulse_build", "What runs here", value={"version": version("market-pulse")})
        ready = GaugeMetricFamily("market_pulse_ready", "1 while this check of /readyz passes", labels=["check"])
        for name, check in self._ready.items():
            ready.add_metric([name], float(check() is None))
        yield ready


def metrics_response(*registries: CollectorRegistry) -> Response:
    """Return the metrics of registries in Prometheus's text format."""
    text = b"".join(map(prometheus_client.generate_latest, registries))
    return Response(text, media_type=prometheus_client.CONTENT_TYPE_LATEST)


def health_app(live: Mapping[str, Check], ready: Mapping[str, Check], collectors: Iterable[Collector] = ()) -> Starlette:
    """Return the ASGI application of the probes and metrics. `collectors` export the part's own metrics."""
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
    """Serve the probes and metrics until cancelled: those of `collectors`, and those of the process's default registry."""
    # One address may have all connections. A new connection replaces the one that was idle for longest, so probes get in.
    connections = Connections(most=MOST_CONNECTIONS, most_per_address=sys.maxsize, unread_limit_s=UNREAD_LIMIT_S)
    config = uvicorn.Config(
        health_app(live, ready, collectors),
        host=host,
        port=port,
        http=partial(BoundedProtocol, connections=connections),  # type: ignore[arg-type] # uvicorn calls it like the class
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
    """A uvicorn server that installs no signal handlers, because `lifecycle` has its own, and that bounds its connections."""

    def __init__(self, config: uvicorn.Config, connections: Connections) -> None:
        super().__init__(config)
        self._connections = connections

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start to listen, with small receive buffers."""
        await super().startup(sockets)
        bound_buffers(self.servers)

    async def on_tick(self, counter: int) -> bool:
        """Called by uvicorn every 0.1 s: cut overdue connections now and then. Return whether the server should end."""
        if counter % SWEEPS_EVERY == 0:
            self._connections.sweep()
        return await super().on_tick(counter)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Install no signal handlers."""
        yield
