"""Errors as `application/problem+json` (RFC 9457)."""

import random
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.stream.sse import refused
from market_pulse.bus import BusError

from .negotiation import EVENTS, takes_events

PROBLEM = "application/problem+json"
RETRY_AFTER_S = 5
LATER_BY = 1.5
"""The longest retry delay, as a multiple of the shortest. A random delay keeps refused clients from returning all at once."""
STREAMS = "/api/realtime"


class ProblemError(Exception):
    """A request is wrong, or cannot be answered now. It becomes the answer to the request.

    Args:
        status: the HTTP status.
        code: a stable identifier for programs.
        detail: a sentence for people, with the cause and the remedy.
        retry_after_s: after how many seconds another try makes sense; None if it makes none.
        facts: further members of the problem object.
    """

    def __init__(self, status: int, code: str, detail: str, *, retry_after_s: int | None = None, **facts: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.facts = status, code, detail, facts
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def add_problem_handlers(app: FastAPI) -> None:
    """Make the application answer every error with a problem."""

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, problem: ProblemError) -> Response:
        return problem_response(request, problem)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return _response(request, error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        return problem_response(request, invalid_request(error.errors()))

    @app.exception_handler(BusError)
    async def on_bus_error(request: Request, _: BusError) -> Response:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return _response(request, 503, "bus_unavailable", "the price bus is not reachable right now", headers)


def invalid_request(errors: Iterable[Mapping[str, Any]]) -> ProblemError:
    """Return the problem for a request with invalid parameters, made from pydantic's errors."""
    told = [{"where": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in errors]
    detail = "; ".join(f"{one['where']}: {one['message']}" for one in told)
    return ProblemError(422, "invalid_request", detail, errors=told)


class Failures:
    """An ASGI layer that answers with a problem if the application raises, so that the layers around it get a normal answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request. An exception is raised again after the answer, so that the server logs it."""
        answering = False

        async def send_noting(message: Message) -> None:
            nonlocal answering
            answering = True
            await send(message)

        try:
            await self._app(scope, receive, send_noting)
        except Exception:
            if scope["type"] == "http" and not answering:
                detail = "an error of this server; it has been logged"
                failed = ProblemError(500, "internal_error", detail, retry_after_s=RETRY_AFTER_S)
                await problem_response(Request(scope), failed)(scope, receive, send)
            raise


def problem_response(request: Request, problem: ProblemError) -> Response:
    """Return the answer for a problem.

    An EventSource gives up for good after any status except 200. So for a temporary problem it gets a stream with one event and
    the time after which to try again.
    """
    return _response(request, problem.status, problem.code, problem.detail, problem.headers, problem.facts)


def problem_object(status: int, code: str, detail: str, **facts: Any) -> dict[str, Any]:
    """Return a problem's members."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": detail, "code": code, **facts}


def is_temporary(status: int) -> bool:
    """Return whether the same request may succeed later."""
    return status == HTTPStatus.TOO_MANY_REQUESTS or (
        status >= HTTPStatus.INTERNAL_SERVER_ERROR
        and status not in {HTTPStatus.NOT_IMPLEMENTED, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED}
    )


def opens_events(scope: Scope) -> bool:
    """Return whether a request asks for a stream in the way an EventSource does."""
    path: str = scope["path"]
    is_stream = scope["method"] == "GET" and (path == STREAMS or path.startswith(f"{STREAMS}/"))
    return is_stream and takes_events(Headers(scope=scope).getlist("Accept"))


def _response(
    request: Request,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Response:
    body = problem_object(status, code, detail, instance=request.scope["path"], **(facts or {}))
    if is_temporary(status) and opens_events(request.scope):
        soonest_ms = 1000 * int((headers or {}).get("Retry-After", RETRY_AFTER_S))
        text = refused(body, random.randint(soonest_ms, round(LATER_BY * soonest_ms)))
        return Response(text, headers={"Cache-Control": "no-store"}, media_type=EVENTS)
    return Response(
        orjson.dumps(body),
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type=PROBLEM,
    )
