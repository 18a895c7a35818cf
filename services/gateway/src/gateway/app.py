"""The HTTP application: routes, pages, errors and the layers around them."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic.json_schema import models_json_schema
from starlette.middleware.cors import CORSMiddleware

from .answers import BoundAnswers
from .front import FRONT, add_front
from .gateway import Gateway
from .keys import HEADER, ApiKeys, describe_keys
from .middleware import SIMULATED_HEADER, Closing, HeadAsGet, SimulatedHeader
from .models import Problem, StreamEvent
from .pages import add_pages
from .problems import add_problem_handlers
from .routes import api
from .shortcut import PATH, StreamShortcut


class GatewayApp(FastAPI):
    """FastAPI, whose OpenAPI also defines what routes only refer to: a stream's events and problems."""

    def openapi(self) -> dict[str, Any]:
        """Return the API's description, which speaks of keys only where they are needed."""
        if self.openapi_schema is None:
            template = "#/components/schemas/{model}"
            _, added = models_json_schema([(StreamEvent, "serialization"), (Problem, "serialization")], ref_template=template)
            document = super().openapi()
            document["components"]["schemas"] |= added["$defs"]
            for path in (PATH, f"{PATH}/{{symbol}}"):  # where FastAPI says of its own that the whole body is one string
                del document["paths"][path]["get"]["responses"]["200"]["content"]["text/event-stream"]["schema"]
            if self.state.gateway.settings.api_keys:
                describe_keys(document)
        return super().openapi()


def build_app(gateway: Gateway, front: Path = FRONT) -> FastAPI:
    """Return the application that serves a gateway, and the page that was built into a folder."""
    app = GatewayApp(
        title="Market Pulse",
        version="1",
        summary="Live crypto prices across exchanges, over Server-Sent Events and REST",
        docs_url=None,
        openapi_url=None,  # ours is encoded once
        redoc_url=None,
        telemetry={"tracing": False, "metrics": False, "logs": False},  # 4.5 us a request; /metrics has ours
    )
    app.state.gateway = gateway
    app.include_router(api)
    add_pages(app)
    add_front(app, front)
    add_problem_handlers(app)
    app.add_middleware(HeadAsGet)
    app.add_middleware(StreamShortcut, gateway=gateway)
    keys = [key.get_secret_value() for key in gateway.settings.api_keys]
    if keys:
        app.add_middleware(ApiKeys, keys=keys)
    app.add_middleware(SimulatedHeader, simulated=lambda: gateway.hub.statuses.simulated)
    app.add_middleware(BoundAnswers, answers=gateway.answers, stats=gateway.hub.stats)
    app.add_middleware(
        CORSMiddleware,
        allow_origins=gateway.settings.cors_origins,
        allow_methods=["GET"],
        allow_headers=["Last-Event-ID", "Cache-Control", "Authorization", HEADER],
        expose_headers=["ETag", "Retry-After", SIMULATED_HEADER],
    )
    app.add_middleware(Closing, is_closing=lambda: gateway.closing)
    return app
