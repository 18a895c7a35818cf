"""Errors as `application/problem+json` (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from market_pulse.bus import BusError

RETRY_AFTER_S = 5


class ProblemError(Exception):
    """What is wrong with a request, or why it cannot be answered now.

    Args:
        status: the HTTP status.
        code: a stable word for programs.
        detail: a sentence for people: who, what and what to do.
        retry_after_s: when asking again makes sense, if it does.
        facts: more members of the problem object.
    """

    def __init__(self, status: int, code: str, detail: str, *, retry_after_s: int | None = None, **facts: Any) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail, self.facts = status, code, detail, facts
        self.headers = {} if retry_after_s is None else {"Retry-After": str(retry_after_s)}


def add_problem_handlers(app: FastAPI) -> None:
    """Have every error of the application answered as a problem."""

    @app.exception_handler(ProblemError)
    async def on_problem(request: Request, problem: ProblemError) -> Response:
        return problem_response(request, problem)

    @app.exception_handler(HTTPException)
    async def on_http_exception(request: Request, error: HTTPException) -> Response:
        code = HTTPStatus(error.status_code).phrase.lower().replace(" ", "_")
        return _response(request, error.status_code, code, str(error.detail), error.headers)

    @app.exception_handler(RequestValidationError)
    async def on_invalid(request: Request, error: RequestValidationError) -> Response:
        errors = [{"where": ".".join(map(str, one["loc"])), "message": one["msg"]} for one in error.errors()]
        detail = "; ".join(f"{one['where']}: {one['message']}" for one in errors)
        return _response(request, 422, "invalid_request", detail, facts={"errors": errors})

    @app.exception_handler(BusError)
    async def on_bus_error(request: Request, _: BusError) -> Response:
        headers = {"Retry-After": str(RETRY_AFTER_S)}
        return _response(request, 503, "bus_unavailable", "the price bus is not reachable right now", headers)

    @app.exception_handler(Exception)
    async def on_exception(request: Request, _: Exception) -> Response:
        return _response(request, 500, "internal_error", "an error of this server; it has been logged")


def problem_response(request: Request, problem: ProblemError) -> Response:
    """Return the answer that says what a problem is."""
    return _response(request, problem.status, problem.code, problem.detail, problem.headers, problem.facts)


def _response(
    request: Request,
    status: int,
    code: str,
    detail: str,
    headers: Mapping[str, str] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "instance": request.url.path,
        "code": code,
        **(facts or {}),
    }
    return Response(
        orjson.dumps(body),
        status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/problem+json",
    )
