"""The HTTP application: routes, pages, errors and the layers around them."""

from pathlib import Path

from fastapi import FastAPI

from .answers import BoundAnswers
from .compression import Compression
from .description import GatewayApp
from .event_stream import EventStreams
from .front import FRONT, add_front
from .gateway import Gateway
from .keys import ApiKeys
from .middleware import SIMULATED_HEADER, Closing, Cors, HeadAsGet, SimulatedHeader, TrailingSlash
from .pages import add_pages
from .problems import Failures, add_problem_handlers
from .routes import api


def build_app(gateway: Gateway, front: Path = FRONT) -> FastAPI:
    """Return the application that serves a gateway, and the page that was built into a folder."""
    app = GatewayApp(
        title="Market Pulse",
        version="1",
        summary="Live crypto prices across exchanges, over Server-Sent Events and REST",
        docs_url=None,
        openapi_url=None,  # pages.py serves it, encoded once
        redoc_url=None,
        redirect_slashes=False,  # a redirect would name the host that the request claims
        telemetry={"tracing": False, "metrics": False, "logs": False},  # they cost time for each request, and /metrics has ours
    )
    app.state.gateway = gateway
    app.include_router(api)
    add_pages(app)
    add_front(app, front)
    add_problem_handlers(app)
    app.add_middleware(Compression)
    app.add_middleware(HeadAsGet)
    app.add_middleware(EventStreams, hub=gateway.hub, listings=gateway.listings, limits=gateway.limits, edge=gateway.edge)
    keys = [key.get_secret_value() for key in gateway.settings.api_keys]
    if keys:
        app.add_middleware(ApiKeys, keys=keys)
    app.add_middleware(SimulatedHeader, simulated=lambda: gateway.hub.statuses.simulated)
    app.add_middleware(TrailingSlash)
    app.add_middleware(Closing, is_closing=lambda: gateway.closing, edge=gateway.edge)
    app.add_middleware(BoundAnswers, answers=gateway.answers, stats=gateway.hub.stats)
    app.add_middleware(Failures)
    app.add_middleware(
        Cors,
        allow_origins=gateway.settings.cors_origins,
        allow_methods=["GET", "HEAD"],
        # Allow any header, because tracing and monitoring libraries add headers to all requests of a page. No header gives a
        # client more than it gets without it, and cookies are ignored.
        allow_headers=["*"],
        allow_private_network=True,
        expose_headers=["ETag", "Retry-After", SIMULATED_HEADER],
    )
    return app
