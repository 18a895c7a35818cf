"""API keys: an ASGI layer that refuses requests for data without a key. It is used only if API_KEYS is set."""

import hmac
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from .models import PROBLEM
from .problems import STREAMS, ProblemError, problem_response

HEADER = "X-API-Key"
PARAMETER = "api_key"  # for streams only, because a browser's EventSource cannot send headers of a page's own


class ApiKeys:
    """Answers 401 to requests under `/api` without a known key. The page's files, probes and the description need no key."""

    def __init__(self, app: ASGIApp, keys: Iterable[str]) -> None:
        self._app = app
        self._digests = [_digest(key.encode()) for key in keys]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] == "http" and scope["path"].startswith("/api"):
            given = list(_in_headers(scope))
            if scope["path"].startswith(STREAMS):
                scope, in_query = _without_parameter(scope)
                given += in_query
            if not any(self._is_known(key) for key in given):
                await problem_response(Request(scope), _refusal(scope))(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_known(self, key: bytes) -> bool:
        """Return whether a key is one of ours, in a time that does not depend on its content."""
        digest = _digest(key)
        return any([hmac.compare_digest(digest, known) for known in self._digests])  # noqa: C419 - all of them, always


def describe_keys(document: dict[str, Any]) -> None:
    """Add to an OpenAPI document how a client sends a key, and the answer to a request without one."""
    document["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": HEADER},
        "query": {"type": "apiKey", "in": "query", "name": PARAMETER},
    }
    for path, methods in document["paths"].items():
        ways = ("bearer", "header", "query") if path.startswith(STREAMS) else ("bearer", "header")
        for operation in methods.values():
            operation["security"] = [{way: []} for way in ways]
            operation["responses"]["401"] = {"description": "No key, or not one of this gateway's", **PROBLEM}


def _refusal(scope: Scope) -> ProblemError:
    ways = f"Authorization: Bearer, or {HEADER}"
    if scope["path"].startswith(STREAMS):
        ways += f", or ?{PARAMETER}="
    refusal = ProblemError(401, "api_key_needed", f"this gateway wants an API key of its own: {ways}")
    refusal.headers["WWW-Authenticate"] = 'Bearer realm="Market Pulse"'
    return refusal


def _in_headers(scope: Scope) -> Iterator[bytes]:
    headers = Headers(scope=scope)
    scheme, _, token = headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        yield token.strip().encode("latin-1")
    if HEADER in headers:
        yield headers[HEADER].encode("latin-1")


def _without_parameter(scope: Scope) -> tuple[Scope, list[bytes]]:
    """Return a request's scope without the keys in its query, so that no later layer sees them, and these keys."""
    name = f"{PARAMETER}=".encode()
    parts: list[bytes] = scope["query_string"].split(b"&")
    rest = b"&".join(part for part in parts if not part.startswith(name))
    return {**scope, "query_string": rest}, [part.removeprefix(name) for part in parts if part.startswith(name)]


def _digest(key: bytes) -> bytes:
    """Return a key's hash. All hashes have the same length, so comparing them does not reveal a key's length."""
    return sha256(key).digest()
