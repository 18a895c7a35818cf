"""The API's documentation for people, and the health and metrics paths for machines."""

from collections.abc import Mapping
from pathlib import Path

import fastapi_offline
import orjson
from fastapi import APIRouter, FastAPI, HTTPException, Request
from fastapi.openapi.docs import get_swagger_ui_html
from starlette.responses import JSONResponse, Response

from market_pulse.process.health import Check, metrics_response, verdict

from .answers import SharedResponse
from .compression import SharedBody
from .front import add_files
from .metrics import gateway_registry

# Swagger UI needs a script and styles within the page.
_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)

SWAGGER = Path(fastapi_offline.__file__).parent / "static"

pages = APIRouter(include_in_schema=False)


@pages.get("/docs")
async def docs(request: Request) -> Response:
    """Return Swagger UI. All of its files come from this server."""
    app: FastAPI = request.app
    page = get_swagger_ui_html(
        openapi_url="/openapi.json",
        title=f"{app.title}: API",
        swagger_js_url="/docs-assets/swagger-ui-bundle.js",
        swagger_css_url="/docs-assets/swagger-ui.css",
        swagger_favicon_url="/icon.svg",
    )
    page.headers["Content-Security-Policy"] = _POLICY
    return page


@pages.get("/openapi.json")
async def description(request: Request) -> Response:
    """Return the API's description."""
    state = request.app.state
    if not hasattr(state, "description"):
        state.description = SharedBody(orjson.dumps(request.app.openapi()))
    return SharedResponse(state.description, {}, media_type="application/json")


@pages.get("/livez")
@pages.get("/healthz")
async def livez() -> Response:
    """Answer that this process runs. The connection to Redis is a matter of `/readyz`."""
    return _probe({})


@pages.get("/readyz")
async def readyz(request: Request) -> Response:
    """Answer whether new clients should be sent to this process, with the conditions that fail."""
    return _probe(request.app.state.gateway.ready_checks)


@pages.get("/metrics")
async def metrics(request: Request) -> Response:
    """Answer a Prometheus scrape. The path must not be percent-encoded, because a proxy that blocks it may not decode it."""
    if request.scope["raw_path"] != b"/metrics":
        raise HTTPException(404)
    return metrics_response(request.app.state.registry)


def add_pages(app: FastAPI) -> None:
    """Add the routes of this module, and the files that the documentation loads."""
    app.state.registry = gateway_registry(app.state.gateway)
    app.include_router(pages)
    add_files(app, {f"/docs-assets/{name}": SWAGGER / name for name in ("swagger-ui-bundle.js", "swagger-ui.css")})


def _probe(checks: Mapping[str, Check]) -> Response:
    status, body = verdict(checks)
    return JSONResponse(body, status_code=status, headers={"Cache-Control": "no-store"})
