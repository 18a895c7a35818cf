"""Small ASGI layers. None of them buffers or wraps a body, so streams pass through them unchanged."""

from collections.abc import Callable
from http import HTTPStatus

import orjson
from starlette.datastructures import Headers, MutableHeaders
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.server.protocol import cutter

from .edge import Edge
from .problems import PROBLEM, ProblemError, problem_object, problem_response

SIMULATED_HEADER = "X-Market-Pulse-Simulated"
BACK_AFTER_S = 15  # after this time a gateway that is the only one has started again
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})


class SimulatedHeader:
    """Adds SIMULATED_HEADER to every response while prices are simulated."""

    def __init__(self, app: ASGIApp, simulated: Callable[[], bool]) -> None:
        self._app = app
        self._simulated = simulated

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not self._simulated():
            await self._app(scope, receive, send)
            return

        async def send_marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)[SIMULATED_HEADER] = "true"
            await send(message)

        await self._app(scope, receive, send_marked)


class HeadAsGet:
    """Answers HEAD like GET, except for streams. The server leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].startswith("/api/realtime"):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class TrailingSlash:
    """Serves a path that ends with a slash like the path without it. A redirect would repeat the host that a client claims."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"][:-1]}
        await self._app(scope, receive, send)


class Cors(CORSMiddleware):
    """Starlette's CORS layer, with refusals that are problems (RFC 9457) like all others."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer the preflight request that a browser sends before a request with a page's own headers."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        detail = f"{bytes(answer.body).decode()}: pages of CORS_ORIGINS may ask by GET and HEAD"
        refusal = orjson.dumps(problem_object(HTTPStatus.BAD_REQUEST, "preflight_refused", detail))
        kept = {name: value for name, value in answer.headers.items() if name not in {"content-length", "content-type"}}
        return Response(refusal, HTTPStatus.BAD_REQUEST, kept | {"Cache-Control": "no-store"}, PROBLEM)


class Closing:
    """Refuses new requests while the streams are ended, except probes.

    If a request comes through an edge that holds requests, its connection is cut instead: the edge then tries another copy of
    the gateway, which it does not do after an answer. Probes are still answered: a proxy that takes this process for dead would
    cut the streams that have not been sent their goodbye.
    """

    def __init__(self, app: ASGIApp, is_closing: Callable[[], bool], edge: Edge) -> None:
        self._app = app
        self._is_closing = is_closing
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http" or not self._is_closing() or scope["path"] in PROBES:
            await self._app(scope, receive, send)
        elif self._edge.holds(scope) and (cut := cutter(scope)):
            cut()
        else:
            refusal = ProblemError(503, "draining", "this gateway is about to stop", retry_after_s=BACK_AFTER_S)
            await problem_response(Request(scope), refusal)(scope, receive, send)
