"""API keys: an ASGI layer that gives data to nobody who does not bring one. It is there only where API_KEYS is set."""

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
PARAMETER = "api_key"  # of streams: a browser's EventSource sends no headers of one's own


class ApiKeys:
    """Answers 401 to requests under `/api` that bring no key: the page's own files, probes and the description stay open."""

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
        """Compare with every key, each in the same time whatever is in it."""
        digest = _digest(key)
        return any([hmac.compare_digest(digest, known) for known in self._digests])  # noqa: C419 - all of them, always


def describe_keys(document: dict[str, Any]) -> None:
    """Add to an OpenAPI document where a key is brought, and what is answered without one."""
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
    """Return a request without the keys in its query, where nothing after this shall see them, and these keys."""
    name = f"{PARAMETER}=".encode()
    parts: list[bytes] = scope["query_string"].split(b"&")
    rest = b"&".join(part for part in parts if not part.startswith(name))
    return {**scope, "query_string": rest}, [part.removeprefix(name) for part in parts if part.startswith(name)]


def _digest(key: bytes) -> bytes:
    """Return what is compared: as long for any key, so that not even its length can be told."""
    return sha256(key).digest()
