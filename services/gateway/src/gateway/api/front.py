"""The built page: its files, which are read once at the start, and the HTTP headers of each.

`make web` builds the page. If it was not built, the page's URLs answer with that command, and the API works all the same.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from .answers import SharedResponse
from .compression import SharedBody
from .problems import ProblemError

FRONT = Path(__file__).parents[1] / "static"
ENTRANCES = ("/", "/embed", "/market-pulse.js")  # the URLs that people use; these files load the other files
_URLS = {"index.html": "/", "embed.html": "/embed"}

_MEDIA_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webmanifest": "application/manifest+json",
    ".woff2": "font/woff2",
}
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors "
)


@dataclass(frozen=True, slots=True)
class File:
    """One file as it is sent."""

    body: SharedBody
    media_type: str
    headers: Mapping[str, str]

    async def answer(self, request: Request) -> Response:
        """Return the file, or only its headers if the browser has this version already."""
        if any(self.headers["ETag"] in known for known in request.headers.getlist("If-None-Match")):
            return Response(status_code=304, headers=self.headers)
        return SharedResponse(self.body, headers=self.headers, media_type=self.media_type)


def add_front(app: FastAPI, folder: Path = FRONT) -> None:
    """Serve every file of a built page. An entrance without a file answers that the page has not been built."""
    files = {path.relative_to(folder).as_posix(): path for path in sorted(folder.rglob("*")) if path.is_file()}
    files = {_URLS.get(name, f"/{name}"): path for name, path in files.items()}
    add_files(app, files)
    for url in ENTRANCES:
        if url not in files:
            app.router.add_route(url, _not_built, methods=["GET"], include_in_schema=False)


def add_files(app: FastAPI, files: Mapping[str, Path]) -> None:
    """Serve files. `files` has each file's path on disk by its path in the URL."""
    for url, path in files.items():
        body = path.read_bytes()
        file = File(
            SharedBody(body),
            _MEDIA_TYPES.get(path.suffix, "application/octet-stream"),
            MappingProxyType(_headers(url, body)),
        )
        app.router.add_route(url, file.answer, methods=["GET"], include_in_schema=False)


def _headers(url: str, body: bytes) -> dict[str, str]:
    headers = {
        "Cache-Control": "public, max-age=300",
        "ETag": f'W/"{hashlib.sha256(body).hexdigest()[:20]}"',  # weak: the same for the compressed form
        "Referrer-Policy": "strict-origin-when-cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if url.startswith("/assets/"):  # their names change with their content
        headers["Cache-Control"] = "public, max-age=31536000, immutable"
    elif url in {"/", "/embed"}:
        headers["Cache-Control"] = "no-cache"
        headers["Content-Security-Policy"] = _POLICY + ("*" if url == "/embed" else "'none'")
    elif url == "/market-pulse.js":  # for pages of other sites, with `crossorigin` or without
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        headers["Vary"] = "Origin"
    return headers


async def _not_built(_: Request) -> Response:
    detail = "the page has not been built here: run `make web`, then start the gateway again; the API works without it"
    raise ProblemError(503, "page_not_built", detail)
