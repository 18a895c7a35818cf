"""Small ASGI layers. Neither buffers nor wraps a body, so streams pass through them untouched."""

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
BACK_AFTER_S = 15  # a gateway that stops may be the only one: by then it has started again
PROBES = frozenset({"/livez", "/readyz", "/healthz", "/metrics"})


class SimulatedHeader:
    """Says on every response when the prices are simulated."""

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
    """Lets HEAD work wherever GET does, streams excepted. The server leaves out the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["method"] == "HEAD" and not scope["path"].startswith("/api/realtime"):
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)


class TrailingSlash:
    """Serves a path with a slash at its end as the path without. A redirect would name the host that the request claims."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and len(scope["path"]) > 1 and scope["path"].endswith("/"):
            scope = {**scope, "path": scope["path"][:-1]}
        await self._app(scope, receive, send)


class Cors(CORSMiddleware):
    """Starlette's, whose refusals are problems like all others."""

    def preflight_response(self, request_headers: Headers) -> Response:
        """Answer what a browser asks before it sends a request with headers of the page's own."""
        answer = super().preflight_response(request_headers)
        if answer.status_code == HTTPStatus.OK:
            return answer
        detail = f"{bytes(answer.body).decode()}: pages of CORS_ORIGINS may ask by GET and HEAD"
        refusal = orjson.dumps(problem_object(HTTPStatus.BAD_REQUEST, "preflight_refused", detail))
        kept = {name: value for name, value in answer.headers.items() if name not in {"content-length", "content-type"}}
        return Response(refusal, HTTPStatus.BAD_REQUEST, kept | {"Cache-Control": "no-store"}, PROBLEM)


class Closing:
    """Refuses whoever comes while streams are told goodbye, but for probes.

    By an edge that holds requests the client is cut instead: the edge tries another copy, which it does not after an answer.
    Probes go on to be answered: a proxy that takes this process for dead cuts the streams that have not been told goodbye yet.
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
